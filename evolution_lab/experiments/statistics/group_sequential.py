"""Boundaries for a handful of planned looks at equal steps of information.

References:
    Jennison, Turnbull (2000), Group sequential methods with applications to clinical trials,
    chapters 2, 4 and 7, with the recursive integration of chapter 19.
    Wang, Tsiatis (1987), Approximately optimal one-parameter boundaries for group sequential trials.
    Kim, DeMets (1987): the power family of error spending.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray
from scipy.special import ndtr

from evolution_lab.errors import InputError

Floats = NDArray[np.float64]
_POINTS = 40
"""Sets the grid of the recursive integration: about 12 times as many points at each look."""


@dataclass(frozen=True)
class GroupSequentialDesign:
    """Boundaries of the z statistic, and what information the design needs.

    Attributes:
        upper: Crossed upwards at a look, the effect is there.
        lower: Crossed downwards, it is not (one-sided) or it is the other way (two-sided).
        information_ratio: Largest information over that of a test with one look.
        drift: Expected z of the last look at the planned effect, with one look's information.
        two_sided: Whether both boundaries reject.
    """

    upper: tuple[float, ...]
    lower: tuple[float, ...]
    information_ratio: float
    drift: float
    two_sided: bool

    def expected_information(self, effect: float) -> float:
        """Return the expected information at the end, over that of a test with one look.

        Args:
            effect: The true effect, as a multiple of the planned one.

        Examples:
            >>> design = obrien_fleming(5, beta=0.2)
            >>> round(100 * design.expected_information(0), 1)
            102.1
        """
        top = self.drift * math.sqrt(self.information_ratio) * effect
        crossing = _crossing_probabilities(self.lower, self.upper, top)
        looks = len(self.upper)
        stopped = [low + high for low, high in crossing]
        running = 1 - math.fsum(stopped[:-1])
        share = math.fsum(step * (k + 1) / looks for k, step in enumerate(stopped[:-1])) + running
        return self.information_ratio * share


def wang_tsiatis(
    looks: int, shape: float, *, alpha: float = 0.05, beta: float = 0.1
) -> GroupSequentialDesign:
    """Return the two-sided design whose boundary at look k is ``C (k / K) ** (shape - 1/2)``.

    Args:
        looks: How many, equally spaced.
        shape: 0 is O'Brien and Fleming's, 1/2 Pocock's.
        alpha: Probability of a false alarm, both sides together.
        beta: Probability to miss the planned effect.

    Raises:
        InputError: If there is no look.

    Examples:
        >>> design = wang_tsiatis(6, 0.25, beta=0.2)
        >>> round(design.upper[-1], 3), round(design.information_ratio, 3)
        (2.154, 1.077)
    """
    _check(looks)
    steps = (np.arange(1, looks + 1) / looks) ** (shape - 0.5)

    def bounds(constant: float) -> tuple[float, ...]:
        return tuple(float(value) for value in constant * steps)

    def surplus(constant: float) -> float:
        upper = bounds(constant)
        lower = tuple(-value for value in upper)
        return _total(_crossing_probabilities(lower, upper, 0.0)) - alpha

    constant = float(
        scipy.optimize.brentq(surplus, scipy.stats.norm.ppf(1 - alpha / 2) * 0.9, 8.0, xtol=1e-9)
    )
    upper = bounds(constant)
    return _two_sided(upper, alpha, beta)


def obrien_fleming(looks: int, *, alpha: float = 0.05, beta: float = 0.1) -> GroupSequentialDesign:
    """Return O'Brien and Fleming's two-sided design: hard to stop early.

    Examples:
        >>> round(obrien_fleming(5, beta=0.2).information_ratio, 3)
        1.028
    """
    return wang_tsiatis(looks, 0.0, alpha=alpha, beta=beta)


def pocock(looks: int, *, alpha: float = 0.05, beta: float = 0.1) -> GroupSequentialDesign:
    """Return Pocock's two-sided design: the same boundary at each look.

    Examples:
        >>> round(pocock(4, beta=0.2).information_ratio, 3)
        1.202
    """
    return wang_tsiatis(looks, 0.5, alpha=alpha, beta=beta)


def power_family(
    looks: int, rho: float, *, alpha: float = 0.05, beta: float = 0.1
) -> GroupSequentialDesign:
    """Return the two-sided design that has spent ``alpha * t ** rho`` by information ``t``.

    Examples:
        >>> round(power_family(3, 1, beta=0.2).information_ratio, 3)
        1.117
    """
    _check(looks)
    spent = np.diff(alpha / 2 * (np.arange(1, looks + 1) / looks) ** rho, prepend=0)
    walk = _Walk(looks, 0.0)
    upper: list[float] = []
    for aim in spent:
        bound = walk.bound_above(float(aim))
        upper.append(bound)
        walk.advance(-bound, bound)
    return _two_sided(tuple(upper), alpha, beta)


def power_family_one_sided(
    looks: int, rho: float, *, alpha: float = 0.05, beta: float = 0.1
) -> GroupSequentialDesign:
    """Return the one-sided design that spends both errors as ``t ** rho`` and may stop for either.

    The lower boundary is binding: crossing it accepts that there is no effect, and both meet at
    the last look.

    Examples:
        >>> round(power_family_one_sided(5, 2, beta=0.05).information_ratio, 3)
        1.101
    """
    _check(looks)
    share = (np.arange(1, looks + 1) / looks) ** rho
    alphas, betas = np.diff(alpha * share, prepend=0), np.diff(beta * share, prepend=0)
    drift = float(scipy.stats.norm.ppf(1 - alpha) + scipy.stats.norm.ppf(1 - beta))

    def boundaries(ratio: float) -> tuple[list[float], list[float]]:
        upper: list[float] = []
        lower: list[float] = []
        without, planned = _Walk(looks, 0.0), _Walk(looks, drift * math.sqrt(ratio))
        for spent, missed in zip(alphas, betas, strict=True):
            if without.running < spent or planned.running < missed:
                break  # the boundaries met before: too much information
            upper.append(without.bound_above(float(spent)))
            lower.append(planned.bound_below(float(missed)))
            if lower[-1] >= upper[-1]:
                break
            without.advance(lower[-1], upper[-1])
            planned.advance(lower[-1], upper[-1])
        return lower, upper

    def gap(ratio: float) -> float:
        lower, upper = boundaries(ratio)
        return upper[-1] - lower[-1] if len(upper) == looks else -1.0

    ratio = float(scipy.optimize.brentq(gap, 1.0, 1.6, xtol=1e-6))
    lower, upper = boundaries(ratio)
    middle = (lower[-1] + upper[-1]) / 2
    return GroupSequentialDesign(
        (*upper[:-1], middle), (*lower[:-1], middle), ratio, drift, two_sided=False
    )


def _check(looks: int) -> None:
    if looks < 1:
        raise InputError(f"a design has at least one look, got {looks!r}")


def _two_sided(upper: tuple[float, ...], alpha: float, beta: float) -> GroupSequentialDesign:
    lower = tuple(-value for value in upper)
    drift = float(scipy.stats.norm.ppf(1 - alpha / 2) + scipy.stats.norm.ppf(1 - beta))

    def missing(ratio: float) -> float:
        crossing = _crossing_probabilities(lower, upper, drift * math.sqrt(ratio))
        return math.fsum(high for _, high in crossing) - (1 - beta)

    ratio = float(scipy.optimize.brentq(missing, 0.9, 3.0, xtol=1e-8))
    return GroupSequentialDesign(upper, lower, ratio, drift, two_sided=True)


def _total(crossing: Sequence[tuple[float, float]]) -> float:
    return math.fsum(low + high for low, high in crossing)


def _crossing_probabilities(
    lower: Sequence[float], upper: Sequence[float], drift: float
) -> list[tuple[float, float]]:
    """Return the probabilities of first leaving below and above, look by look.

    Args:
        lower: Lower boundaries of z.
        upper: Upper boundaries of z.
        drift: Expected z at the last look; that of look k is this times ``sqrt(k / K)``.
    """
    walk = _Walk(len(upper), drift)
    crossing: list[tuple[float, float]] = []
    for low, high in zip(lower, upper, strict=True):
        crossing.append((walk.below(low), walk.above(high)))
        walk.advance(low, high)
    return crossing


class _Walk:
    """The z statistic from look to look, as far as it has stayed within the boundaries.

    Its density is kept on a grid and integrated from one look to the next (chapter 19.2).
    """

    def __init__(self, looks: int, drift: float) -> None:
        self._looks, self._drift, self._look = looks, drift, 1
        # scaled sums z * sqrt(k), and what each is worth; before the first look the sum is 0
        self._sums, self._masses = np.zeros(1), np.ones(1)

    @property
    def running(self) -> float:
        """Probability of having stayed within all boundaries."""
        return float(self._masses.sum())

    def _standardised(self, bound: float | Floats) -> Floats:
        centre = self._sums + self._drift / math.sqrt(self._looks)
        return np.asarray(bound * math.sqrt(self._look) - centre, dtype=np.float64)

    def below(self, bound: float) -> float:
        """Probability to be under a bound at this look, and inside before."""
        return float(self._masses @ ndtr(self._standardised(bound)))

    def above(self, bound: float) -> float:
        """Probability to be over a bound at this look, and inside before."""
        return float(self._masses @ ndtr(-self._standardised(bound)))

    def bound_above(self, probability: float) -> float:
        """Return the bound that is exceeded with a probability."""
        return float(
            scipy.optimize.brentq(lambda b: self.above(b) - probability, -30.0, 30.0, xtol=1e-10)
        )

    def bound_below(self, probability: float) -> float:
        """Return the bound that is undercut with a probability."""
        return float(
            scipy.optimize.brentq(lambda b: self.below(b) - probability, -30.0, 30.0, xtol=1e-10)
        )

    def advance(self, low: float, high: float) -> None:
        """Go on to the next look, from between two bounds of this one."""
        scale = math.sqrt(self._look)
        grid, weights = _grid(self._drift * math.sqrt(self._look / self._looks), low, high)
        density = np.exp(-0.5 * self._standardised(grid[:, None]) ** 2) @ self._masses
        self._masses = density * weights * scale / math.sqrt(2 * math.pi)
        self._sums = grid * scale
        self._look += 1


def _grid(mean: float, low: float, high: float) -> tuple[Floats, Floats]:
    """Return points and weights of Simpson's rule, denser around the mean (chapter 19.3)."""
    r = _POINTS
    index = np.arange(1, 6 * r)
    x = np.where(
        index <= r - 1,
        mean - 3 - 4 * np.log(r / np.minimum(index, r)),
        np.where(
            index <= 5 * r,
            mean - 3 + 3 * (index - r) / (2 * r),
            mean + 3 + 4 * np.log(r / np.maximum(6 * r - index, 1)),
        ),
    )
    inner = x[(x > low) & (x < high)]
    edges = np.concatenate(
        [[max(low, float(x[0]))], inner[(inner > max(low, float(x[0])))], [min(high, float(x[-1]))]]
    )
    edges = np.unique(edges)
    if len(edges) < 2:
        return np.array([low]), np.array([0.0])
    middle = (edges[:-1] + edges[1:]) / 2
    grid = np.empty(2 * len(edges) - 1)
    grid[0::2], grid[1::2] = edges, middle
    widths = np.diff(edges)
    weights = np.zeros(len(grid))
    weights[0:-2:2] += widths / 6
    weights[1::2] += 4 * widths / 6
    weights[2::2] += widths / 6
    return grid, weights
