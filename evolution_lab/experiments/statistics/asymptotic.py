"""Means, ratios and adjusted means of two arms, with sequences that hold at all times, asymptotically.

For what has no exact evidence: a mean duration, a share of requests where users are the units. The
sums of an arm are all that is kept, so that they merge by addition.

References:
    Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas (2024), Time-uniform central limit theory and
    asymptotic confidence sequences, Annals of Statistics 52(6).
    Deng, Xu, Kohavi, Walker (2013), Improving the sensitivity of online controlled experiments by
    utilizing pre-experiment data, WSDM (CUPED).
    Deng, Knoblich, Lu (2018), Applying the delta method in metric analytics, KDD.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from evolution_lab.errors import InputError

Side = Literal["two-sided", "greater", "less"]
MOST_P_ONE_SIDED = 0.4999
"""A one-sided sequence has no width that shrinks below this level."""


@dataclass(frozen=True)
class MeanSums:
    """Sums of one arm: of a value, and of what the same units did before.

    Attributes:
        n_obs: How many units.
        total: Sum of the values.
        squares: Sum of their squares.
        before: Sum of the values before the experiment.
        before_squares: Sum of their squares.
        products: Sum of the products of both.

    Examples:
        >>> arm = MeanSums(4, 10.0, 30.0) + MeanSums(2, 2.0, 2.0)
        >>> arm.mean, round(arm.variance, 4)
        (2.0, 1.6)
    """

    n_obs: int
    total: float
    squares: float
    before: float = 0.0
    before_squares: float = 0.0
    products: float = 0.0

    def __add__(self, other: MeanSums) -> MeanSums:
        return MeanSums(
            self.n_obs + other.n_obs,
            self.total + other.total,
            self.squares + other.squares,
            self.before + other.before,
            self.before_squares + other.before_squares,
            self.products + other.products,
        )

    @classmethod
    def of_share(cls, successes: int, n_obs: int) -> MeanSums:
        """Return the sums of ``n_obs`` zeros and ones."""
        return cls(n_obs, float(successes), float(successes))

    @property
    def mean(self) -> float:
        """Mean of the values."""
        return self.total / self.n_obs if self.n_obs else 0.0

    @property
    def variance(self) -> float:
        """Unbiased variance of the values; of a share that of its distribution."""
        if self.n_obs < 2:
            return 0.0
        if self.total == self.squares and 0 <= self.total <= self.n_obs:
            return self.mean * (1 - self.mean)
        return max((self.squares - self.total**2 / self.n_obs) / (self.n_obs - 1), 0.0)

    @property
    def before_mean(self) -> float:
        """Mean of the values before the experiment."""
        return self.before / self.n_obs if self.n_obs else 0.0

    @property
    def before_variance(self) -> float:
        """Unbiased variance of the values before the experiment."""
        if self.n_obs < 2:
            return 0.0
        return max((self.before_squares - self.before**2 / self.n_obs) / (self.n_obs - 1), 0.0)

    @property
    def covariance(self) -> float:
        """Unbiased covariance of the values with those before."""
        if self.n_obs < 2:
            return 0.0
        return (self.products - self.total * self.before / self.n_obs) / (self.n_obs - 1)


@dataclass(frozen=True)
class RatioSums:
    """Sums over units of a numerator and a denominator, such as errors and requests of a user.

    Attributes:
        n_obs: How many units.
        numerator: Sum of the numerators.
        denominator: Sum of the denominators.
        numerator_squares: Sum of the squared numerators.
        products: Sum of the products.
        denominator_squares: Sum of the squared denominators.

    Examples:
        >>> arm = RatioSums(100, 20, 1000, 44, 260, 10_900)
        >>> round(arm.ratio, 3), 0 < arm.variance < 1
        (0.02, True)
    """

    n_obs: int
    numerator: float
    denominator: float
    numerator_squares: float
    products: float
    denominator_squares: float

    def __add__(self, other: RatioSums) -> RatioSums:
        return RatioSums(
            self.n_obs + other.n_obs,
            self.numerator + other.numerator,
            self.denominator + other.denominator,
            self.numerator_squares + other.numerator_squares,
            self.products + other.products,
            self.denominator_squares + other.denominator_squares,
        )

    @property
    def ratio(self) -> float:
        """The ratio of the sums."""
        return self.numerator / self.denominator if self.denominator else 0.0

    @property
    def variance(self) -> float:
        """Variance of one unit's share in the ratio, by the delta method."""
        if self.n_obs < 2 or not self.denominator:
            return 0.0
        mean = self.denominator / self.n_obs
        spread = (
            self.numerator_squares
            - 2 * self.ratio * self.products
            + self.ratio**2 * self.denominator_squares
        )
        return max(spread / ((self.n_obs - 1) * mean**2), 0.0)


