"""Production traffic in, a lake of samples out.

Takes files and folders (OTLP JSON lines, OTLP protobuf, Jaeger and Zipkin JSON, HTTP archives, CSV
and Parquet through a column mapping, access logs; plain, gzip or zstd), frames of polars, pandas, Arrow and DuckDB, and ``TelemetrySample``
records; and live requests: ``create_tracing_middleware`` watches an ASGI or WSGI application and tells
its listeners of each ``Exchange``. Gives ``Lake``: the landed samples (``schemas.SAMPLES``), the operations, what was
quarantined and why, and the one list of files that count. ``open_state`` is the way into the state
database beside it.

Names are resolved at first use: opening the state database does not load the readers.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evolution_lab.telemetry.batches import BatchFile, BatchRecord
    from evolution_lab.telemetry.exchange import Exchange
    from evolution_lab.telemetry.lake import Lake
    from evolution_lab.telemetry.landing import land, land_samples
    from evolution_lab.telemetry.mapping import ColumnMapping
    from evolution_lab.telemetry.middleware import (
        Counters,
        TracingMiddleware,
        create_tracing_middleware,
    )
    from evolution_lab.telemetry.reading import Chunk, Reader, ReadOptions, Reject
    from evolution_lab.telemetry.report import LandingReport, SourceLanding
    from evolution_lab.telemetry.span_processor import TelemetrySpanProcessor
    from evolution_lab.telemetry.state import open_state

_HOMES = {
    "BatchFile": "batches",
    "BatchRecord": "batches",
    "Chunk": "reading",
    "ColumnMapping": "mapping",
    "Counters": "middleware",
    "Exchange": "exchange",
    "Lake": "lake",
    "LandingReport": "report",
    "ReadOptions": "reading",
    "Reader": "reading",
    "Reject": "reading",
    "SourceLanding": "report",
    "TelemetrySpanProcessor": "span_processor",
    "TracingMiddleware": "middleware",
    "create_tracing_middleware": "middleware",
    "land": "landing",
    "land_samples": "landing",
    "open_state": "state",
}

__all__ = [
    "BatchFile",
    "BatchRecord",
    "Chunk",
    "ColumnMapping",
    "Counters",
    "Exchange",
    "Lake",
    "LandingReport",
    "ReadOptions",
    "Reader",
    "Reject",
    "SourceLanding",
    "TelemetrySpanProcessor",
    "TracingMiddleware",
    "create_tracing_middleware",
    "land",
    "land_samples",
    "open_state",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'evolution_lab.telemetry' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"evolution_lab.telemetry.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
