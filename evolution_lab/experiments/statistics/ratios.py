"""Does the variant fail more often than the control? Exact evidence, whatever the control does.

Given that an error happened, the arm it happened in is a coin whose probability depends on the ratio
of the two rates alone: how busy the day is, and how often the control fails, cancels out. The
evidence of stages multiplies, since within each the share of the variant is known.

Reference:
    Lindon, Malek (2022), Anytime-valid inference for multinomial count data, NeurIPS.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from evolution_lab.errors import InputError
from evolution_lab.experiments.statistics.combining import log_sum_exp

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class RatioPrior:
    """The ratios of rates that evidence looks for, evenly spread on a logarithmic grid.

    Attributes:
        low: Smallest ratio, as a multiple of the ratio that is tested.
        high: Largest ratio, likewise.
        points: How many.

    Examples:
        >>> RatioPrior(1.3, 6.0, 3).ratios()
        array([1.3       , 2.79284801, 6.        ])
    """

    low: float
    high: float
    points: int = 24

    def ratios(self) -> Floats:
        """Return the grid."""
        return _grid(self.low, self.high, self.points)


@lru_cache(maxsize=64)
def _grid(low: float, high: float, points: int) -> Floats:
    grid = np.exp(np.linspace(np.log(low), np.log(high), points))
    grid.setflags(write=False)
    return grid


ERRORS = RatioPrior(1.3, 6.0)
"""What a bad release does to an error rate, from half as much again to several times."""
SLOW = RatioPrior(2.0, 12.0)
"""What a slower release does to the share of slow requests: a tail moves by larger factors."""
SAFETY = RatioPrior(0.4, 0.95)
"""Ratios that prove safety, as a multiple of the margin."""


def log_e_ratio(
    variant_events: ArrayLike,
    control_events: ArrayLike,
    variant_shares: ArrayLike,
    *,
    ratio: float = 1.0,
    prior: RatioPrior = ERRORS,
) -> Floats:
    """Return the log e-value against "the variant's rate is ``ratio`` times the control's".

    With a prior above 1 it is evidence against all smaller ratios too (harm); with one below 1,
    against all larger ones (safety).

    Args:
        variant_events: Events in the variant, the last axis runs over stages.
        control_events: Events in the control, likewise.
        variant_shares: Share of units that had the variant, one a stage.
        ratio: The ratio that is tested.
        prior: Where to look for others.

    Returns:
        Natural logarithms, one for each element before the last axis.

    Raises:
        InputError: If a share is not between 0 and 1, or the ratio is not positive.

    Examples:
        >>> float(np.exp(log_e_ratio([7], [0], [0.5], prior=RatioPrior(1.3, 20)))) > 20
        True
        >>> float(log_e_ratio([10, 100], [990, 900], [0.01, 0.1])) < 0
        True
    """
    shares = np.asarray(variant_shares, dtype=np.float64)
    gain_variant, gain_control = _gains(shares.tobytes(), float(ratio), prior)
    in_variant = np.asarray(variant_events, dtype=np.float64)
    in_control = np.asarray(control_events, dtype=np.float64)
    logs = in_variant @ gain_variant.T + in_control @ gain_control.T
    return np.asarray(log_sum_exp(logs) - np.log(prior.points), dtype=np.float64)


@lru_cache(maxsize=256)
def _gains(shares_bytes: bytes, ratio: float, prior: RatioPrior) -> tuple[Floats, Floats]:
    """Return what an event in the variant, and one in the control, adds for each ratio of the grid."""
    shares = np.frombuffer(shares_bytes, dtype=np.float64)
    if np.any((shares <= 0) | (shares >= 1)):
        raise InputError(f"the variant's share lies between 0 and 1, got {shares.tolist()}")
    if ratio <= 0:
        raise InputError(f"a ratio of rates is above 0, got {ratio!r}")
    grid = prior.ratios()[:, None]
    # Of the two probabilities of an event only their ratio is formed: neither is near 0 or 1 then.
    in_control = np.log((shares * ratio + 1 - shares) / (shares * ratio * grid + 1 - shares))
    return np.log(grid) + in_control, in_control


def ratio_interval(
    variant_events: ArrayLike,
    control_events: ArrayLike,
    variant_shares: ArrayLike,
    *,
    alpha: float = 0.05,
) -> tuple[float, float]:
    """Return a confidence sequence of the ratio of rates, valid at all times together.

    The ratios that two-sided evidence does not reject at ``alpha``.

    Args:
        variant_events: Events in the variant, one count a stage.
        control_events: Events in the control, likewise.
        variant_shares: Share of units that had the variant, one a stage.
        alpha: Probability that the sequence ever misses the ratio.

    Returns:
        Lower and upper end; 0 and infinity where there is nothing to tell from.

    Examples:
        >>> low, high = ratio_interval([40], [20], [0.5])
        >>> 0.8 < low < 2 < high < 5.2
        True
    """
    in_variant = np.asarray(variant_events, dtype=np.float64)
    in_control = np.asarray(control_events, dtype=np.float64)
    if in_variant.sum() + in_control.sum() == 0:
        return (0.0, float("inf"))
    limit = -np.log(alpha)

    def surplus(log_ratio: float) -> float:
        ratio = float(np.exp(log_ratio))
        both = [
            float(log_e_ratio(in_variant, in_control, variant_shares, ratio=ratio, prior=prior))
            for prior in (RatioPrior(1.05, 20.0), RatioPrior(1 / 20.0, 1 / 1.05))
        ]
        return float(log_sum_exp(np.array(both)) - np.log(2) - limit)

    estimate = _estimate(in_variant, in_control, np.asarray(variant_shares, dtype=np.float64))
    centre = float(np.log(np.clip(estimate, 1e-6, 1e6)))
    low = _crossing(surplus, centre, -1) if in_variant.sum() else -np.inf
    high = _crossing(surplus, centre, 1) if in_control.sum() else np.inf
    return (float(np.exp(low)), float(np.exp(high)))


def _estimate(in_variant: Floats, in_control: Floats, shares: Floats) -> float:
    """Return the Mantel-Haenszel ratio of rates over stages."""
    upper = float((in_variant * (1 - shares)).sum())
    lower = float((in_control * shares).sum())
    return upper / lower if lower else float("inf")


def _crossing(evaluate: Callable[[float], float], centre: float, direction: int) -> float:
    """Return where evidence crosses its limit, away from the centre in one direction."""
    inside, outside = centre, centre
    for step in (0.1, 0.3, 1.0, 3.0, 10.0, 30.0):
        outside = centre + direction * step
        if evaluate(outside) > 0:
            break
        inside = outside
    else:
        return direction * np.inf
    if evaluate(inside) > 0:
        return inside
    return float(scipy.optimize.brentq(evaluate, inside, outside))
