"""Windows of narrow rows: slices of sorted arrays, quantiles by their places.

What ``aggregation`` does with frames of samples, bit for bit, at a fraction of the cost: rows come
sorted by operation, slot and duration, so nothing is hashed and nothing is searched.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from evolution_lab.telemetry.projection.narrow import (
    CLIENT_ERROR,
    ERROR,
    MINUTES_OF_DAY,
    NOT_RECORDED,
    OK,
    SLOT_MINUTES,
    UNKNOWN,
    UNKNOWN_CLIENT_ERROR,
    NarrowRows,
    ordered,
)
from evolution_lab.windows.bins import bin_of
from evolution_lab.windows.grid import EPOCH, slot_of_moment
from evolution_lab.windows.quantiles import QUANTILES

MINUTE: Final = timedelta(minutes=1)
WHOLE_DAY: Final = (0, MINUTES_OF_DAY)
SUMS: Final = {
    "op_id": pl.Int64(),
    "slot": pl.Int64(),
    "calls": pl.Int64(),
    "calls_adjusted": pl.Float64(),
    "outcomes": pl.Int64(),
    "errors": pl.Int64(),
    "client_errors": pl.Int64(),
    "error_rate": pl.Float64(),
    "mean_ns": pl.Float64(),
    "p50_ns": pl.Float64(),
    "p95_ns": pl.Float64(),
    "p99_ns": pl.Float64(),
    "max_ns": pl.Int64(),
}
"""Columns of ``window_sums``: one row an operation and window that has calls."""

Places = npt.NDArray[np.int64]


def within(rows: NarrowRows, first_minute: int, end_minute: int) -> NarrowRows:
    """Return the rows from one minute of the day to before another."""
    kept = (rows.minute >= first_minute) & (rows.minute < end_minute)
    return NarrowRows(
        op_ids=rows.op_ids,
        operation=rows.operation[kept],
        minute=rows.minute[kept],
        duration_ns=rows.duration_ns[kept],
        outcome=rows.outcome[kept],
        weight=None if rows.weight is None else rows.weight[kept],
    )


def window_sums(
    rows: NarrowRows, day: date, window: timedelta, *, latency_bins: bool = False
) -> pl.DataFrame:
    """Aggregate the narrow rows of a day.

    Args:
        rows: Sorted by operation, quarter of an hour, duration and weight.
        day: Whose rows they are.
        window: Whole minutes; divides a day.
        latency_bins: Add the column ``latency_bins``; see ``bins``.

    Returns:
        The columns of ``SUMS``, by operation and slot; ``latency_bins`` on request.
    """
    minutes = window // MINUTE
    if minutes != SLOT_MINUTES:
        rows = ordered(rows, slot_minutes=minutes)
    if not len(rows):
        return pl.DataFrame(schema=SUMS)
    slot = rows.minute // np.uint16(minutes)
    starts, counts = _slices(rows.operation, slot)
    first_slot = slot_of_moment(EPOCH + (day - EPOCH.date()), window)
    endings = _endings(rows.outcome, starts, counts)
    errors, client_errors = endings(ERROR), endings(CLIENT_ERROR) + endings(UNKNOWN_CLIENT_ERROR)
    unrecorded = endings(NOT_RECORDED)
    outcomes = counts - endings(UNKNOWN) - endings(UNKNOWN_CLIENT_ERROR) - unrecorded
    sums = np.add.reduceat(rows.duration_ns, starts)
    columns: dict[str, pl.Series | npt.NDArray[np.generic]] = {
        "op_id": rows.op_ids[rows.operation[starts]],
        "slot": slot[starts].astype(np.int64) + first_slot,
        "calls": counts,
        "calls_adjusted": counts.astype(np.float64)
        if rows.weight is None
        else np.add.reduceat(rows.weight, starts),
        "outcomes": _where(outcomes > 0, outcomes),
        "errors": _where(outcomes > 0, errors),
        "client_errors": _where(unrecorded < counts, client_errors),
        "mean_ns": sums.astype(np.float64) / counts.astype(np.float64),
        **_quantiles(rows.duration_ns, starts, counts),
        "max_ns": rows.duration_ns[starts + counts - 1],
    }
    frame = pl.DataFrame(columns).with_columns(error_rate=pl.col("errors") / pl.col("outcomes"))
    frame = frame.select(pl.col(name).cast(dtype) for name, dtype in SUMS.items())
    if not latency_bins:
        return frame
    return frame.with_columns(latency_bins=_bins(rows.duration_ns, starts, counts))


def _slices(
    operation: npt.NDArray[np.unsignedinteger], slot: npt.NDArray[np.uint16]
) -> tuple[Places, Places]:
    """Return where the slice of each operation and slot begins, and how long it is."""
    begins = slot[1:] != slot[:-1]
    begins |= operation[1:] != operation[:-1]
    starts = np.concatenate(([0], np.flatnonzero(begins) + 1)).astype(np.int64)
    return starts, np.diff(np.append(starts, len(slot)))


def _endings(
    outcome: npt.NDArray[np.uint8], starts: Places, counts: Places
) -> Callable[[int], Places]:
    """Return a function that counts the rows of each slice that ended in one way."""
    special = np.flatnonzero(outcome != OK)  # Few rows: most calls end well.
    codes = outcome[special]
    ends = np.searchsorted(special, starts + counts)
    begins = np.concatenate(([0], ends[:-1]))
    found = np.bincount(codes, minlength=NOT_RECORDED + 1)

    def having(code: int) -> Places:
        if not found[code]:
            return np.zeros(len(starts), dtype=np.int64)
        before = np.concatenate(([0], np.cumsum(codes == code, dtype=np.int64)))
        return np.asarray(before[ends] - before[begins])

    return having


def _quantiles(
    values: npt.NDArray[np.int64], starts: Places, counts: Places
) -> dict[str, npt.NDArray[np.float64]]:
    """Return quantiles of type 7, in the order of operations of ``quantiles_of_groups``."""
    columns = {}
    for name, level in QUANTILES.items():
        h = (counts - 1).astype(np.float64) * level
        low = np.floor(h).astype(np.int64)
        high = low + (low < counts - 1)
        below = values[starts + low].astype(np.float64)
        above = values[starts + high].astype(np.float64)
        columns[name] = below + (above - below) * (h - low.astype(np.float64))
    return columns


def _bins(values: npt.NDArray[np.int64], starts: Places, counts: Places) -> pl.Series:
    """Return the histogram of each slice; its values ascend, so equal bins are neighbours."""
    found = pl.DataFrame({"d": values}).select(bin_of(pl.col("d"))).to_series().to_numpy()
    begins = found[1:] != found[:-1]
    begins[starts[1:] - 1] = True
    places = np.concatenate(([0], np.flatnonzero(begins) + 1))
    frame = pl.DataFrame(
        {
            "slice": np.searchsorted(starts, places, side="right"),
            "bin": found[places],
            "count": np.diff(np.append(places, len(values))).astype(np.int64),
        }
    )
    lists = frame.group_by("slice", maintain_order=True).agg(bins=pl.struct("bin", "count"))
    assert lists.height == len(counts)
    return lists["bins"]


def _where(known: npt.NDArray[np.bool_], values: Places) -> pl.Series:
    column = pl.Series(values)
    return column if known.all() else column.set(~pl.Series(known), None)


def minutes_within(
    day: date, since: datetime | None, until: datetime | None
) -> tuple[int, int] | None:
    """Return the minutes of a day between two moments, None where there are none.

    Examples:
        >>> from datetime import UTC
        >>> minutes_within(date(2026, 1, 1), datetime(2026, 1, 1, 23, 30, tzinfo=UTC), None)
        (1410, 1440)
    """
    start = EPOCH + (day - EPOCH.date())
    first = 0 if since is None else max((since - start) // MINUTE, 0)
    end = MINUTES_OF_DAY if until is None else min(-((start - until) // MINUTE), MINUTES_OF_DAY)
    return (first, end) if first < end else None