@dataclass(frozen=True)
class Difference:
    """An estimated difference between arms.

    Attributes:
        estimate: Variant minus control, or that as a share of the control's mean.
        variance: Variance of the estimate.
        n_obs: Units in both arms.
        degrees_of_freedom: Of a t test (Welch).
    """

    estimate: float
    variance: float
    n_obs: int
    degrees_of_freedom: float


def difference(control: MeanSums, variant: MeanSums, *, relative: bool = False) -> Difference:
    """Return the difference of two means.

    Args:
        control: Sums of the control.
        variant: Sums of the variant.
        relative: As a share of the control's mean, with the delta method's variance.

    Raises:
        InputError: If an arm has fewer than two units, or the control's mean is zero and the
            difference is relative.

    Examples:
        >>> control, variant = MeanSums.of_share(14, 28), MeanSums.of_share(16, 30)
        >>> round(difference(control, variant, relative=True).estimate, 5)
        0.06667
    """
    if min(control.n_obs, variant.n_obs) < 2:
        raise InputError(f"two units an arm are the least, got {control.n_obs} and {variant.n_obs}")
    return _difference(
        (control.mean, control.variance, control.n_obs, control.mean),
        (variant.mean, variant.variance, variant.n_obs, variant.mean),
        relative=relative,
    )


def cuped(control: MeanSums, variant: MeanSums, *, relative: bool = False) -> Difference:
    """Return the difference of two means after what the units did before is taken out.

    The regression coefficient is pooled over both arms, so that no arm chooses its own.

    Args:
        control: Sums of the control, with those of before.
        variant: Sums of the variant, likewise.
        relative: As a share of the control's mean.

    Raises:
        InputError: If an arm has fewer than two units.

    Examples:
        >>> control = MeanSums(100, 200.0, 500.0, 200.0, 500.0, 490.0)
        >>> cuped(control, control).variance < difference(control, control).variance
        True
    """
    plain = difference(control, variant, relative=relative)
    spread = control.before_variance + variant.before_variance
    if not spread:
        return plain
    theta = (control.covariance + variant.covariance) / spread

    def adjusted(arm: MeanSums) -> tuple[float, float, int, float]:
        mean = arm.mean - theta * arm.before_mean
        variance = arm.variance + theta**2 * arm.before_variance - 2 * theta * arm.covariance
        return (mean, max(variance, 0.0), arm.n_obs, arm.mean)

    return _difference(adjusted(control), adjusted(variant), relative=relative)


def _difference(
    control: tuple[float, float, int, float],
    variant: tuple[float, float, int, float],
    *,
    relative: bool,
) -> Difference:
    mean_0, variance_0, n_0, base_0 = control
    mean_1, variance_1, n_1, base_1 = variant
    of_0, of_1 = variance_0 / n_0, variance_1 / n_1
    lower = of_0**2 / (n_0 - 1) + of_1**2 / (n_1 - 1)
    freedom = (of_0 + of_1) ** 2 / lower if lower else float(n_0 + n_1 - 2)
    if not relative:
        return Difference(mean_1 - mean_0, of_0 + of_1, n_0 + n_1, freedom)
    if not base_0:
        raise InputError("a relative difference needs a control whose mean is not 0")
    variance_ = of_1 / base_0**2 + of_0 * base_1**2 / base_0**4
    return Difference((mean_1 - mean_0) / base_0, variance_, n_0 + n_1, freedom)


