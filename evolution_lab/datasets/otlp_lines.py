"""Writes spans as OTLP JSON lines, as the OpenTelemetry Collector's file exporter does.

One line is one ``TracesData`` with the spans of one resource that ended in the same ten seconds;
ids are hex, 64-bit integers are strings, enums are integers, a root has an empty parent id.
Attribute names are those of the semantic conventions for HTTP, GraphQL, messaging and databases.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

import orjson
import polars as pl

from evolution_lab.datasets.shop import ENDPOINTS, ENVIRONMENT

_BATCH_US: Final = 10_000_000
_KINDS: Final = {"server": 2, "client": 3, "producer": 4, "consumer": 5}
_SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.37.0"


def otlp_lines(spans: pl.DataFrame, start: datetime) -> Iterator[bytes]:
    """Yield one line (without its line break) per batch and resource.

    Args:
        spans: Spans in the columns of ``traffic.SPAN_SCHEMA``.
        start: The moment from which ``start_us`` counts, UTC.
    """
    start_ns = round(start.timestamp()) * 1_000_000_000
    ended = (pl.col("start_us") + pl.col("duration_us")) // _BATCH_US
    batches = spans.with_columns(batch=ended).partition_by(
        "batch", "service", "version", as_dict=True, include_key=False, maintain_order=True
    )
    for (_, service, version), batch in sorted(batches.items()):
        resource = {
            "service.name": service,
            "service.version": version,
            "deployment.environment.name": ENVIRONMENT,
            "telemetry.sdk.language": "python",
            "telemetry.sdk.name": "opentelemetry",
        }
        scope_spans = {
            "scope": {"name": "evolution_lab.datasets"},
            "spans": [_span(row, start_ns) for row in batch.iter_rows(named=True)],
            "schemaUrl": _SCHEMA_URL,
        }
        yield orjson.dumps(
            {
                "resourceSpans": [
                    {
                        "resource": {"attributes": _attributes(resource)},
                        "scopeSpans": [scope_spans],
                        "schemaUrl": _SCHEMA_URL,
                    }
                ]
            }
        )


def _span(row: Mapping[str, Any], start_ns: int) -> dict[str, Any]:
    began = start_ns + row["start_us"] * 1000
    span: dict[str, Any] = {
        "traceId": row["trace_id"],
        "spanId": row["span_id"],
        "parentSpanId": row["parent_span_id"] or "",
        "flags": 257,
        "name": _span_name(row),
        "kind": _KINDS[row["kind"]],
        "startTimeUnixNano": str(began),
        "endTimeUnixNano": str(began + row["duration_us"] * 1000),
        "attributes": _attributes(_span_attributes(row)),
    }
    if row["link_trace_id"] is not None:
        span["links"] = [{"traceId": row["link_trace_id"], "spanId": row["link_span_id"]}]
    status: dict[str, Any] = {"message": row["message"]} if row["message"] else {}
    span["status"] = status | {"code": 2} if row["failed"] else status
    return span


def _span_name(row: Mapping[str, Any]) -> str:
    """Name the span as its instrumentation would: a client knows the method only."""
    endpoint = ENDPOINTS.get(row["key"])
    if endpoint is not None and endpoint.method:
        return f"{endpoint.method} {endpoint.route}" if row["kind"] == "server" else endpoint.method
    return str(row["key"])


def _span_attributes(row: Mapping[str, Any]) -> dict[str, str | int]:
    names: dict[str, str | int | None] = {}
    endpoint = ENDPOINTS.get(row["key"])
    if row["kind"] in {"producer", "consumer"}:
        action, _, destination = row["key"].partition(" ")
        names |= {
            "messaging.system": "rabbitmq",
            "messaging.operation.type": action,
            "messaging.destination.name": destination,
        }
    elif endpoint is None:
        action, _, table = row["key"].partition(" ")
        names |= {
            "db.system.name": row["peer"],
            "db.operation.name": action,
            "db.collection.name": table,
        }
    elif row["kind"] == "client":
        names |= {
            "http.request.method": endpoint.method,
            "url.template": endpoint.route,
            "server.address": row["peer"],
            "http.response.status_code": row["status"],
        }
    else:
        names |= {
            "http.request.method": endpoint.method,
            "http.route": endpoint.route,
            "url.path": row["path"],
            "http.response.status_code": row["status"],
        }
        if endpoint.graphql is not None:
            kind, name = endpoint.graphql
            names |= {"graphql.operation.type": kind, "graphql.operation.name": name}
    names |= {
        "error.type": row["error_type"],
        "tenant.id": row["tenant_id"],
        "user.id": row["user_id"],
        "session.id": row["session_id"],
    }
    return {name: value for name, value in names.items() if value is not None}


def _attributes(values: Mapping[str, str | int]) -> list[dict[str, Any]]:
    return [
        {
            "key": key,
            "value": {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value},
        }
        for key, value in values.items()
    ]
