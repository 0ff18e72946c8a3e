"""The contracts between folders: which columns a frame has, of which type, and what holds in them.

``check`` runs where a frame crosses from one folder to the next: the schema of lazy frames, schema
and values of collected ones. Column names, types and units here are the reference; everything else
refers to them. All times are UTC microseconds, all durations integer nanoseconds.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import polars as pl

from evolution_lab.errors import FrameContractError


@contextmanager
def _without_spark() -> Iterator[None]:
    """Keep pandera from loading PySpark where it is installed, and from setting its address.

    It would cost each command a second, warn of the pandas there is, and bind a cluster's driver to
    an address that no worker reaches.
    """
    unset = {"SPARK_LOCAL_IP", "PYARROW_IGNORE_TIMEZONE"} - os.environ.keys()
    hidden = {"pyspark", "pyspark.pandas"} - sys.modules.keys()
    # To import what is None is an ImportError, which pandera expects.
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
        for name in unset:
            os.environ.pop(name, None)


with _without_spark():
    import pandera.polars as pa
    from pandera.errors import SchemaErrors

TIME: Final = pl.Datetime("us", "UTC")
TOP_ERRORS: Final = pl.List(pl.Struct({"error_code": pl.String(), "count": pl.Int64()}))
LATENCY_BINS: Final = pl.List(pl.Struct({"bin": pl.Int32(), "count": pl.Int64()}))

SPAN_KINDS: Final = ("server", "client", "consumer", "producer", "internal")
CHANNELS: Final = ("rest", "graphql", "rpc", "worker")
NAME_SOURCES: Final = ("route", "graphql", "rpc", "messaging", "db", "span", "derived", "mapped")

Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)

_NOT_EMPTY = pa.Check.str_length(min_value=1)
_AT_LEAST_0 = pa.Check.ge(0)
_FRACTION = pa.Check.in_range(0.0, 1.0)


def _column(
    dtype: Any, *checks: pa.Check, nullable: bool = False, required: bool = True
) -> pa.Column:
    return pa.Column(dtype, list(checks), nullable=nullable, required=required)


def _contract(name: str, columns: dict[str, pa.Column]) -> pa.DataFrameSchema:
    return pa.DataFrameSchema(columns, strict=True, name=name)


_IDENTITY: Final[dict[str, pa.Column]] = {
    "service": _column(pl.String, _NOT_EMPTY, nullable=True),
    "operation_key": _column(pl.String, _NOT_EMPTY),
    "operation_version": _column(pl.String, _NOT_EMPTY, nullable=True),
}

SAMPLES: Final = _contract(
    "samples",
    {
        **_IDENTITY,
        "op_id": _column(pl.Int64, _AT_LEAST_0),
        "kind": _column(pl.String, pa.Check.isin(SPAN_KINDS), nullable=True),
        "environment": _column(pl.String, nullable=True),
        "timestamp": _column(TIME),
        "duration_ns": _column(pl.Int64, _AT_LEAST_0),
        "success": _column(pl.Boolean, nullable=True),
        "status_code": _column(pl.Int32, nullable=True),
        "error_code": _column(pl.String, nullable=True),
        "error_message": _column(pl.String, nullable=True),
        "tenant_id": _column(pl.String, nullable=True),
        "actor_id": _column(pl.String, nullable=True),
        "session_id": _column(pl.String, nullable=True),
        "trace_id": _column(pl.String, nullable=True),
        "span_id": _column(pl.String, nullable=True),
        "parent_span_id": _column(pl.String, nullable=True),
        "channel": _column(pl.String, pa.Check.isin(CHANNELS), nullable=True),
        "variant_id": _column(pl.String, nullable=True),
        "payload_bytes": _column(pl.Int64, _AT_LEAST_0, nullable=True),
        "weight": _column(pl.Float64, pa.Check.ge(1.0)),
        "attributes": _column(pl.String, nullable=True),
        "name_source": _column(pl.String, pa.Check.isin(NAME_SOURCES)),
        "row_id": _column(pl.String, _NOT_EMPTY),
    },
)
"""Landed samples, one row an execution; ``attributes`` is canonical JSON of the allow-listed names.

