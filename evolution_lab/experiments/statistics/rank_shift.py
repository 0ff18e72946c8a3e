"""Has a series of measurements shifted? Mann-Whitney's test, and what it cannot see.

For series of a few aggregated values, as other judges of canaries take them. A rank test is blind to a
change of shape and to rare errors, so that "no shift was found" is never called a pass by itself.

References:
    Hodges, Lehmann (1963), Estimates of location based on rank tests.
    Bauer (1972), Constructing confidence sets using rank statistics, JASA 67.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import fisher_exact, ks_2samp, mannwhitneyu, norm, rankdata

from evolution_lab.errors import InputError

Floats = NDArray[np.float64]
Verdict = Literal["pass", "harm", "inconclusive"]


@dataclass(frozen=True)
class RankShift:
    """Estimated shift of one series against another.

    Attributes:
        estimate: Hodges and Lehmann's estimate of experiment minus control.
        interval: Confidence interval of it.
    """

    estimate: float
    interval: tuple[float, float]


def rank_shift(
    experiment: Sequence[float], control: Sequence[float], *, confidence_level: float = 0.98
) -> RankShift:
    """Return the shift between two series, by Mann and Whitney's test.

    The exact distribution below 50 values a series without ties, the normal approximation
    with a correction for continuity and ties otherwise, as R's ``wilcox.test`` does it.

    Args:
        experiment: Measurements of the variant.
        control: Measurements of the control.
        confidence_level: Of the interval.

    Raises:
        InputError: If a series is empty.

    Examples:
        >>> rank_shift([10, 20, 30, 40], [1, 2, 3, 4], confidence_level=0.95)
        RankShift(estimate=22.5, interval=(6.0, 39.0))
    """
    x, y = np.asarray(experiment, dtype=np.float64), np.asarray(control, dtype=np.float64)
    if not len(x) or not len(y):
        raise InputError("both series need a value")
    alpha = 1 - confidence_level
    ties = len(np.unique(np.concatenate([x, y]))) < len(x) + len(y)
    if len(x) < 50 and len(y) < 50 and not ties:
        return _exact(x, y, alpha)
    return _approximate(x, y, alpha)


def _exact(x: Floats, y: Floats, alpha: float) -> RankShift:
    shifts = np.sort((x[:, None] - y[None, :]).ravel())
    distribution = _count_distribution(len(x), len(y))
    cumulative = np.cumsum(distribution) / distribution.sum()
    quantile = int(np.searchsorted(cumulative, alpha / 2, side="left"))
    quantile = max(quantile, 1)
    n_shifts = len(shifts)
    interval = (float(shifts[quantile - 1]), float(shifts[n_shifts - quantile]))
    return RankShift(float(np.median(shifts)), interval)


def _count_distribution(m: int, n: int) -> Floats:
    """Return in how many orders each value of Mann and Whitney's U comes about."""
    counts = np.zeros(m * n + 1)
    counts[0] = 1.0
    for j in range(1, n + 1):
        grown = counts.copy()
        # coefficients of prod (1 - q^(m+j)) / (1 - q^j)
        grown[m + j :] -= counts[: len(counts) - m - j]
        for index in range(j, len(grown)):
            grown[index] += grown[index - j]
        counts = grown
    return counts


def _approximate(x: Floats, y: Floats, alpha: float) -> RankShift:
    critical = float(norm.ppf(1 - alpha / 2))
    interval = (shift_at(x, y, critical), shift_at(x, y, -critical))
    return RankShift(shift_at(x, y, 0.0, continuity=False), interval)


def standardised_rank_sum(
    x: ArrayLike, y: ArrayLike, shift: float = 0.0, *, continuity: bool = True
) -> float:
    """Return how many standard deviations the rank sum of ``x - shift`` is off, ties counted.

    Args:
        x: One series.
        y: The other.
        shift: What is taken from ``x`` first.
        continuity: Move the statistic half a step towards 0, for the normal approximation.

    Examples:
        >>> round(standardised_rank_sum([1, 2, 3], [4, 5, 6]), 3)
        -1.746
    """
    first, second = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    m, n = len(first), len(second)
    ranks = rankdata(np.concatenate([first - shift, second]))
    statistic = float(ranks[:m].sum()) - m * (m + 1) / 2 - m * n / 2
    _, repeats = np.unique(ranks, return_counts=True)
    ties = float((repeats.astype(np.float64) ** 3 - repeats).sum()) / ((m + n) * (m + n - 1))
    sigma = math.sqrt(m * n / 12 * (m + n + 1 - ties))
    if continuity:
        statistic -= math.copysign(0.5, statistic) if statistic else 0.0
    # where all values tie nothing is known, and no shift is refused
    return statistic / sigma if sigma > 0 else 0.0


