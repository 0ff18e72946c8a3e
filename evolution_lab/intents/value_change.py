"""Two-sided change of a ready-made value: a gauge, a count, a percentile, without the calls behind it.

All that is known is one number a window. A value is surprising when it is far from the trailing
windows *and* far from the same time on earlier days, as far as the history reaches back: a nightly
job is no surprise, nor is a level that has been there for hours. Deviations are counted in trailing
median absolute deviations and judged by Student's t with few degrees of freedom, for values of real
systems have heavy tails. Means of the last windows are judged alike, for shifts too small to be seen
in one. The two are combined by the Cauchy combination test. A change is said when it begins, not in
every window that it lasts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy

from evolution_lab.intents.tails import cauchy_tails, cauchy_terms

Floats = npt.NDArray[np.float64]

LOCAL_DAYS: Final = 1.0
"""Days of trailing windows that say what is usual."""
FEWEST: Final = 48
"""Windows needed before anything is judged."""
SHIFT: Final = 12
"""Windows whose mean is compared for a shift."""
DAYS: Final = 7
AROUND: Final = 3
"""Windows around the same time on an earlier day that count as the same time."""
TAIL: Final = 15.0
"""Degrees of freedom; chosen on one half of the NAB files, judged on the other."""
QUIET_DAYS: Final = 0.5
"""Days below the level after which a change is over and another one can be said."""
FLOOR: Final = 0.02
"""A deviation below this share of the trailing range is no deviation."""


@dataclass(frozen=True, eq=False)
class ValueChanges:
    """What was found in one series.

    Attributes:
        p_values: Of each window; 1 where nothing can be judged yet.
        onsets: Positions at which a change is said.
    """

    p_values: Floats
    onsets: tuple[int, ...]


def value_changes(values: Floats, *, per_day: int, level: float) -> ValueChanges:
    """Judge a series window by window; nothing looks ahead.

    Args:
        values: One value a window, in order of time; NaN where there is none.
        per_day: Windows a day.
        level: The p-value at which a change is said: false alarms a week over windows a week.

    Examples:
        >>> rng = np.random.default_rng(1)
        >>> values = rng.normal(10, 1, 600)
        >>> values[500:] += 12
        >>> value_changes(values, per_day=288, level=1e-5).onsets
        (500,)
    """
    series = pl.Series("value", values).fill_nan(None)
    residual = pl.Series("residual", _off_rhythm(values, per_day)).fill_nan(None)
    local = max(round(LOCAL_DAYS * per_day), FEWEST)
    # With a rhythm to go by, a value has to be surprising both ways.
    spike = _weaker(_deviation(series, local), _deviation(residual, local))
    means = series.rolling_mean(SHIFT, min_samples=SHIFT // 2)
    off_means = residual.rolling_mean(SHIFT, min_samples=SHIFT // 2)
    shift = _weaker(_deviation(means, local, lag=SHIFT), _deviation(off_means, local, lag=SHIFT))
    z = np.stack([spike, shift])
    tested = ~np.isnan(z)
    p = 2.0 * scipy.stats.t.sf(np.abs(np.where(tested, z, 0.0)), TAIL)
    terms = np.where(tested, cauchy_terms(p), 0.0).sum(axis=0)
    count = tested.sum(axis=0)
    combined = np.where(count > 0, cauchy_tails(terms / np.maximum(count, 1)), 1.0)
    quiet = max(round(QUIET_DAYS * per_day), 1)
    onsets, last = [], -quiet - 1
    for i in np.nonzero(combined <= level)[0]:
        if i - last > quiet:
            onsets.append(int(i))
        last = int(i)
    return ValueChanges(combined, tuple(onsets))


def _off_rhythm(values: Floats, per_day: int) -> Floats:
    """Return the distance to the nearest value around the same time on earlier days.

    NaN until there are two days to go by.
    """
    n = len(values)
    same = []
    for day in range(1, DAYS + 1):
        for near in range(-AROUND, AROUND + 1):
            back = day * per_day - near
            shifted = np.full(n, np.nan)
            if 0 < back < n:
                shifted[back:] = values[:-back]
            same.append(shifted)
    stack = np.stack(same)
    known = (~np.isnan(stack)).sum(axis=0)
    filled = np.where(np.isnan(stack), np.inf, stack)
    low = filled.min(axis=0)
    high = np.where(np.isnan(stack), -np.inf, stack).max(axis=0)
    outside = np.where(values > high, values - high, np.where(values < low, values - low, 0.0))
    enough = (known > 2 * AROUND + 1) & ~np.isnan(values)
    result: Floats = np.where(enough, outside, np.nan)
    return result


def _deviation(series: pl.Series, window: int, *, lag: int = 1) -> Floats:
    """Return the distance from the trailing median in trailing deviations, NaN while too few."""
    before = series.shift(lag)
    centre = before.rolling_median(window, min_samples=FEWEST)
    away = (series - centre).abs().shift(lag)
    scale = 1.4826 * away.rolling_median(window, min_samples=FEWEST)
    wide = away.rolling_quantile(0.95, window_size=window, min_samples=FEWEST) / 2.0
    reach = before.rolling_max(window, min_samples=FEWEST) - before.rolling_min(
        window, min_samples=FEWEST
    )
    table = pl.DataFrame(
        {"value": series, "centre": centre, "scale": scale, "wide": wide, "reach": FLOOR * reach}
    )
    z = table.select(
        pl.when(pl.col("scale").is_null() | pl.col("wide").is_null())
        .then(None)
        .when(pl.max_horizontal("scale", "wide", "reach") > 0)
        .then((pl.col("value") - pl.col("centre")) / pl.max_horizontal("scale", "wide", "reach"))
        .when(pl.col("value") == pl.col("centre"))
        .then(0.0)
        .when(pl.col("centre").is_not_null() & pl.col("scale").is_not_null())
        .then(1e6 * (pl.col("value") - pl.col("centre")).sign())
        .otherwise(None)
    ).to_series()
    result: Floats = z.clip(-1e6, 1e6).fill_null(float("nan")).to_numpy()
    return result


def _weaker(first: Floats, second: Floats) -> Floats:
    """Return the deviation nearer to nothing; the first where the second is unknown."""
    weaker = np.where(np.abs(second) < np.abs(first), second, first)
    result: Floats = np.where(np.isnan(second), first, weaker)
    return result