``row_id`` identifies the row for good: ``<trace_id>/<span_id>`` where both are there, otherwise a
hash of the source line and how many equal lines precede it in its file.
"""

QUARANTINE: Final = _contract(
    "quarantine",
    {
        "origin": _column(pl.String, _NOT_EMPTY),
        "line": _column(pl.Int64, nullable=True),
        "reason": _column(pl.String, _NOT_EMPTY),
        "excerpt": _column(pl.String),
    },
)
"""Rows that could not be read: where they stood, why they were refused, a redacted excerpt."""

TRAFFIC: Final = _contract(
    "traffic",
    {
        "id": _column(pl.String, _NOT_EMPTY),
        **_IDENTITY,
        "op_id": _column(pl.Int64, _AT_LEAST_0),
        "timestamp": _column(TIME),
        "duration_ms": _column(pl.Float64, _AT_LEAST_0, nullable=True),
        "success": _column(pl.Boolean),
        "channel": _column(pl.String, pa.Check.isin(CHANNELS), nullable=True),
        "tenant_id": _column(pl.String, nullable=True),
        "user_id": _column(pl.String, nullable=True),
        "trace_id": _column(pl.String, nullable=True),
        "session_id": _column(pl.String, nullable=True),
        "input": _column(pl.String, _NOT_EMPTY),
        "output": _column(pl.String, _NOT_EMPTY),
        "has_error": _column(pl.Boolean),
        "error_name": _column(pl.String, nullable=True),
        "error_message": _column(pl.String, nullable=True),
        "error_code": _column(pl.String, nullable=True),
        "metadata": _column(pl.String, _NOT_EMPTY),
        "sample_rate": _column(pl.Float64, pa.Check.in_range(0.0, 1.0, include_min=False)),
    },
)
"""Sanitised traffic snapshots, one row a call; ``input``, ``output`` and ``metadata`` are JSON text."""

WINDOWS: Final = _contract(
    "windows",
    {
        **_IDENTITY,
        "op_id": _column(pl.Int64, _AT_LEAST_0),
        "window_start": _column(TIME),
        "window_end": _column(TIME),
        "calls": _column(pl.Int64, _AT_LEAST_0),
        "calls_adjusted": _column(pl.Float64, _AT_LEAST_0),
        "outcomes": _column(pl.Int64, _AT_LEAST_0, nullable=True),
        "errors": _column(pl.Int64, _AT_LEAST_0, nullable=True),
        "client_errors": _column(pl.Int64, _AT_LEAST_0, nullable=True),
        "error_rate": _column(pl.Float64, _FRACTION, nullable=True),
        "mean_ns": _column(pl.Float64, _AT_LEAST_0, nullable=True),
        "p50_ns": _column(pl.Float64, _AT_LEAST_0, nullable=True),
        "p95_ns": _column(pl.Float64, _AT_LEAST_0, nullable=True),
        "p99_ns": _column(pl.Float64, _AT_LEAST_0, nullable=True),
        "max_ns": _column(pl.Int64, _AT_LEAST_0, nullable=True),
        "top_errors": _column(TOP_ERRORS, nullable=True),
        "latency_bins": _column(LATENCY_BINS, nullable=True, required=False),
        "sum_ns": _column(pl.Int64, _AT_LEAST_0, nullable=True, required=False),
        "closed": _column(pl.Boolean),
        "final": _column(pl.Boolean),
        "revision": _column(pl.Int32, _AT_LEAST_0),
    },
)
"""``WindowStats``: one row an operation and window, windows without calls included.