def shift_at(x: Floats, y: Floats, quantile: float, *, continuity: bool = True) -> float:
    """Return the shift at which the standardised rank sum falls to a quantile.

    Args:
        x: One series.
        y: The other.
        quantile: Of the standard normal distribution; 0 gives an estimate of the shift.
        continuity: With the correction for continuity.

    Examples:
        >>> abs(shift_at(np.array([3.0, 4.0, 5.0]), np.array([1.0, 2.0, 3.0]), 0.0) - 2) < 0.1
        True
    """

    def surplus(shift: float) -> float:
        return standardised_rank_sum(x, y, shift, continuity=continuity) - quantile

    low, high = float(x.min() - y.max()), float(x.max() - y.min())
    if surplus(low) <= 0:
        return low
    if surplus(high) >= 0:
        return high
    return _zero(surplus, low, high)


def _zero(function: Callable[[float], float], low: float, high: float) -> float:
    """Return a zero by Brent's method in its original form and to R's tolerance of 1e-4.

    The rank sum is a staircase: which point of a step is returned depends on the steps taken, and
    published values were computed this way (Brent 1973, Algorithms for minimization without
    derivatives, chapter 4).
    """
    tolerance = 1e-4
    a, b = low, high
    fa, fb = function(a), function(b)
    c, fc = a, fa
    for _ in range(1000):
        previous = b - a
        if abs(fc) < abs(fb):
            a, b, c = b, c, b
            fa, fb, fc = fb, fc, fb
        enough = 2 * np.finfo(float).eps * abs(b) + tolerance / 2
        step = (c - b) / 2
        if abs(step) <= enough or fb == 0:
            return b
        if abs(previous) >= enough and abs(fa) > abs(fb):
            step = _interpolated(a, b, c, fa, fb, fc, previous, enough, step)
        if abs(step) < enough:
            step = math.copysign(enough, step)
        a, fa = b, fb
        b += step
        fb = function(b)
        if (fb > 0) == (fc > 0) and fb != 0:
            c, fc = a, fa
    return b


def _interpolated(
    a: float,
    b: float,
    c: float,
    fa: float,
    fb: float,
    fc: float,
    previous: float,
    enough: float,
    bisection: float,
) -> float:
    """Return the step of a linear or inverse quadratic interpolation, where it is small enough."""
    width, ratio = c - b, fb / fa
    if a == c:
        p, q = width * ratio, 1.0 - ratio
    else:
        q, other = fa / fc, fb / fc
        p = ratio * (width * q * (q - other) - (b - a) * (other - 1.0))
        q = (q - 1.0) * (other - 1.0) * (ratio - 1.0)
    if p > 0:
        q = -q
    else:
        p = -p
    if p < 0.75 * width * q - abs(enough * q) / 2 and p < abs(previous * q / 2):
        return p / q
    return bisection


@dataclass(frozen=True)
class SeriesVerdict:
    """What two short series say about harm.

    Attributes:
        verdict: ``harm`` is shown, ``pass`` where the shift is shown to be small, else neither.
        reason: In words, with the number behind it.
    """

    verdict: Verdict
    reason: str


def judge_series(
    experiment: Sequence[float],
    control: Sequence[float],
    *,
    tolerance: float = 0.25,
    alpha: float = 0.05,
) -> SeriesVerdict:
    """Judge whether a series that should not rise has risen: by its ranks, its extremes, its shape.

    Three tests share ``alpha``: a shift of ranks, more values above everything the control showed
    (Fisher's exact test), a change of shape (Kolmogorov and Smirnov). A pass needs proof that the
    shift is within tolerance; no finding is not one.

    Args:
        experiment: Measurements of the variant.
        control: Measurements of the control.
        tolerance: Largest harmless rise, as a share of the control's median.
        alpha: Probability to call harm where there is none.

    Examples:
        >>> judge_series([100.0] * 7 + [1.0] * 3, [1.0] * 10).verdict
        'harm'
        >>> judge_series([0, 1, 2, 1, 0, 0], [0] * 6).verdict
        'inconclusive'
    """
    x, y = np.asarray(experiment, dtype=np.float64), np.asarray(control, dtype=np.float64)
    if not len(x) or not len(y):
        raise InputError("both series need a value")
    share = alpha / 3
    ranks = float(mannwhitneyu(x, y, alternative="greater").pvalue)
    top = float(y.max())
    beyond = int((x > top).sum())
    table = [[beyond, len(x) - beyond], [0, len(y)]]
    extremes = float(fisher_exact(table, alternative="greater").pvalue)
    shape = float(ks_2samp(x, y, method="exact").pvalue)
    for p_value, what in (
        (ranks, "its values rank above the control's"),
        (extremes, f"{beyond} of {len(x)} values lie above all of the control's"),
    ):
        if p_value <= share:
            return SeriesVerdict("harm", f"{what} (p = {p_value:.2g})")
    if shape <= share:
        return SeriesVerdict("inconclusive", f"its shape differs (p = {shape:.2g}), not its level")
    limit = tolerance * abs(float(np.median(y)))
    shift = rank_shift(list(x), list(y), confidence_level=1 - 2 * alpha)
    if len(x) >= 5 and len(y) >= 5 and shift.interval[1] <= limit and beyond == 0:
        return SeriesVerdict("pass", f"the shift is at most {shift.interval[1]:.4g}")
    return SeriesVerdict(
        "inconclusive",
        f"neither harm is shown (p = {min(ranks, extremes):.2g}) nor that the shift is within "
        f"{limit:.4g}",
    )
