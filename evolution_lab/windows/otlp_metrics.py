"""Windows from OTLP metrics: histograms of request durations, in JSON or protobuf.

Semantic conventions: ``http.server.request.duration`` (s), ``rpc.server.duration`` (ms) and their
like, with ``http.route``, ``http.request.method`` and ``http.response.status_code``. Cumulative
points are taken apart, restarts included; delta points are what they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Final

import polars as pl

from evolution_lab.errors import InputError
from evolution_lab.records import OperationRef
from evolution_lab.windows.metric_points import MetricPoint, moment_of, windows_of_points

NS_PER_UNIT: Final = {"s": 1e9, "ms": 1e6, "us": 1e3, "ns": 1.0}
_CUMULATIVE: Final = (2, "AGGREGATION_TEMPORALITY_CUMULATIVE", "2")
_ROUTES: Final = ("http.route", "rpc.method", "graphql.operation.name", "url.template")
_METHODS: Final = ("http.request.method", "http.method")
_STATUSES: Final = ("http.response.status_code", "http.status_code")
Buckets = dict[float, float]


def is_otlp_metrics(document: object) -> bool:
    """Say whether a JSON document is OTLP metrics."""
    return isinstance(document, Mapping) and "resourceMetrics" in document


def otlp_metric_windows(
    document: Mapping[str, Any], *, window: timedelta = timedelta(minutes=1)
) -> pl.DataFrame:
    """Return the windows of OTLP metrics.

    Args:
        document: ``{"resourceMetrics": […]}`` as the JSON encoding has it.
        window: Length of a window; a point belongs to the one that its end lies in.

    Raises:
        InputError: No histogram counts calls of an operation, or one is malformed.

    Examples:
        >>> point = {"startTimeUnixNano": "0", "timeUnixNano": "60000000000", "count": "3",
        ...     "bucketCounts": ["2", "1"], "explicitBounds": [0.1], "attributes": [
        ...         {"key": "http.route", "value": {"stringValue": "/carts"}},
        ...         {"key": "http.request.method", "value": {"stringValue": "GET"}}]}
        >>> metrics = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "duration",
        ...     "unit": "s", "histogram": {"aggregationTemporality": 1, "dataPoints": [point]}}]}]}]}
        >>> otlp_metric_windows(metrics).select("operation_key", "calls").rows()
        [('GET /carts', 3)]
    """
    return windows_of_points(_points(document, window))


def metrics_of_protobuf(data: bytes) -> dict[str, Any]:
    """Return OTLP metrics of protobuf in their JSON encoding.

    Raises:
        InputError: The bytes are no ``MetricsData``.
    """
    from google.protobuf.json_format import MessageToDict
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.metrics.v1.metrics_pb2 import MetricsData

    message = MetricsData()
    try:
        message.ParseFromString(data)
    except DecodeError:
        raise InputError("the bytes are no OTLP metrics.") from None
    document: dict[str, Any] = MessageToDict(message)
    return document


def _points(document: Mapping[str, Any], window: timedelta) -> Iterator[MetricPoint]:
    before: dict[tuple[Any, ...], tuple[int, Buckets]] = {}
    for resource in document.get("resourceMetrics", ()):
        service = _attributes(resource.get("resource", {})).get("service.name")
        for scope in resource.get("scopeMetrics", ()):
            for metric in scope.get("metrics", ()):
                yield from _histogram_points(metric, service, window, before)


def _histogram_points(
    metric: Mapping[str, Any],
    service: str | None,
    window: timedelta,
    before: dict[tuple[Any, ...], tuple[int, Buckets]],
) -> Iterator[MetricPoint]:
    body = metric.get("histogram") or metric.get("exponentialHistogram")
    scale = NS_PER_UNIT.get(str(metric.get("unit", "s")))
    if not isinstance(body, Mapping) or scale is None:
        return
    cumulative = body.get("aggregationTemporality") in _CUMULATIVE
    ordered = sorted(body.get("dataPoints", ()), key=lambda p: int(p.get("timeUnixNano", 0)))
    for point in ordered:
        labels = _attributes(point)
        operation = _operation(labels, service)
        if operation is None:
            continue
        buckets = _buckets(point, scale)
        if cumulative:
            key = (metric.get("name"), service, tuple(sorted(labels.items())))
            start = int(point.get("startTimeUnixNano", 0))
            earlier = before.get(key)
            before[key] = (start, buckets)
            if earlier is None:
                continue  # It counts from the process's start, not from the window's.
            restarted = earlier[0] != start or any(
                buckets.get(end, 0.0) < count for end, count in earlier[1].items()
            )
            if not restarted:
                buckets = {end: count - earlier[1].get(end, 0.0) for end, count in buckets.items()}
        calls = sum(buckets.values())
        status = next((labels[n] for n in _STATUSES if n in labels), "")
        end_seconds = int(point.get("timeUnixNano", 0)) / 1e9
        length = window.total_seconds()
        failed = status.startswith("5") or (not status and "error.type" in labels)
        known = bool(status) or "error.type" in labels
        yield MetricPoint(
            operation=operation,
            start=moment_of((end_seconds - 1e-6) // length * length),
            length=window,
            calls=calls,
            errors=calls * failed if known else 0.0,
            client_errors=calls * status.startswith("4") if status else None,
            buckets=tuple(sorted(buckets.items())),
        )


def _buckets(point: Mapping[str, Any], scale: float) -> Buckets:
    if "positive" in point or "scale" in point:
        base = 2.0 ** (2.0 ** -int(point.get("scale", 0)))
        positive = point.get("positive", {})
        offset = int(positive.get("offset", 0))
        found = {
            base ** (offset + i + 1) * scale: float(count)
            for i, count in enumerate(positive.get("bucketCounts", ()))
        }
        zeros = float(point.get("zeroCount", 0))
        return {**({1.0: zeros} if zeros else {}), **found}
    bounds = [float(b) for b in point.get("explicitBounds", ())]
    counts = [float(c) for c in point.get("bucketCounts", ())]
    if len(counts) != len(bounds) + 1:
        raise InputError(
            f"a histogram has {len(counts)} counts for {len(bounds)} bounds, must have one more."
        )
    return {end * scale: count for end, count in zip([*bounds, float("inf")], counts, strict=True)}


def _operation(labels: Mapping[str, str], service: str | None) -> OperationRef | None:
    route = next((labels[n] for n in _ROUTES if labels.get(n)), None)
    if route is None:
        return None
    method = next((labels[n] for n in _METHODS if labels.get(n)), None)
    return OperationRef(route if method is None else f"{method} {route}", service=service)


def _attributes(holder: Mapping[str, Any]) -> dict[str, str]:
    found = {}
    for attribute in holder.get("attributes", ()):
        value = attribute.get("value", {})
        if isinstance(value, Mapping) and value:
            found[str(attribute.get("key"))] = str(next(iter(value.values())))
    return found
