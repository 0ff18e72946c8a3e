"""How operations are used: counts, rates and times per operation, from windows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import polars as pl

from evolution_lab.records import OperationRef
from evolution_lab.records.json_form import CAMEL_CASE
from evolution_lab.schemas import WINDOWS, check

_TOP: Final = 5
_QUANTILES: Final = ("p50_ns", "p95_ns", "p99_ns")


@dataclass(frozen=True, kw_only=True)
class OperationUsage:
    """How one operation was used over the windows looked at.

    What nothing recorded is None, never 0. Quantiles of a long time cannot be had from quantiles of
    its windows, so ``p50``, ``p95`` and ``p99`` are those of the *typical window*: the lower median
    of the windows' values, each window weighted by its calls. Over one window they are its own.

    Attributes:
        operation: Whose usage.
        total_calls: Calls (rows, not adjusted for sampling).
        outcomes: Calls whose success is recorded; the denominator of the next two.
        success_rate: Share of ``outcomes`` that did not fail; a client error is not a failure.
        error_rate: Share of ``outcomes`` that failed.
        client_error_rate: Share of the calls of windows that record it that were client errors.
        average_latency_ns: Mean over all calls, nanoseconds.
        p50_latency_ns: Median of the typical window, nanoseconds.
        p95_latency_ns: 95th percentile of the typical window, nanoseconds.
        p99_latency_ns: 99th percentile of the typical window, nanoseconds.
        max_latency_ns: The slowest call, nanoseconds.
        last_seen_at: End of the last window with a call, UTC; None without any.
        window_start: Start of the first window, UTC.
        window_end: End of the last window, UTC.
        top_errors: Failures by code, most frequent first, at most five. A window keeps its own five
            only, so a code that is rare in every window may be missing here.
    """

    __pydantic_config__ = CAMEL_CASE

    operation: OperationRef
    total_calls: int
    outcomes: int
    success_rate: float | None
    error_rate: float | None
    client_error_rate: float | None
    average_latency_ns: float | None
    p50_latency_ns: float | None
    p95_latency_ns: float | None
    p99_latency_ns: float | None
    max_latency_ns: int | None
    last_seen_at: datetime | None
    window_start: datetime
    window_end: datetime
    top_errors: Mapping[str, int] = field(default_factory=dict)


def usage_statistics(windows: pl.DataFrame) -> tuple[OperationUsage, ...]:
    """Return the usage of every operation, in the order operations are listed everywhere.

    Args:
        windows: Frame of ``schemas.WINDOWS``, rows in any order.

    Raises:
        FrameContractError: ``windows`` breaks its contract.
    """
    check(windows, WINDOWS)
    if windows.is_empty():
        return ()
    called = pl.col("calls") > 0
    counted = pl.col("client_errors").is_not_null()
    totals = (
        windows.lazy()
        .sort("op_id", "window_start")
        .group_by("op_id", maintain_order=True)
        .agg(
            pl.col("service", "operation_key", "operation_version").first(),
            pl.col("calls").sum(),
            pl.col("outcomes", "errors", "client_errors").sum(),
            pl.col("calls").filter(counted).sum().alias("client_calls"),
            (pl.col("mean_ns") * pl.col("calls")).sum().alias("time_ns"),
            pl.col("calls").filter(pl.col("mean_ns").is_not_null()).sum().alias("timed_calls"),
            *(typical(name) for name in _QUANTILES),
            pl.col("max_ns").max(),
            pl.col("window_end").filter(called).max().alias("last_seen_at"),
            pl.col("window_start").min(),
            pl.col("window_end").max(),
        )
        .collect()
    )
    errors = _top_errors(windows)
    usage = [_usage(row, errors.get(row["op_id"], {})) for row in totals.iter_rows(named=True)]
    return tuple(sorted(usage, key=lambda u: u.operation.sort_key))


def typical(name: str) -> pl.Expr:
    """Return an expression: the lower median of a column of windows, each weighted by its calls.

    Windows without calls or without the value do not count; null where none does.

    Examples:
        >>> windows = pl.DataFrame({"p99_ns": [9.0, 1.0, 2.0], "calls": [1, 5, 5]})
        >>> windows.select(typical("p99_ns")).item()
        2.0
    """
    value, weight = pl.col(name), pl.col("calls")
    known = value.is_not_null() & (weight > 0)
    values, weights = value.filter(known), weight.filter(known)
    order = values.arg_sort()
    reached = weights.gather(order).cum_sum() * 2 >= weights.sum()
    return values.gather(order).filter(reached).first().alias(name)


def _top_errors(windows: pl.DataFrame) -> dict[int, dict[str, int]]:
    counts: dict[int, Counter[str]] = {}
    failed = windows.select("op_id", "top_errors").drop_nulls("top_errors")
    for op_id, errors in failed.iter_rows():
        counter = counts.setdefault(op_id, Counter())
        for error in errors:
            counter[error["error_code"]] += error["count"]
    return {
        op_id: dict(sorted(counter.items(), key=lambda item: (-item[1], item[0]))[:_TOP])
        for op_id, counter in counts.items()
    }


def _usage(row: dict[str, Any], top_errors: Mapping[str, int]) -> OperationUsage:
    error_rate = _share(row["errors"], row["outcomes"])
    return OperationUsage(
        operation=OperationRef(
            row["operation_key"], service=row["service"], version=row["operation_version"]
        ),
        total_calls=row["calls"],
        outcomes=row["outcomes"],
        success_rate=None if error_rate is None else 1.0 - error_rate,
        error_rate=error_rate,
        client_error_rate=_share(row["client_errors"], row["client_calls"]),
        average_latency_ns=_share(row["time_ns"], row["timed_calls"]),
        p50_latency_ns=row["p50_ns"],
        p95_latency_ns=row["p95_ns"],
        p99_latency_ns=row["p99_ns"],
        max_latency_ns=row["max_ns"],
        last_seen_at=row["last_seen_at"],
        window_start=row["window_start"],
        window_end=row["window_end"],
        top_errors=top_errors,
    )


def _share(part: float, whole: int) -> float | None:
    return part / whole if whole else None
