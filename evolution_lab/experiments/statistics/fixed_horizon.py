"""Tests and sample sizes for those who look once, at an end that was planned.

Reference:
    Fleiss, Levin, Paik (2003), Statistical methods for rates and proportions, chapter 4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.stats import norm, t

from evolution_lab.errors import InputError
from evolution_lab.experiments.statistics.asymptotic import Difference, Side


@dataclass(frozen=True)
class TestResult:
    """What a test with one look says.

    Attributes:
        estimate: Estimated difference.
        interval: Confidence interval; infinite at the side that is not tested.
        p_value: Probability of an estimate as far away, without a difference.
    """

    __test__ = False  # not a test case, though its name begins as one

    estimate: float
    interval: tuple[float, float]
    p_value: float


def t_test(change: Difference, *, alpha: float = 0.05, side: Side = "two-sided") -> TestResult:
    """Test a difference by Welch's t test.

    Args:
        change: The estimated difference.
        alpha: Probability of a false alarm.
        side: ``greater`` asks whether the difference is above 0, ``less`` whether below.

    Examples:
        >>> from evolution_lab.experiments.statistics.asymptotic import MeanSums, difference
        >>> change = difference(MeanSums.of_share(14, 28), MeanSums.of_share(16, 30), relative=True)
        >>> round(t_test(change).p_value, 3)
        0.807
    """
    if change.variance <= 0:
        return TestResult(change.estimate, (-math.inf, math.inf), 1.0)
    error = math.sqrt(change.variance)
    freedom = change.degrees_of_freedom
    statistic = change.estimate / error
    if side == "two-sided":
        half = float(t.ppf(1 - alpha / 2, freedom)) * error
        interval = (change.estimate - half, change.estimate + half)
        return TestResult(change.estimate, interval, float(2 * t.sf(abs(statistic), freedom)))
    half = float(t.ppf(1 - alpha, freedom)) * error
    if side == "greater":
        interval, p_value = (change.estimate - half, math.inf), float(t.sf(statistic, freedom))
    else:
        interval, p_value = (-math.inf, change.estimate + half), float(t.cdf(statistic, freedom))
    return TestResult(change.estimate, interval, p_value)


def sample_size_of_share(
    control: float,
    variant: float,
    *,
    alpha: float = 0.05,
    power: float = 0.9,
    variant_share: float | None = None,
) -> int:
    """Return the units of the variant that one look needs to tell two shares apart (one-sided).

    Args:
        control: Share in the control.
        variant: Share in the variant.
        alpha: Probability of a false alarm.
        power: Probability to notice.
        variant_share: Share of units with the variant; None where the control is known exactly.

    Raises:
        InputError: If the shares are equal or no shares.

    Examples:
        >>> sample_size_of_share(0.02, 0.08, alpha=0.0125)
        122
    """
    if control == variant or not (0 <= control <= 1 and 0 <= variant <= 1):
        raise InputError(f"two different shares are needed, got {control!r} and {variant!r}")
    z_alpha, z_power = float(norm.ppf(1 - alpha)), float(norm.ppf(power))
    if variant_share is None:
        root = z_alpha * math.sqrt(control * (1 - control))
        root += z_power * math.sqrt(variant * (1 - variant))
        return math.ceil((root / (variant - control)) ** 2)
    odds = variant_share / (1 - variant_share)
    pooled = variant_share * variant + (1 - variant_share) * control
    root = z_alpha * math.sqrt(pooled * (1 - pooled) * (1 + odds))
    root += z_power * math.sqrt(variant * (1 - variant) + odds * control * (1 - control))
    return math.ceil((root / (variant - control)) ** 2)
