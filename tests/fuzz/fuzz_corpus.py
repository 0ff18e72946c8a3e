"""Small valid inputs of every kind, made here."""

from __future__ import annotations

import json
from typing import Any, Final

START: Final = 1_777_881_600_000_000_000


def span(number: int, **more: Any) -> dict[str, Any]:
    """Return one OTLP span of a server."""
    return {
        "traceId": f"{number + 1:032x}",
        "spanId": f"{number + 1:016x}",
        "parentSpanId": "",
        "name": "GET /orders/{id}",
        "kind": 2,
        "startTimeUnixNano": str(START + number * 1_000_000),
        "endTimeUnixNano": str(START + number * 1_000_000 + 2_500_000),
        "attributes": [
            {"key": "http.request.method", "value": {"stringValue": "GET"}},
            {"key": "http.route", "value": {"stringValue": "/orders/{id}"}},
            {"key": "http.response.status_code", "value": {"intValue": "200"}},
            {"key": "tenant.id", "value": {"stringValue": "acme"}},
        ],
        "events": [
            {"name": "exception", "attributes": [
                {"key": "exception.message", "value": {"stringValue": "no order ann@example.com"}}]}
        ],
        "status": {"code": 2, "message": "boom"},
        **more,
    }  # fmt: skip


def otlp(*spans: dict[str, Any]) -> dict[str, Any]:
    """Return a request of OTLP."""
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": list(spans)}]}]}


def jaeger(*numbers: int) -> dict[str, Any]:
    """Return a document of Jaeger's API."""
    spans = [
        {
            "traceID": f"{n + 1:032x}", "spanID": f"{n + 1:016x}", "operationName": "GET /orders/{id}",
            "startTime": START // 1000 + n, "duration": 2500, "processID": "p1", "references": [],
            "tags": [{"key": "span.kind", "type": "string", "value": "server"},
                     {"key": "http.status_code", "type": "int64", "value": 200}],
        }
        for n in numbers
    ]  # fmt: skip
    return {
        "data": [
            {
                "traceID": "1" * 32,
                "spans": spans,
                "processes": {"p1": {"serviceName": "shop", "tags": []}},
            }
        ]
    }


def zipkin(*numbers: int) -> list[dict[str, Any]]:
    """Return spans of Zipkin's API."""
    return [
        {
            "traceId": f"{n + 1:032x}", "id": f"{n + 1:016x}", "name": "get /orders/{id}",
            "kind": "SERVER", "timestamp": START // 1000 + n, "duration": 2500,
            "localEndpoint": {"serviceName": "shop"}, "tags": {"http.status_code": "200"},
        }
        for n in numbers
    ]  # fmt: skip


def har(*numbers: int) -> dict[str, Any]:
    """Return an HTTP archive."""
    entries = [
        {
            "startedDateTime": f"2026-05-04T08:00:{n % 60:02d}.000Z",
            "time": 12.5 + n,
            "request": {
                "method": "POST", "url": f"https://shop.example/orders/{n}?page=1",
                "httpVersion": "HTTP/1.1", "cookies": [], "queryString": [],
                "headers": [{"name": "Content-Type", "value": "application/json"}],
                "postData": {"mimeType": "application/json", "text": '{"email": "ann@example.com"}'},
                "headersSize": -1, "bodySize": 28,
            },
            "response": {
                "status": 200, "statusText": "OK", "httpVersion": "HTTP/1.1", "cookies": [],
                "headers": [{"name": "Content-Type", "value": "application/json"}],
                "content": {"size": 11, "mimeType": "application/json", "text": '{"id": "7"}'},
                "redirectURL": "", "headersSize": -1, "bodySize": 11,
            },
            "cache": {}, "timings": {"send": 0, "wait": 12, "receive": 0},
        }
        for n in numbers
    ]  # fmt: skip
    return {"log": {"version": "1.2", "creator": {"name": "x", "version": "1"}, "entries": entries}}


def access_line(number: int) -> bytes:
    """Return a line of nginx's combined log."""
    return (
        f"203.0.113.{number % 250} - ann [04/May/2026:08:00:{number % 60:02d} +0000] "
        f'"GET /orders/{number} HTTP/1.1" 200 512 "-" "curl/8" 0.012\n'
    ).encode()


CSV_HEAD: Final = b"timestamp,operation,duration_ms,status_code,trace_id,span_id\n"


