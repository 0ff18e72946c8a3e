"""Windows from answers of Prometheus' ``/api/v1/query_range``.

Calls, errors and buckets come from one answer each or from one together; what a series is follows
from its labels: ``le`` makes it a bucket, a status label of 5xx an error, of 4xx a client error.
Series that keep their name (``…_total``, ``…_bucket``, ``…_count``) are raw counters, whose increases
are taken here, resets included; those without a name are taken for results of ``increase(…[step])``,
which may be fractions.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any, Final

import polars as pl

from evolution_lab.errors import InputError
from evolution_lab.records import OperationRef
from evolution_lab.windows.metric_points import (
    MetricPoint,
    increases,
    moment_of,
    windows_of_points,
)

ROUTE_LABELS: Final = (
    "http_route",
    "route",
    "handler",
    "path",
    "uri",
    "endpoint",
    "operation",
    "rpc",
)
METHOD_LABELS: Final = ("http_request_method", "http_method", "method", "verb")
STATUS_LABELS: Final = ("http_response_status_code", "status_code", "code", "status", "http_status")
SERVICE_LABELS: Final = ("service_name", "service", "job", "app")


def is_prometheus(document: object) -> bool:
    """Say whether a JSON document is an answer of the query API, or several by name."""
    if not isinstance(document, Mapping):
        return False
    if "status" in document and "data" in document:
        return True
    parts = list(document.values())
    return bool(parts) and all(isinstance(p, Mapping) and "data" in p for p in parts)


def prometheus_windows(document: Mapping[str, Any]) -> pl.DataFrame:
    """Return the windows of an answer, or of several by name (``{"calls": …, "latency": …}``).

    A point at ``t`` tells of the step before it. Durations are seconds, as Prometheus has them.

    Raises:
        InputError: It is an error, no range, or no series names an operation.

    Examples:
        >>> answer = {"status": "success", "data": {"resultType": "matrix", "result": [
        ...     {"metric": {"route": "/carts", "code": "200"}, "values": [[60, "9.7"], [120, "10.1"]]},
        ...     {"metric": {"route": "/carts", "code": "503"}, "values": [[60, "0"], [120, "2.02"]]}]}}
        >>> prometheus_windows(answer).select("calls", "errors").rows()
        [(10, 0), (12, 2)]
    """
    answers = [document] if "data" in document else list(document.values())
    return windows_of_points([point for answer in answers for point in _points(answer)])


def _points(answer: Mapping[str, Any]) -> Iterator[MetricPoint]:
    if answer.get("status") == "error":
        raise InputError(f"Prometheus answered an error: {answer.get('error', 'without a text')}.")
    data = answer.get("data")
    kind = data.get("resultType") if isinstance(data, Mapping) else None
    if not isinstance(data, Mapping) or kind != "matrix":
        raise InputError(f"resultType == {kind!r}, must be 'matrix': ask query_range, not query.")
    bucketed: dict[tuple[OperationRef, float, float], dict[float, float]] = {}
    for series in data.get("result", ()):
        labels = series.get("metric", {})
        operation = _operation(labels)
        step, values = _increments(labels, series.get("values", ()))
        if operation is None or not values:
            continue
        if "le" in labels:
            end = _number(labels["le"]) * 1e9
            for t, v in values:
                cumulative = bucketed.setdefault((operation, t, step), {})
                cumulative[end] = cumulative.get(end, 0.0) + max(v, 0.0)
        else:
            yield from _counted(labels, operation, step, values)
    for (operation, t, step), cumulative in bucketed.items():
        yield MetricPoint(
            operation=operation,
            start=moment_of(t - step),
            length=timedelta(seconds=step),
            buckets=_apart(cumulative),
        )


def _increments(
    labels: Mapping[str, Any], given: Iterable[tuple[float, object]]
) -> tuple[float, list[tuple[float, float]]]:
    """Return the step of a series, and what it adds at each time; nothing for a single point."""
    values = [(float(t), _number(v)) for t, v in given]
    values = [(t, v) for t, v in values if not math.isnan(v)]
    if len(values) < 2:
        return 0.0, []
    step = min(b[0] - a[0] for a, b in itertools.pairwise(values))
    if step <= 0:
        raise InputError(f"times of {dict(labels)} do not rise, must be in order.")
    raw = str(labels.get("__name__", "")).endswith(("_total", "_bucket", "_count"))
    return step, increases(values) if raw else values


def _counted(
    labels: Mapping[str, Any],
    operation: OperationRef,
    step: float,
    values: Iterable[tuple[float, float]],
) -> Iterator[MetricPoint]:
    status = next((str(labels[n]) for n in STATUS_LABELS if n in labels), None)
    for t, v in values:
        calls = max(v, 0.0)
        yield MetricPoint(
            operation=operation,
            start=moment_of(t - step),
            length=timedelta(seconds=step),
            calls=calls,
            errors=None if status is None else calls * status.startswith("5"),
            client_errors=None if status is None else calls * status.startswith("4"),
        )


def _apart(cumulative: Mapping[float, float]) -> tuple[tuple[float, float], ...]:
    """Return calls by bucket from calls up to each bucket's end; extrapolation may make them cross."""
    before = 0.0
    parts = []
    for end, count in sorted(cumulative.items()):
        parts.append((end, max(count - before, 0.0)))
        before = max(count, before)
    return tuple(parts)


def _operation(labels: Mapping[str, Any]) -> OperationRef | None:
    route = next((str(labels[n]) for n in ROUTE_LABELS if labels.get(n)), None)
    if route is None:
        return None
    method = next((str(labels[n]).upper() for n in METHOD_LABELS if labels.get(n)), None)
    service = next((str(labels[n]) for n in SERVICE_LABELS if labels.get(n)), None)
    return OperationRef(route if method is None else f"{method} {route}", service=service)


def _number(text: object) -> float:
    try:
        return float(str(text).replace("+Inf", "inf"))
    except ValueError:
        raise InputError(f"{text!r} is no number.") from None
