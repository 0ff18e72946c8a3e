"""Spans of the shop as samples, without the way over OTLP, the lake and redaction."""

from __future__ import annotations

import polars as pl

from evolution_lab.datasets.shop import ENDPOINTS, ENVIRONMENT
from evolution_lab.records import OperationRef
from evolution_lab.schemas import SAMPLES, polars_schema


def span_samples(spans: pl.DataFrame) -> pl.DataFrame:
    """Return spans as samples (``schemas.SAMPLES``), in the order of the spans.

    They are what landing gives, except that actors and sessions are as recorded instead of
    pseudonyms, messages are not redacted and ``attributes`` is null.

    Args:
        spans: Spans in the columns of ``Recording.spans``.
    """
    identity = ["service", "key", "version"]
    operations = spans.select(identity).unique().sort(identity)
    op_ids = [
        OperationRef(key, service=service, version=version).op_id
        for service, key, version in operations.iter_rows()
    ]
    graphql = pl.col("key").is_in([e.key for e in ENDPOINTS.values() if e.graphql is not None])
    http = pl.col("key").is_in([e.key for e in ENDPOINTS.values() if e.method])
    messaging = pl.col("kind").is_in(["producer", "consumer"])
    columns = {
        **{name: pl.lit(None) for name in SAMPLES.columns},
        "service": pl.col("service"),
        "operation_key": pl.col("key"),
        "operation_version": pl.col("version"),
        "op_id": pl.col("op_id"),
        "kind": pl.col("kind"),
        "environment": pl.lit(ENVIRONMENT),
        "timestamp": pl.col("start"),
        "duration_ns": pl.col("duration_us") * 1000,
        "success": ~pl.col("failed"),
        "status_code": pl.col("status"),
        "error_code": pl.col("error_type"),
        "error_message": pl.col("message"),
        "tenant_id": pl.col("tenant_id"),
        "actor_id": pl.col("user_id"),
        "session_id": pl.col("session_id"),
        "trace_id": pl.col("trace_id"),
        "span_id": pl.col("span_id"),
        "parent_span_id": pl.col("parent_span_id"),
        "channel": pl.when(graphql)
        .then(pl.lit("graphql"))
        .when(http)
        .then(pl.lit("rest"))
        .when(messaging)
        .then(pl.lit("worker")),
        "weight": pl.lit(1.0),
        "name_source": pl.when(graphql)
        .then(pl.lit("graphql"))
        .when(http)
        .then(pl.lit("route"))
        .when(messaging)
        .then(pl.lit("messaging"))
        .otherwise(pl.lit("db")),
        "row_id": pl.concat_str("trace_id", "span_id", separator="/"),
    }
    types = polars_schema(SAMPLES)
    return spans.join(
        operations.with_columns(op_id=pl.Series(op_ids, dtype=pl.Int64)),
        on=identity,
        how="left",
        maintain_order="left",
    ).select(expr.cast(types[name]).alias(name) for name, expr in columns.items())
