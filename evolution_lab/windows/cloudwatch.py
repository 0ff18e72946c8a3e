"""Windows from the answer of CloudWatch's ``get-metric-data``.

The id of each query says what it is: ``calls``, ``errors``, ``client_errors``, ``p50``, ``p95`` or
``p99``, followed by anything that keeps ids apart (``calls_1``). Its label is the operation.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import polars as pl

from evolution_lab.errors import InputError
from evolution_lab.records import OperationRef
from evolution_lab.windows.metric_points import MetricPoint, windows_of_points

ROLES: Final = ("client_errors", "calls", "errors", "p50", "p95", "p99")
_ID: Final = re.compile(rf"^({'|'.join(ROLES)})(?:_.*|\d*)$")
NS_PER_UNIT: Final = {"ms": 1e6, "s": 1e9}


def is_cloudwatch(document: object) -> bool:
    """Say whether a JSON document is such an answer."""
    return isinstance(document, Mapping) and "MetricDataResults" in document


def cloudwatch_windows(document: Mapping[str, Any], *, unit: str = "ms") -> pl.DataFrame:
    """Return the windows of an answer; a time stamp is the start of its period.

    Args:
        document: The answer as JSON.
        unit: Unit of percentiles: ``ms`` (API Gateway) or ``s`` (load balancers).

    Raises:
        InputError: A query's id names no role, or times and values differ in number.

    Examples:
        >>> times = ["2025-03-04T09:00:00Z", "2025-03-04T09:05:00Z"]
        >>> answer = {"MetricDataResults": [
        ...     {"Id": "calls_1", "Label": "GET /carts", "Timestamps": times, "Values": [200, 180]},
        ...     {"Id": "errors_1", "Label": "GET /carts", "Timestamps": times, "Values": [2, 90]}]}
        >>> cloudwatch_windows(answer).select("calls", "errors").rows()
        [(200, 2), (180, 90)]
    """
    if unit not in NS_PER_UNIT:
        raise InputError(f"unit == {unit!r}, must be one of {', '.join(NS_PER_UNIT)}.")
    series = []
    for result in document["MetricDataResults"]:
        role = _ID.match(str(result.get("Id", "")))
        if role is None:
            raise InputError(
                f"Id == {result.get('Id')!r}, must begin with one of {', '.join(ROLES)}."
            )
        times, values = result.get("Timestamps", []), result.get("Values", [])
        if len(times) != len(values):
            raise InputError(f"{result.get('Id')}: {len(times)} times and {len(values)} values.")
        label = str(result.get("Label") or result["Id"])
        pairs = sorted((_moment(t), float(v)) for t, v in zip(times, values, strict=True))
        series.append((role[1], OperationRef(label), pairs))
    distances = [b - a for _, _, pairs in series for (a, _), (b, _) in itertools.pairwise(pairs)]
    length = min(distances, default=timedelta(minutes=5))
    return windows_of_points(
        _point(role, operation, start, length, value, NS_PER_UNIT[unit])
        for role, operation, pairs in series
        for start, value in pairs
    )


def _point(
    role: str, operation: OperationRef, start: datetime, length: timedelta, value: float, ns: float
) -> MetricPoint:
    point = {"operation": operation, "start": start, "length": length}
    if role.startswith("p"):
        return MetricPoint(**point, values_ns={f"{role}_ns": value * ns})  # type: ignore[arg-type]
    return MetricPoint(**point, **{role: value})  # type: ignore[arg-type]


def _moment(text: object) -> datetime:
    if isinstance(text, (int, float)):
        return datetime.fromtimestamp(text, UTC)
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        raise InputError(f"{text!r} is no time, must be like 2025-03-04T09:00:00Z.") from None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
