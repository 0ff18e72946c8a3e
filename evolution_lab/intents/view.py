"""What a detector sees: all operations' windows as arrays over one common grid.

Versions of one operation are judged together. A deployment must not reset the baseline: a new
version would be without history exactly when its history is asked for. Which version carries a shift
is said afterwards, by ``attribution``.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from evolution_lab.errors import FrameContractError
from evolution_lab.records import OperationRef
from evolution_lab.schemas import WINDOWS, check

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class DetectionView:
    """Windows of all operations on one grid; ``T`` windows, ``m`` operations.

    Attributes:
        operations: The operations, without version; order of all columns below.
        starts: Start of each window, UTC, length ``T``.
        window: Length of a window.
        complete: Per window, False for one that the recording's end cuts short, shape ``(T,)``.
        live: From an operation's first window on, shape ``(T, m)``.
        calls: Calls (rows), shape ``(T, m)``.
        outcomes: Calls whose success is recorded; NaN where none is, shape ``(T, m)``.
        errors: Failures that are not client errors; NaN where nothing is recorded.
        client_errors: Calls answered 4xx; NaN where nothing is recorded.
        bins: Per window, the latency histogram as (operation, bin, count) columns; empty arrays
            where the windows carry none.
        callers: Positions of the operations that make (nearly) all calls of a position, where calls
            are known; an operation that others call for its clients only is not there.
        values: Ready-made latency values by column name (``p50_ns``, ``p95_ns`` …), shape ``(T, m)``.
    """

    operations: tuple[OperationRef, ...]
    starts: tuple[datetime, ...]
    window: timedelta
    complete: npt.NDArray[np.bool_]
    live: npt.NDArray[np.bool_]
    calls: Floats
    outcomes: Floats
    errors: Floats
    client_errors: Floats
    bins: tuple[tuple[Ints, Ints, Floats], ...]
    values: dict[str, Floats]
    callers: Mapping[int, tuple[int, ...]] = field(default_factory=dict)

    @property
    def has_bins(self) -> bool:
        """Whether any window carries a latency histogram."""
        return any(len(columns[0]) for columns in self.bins)

    @property
    def windows_per_week(self) -> float:
        """How many windows of this length a week has."""
        return timedelta(weeks=1) / self.window

    def window_end(self, t: int) -> datetime:
        """Return the end of window ``t``, UTC."""
        return self.starts[t] + self.window


def detection_view(windows: pl.DataFrame, *, as_of: datetime | None = None) -> DetectionView:
    """Lay out closed windows on one grid, versions pooled.

    Args:
        windows: A ``WINDOWS`` frame; all windows of one length.
        as_of: End of the recording, UTC; a window that ends later is not complete, and its number
            of calls is not judged. None takes every window as complete.

    Raises:
        FrameContractError: The frame breaks the contract or mixes window lengths.
    """
    closed = check(windows, WINDOWS).filter(pl.col("closed"))
    if closed.is_empty():
        return _empty_view()
    lengths = (closed["window_end"] - closed["window_start"]).unique()
    if len(lengths) != 1:
        raise FrameContractError(
            f"windows have {len(lengths)} lengths ({lengths.sort().to_list()}), must have one."
        )
    window: timedelta = lengths[0]
    families = (
        closed.select("service", "operation_key")
        .unique()
        .sort("service", "operation_key", nulls_last=False)
        .with_row_index("family")
    )
    began = closed["window_start"].sort()
    first: datetime = began[0]
    starts = [first + window * t for t in range((began[-1] - first) // window + 1)]
    grid = closed.join(families, on=["service", "operation_key"], nulls_equal=True).with_columns(
        t=(pl.col("window_start") - first).dt.total_microseconds()
        // (window // timedelta(microseconds=1))
    )
    shape = (len(starts), families.height)
    rows, columns = grid["t"].cast(pl.Int64).to_numpy(), grid["family"].cast(pl.Int64).to_numpy()
    calls = _summed(grid["calls"], rows, columns, shape)
    first_seen = np.full(shape[1], shape[0])
    np.minimum.at(first_seen, columns, rows)
    complete = np.array([as_of is None or start + window <= as_of for start in starts])
    return DetectionView(
        operations=tuple(
            OperationRef(key, service=service)
            for service, key in families.select("service", "operation_key").iter_rows()
        ),
        starts=tuple(starts),
        window=window,
        complete=complete,
        live=np.arange(shape[0])[:, None] >= first_seen[None, :],
        calls=calls,
        outcomes=_summed(grid["outcomes"], rows, columns, shape),
        errors=_summed(grid["errors"], rows, columns, shape),
        client_errors=_summed(grid["client_errors"], rows, columns, shape),
        bins=_bins(grid, shape[0]),
        values={
            name: _single(grid[name], rows, columns, shape)
            for name in ("p50_ns", "p95_ns", "p99_ns", "mean_ns")
        },
    )


def _summed(values: pl.Series, rows: Ints, columns: Ints, shape: tuple[int, int]) -> Floats:
    """Add a column up over versions; NaN where no version recorded it."""
    known = values.is_not_null().to_numpy()
    total = np.zeros(shape)
    seen = np.zeros(shape, dtype=bool)
    np.add.at(total, (rows[known], columns[known]), values.to_numpy()[known].astype(np.float64))
    seen[rows[known], columns[known]] = True
    return np.where(seen, total, np.nan)


def _single(values: pl.Series, rows: Ints, columns: Ints, shape: tuple[int, int]) -> Floats:
    """Lay out a column that cannot be added up: the largest over versions."""
    filled = values.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    result = np.full(shape, np.nan)
    np.fmax.at(result, (rows, columns), filled)
    return result


def _bins(grid: pl.DataFrame, count: int) -> tuple[tuple[Ints, Ints, Floats], ...]:
    nothing = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    if "latency_bins" not in grid.columns:
        return (nothing,) * count
    flat = (
        grid.select("t", "family", "latency_bins")
        .drop_nulls("latency_bins")
        .explode("latency_bins", empty_as_null=False)
        .unnest("latency_bins")
        .group_by("t", "family", "bin")
        .agg(pl.col("count").sum())
        .sort("t", "family", "bin")
    )
    t = flat["t"].cast(pl.Int64).to_numpy()
    edges = np.searchsorted(t, np.arange(count + 1))
    family = flat["family"].cast(pl.Int64).to_numpy()
    bins = flat["bin"].cast(pl.Int64).to_numpy()
    counts = flat["count"].cast(pl.Float64).to_numpy()
    return tuple((family[i:j], bins[i:j], counts[i:j]) for i, j in itertools.pairwise(edges))


def _empty_view() -> DetectionView:
    nothing = np.zeros((0, 0))
    return DetectionView(
        operations=(),
        starts=(),
        window=timedelta(minutes=15),
        complete=np.zeros(0, dtype=bool),
        live=np.zeros((0, 0), dtype=bool),
        calls=nothing,
        outcomes=nothing,
        errors=nothing,
        client_errors=nothing,
        bins=(),
        values={},
    )