def csv_line(number: int) -> bytes:
    """Return a line of a table with ``CSV_HEAD``."""
    return (
        f"2026-05-04T08:00:{number % 60:02d}Z,GET /orders/{{id}},12.5,200,"
        f"{number + 1:032x},{number + 1:016x}\n"
    ).encode()


OPENAPI: Final[dict[str, Any]] = {
    "openapi": "3.1.0",
    "info": {"title": "Shop", "version": "1"},
    "paths": {
        "/orders/{id}": {
            "parameters": [
                {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
            ],
            "get": {
                "operationId": "getOrder",
                "responses": {
                    "200": {
                        "description": "ok",
                        "content": {
                            "application/json": {"schema": {"$ref": "#/components/schemas/Order"}}
                        },
                    }
                },
            },
            "post": {
                "requestBody": {
                    "content": {
                        "application/json": {
                            "schema": {
                                "allOf": [{"$ref": "#/components/schemas/Order"}],
                                "required": ["id"],
                            }
                        }
                    }
                },
                "responses": {"default": {"description": "x"}},
            },
        }
    },
    "components": {
        "schemas": {
            "Order": {
                "type": "object",
                "properties": {
                    "id": {"type": "string", "maxLength": 40},
                    "lines": {"type": "array", "items": {"$ref": "#/components/schemas/Order"}},
                },
            }
        }
    },
}
PROMETHEUS: Final = {
    "status": "success",
    "data": {
        "resultType": "matrix",
        "result": [
            {
                "metric": {"__name__": "http_requests_total", "route": "/x", "status": "200"},
                "values": [[1_777_881_600, "1"], [1_777_881_660, "61"], [1_777_881_720, "120"]],
            },
            {
                "metric": {"__name__": "http_request_duration_seconds_bucket", "route": "/x", "le": "0.5"},
                "values": [[1_777_881_600, "1"], [1_777_881_660, "50"], [1_777_881_720, "100"]],
            },
        ],
    },
}  # fmt: skip
CLOUDWATCH: Final = {
    "MetricDataResults": [
        {"Id": "calls", "Label": "GET /x Count", "Timestamps": ["2026-05-04T08:00:00Z", "2026-05-04T08:01:00Z"], "Values": [10.0, 12.0], "StatusCode": "Complete"},
        {"Id": "errors", "Label": "GET /x 5XXError", "Timestamps": ["2026-05-04T08:00:00Z"], "Values": [1.0], "StatusCode": "Complete"},
    ]
}  # fmt: skip
OTLP_METRICS: Final = {
    "resourceMetrics": [
        {
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
            "scopeMetrics": [
                {
                    "metrics": [
                        {
                            "name": "http.server.request.duration",
                            "unit": "s",
                            "histogram": {
                                "aggregationTemporality": 2,
                                "dataPoints": [
                                    {
                                        "startTimeUnixNano": str(START),
                                        "timeUnixNano": str(START + 60 * 10**9),
                                        "count": "6", "sum": 1.2,
                                        "bucketCounts": ["1", "2", "3"],
                                        "explicitBounds": [0.1, 0.5],
                                        "attributes": [
                                            {"key": "http.route", "value": {"stringValue": "/x"}}
                                        ],
                                    }
                                ],
                            },
                        }
                    ]
                }
            ],
        }
    ]
}  # fmt: skip
SETTINGS: Final = b"""window = "5m"
error_rate_boundary = 0.02
rollout_stages = [0.01, 0.5, 1.0]
exclude = ["GET /health"]
[operations."billing.*"]
latency_p99_boundary_ms = 900
[owners]
"GET /orders/*" = ["ada"]
[alerts]
webhook_env = "X"
format = "slack"
cooldown = "10m"
"""
PAYLOAD: Final[dict[str, Any]] = {
    "body": {
        "id": "0b8f7d1e-3c55-4a4e-9d5e-0f3f5f1f2a3b",
        "email": "ann@example.com",
        "phone": "+49 30 901820",
        "card": "4111 1111 1111 1111",
        "name": {"first": "Ann", "last": "Lee"},
        "rows": [{"v": 1.5, "at": "2026-05-04T08:00:00Z"}, {"v": None, "note": "call me at 030 901820"}],
        "token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
        "url": "https://shop.example/u/ann%40example.com?token=abc",
        "empty": [], "flag": True,
    }
}  # fmt: skip


def line_of(document: Any) -> bytes:
    """Return a document as one line."""
    return json.dumps(document).encode() + b"\n"