``outcomes`` counts the calls whose success is recorded: it is the denominator of ``error_rate`` and
null (as ``errors`` is) where no call of the window recorded its outcome. ``errors`` are failures
that are not client errors; ``client_errors`` are calls answered 4xx and null where neither status
nor success is recorded. Windows without calls have 0 outcomes, 0 errors and null rates and times.
"""

SEQUENCES: Final = _contract(
    "sequences",
    {
        "basis": _column(pl.String, pa.Check.isin(("trace", "session"))),
        "sequence_id": _column(pl.String, _NOT_EMPTY),
        "position": _column(pl.Int32, _AT_LEAST_0),
        "op_id": _column(pl.Int64, _AT_LEAST_0),
        "timestamp": _column(TIME),
        "duration_ns": _column(pl.Int64, _AT_LEAST_0),
        "success": _column(pl.Boolean, nullable=True),
        "tenant_id": _column(pl.String, nullable=True),
    },
)
"""Operation sequences, one row a step, ordered by (basis, sequence_id, position)."""

EDGES: Final = _contract(
    "edges",
    {
        "caller_op_id": _column(pl.Int64, _AT_LEAST_0),
        "callee_op_id": _column(pl.Int64, _AT_LEAST_0),
        "calls": _column(pl.Int64, pa.Check.ge(1)),
    },
)
"""Who calls whom, through client spans; one row a pair of different operations."""

METRICS: Final = (
    "error-rate",
    "client-error-rate",
    "latency-median",
    "latency-tail",
    "throughput",
)
"""What detectors test; the per-operation budget is shared over these."""

EVIDENCE: Final = _contract(
    "evidence",
    {
        "op_id": _column(pl.Int64, _AT_LEAST_0),
        "metric": _column(pl.String, _NOT_EMPTY),
        "detector": _column(pl.String, _NOT_EMPTY),
        "window_start": _column(TIME),
        "window_end": _column(TIME),
        "n_obs": _column(pl.Int64, _AT_LEAST_0),
        "statistic": _column(pl.Float64, nullable=True),
        "p_value": _column(pl.Float64, _FRACTION, nullable=True),
        "e_value": _column(pl.Float64, _AT_LEAST_0, nullable=True),
        "observed": _column(pl.Float64, nullable=True),
        "baseline": _column(pl.Float64, nullable=True),
        "effect": _column(pl.Float64, nullable=True),
        "effect_low": _column(pl.Float64, nullable=True),
        "effect_high": _column(pl.Float64, nullable=True),
        "dispersion": _column(pl.Float64, nullable=True),
        "horizon": _column(pl.Int32, pa.Check.ge(1)),
        "minimum_detectable_effect": _column(pl.Float64, nullable=True),
    },
)
"""What detectors return: evidence, never a decision. One row an operation, metric and window.

``op_id`` is that of the operation without its version (versions are judged together). ``horizon``
is the number of windows, ending with this one, that the statistic covers. ``dispersion`` is the
intra-window correlation of calls (rates, latency) or the dispersion of their number (throughput).
"""

OPERATIONS: Final = _contract("operations", {"op_id": _column(pl.Int64, _AT_LEAST_0), **_IDENTITY})
"""op_id to service, key and version."""


def polars_schema(contract: pa.DataFrameSchema) -> dict[str, Any]:
    """Return the polars dtypes of a contract's required columns, in order.

    Examples:
        >>> polars_schema(EDGES)["calls"]
        Int64
    """
    columns: dict[str, pa.Column] = contract.columns
    return {n: c.dtype.type for n, c in columns.items() if c.required}


def empty(contract: pa.DataFrameSchema) -> pl.DataFrame:
    """Return a frame without rows that keeps the contract."""
    return pl.DataFrame(schema=polars_schema(contract))


def check(frame: Frame, contract: pa.DataFrameSchema) -> Frame:
    """Return the frame if it keeps the contract.

    Lazy frames are checked for names and types only; collected frames also for values.

    Raises:
        FrameContractError: Every broken rule, with the column and up to three offending values.

    Examples:
        >>> check(empty(EDGES), EDGES).height
        0
    """
    try:
        contract.validate(frame, lazy=True)
    except SchemaErrors as error:
        raise FrameContractError(_explain(contract.name or "frame", error)) from None
    return frame


def _explain(name: str, error: SchemaErrors) -> str:
    broken: dict[tuple[str, str], list[str]] = {}
    for case in error.failure_cases.iter_rows(named=True):
        key = (str(case.get("column")), str(case.get("check")))
        broken.setdefault(key, []).append(repr(case.get("failure_case")))
    parts = [
        f"column {column}: {rule} does not hold for {', '.join(values[:3])}"
        for (column, rule), values in broken.items()
    ]
    return f"frame {name!r} breaks its contract: " + "; ".join(parts)
