"""Windows made of what monitoring systems keep: counts, errors and histogram buckets over time."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import polars as pl

from evolution_lab.errors import InputError
from evolution_lab.records import OperationRef
from evolution_lab.schemas import LATENCY_BINS, WINDOWS, check, polars_schema
from evolution_lab.windows.bins import GAMMA

BEYOND: Final = 2.0
"""The last bucket has no end; it is taken to end at so many times its beginning."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class MetricPoint:
    """What one series adds to one window.

    Attributes:
        operation: Whose calls.
        start: Start of the window, UTC.
        length: Its length.
        calls: Calls, fractions allowed: ``increase()`` extrapolates.
        errors: Failed calls; None where the series says nothing of it.
        client_errors: Calls answered 4xx; None where the series says nothing of it.
        buckets: Calls by the upper end of their duration, ns; the last end may be infinite.
        values_ns: Ready-made quantiles by column (``p50_ns`` …).
    """

    operation: OperationRef
    start: datetime
    length: timedelta
    calls: float = 0.0
    errors: float | None = None
    client_errors: float | None = None
    buckets: tuple[tuple[float, float], ...] = ()
    values_ns: dict[str, float] = field(default_factory=dict)


def windows_of_points(points: Iterable[MetricPoint]) -> pl.DataFrame:
    """Add points up into a ``WINDOWS`` frame.

    Buckets become ``latency_bins``: each call stands at the upper end of its bucket, so that counting
    calls beyond a bucket's end stays exact. Quantiles are interpolated in their bucket, for display.

    Raises:
        InputError: There is no point.
        FrameContractError: More errors than calls.
    """
    gathered: dict[tuple[OperationRef, datetime, timedelta], _Gathered] = {}
    for point in points:
        key = (point.operation, point.start, point.length)
        gathered.setdefault(key, _Gathered()).add(point)
    if not gathered:
        raise InputError("the metrics hold no point that counts calls of an operation.")
    rows = [
        _row(operation, start, length, found)
        for (operation, start, length), found in sorted(
            gathered.items(), key=lambda item: (item[0][0].sort_key, item[0][1])
        )
    ]
    kinds: dict[str, Any] = polars_schema(WINDOWS)
    frame = pl.DataFrame(rows, schema={**kinds, "latency_bins": LATENCY_BINS}, orient="row")
    return check(frame, WINDOWS)


@dataclass
class _Gathered:
    calls: float = 0.0
    errors: float | None = None
    client_errors: float | None = None
    buckets: dict[float, float] = field(default_factory=dict)
    values_ns: dict[str, float] = field(default_factory=dict)

    def add(self, point: MetricPoint) -> None:
        self.calls += point.calls
        for name in ("errors", "client_errors"):
            more = getattr(point, name)
            if more is not None:
                setattr(self, name, (getattr(self, name) or 0.0) + more)
        for end, count in point.buckets:
            self.buckets[end] = self.buckets.get(end, 0.0) + count
        self.values_ns.update(point.values_ns)


def _row(
    operation: OperationRef, start: datetime, length: timedelta, found: _Gathered
) -> dict[str, Any]:
    buckets = _ended(found.buckets)
    calls = round(found.calls) if found.calls else round(sum(count for _, count in buckets))
    errors = None if found.errors is None else min(round(found.errors), calls)
    client = None if found.client_errors is None else min(round(found.client_errors), calls)
    bins: dict[int, int] = {}
    for end, count in buckets:
        if round(count):
            index = math.ceil(math.log(end) / math.log(GAMMA)) if end >= 1 else 0
            bins[index] = bins.get(index, 0) + round(count)
    row: dict[str, Any] = dict.fromkeys(polars_schema(WINDOWS))
    row |= {
        "op_id": operation.op_id,
        "service": operation.service,
        "operation_key": operation.key,
        "operation_version": operation.version,
        "window_start": start,
        "window_end": start + length,
        "calls": calls,
        "calls_adjusted": float(calls),
        "outcomes": calls if errors is not None or not calls else 0,
        "errors": errors,
        "client_errors": client,
        "error_rate": errors / calls if errors is not None and calls else None,
        "top_errors": [],
        "closed": True,
        "final": True,
        "revision": 0,
        "latency_bins": [{"bin": b, "count": n} for b, n in sorted(bins.items())] or None,
    }
    for name, level in (("p50_ns", 0.5), ("p95_ns", 0.95), ("p99_ns", 0.99)):
        row[name] = found.values_ns.get(name, _quantile(buckets, level))
    return row


def _ended(buckets: dict[float, float]) -> list[tuple[float, float]]:
    ordered = sorted(buckets.items())
    if ordered and math.isinf(ordered[-1][0]):
        last = ordered[-2][0] if len(ordered) > 1 else 1.0
        ordered[-1] = (last * BEYOND, ordered[-1][1])
    return ordered


def _quantile(buckets: list[tuple[float, float]], level: float) -> float | None:
    total = sum(count for _, count in buckets)
    if total <= 0:
        return None
    rank, seen, low = level * total, 0.0, 0.0
    for end, count in buckets:
        if count > 0 and seen + count >= rank:
            return low + (end - low) * (rank - seen) / count
        seen, low = seen + count, end
    return buckets[-1][0]


def increases(values: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return what a cumulative counter added between points; a fall is a reset to nothing.

    Args:
        values: (time, value) in order of time.

    Examples:
        >>> increases([(0, 5.0), (60, 9.0), (120, 2.0)])
        [(60, 4.0), (120, 2.0)]
    """
    return [
        (at, value - before if value >= before else value)
        for (_, before), (at, value) in itertools.pairwise(values)
    ]


def moment_of(seconds: float) -> datetime:
    """Return a time of seconds since the epoch, UTC."""
    return _EPOCH + timedelta(microseconds=round(seconds * 1e6))
