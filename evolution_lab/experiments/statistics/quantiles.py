"""Quantiles and whole distributions, watched at all times: for display, and for shifts of shape.

References:
    Howard, Ramdas (2022), Sequential estimation of quantiles with applications to A/B testing and
    best-arm identification, Bernoulli 28(3): theorems 2, 3 and section 5.
    Lindon, Sanden, Shirikian (2022), Rapid regression detection in software deployments through
    sequential testing, arXiv 2205.14762.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray
from scipy.special import zeta

from evolution_lab.errors import InputError
from evolution_lab.experiments.statistics.time_uniform import beta_binomial_log_mixture

Floats = NDArray[np.float64]


def double_stitching_bound(
    quantile: float,
    n_obs: float,
    alpha: float,
    *,
    t_opt: float,
    delta: float = 0.5,
    s: float = 1.4,
    eta: float = 2.0,
) -> float:
    """Return how far counts stray from ``quantile * n_obs``, for all quantiles and times together.

    Examples:
        >>> round(double_stitching_bound(0.5, 1000, 0.05, t_opt=100), 3)
        68.628
    """
    k1 = (eta**0.25 + eta**-0.25) / math.sqrt(2)
    k2 = (math.sqrt(eta) + 1) / 2
    time = max(n_obs, t_opt)
    logit = math.log(quantile / (1 - quantile))
    reach = quantile
    if quantile < 0.5:
        moved = logit + 2 * delta * math.sqrt(t_opt * eta / time)
        reach = min(0.5, 1 / (1 + math.exp(-moved)))
    spread = reach * (1 - reach)
    epoch = math.sqrt(time / t_opt) * abs(logit) / (2 * delta) + 1
    zeta_s = float(zeta(s))
    level = s * math.log(math.log(eta * time / t_opt)) + s * math.log(epoch)
    level += math.log(2 * zeta_s * (2 * zeta_s + 1) / (alpha * math.log(eta) ** s))
    linear = k2 * (1 - 2 * quantile) / 3 * level
    drift = delta * math.sqrt(eta * time * spread / t_opt)
    return drift + math.sqrt(k1**2 * spread * time * level + linear**2) + linear


def quantile_interval(
    values: ArrayLike, quantile: float, *, alpha: float = 0.05, t_opt: float = 100.0
) -> tuple[float, float]:
    """Return a confidence sequence of a quantile: it holds for all quantiles and times together.

    Args:
        values: Observations, in any unit and order.
        quantile: Which quantile, between 0 and 1.
        alpha: Probability that any of the sequences ever misses.
        t_opt: Number of observations at which it is tightest.

    Returns:
        Two of the observations, or infinite where there are too few.

    Raises:
        InputError: If the quantile is not between 0 and 1.

    Examples:
        >>> quantile_interval(range(1, 1001), 0.5)
        (428.0, 573.0)
    """
    if not 0 < quantile < 1:
        raise InputError(f"a quantile lies between 0 and 1, got {quantile!r}")
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    n_obs = len(ordered)
    above = double_stitching_bound(quantile, n_obs, alpha / 2, t_opt=t_opt)
    below = double_stitching_bound(1 - quantile, n_obs, alpha / 2, t_opt=t_opt)
    low, high = math.floor(quantile * n_obs - below), math.ceil(quantile * n_obs + above)
    return (
        float(ordered[low - 1]) if low >= 1 else -math.inf,
        float(ordered[high]) if high < n_obs else math.inf,
    )


def empirical_process_lil_bound(
    n_obs: int, alpha: float, *, t_min: float, a: float = 0.85
) -> float:
    """Return how far an empirical distribution strays from the true one, at all times from ``t_min``.

    Examples:
        >>> round(empirical_process_lil_bound(1000, 0.05, t_min=100), 5)
        0.08205
    """
    if n_obs < t_min:
        return math.inf
    return a * math.sqrt((math.log1p(math.log(n_obs / t_min)) + _constant(alpha, a)) / n_obs)


@lru_cache(maxsize=32)
def _constant(alpha: float, a: float) -> float:
    """Return the smallest constant whose error, over the best epochs, is ``alpha``."""

    def error(constant: float) -> float:
        def largest(eta: float) -> float:
            return math.sqrt(eta / 2) + math.sqrt(2 * (eta - 1) / constant) - a

        def at(eta: float) -> float:
            gamma2 = 2 / eta * (a - math.sqrt(2 * (eta - 1) / constant)) ** 2
            if gamma2 <= 1 or eta <= 1:
                return 1e9
            return 4 * math.exp(-gamma2 * constant) * (1 + 1 / ((gamma2 - 1) * math.log(eta)))

        upper = float(scipy.optimize.brentq(largest, 1.0, 2 * a * a))
        found = scipy.optimize.minimize_scalar(
            at, bounds=(1.0, upper), method="bounded", options={"xatol": 1e-12}
        )
        return float(found.fun)

    return float(
        scipy.optimize.brentq(lambda constant: error(constant) - alpha, 2.0, 200.0, xtol=1e-10)
    )


def distributions_differ(
    control: ArrayLike, variant: ArrayLike, *, alpha: float = 0.05, t_min: float = 100.0
) -> bool | None:
    """Return whether two distributions differ anywhere, None where there are too few values.

    The bands around both empirical distributions do not overlap somewhere.

    Examples:
        >>> same, moved = range(2000), range(500, 2500)
        >>> distributions_differ(same, moved), distributions_differ(same, same)
        (True, False)
        >>> distributions_differ([1, 2], [3, 4]) is None
        True
    """
    first = np.sort(np.asarray(control, dtype=np.float64))
    second = np.sort(np.asarray(variant, dtype=np.float64))
    if min(len(first), len(second)) < t_min:
        return None
    points = np.concatenate([first, second])
    gap = np.abs(
        np.searchsorted(first, points, side="right") / len(first)
        - np.searchsorted(second, points, side="right") / len(second)
    ).max()
    bands = sum(
        empirical_process_lil_bound(len(arm), alpha / 2, t_min=t_min) for arm in (first, second)
    )
    return bool(gap > bands)


def quantile_ab_p_value(
    control: ArrayLike,
    variant: ArrayLike,
    *,
    quantile: float,
    t_opt: float,
    alpha_opt: float = 0.05,
) -> float:
    """Return the p-value, valid at all times, against "both arms have the same quantile".

    The evidence against the least unlikely common value.

    Examples:
        >>> p = quantile_ab_p_value(range(1, 1001), range(101, 1101), quantile=0.5, t_opt=100)
        >>> round(p, 5)
        0.00549
    """
    arms = [_ArmEvidence(values, quantile, t_opt, alpha_opt) for values in (control, variant)]
    least = _least_evidence(*sorted(arms, key=lambda arm: arm.upper))
    return float(min(1.0, math.exp(-max(least, -700.0))))


class _ArmEvidence:
    """Evidence of one arm against each value as its quantile."""

    def __init__(self, values: ArrayLike, quantile: float, t_opt: float, alpha_opt: float) -> None:
        self.ordered = np.sort(np.asarray(values, dtype=np.float64))
        self._quantile, self._t_opt, self._alpha_opt = quantile, t_opt, alpha_opt
        found = scipy.optimize.minimize_scalar(
            self._of_share, bounds=(0.0, 1.0), method="bounded", options={"xatol": 1e-8}
        )
        self._best = float(found.x)
        n_obs = len(self.ordered)
        self.lower = float(self.ordered[min(max(math.ceil(self._best * n_obs), 1), n_obs) - 1])
        self.upper = float(self.ordered[min(math.floor(self._best * n_obs), n_obs - 1)])

    def _of_share(self, share: float) -> float:
        n_obs, q = len(self.ordered), self._quantile
        return beta_binomial_log_mixture(
            (share - q) * n_obs,
            q * (1 - q) * n_obs,
            v_opt=self._t_opt * q * (1 - q),
            g=q,
            h=1 - q,
            alpha_opt=self._alpha_opt,
            one_sided=False,
        )

    def __call__(self, value: float) -> float:
        if value < self.lower:
            share = float(np.searchsorted(self.ordered, value, side="right")) / len(self.ordered)
        elif value > self.upper:
            share = float(np.searchsorted(self.ordered, value, side="left")) / len(self.ordered)
        else:
            share = self._best
        return self._of_share(share)


def _least_evidence(first: _ArmEvidence, second: _ArmEvidence) -> float:
    between = second.ordered[
        (second.ordered >= first.upper) & (second.ordered <= max(second.lower, first.upper))
    ]
    candidates = {first.upper, second.lower, *(float(value) for value in between)}
    return min(first(value) + second(value) for value in candidates)
