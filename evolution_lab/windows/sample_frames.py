"""Samples as a frame: ``TelemetrySample`` records laid out as the lake lays them out."""

from __future__ import annotations

import json
from collections.abc import Sequence

import polars as pl

from evolution_lab.records import TelemetrySample
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


def sample_frame(samples: Sequence[TelemetrySample]) -> pl.DataFrame:
    """Lay samples out as a ``SAMPLES`` frame; nothing is redacted or removed.

    ``row_id`` is trace and span where a sample has both, its place in the list otherwise.

    Raises:
        FrameContractError: A value breaks the contract, such as a weight below 1.
    """
    columns: dict[str, list[object]] = {name: [] for name in polars_schema(SAMPLES)}
    op_ids: dict[object, int] = {}
    for place, sample in enumerate(samples):
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
        columns["row_id"].append(
            f"{sample.trace_id}/{sample.span_id}"
            if sample.trace_id and sample.span_id
            else f"sample-{place:012d}"
        )
    return check(pl.DataFrame(columns, schema=polars_schema(SAMPLES)), SAMPLES)