def _rho_squared(alpha: float, n_tuned: float) -> float:
    doubled = -2 * math.log(alpha)
    return (doubled + math.log(doubled + 1)) / n_tuned


def asymptotic_half_width(
    variance: float,
    n_obs: int,
    *,
    alpha: float = 0.05,
    n_tuned: float = 5000.0,
    side: Side = "two-sided",
) -> float:
    """Return the half-width of an asymptotic confidence sequence around an estimate.

    Args:
        variance: Variance of the estimate (not of one observation).
        n_obs: Units behind it.
        alpha: Probability that the sequence ever misses.
        n_tuned: Number of units at which the sequence is tightest.
        side: One end or both.

    Examples:
        >>> wide = asymptotic_half_width(1e-4, 1000)
        >>> wide > 1.96 * 1e-2 and wide > asymptotic_half_width(1e-4, 1000, side="greater")
        True
    """
    if variance <= 0 or n_obs <= 0:
        return math.inf
    one_sided = side != "two-sided"
    rho2 = _rho_squared(2 * alpha if one_sided else alpha, n_tuned)
    spread = n_obs * rho2 + 1
    if one_sided:
        log_term = math.log1p(math.sqrt(spread) / (2 * alpha))
    else:
        log_term = math.log(math.sqrt(spread) / alpha)
    return math.sqrt(variance * n_obs * 2 * spread / (n_obs**2 * rho2) * log_term)


def sequential_p_value(
    change: Difference, *, alpha: float = 0.05, n_tuned: float = 5000.0, side: Side = "two-sided"
) -> float:
    """Return the p-value that the sequence gives: the smallest level at which it excludes 0.

    Args:
        change: The estimated difference.
        alpha: Level that the sequence is tuned for.
        n_tuned: Number of units at which it is tightest.
        side: ``greater`` asks whether the difference is above 0, ``less`` whether below.

    Examples:
        >>> change = difference(MeanSums.of_share(1396, 3000), MeanSums.of_share(2422, 3461))
        >>> sequential_p_value(change) < 1e-6
        True
    """
    if change.variance <= 0:
        return 1.0
    one_sided = side != "two-sided"
    rho2 = _rho_squared(2 * alpha if one_sided else alpha, n_tuned)
    spread = change.n_obs * rho2 + 1
    exponent = change.estimate**2 / change.variance * change.n_obs * rho2 / (2 * spread)
    if not one_sided:
        return min(math.sqrt(spread) * math.exp(-min(exponent, 700.0)), 1.0)
    wrong_way = change.estimate <= 0 if side == "greater" else change.estimate >= 0
    if wrong_way or not exponent:
        return MOST_P_ONE_SIDED
    return min(math.sqrt(spread) / (2 * math.expm1(min(exponent, 700.0))), MOST_P_ONE_SIDED)


def log_e_mean_above(
    estimate: float, boundary: float, variance: float, n_obs: int, *, n_tuned: float = 5000.0
) -> float:
    """Return the asymptotic log e-value against "the mean is at most ``boundary``".

    Means above the boundary are mixed by a half normal distribution; for shares of requests whose
    units are users, with the variance of :class:`RatioSums`.

    Args:
        estimate: Estimated mean or ratio.
        boundary: The largest value that is harmless.
        variance: Variance of one unit.
        n_obs: Units behind the estimate.
        n_tuned: Number of units at which it is sharpest.

    Examples:
        >>> log_e_mean_above(0.08, 0.05, 0.05, 5000) > 3 > 0 > log_e_mean_above(0.04, 0.05, 0.05, 5000)
        True
    """
    if variance <= 0 or n_obs < 2:
        return 0.0
    rho2 = _rho_squared(0.1, n_tuned)
    z_sum = (estimate - boundary) / math.sqrt(variance) * n_obs
    spread = n_obs * rho2 + 1
    scaled = z_sum * math.sqrt(rho2 / spread)
    tail = 0.5 * math.erfc(-scaled / math.sqrt(2))
    if tail <= 0:
        return -math.inf
    return math.log(2) - 0.5 * math.log(spread) + 0.5 * scaled**2 + math.log(tail)
