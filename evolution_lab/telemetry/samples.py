"""``TelemetrySample`` records to raw rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
import polars as pl

from evolution_lab.records import TelemetrySample, to_json
from evolution_lab.telemetry.reading import RAW_SCHEMA, Chunk

_SLICE: Final = 50_000
_SAME_NAME: Final = (
    *("timestamp", "duration_ns", "success", "kind", "environment", "status_code", "error_code"),
    *("error_message", "tenant_id", "actor_id", "session_id", "trace_id", "span_id"),
    *("parent_span_id", "channel", "variant_id", "payload_bytes", "weight", "name_source"),
)


@dataclass(frozen=True)
class SampleSource:
    """Records that are landed together.

    Attributes:
        samples: The records.
        name: What reports call them.
    """

    samples: Sequence[TelemetrySample]
    name: str

    def digest(self) -> str:
        """Return a hash of the records in their order."""
        digest = hashlib.blake2b(digest_size=16)
        for sample in self.samples:
            digest.update(to_json(sample) + b"\n")
        return digest.hexdigest()

    def read(self) -> Iterator[Chunk]:
        """Yield the records as raw rows; "lines" are their positions, counted from 1."""
        for at in range(0, len(self.samples), _SLICE):
            part = self.samples[at : at + _SLICE]
            rows = [_row(sample, at + place) for place, sample in enumerate(part, start=1)]
            yield Chunk(rows=pl.DataFrame(rows, schema=RAW_SCHEMA, orient="row"))


def _row(sample: TelemetrySample, line: int) -> dict[str, Any]:
    operation = sample.operation
    attributes = sample.attributes
    return {
        **{name: getattr(sample, name) for name in _SAME_NAME},
        "service": operation.service,
        "operation_key": operation.key,
        "operation_version": operation.version,
        "attributes": orjson.dumps(attributes).decode() if attributes else None,
        "line": line,
        "line_hash": hashlib.blake2b(to_json(sample), digest_size=16).hexdigest(),
    }
