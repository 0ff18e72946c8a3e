"""Samples as a frame: ``TelemetrySample`` records laid out as the lake lays them out."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence

import polars as pl

from evolution_lab.records import TelemetrySample, to_json
from evolution_lab.schemas import SAMPLES, check, polars_schema

_TAKEN_OVER = (
    "kind",
    "environment",
    "timestamp",
    "duration_ns",
    "success",
    "status_code",
    "error_code",
    "error_message",
    "tenant_id",
    "actor_id",
    "session_id",
    "trace_id",
    "span_id",
    "parent_span_id",
    "channel",
    "variant_id",
    "payload_bytes",
    "weight",
    "name_source",
)


def checked_samples(samples: pl.LazyFrame | pl.DataFrame) -> pl.LazyFrame:
    """Return samples as a lazy frame that keeps ``SAMPLES``; a collected one in its values too.

    Raises:
        FrameContractError: The samples break their contract.
    """
    if isinstance(samples, pl.DataFrame):
        return check(samples, SAMPLES).lazy()
    return check(samples, SAMPLES)


def sample_frame(samples: Sequence[TelemetrySample]) -> pl.DataFrame:
    """Lay samples out as a ``SAMPLES`` frame; nothing is redacted or removed.

    ``row_id`` is trace and span where a sample has both. Otherwise it is a hash of the sample and
    of how many equal ones precede it, so that the order of samples leaves no trace in a result.

    Raises:
        FrameContractError: A value breaks the contract, such as a weight below 1.
    """
    columns: dict[str, list[object]] = {name: [] for name in polars_schema(SAMPLES)}
    op_ids: dict[object, int] = {}
    equal: Counter[bytes] = Counter()
    for sample in samples:
        operation = sample.operation
        identity = (operation.service, operation.key, operation.version)
        if identity not in op_ids:
            op_ids[identity] = operation.op_id
        columns["op_id"].append(op_ids[identity])
        columns["service"].append(operation.service)
        columns["operation_key"].append(operation.key)
        columns["operation_version"].append(operation.version)
        for name in _TAKEN_OVER:
            columns[name].append(getattr(sample, name))
        columns["attributes"].append(
            json.dumps(sample.attributes, sort_keys=True) if sample.attributes else None
        )
        columns["row_id"].append(_row_id(sample, equal))
    return check(pl.DataFrame(columns, schema=polars_schema(SAMPLES)), SAMPLES)


def _row_id(sample: TelemetrySample, equal: Counter[bytes]) -> str:
    if sample.trace_id and sample.span_id:
        return f"{sample.trace_id}/{sample.span_id}"
    content = hashlib.blake2b(to_json(sample), digest_size=12).digest()
    equal[content] += 1
    return f"{content.hex()}-{equal[content] - 1}"
