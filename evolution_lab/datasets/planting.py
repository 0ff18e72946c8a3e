"""Plants a fault into a frame of samples, real or drawn: what power and delay are measured on."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import numpy as np
import polars as pl

from evolution_lab.datasets.null_traffic import ERROR_CODE
from evolution_lab.errors import InputError


def plant(
    samples: pl.DataFrame,
    *,
    start: datetime,
    end: datetime,
    op_ids: Collection[int] | None = None,
    latency_factor: float = 1.0,
    error_points: float = 0.0,
    calls_factor: float = 1.0,
    error_code: str = ERROR_CODE,
    seed: int = 0,
) -> pl.DataFrame:
    """Return the samples with a fault between two moments.

    Which rows fail or vanish depends on the seed and on the set of ``row_id``, not on their order.

    Args:
        samples: Frame with at least ``op_id``, ``timestamp``, ``duration_ns``, ``success``,
            ``status_code``, ``error_code`` and ``row_id`` of ``schemas.SAMPLES``.
        start: First moment of the fault, timezone-aware.
        end: First moment after it.
        op_ids: The operations concerned; all of the frame without it.
        latency_factor: Multiplies durations (rounded to nanoseconds), > 0.
        error_points: Rise of the error rate in probability (0.05 is five percentage points): each
            recorded success fails with the probability that gives this rise over the error rate of
            the operation in the whole frame. A rate cannot pass 1. Unrecorded outcomes stay so.
        calls_factor: Share of the calls that remain, 0 to 1.
        error_code: Code of the planted failures; their status becomes 500 where one is recorded.
        seed: Equal arguments give equal frames.

    Returns:
        The same columns and order, without the calls that vanished.

    Raises:
        InputError: A factor is out of its range, or ``end`` is not after ``start``.

    Examples:
        >>> from datetime import timedelta
        >>> from evolution_lab.datasets import NULL_START, null_samples
        >>> quiet = null_samples(calls=50, windows=4)
        >>> stopped = plant(quiet, start=NULL_START, end=NULL_START + timedelta(hours=1), calls_factor=0)
        >>> stopped.height
        0
    """
    _check(start, end, latency_factor, error_points, calls_factor)
    concerned = pl.col("timestamp").is_between(start, end, closed="left")
    if op_ids is not None:
        concerned &= pl.col("op_id").is_in(sorted(op_ids))
    rows = (
        samples.lazy()
        .with_row_index("_row")
        .with_columns(_rate=(~pl.col("success")).mean().over("op_id"), _hit=concerned)
        .filter("_hit")
        .select("_row", "row_id", "_rate", "success")
        .sort("row_id")
        .collect()
    )
    rng = np.random.default_rng(seed)
    stays = rng.random(rows.height) < calls_factor
    failure = error_points / np.maximum(1.0 - rows["_rate"].fill_null(0.0).to_numpy(), error_points)
    fails = (rng.random(rows.height) < failure) if error_points else np.zeros(rows.height, bool)
    marks = rows.select(
        "_row",
        _stays=pl.Series(stays),
        _fails=pl.Series(fails) & pl.col("success").fill_null(value=False),
    )
    slower = (pl.col("duration_ns").cast(pl.Float64) * latency_factor).round().cast(pl.Int64)
    fails_now = pl.col("_fails").fill_null(value=False)
    status = pl.when(pl.col("status_code").is_not_null()).then(pl.lit(500, dtype=pl.Int32))
    return (
        samples.with_row_index("_row")
        .join(marks, on="_row", how="left", maintain_order="left")
        .filter(pl.col("_stays").fill_null(value=True))
        .with_columns(
            duration_ns=pl.when(pl.col("_stays").is_not_null() & (latency_factor != 1.0))
            .then(slower)
            .otherwise("duration_ns"),
            success=pl.col("success") & ~fails_now,
            status_code=pl.when(fails_now).then(status).otherwise("status_code"),
            error_code=pl.when(fails_now).then(pl.lit(error_code)).otherwise("error_code"),
        )
        .select(samples.columns)
    )


def _check(
    start: datetime,
    end: datetime,
    latency_factor: float,
    error_points: float,
    calls_factor: float,
) -> None:
    if start.tzinfo is None or end.tzinfo is None or end <= start:
        raise InputError(f"start == {start}, end == {end}: both need a zone, and end comes after.")
    if not latency_factor > 0:
        raise InputError(f"latency_factor == {latency_factor}, must be > 0.")
    for name, value in (("error_points", error_points), ("calls_factor", calls_factor)):
        if not 0 <= value <= 1:
            raise InputError(f"{name} == {value}, must be between 0 and 1.")
