"""Traffic in which nothing is wrong, as frames: what false alarms are counted on.

``null_samples`` gives samples, ``null_windows`` the same traffic as ready windows. Shapes of calls:

- ``flat``: Poisson.
- ``seasonal``: Poisson with a daily sine of amplitude 0.8 and weekends at 0.6 of a weekday, scaled
  so that the mean over a week is ``calls``. The epoch's Monday begins the week.
- ``overdispersed``: negative binomial with a variance of three times the mean.
- ``ar1``: Poisson around a rate whose logarithm is AR(1) with rho 0.5 and a standard deviation of
  0.2, corrected so that the mean rate is ``calls``.

Latencies have a median near 100 ms: ``lognormal`` (sigma 0.8), ``gamma`` (shape 2) and ``bimodal``
(four in five around 60 ms, one in five around 500 ms, each lognormal with sigma 0.4).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray

from evolution_lab.errors import InputError, did_you_mean
from evolution_lab.records import OperationRef
from evolution_lab.schemas import SAMPLES, TIME, TOP_ERRORS, WINDOWS, polars_schema

CallShape = Literal["flat", "seasonal", "overdispersed", "ar1"]
LatencyShape = Literal["lognormal", "gamma", "bimodal"]
IntArray = NDArray[np.int64]

NULL_START: Final = datetime(2025, 3, 3, tzinfo=UTC)
"""A Monday: the default beginning of null traffic."""
ERROR_CODE: Final = "500"
"""Code of the failures in null traffic, and of planted ones unless told otherwise."""

_DAY_US: Final = 86_400_000_000
_EPOCH_WEEKDAY: Final = 3  # 1970-01-01 was a Thursday
_SEASON_AMPLITUDE: Final = 0.8
_WEEKEND: Final = 0.6
_VARIANCE_OVER_MEAN: Final = 3.0
_AR1_RHO: Final = 0.5
_AR1_SD: Final = 0.2
_MAX_DURATION_NS: Final = 1 << 40


@dataclass(frozen=True)
class _Cells:
    """The traffic cell by cell: cell ``operation * windows + window`` holds ``counts`` rows."""

    counts: IntArray
    duration_ns: IntArray
    failed: NDArray[np.bool_]

    @property
    def cell_of_row(self) -> IntArray:
        return np.repeat(np.arange(self.counts.size), self.counts)


def null_samples(
    *,
    calls: float,
    windows: int = 768,
    operations: int = 1,
    shape: CallShape = "flat",
    error_rate: float = 0.01,
    latency: LatencyShape = "lognormal",
    window: timedelta = timedelta(minutes=15),
    start: datetime = NULL_START,
    seed: int = 0,
) -> pl.DataFrame:
    """Return samples (``schemas.SAMPLES``) of operations whose behaviour never changes.

    Args:
        calls: Mean calls per operation and window.
        windows: Windows; the default is a week of 15-minute windows after a day to warm up.
        operations: Independent operations ``GET /null/0`` … of service ``null``.
        shape: How calls vary from window to window; see the module.
        error_rate: Probability that a call fails, fraction.
        latency: How durations are distributed; see the module.
        window: Length of a window; calls are uniform within it.
        start: Beginning of the first window, timezone-aware, aligned to the window.
        seed: Equal arguments give equal frames.

    Returns:
        Rows sorted by operation and time; ``kind`` is ``server``, outcomes are recorded.

    Raises:
        InputError: An argument is out of its range.

    Examples:
        >>> frame = null_samples(calls=20, windows=96, seed=1)
        >>> frame.columns == list(SAMPLES.columns), 1700 < frame.height < 2140
        (True, True)
    """
    start_us, window_us = _grid(start, window)
    rng = np.random.default_rng(seed)
    cells = _draw(rng, calls, windows, operations, shape, error_rate, latency, start_us, window_us)
    cell = cells.cell_of_row
    offsets = np.sort((cell * window_us) + rng.integers(0, window_us, cell.size)) % window_us
    timestamp = start_us + (cell % windows) * window_us + offsets
    table = pl.DataFrame(
        {
            "operation": (cell // windows).astype(np.int32),
            "timestamp": timestamp,
            "duration_ns": cells.duration_ns,
            "failed": cells.failed,
        }
    )
    names = _names(operations)
    columns = {
        **{name: pl.lit(None) for name in SAMPLES.columns},
        **_identity(names, pl.col("operation")),
        "kind": pl.lit("server"),
        "timestamp": pl.col("timestamp").cast(TIME),
        "duration_ns": pl.col("duration_ns"),
        "success": ~pl.col("failed"),
        "status_code": pl.when("failed").then(500).otherwise(200),
        "error_code": pl.when("failed").then(pl.lit(ERROR_CODE)),
        "channel": pl.lit("rest"),
        "weight": pl.lit(1.0),
        "name_source": pl.lit("route"),
        "row_id": pl.format("null-{}-{}", pl.lit(seed), pl.int_range(pl.len())),
    }
    types = polars_schema(SAMPLES)
    return table.select(expr.cast(types[name]).alias(name) for name, expr in columns.items())


def null_windows(
    *,
    calls: float,
    windows: int = 768,
    operations: int = 1,
    shape: CallShape = "flat",
    error_rate: float = 0.01,
    latency: LatencyShape = "lognormal",
    window: timedelta = timedelta(minutes=15),
    start: datetime = NULL_START,
    seed: int = 0,
) -> pl.DataFrame:
    """Return closed, final windows (``schemas.WINDOWS``, without bins) of unchanging operations.

    The arguments are those of ``null_samples``; equal arguments give the windows of the same calls.
    It needs memory for one duration a call: ask for many operations in several calls, with a seed
    each. Quantiles are type 7, as everywhere.

    Raises:
        InputError: An argument is out of its range.

    Examples:
        >>> null_windows(calls=200, windows=4).select("calls", "errors", "closed").height
        4
    """
    start_us, window_us = _grid(start, window)
    rng = np.random.default_rng(seed)
    cells = _draw(rng, calls, windows, operations, shape, error_rate, latency, start_us, window_us)
    counts, cell = cells.counts, cells.cell_of_row
    # One sort of plain integers orders the durations within their cells.
    keys = np.sort((cell << 40) | cells.duration_ns)
    ordered = keys & (_MAX_DURATION_NS - 1)
    first = np.concatenate([[0], np.cumsum(counts)])[:-1]
    sums = np.concatenate([[0], np.cumsum(ordered)])
    errors = np.bincount(cell[cells.failed], minlength=counts.size)
    table = pl.DataFrame(
        {
            "operation": np.repeat(np.arange(operations, dtype=np.int32), windows),
            "start_us": np.tile(start_us + np.arange(windows) * window_us, operations),
            "calls": counts,
            "errors": errors,
            "total_ns": sums[first + counts] - sums[first],
            **{f"p{q}_ns": _quantile(ordered, first, counts, q / 100) for q in (50, 95, 99)},
            "max_ns": np.where(counts > 0, np.append(ordered, 0)[first + counts - 1], 0),
        }
    )
    names = _names(operations)
    some = pl.col("calls") > 0
    top = pl.struct(pl.lit(ERROR_CODE).alias("error_code"), pl.col("errors").alias("count"))
    columns = {
        **_identity(names, pl.col("operation")),
        "window_start": pl.col("start_us").cast(TIME),
        "window_end": (pl.col("start_us") + window_us).cast(TIME),
        "calls": pl.col("calls"),
        "calls_adjusted": pl.col("calls"),
        "outcomes": pl.col("calls"),
        "errors": pl.col("errors"),
        "client_errors": pl.lit(0),
        "error_rate": pl.when(some).then(pl.col("errors") / pl.col("calls")),
        "mean_ns": pl.when(some).then(pl.col("total_ns") / pl.col("calls")),
        **{f"p{q}_ns": pl.when(some).then(pl.col(f"p{q}_ns")) for q in (50, 95, 99)},
        "max_ns": pl.when(some).then(pl.col("max_ns")),
        "top_errors": pl.when(pl.col("errors") > 0)
        .then(pl.concat_list(top))
        .otherwise(pl.lit([], dtype=TOP_ERRORS)),
        "closed": pl.lit(value=True),
        "final": pl.lit(value=True),
        "revision": pl.lit(0),
    }
    types = polars_schema(WINDOWS)
    return table.select(expr.cast(types[name]).alias(name) for name, expr in columns.items())


def _draw(
    rng: np.random.Generator,
    calls: float,
    windows: int,
    operations: int,
    shape: CallShape,
    error_rate: float,
    latency: LatencyShape,
    start_us: int,
    window_us: int,
) -> _Cells:
    if windows < 1 or operations < 1:
        raise InputError(f"windows == {windows}, operations == {operations}, must be at least 1.")
    if not calls > 0:
        raise InputError(f"calls == {calls}, must be > 0.")
    if not 0 <= error_rate <= 1:
        raise InputError(f"error_rate == {error_rate}, must be between 0 and 1.")
    _check_name("shape", shape, get_args(CallShape))
    _check_name("latency", latency, get_args(LatencyShape))
    rates = _rates(
        rng, calls, windows, operations, shape, start_us + np.arange(windows) * window_us
    )
    counts = rng.poisson(rates).ravel().astype(np.int64)
    rows = int(counts.sum())
    return _Cells(counts, _durations(rng, latency, rows), rng.random(rows) < error_rate)


def _rates(
    rng: np.random.Generator,
    calls: float,
    windows: int,
    operations: int,
    shape: CallShape,
    starts_us: IntArray,
) -> NDArray[np.float64]:
    """Return the expected calls per operation (rows) and window (columns)."""
    size = (operations, windows)
    if shape == "seasonal":
        day, time = np.divmod(starts_us, _DAY_US)
        weekend = (day + _EPOCH_WEEKDAY) % 7 >= 5
        rhythm = 1.0 + _SEASON_AMPLITUDE * np.sin(2.0 * np.pi * time / _DAY_US)
        weekly = np.where(weekend, _WEEKEND, 1.0) * 7.0 / (5.0 + 2.0 * _WEEKEND)
        return np.broadcast_to(calls * rhythm * weekly, size)
    if shape == "overdispersed":
        excess = _VARIANCE_OVER_MEAN - 1.0
        return rng.gamma(calls / excess, excess, size)
    if shape == "ar1":
        noise = rng.standard_normal(size)
        level = np.empty(size)
        level[:, 0] = noise[:, 0]
        for column in range(1, windows):
            step = np.sqrt(1.0 - _AR1_RHO**2) * noise[:, column]
            level[:, column] = _AR1_RHO * level[:, column - 1] + step
        return np.asarray(calls * np.exp(_AR1_SD * level - _AR1_SD**2 / 2.0))
    return np.full(size, float(calls))


def _durations(rng: np.random.Generator, latency: LatencyShape, rows: int) -> IntArray:
    if latency == "gamma":
        seconds = rng.gamma(2.0, 0.06, rows)
    elif latency == "bimodal":
        median = np.where(rng.random(rows) < 0.2, 0.5, 0.06)
        seconds = median * np.exp(0.4 * rng.standard_normal(rows))
    else:
        seconds = 0.1 * np.exp(0.8 * rng.standard_normal(rows))
    return np.clip(np.rint(seconds * 1e9), 1, _MAX_DURATION_NS - 1).astype(np.int64)


def _quantile(
    ordered: IntArray, first: IntArray, counts: IntArray, q: float
) -> NDArray[np.float64]:
    """Type 7 within each cell: ``v[lo] + (v[lo+1] - v[lo]) * (h - lo)``; 0 for empty cells."""
    h = np.maximum(counts - 1, 0) * q
    low = np.floor(h).astype(np.int64)
    high = np.minimum(low + 1, np.maximum(counts - 1, 0))
    padded = np.append(ordered, 0)
    below = padded[np.minimum(first + low, ordered.size)].astype(np.float64)
    above = padded[np.minimum(first + high, ordered.size)].astype(np.float64)
    return np.asarray(np.where(counts > 0, below + (above - below) * (h - low), 0.0))


def _names(operations: int) -> pl.DataFrame:
    refs = [OperationRef(f"GET /null/{index}", service="null") for index in range(operations)]
    return pl.DataFrame({"key": [ref.key for ref in refs], "op_id": [ref.op_id for ref in refs]})


def _identity(names: pl.DataFrame, operation: pl.Expr) -> dict[str, pl.Expr]:
    return {
        "service": pl.lit("null"),
        "operation_key": pl.lit(names["key"]).gather(operation),
        "operation_version": pl.lit(None),
        "op_id": pl.lit(names["op_id"]).gather(operation),
    }


def _grid(start: datetime, window: timedelta) -> tuple[int, int]:
    """Return the first window's start and the window's length in microseconds."""
    if start.tzinfo is None:
        raise InputError(f"start == {start}, must have a time zone.")
    window_us = window // timedelta(microseconds=1)
    start_us = (start - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    if window_us <= 0 or _DAY_US % window_us or start_us % window_us:
        raise InputError(
            f"start == {start} and window == {window}: the window must divide a day and the start "
            "must be aligned to it."
        )
    return start_us, window_us


def _check_name(what: str, name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        raise InputError(
            f"{what} == {name!r}, must be one of {', '.join(known)}.{did_you_mean(name, known)}"
        )
