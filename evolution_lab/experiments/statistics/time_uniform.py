"""Boundaries that a sum crosses at any time with probability at most alpha.

For those who plan with them, and to check what the rest of this folder says. Each mixture is tuned by
``v_opt``, the intrinsic time (accumulated variance) at which its boundary is tightest.

Reference:
    Howard, Ramdas, McAuliffe, Sekhon (2021), Time-uniform, nonparametric, nonasymptotic confidence
    sequences, Annals of Statistics 49(2): propositions 5 to 10, theorem 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import scipy
from scipy.special import betainc, betaln, gammainc, gammaincc, gammaln, log_ndtr, zeta

from evolution_lab.errors import InputError

LogMixture = Callable[[float], float]
_LARGEST: Final = 2.0**50


def tuned_rho(v_opt: float, alpha: float = 0.05, *, one_sided: bool = True) -> float:
    """Return the spread of a normal mixture that is tightest at ``v_opt``.

    Examples:
        >>> round(tuned_rho(100), 4)
        15.8006
    """
    if v_opt <= 0 or not 0 < alpha < (0.5 if one_sided else 1):
        raise InputError(f"v_opt is above 0 and alpha a level, got {v_opt!r} and {alpha!r}")
    doubled = 2 * math.log(1 / (2 * alpha if one_sided else alpha))
    return v_opt / (doubled + math.log1p(doubled))


def normal_log_mixture(
    s: float, v: float, *, v_opt: float, alpha_opt: float = 0.05, one_sided: bool = True
) -> float:
    """Return the log mixture of a sum ``s`` with intrinsic time ``v``, for normal increments.

    Examples:
        >>> round(normal_log_mixture(10, 100, v_opt=100), 5)
        -0.06502
    """
    rho = tuned_rho(v_opt, alpha_opt, one_sided=one_sided)
    logarithm = 0.5 * math.log(rho / (v + rho)) + s * s / (2 * (v + rho))
    if one_sided:
        logarithm += math.log(2) + float(log_ndtr(s / math.sqrt(v + rho)))
    return logarithm


def normal_mixture_bound(
    v: float, alpha: float, *, v_opt: float, alpha_opt: float = 0.05, one_sided: bool = True
) -> float:
    """Return what the sum stays under at all times, for normal increments.

    Examples:
        >>> round(normal_mixture_bound(100, 0.05, v_opt=100), 3)
        27.661
    """
    if not one_sided:
        rho = tuned_rho(v_opt, alpha_opt, one_sided=False)
        return math.sqrt((v + rho) * (math.log1p(v / rho) - 2 * math.log(alpha)))
    return _bound(lambda s: normal_log_mixture(s, v, v_opt=v_opt, alpha_opt=alpha_opt), v, alpha)


def gamma_exponential_log_mixture(
    s: float, v: float, *, v_opt: float, c: float, alpha_opt: float = 0.05
) -> float:
    """Return the log mixture for sub-exponential increments of scale ``c``.

    Examples:
        >>> round(gamma_exponential_log_mixture(10, 100, v_opt=100, c=2), 5)
        -0.24902
    """
    rho = tuned_rho(v_opt, alpha_opt) / c**2
    shape, upper = v / c**2 + rho, s / c + v / c**2 + rho
    leading = rho * math.log(rho) - float(gammaln(rho)) - math.log(float(gammainc(rho, rho)))
    tail = float(gammaln(shape)) + math.log(float(gammainc(shape, upper)))
    return leading + tail - shape * math.log(upper) + upper - rho


def gamma_exponential_mixture_bound(
    v: float, alpha: float, *, v_opt: float, c: float, alpha_opt: float = 0.05
) -> float:
    """Return what the sum stays under at all times, for sub-exponential increments.

    Examples:
        >>> round(gamma_exponential_mixture_bound(100, 0.05, v_opt=100, c=2), 3)
        33.02
    """
    return _bound(
        lambda s: gamma_exponential_log_mixture(s, v, v_opt=v_opt, c=c, alpha_opt=alpha_opt),
        v,
        alpha,
    )


def gamma_poisson_log_mixture(
    s: float, v: float, *, v_opt: float, c: float, alpha_opt: float = 0.05
) -> float:
    """Return the log mixture for sub-Poisson increments of scale ``c``.

    Examples:
        >>> round(gamma_poisson_log_mixture(10, 100, v_opt=100, c=2), 5)
        -0.06991
    """
    rho = tuned_rho(v_opt, alpha_opt) / c**2
    rate = v / c**2 + rho
    shape = s / c + rate
    leading = rho * math.log(rho) - float(gammaln(rho)) - math.log(float(gammaincc(rho, rho)))
    tail = float(gammaln(shape)) + math.log(float(gammaincc(shape, rate)))
    return leading + tail - shape * math.log(rate) + rate - rho


def gamma_poisson_mixture_bound(
    v: float, alpha: float, *, v_opt: float, c: float, alpha_opt: float = 0.05
) -> float:
    """Return what the sum stays under at all times, for sub-Poisson increments.

    Examples:
        >>> round(gamma_poisson_mixture_bound(100, 0.05, v_opt=100, c=2), 3)
        30.195
    """
    return _bound(
        lambda s: gamma_poisson_log_mixture(s, v, v_opt=v_opt, c=c, alpha_opt=alpha_opt), v, alpha
    )


def beta_binomial_log_mixture(
    s: float,
    v: float,
    *,
    v_opt: float,
    g: float,
    h: float,
    alpha_opt: float = 0.05,
    one_sided: bool = True,
) -> float:
    """Return the log mixture for increments between ``-g`` and ``h``.

    Examples:
        >>> round(beta_binomial_log_mixture(10, 100, v_opt=100, g=0.2, h=0.8), 5)
        -0.07134
    """
    if g <= 0 or h <= 0:
        raise InputError(f"increments lie between -g and h, both above 0, got {g!r} and {h!r}")
    whole = g + h
    r = max(tuned_rho(v_opt, alpha_opt, one_sided=one_sided) - g * h, 1e-3 * g * h)
    upper = h / whole if one_sided else 1.0
    null = v / (g * h) * math.log(whole)
    null -= (v + h * s) / (h * whole) * math.log(g) + (v - g * s) / (g * whole) * math.log(h)
    after = _log_incomplete_beta(
        (r + v - g * s) / (g * whole), (r + v + h * s) / (h * whole), upper
    )
    return null + after - _log_incomplete_beta(r / (g * whole), r / (h * whole), upper)


def beta_binomial_mixture_bound(
    v: float,
    alpha: float,
    *,
    v_opt: float,
    g: float,
    h: float,
    alpha_opt: float = 0.05,
    one_sided: bool = True,
) -> float:
    """Return what the sum stays under at all times, for increments between ``-g`` and ``h``.

    Examples:
        >>> round(beta_binomial_mixture_bound(100, 0.05, v_opt=100, g=0.2, h=0.8), 3)
        28.412
    """

    def logarithm(s: float) -> float:
        return beta_binomial_log_mixture(
            s, v, v_opt=v_opt, g=g, h=h, alpha_opt=alpha_opt, one_sided=one_sided
        )

    largest = v / g
    if logarithm(largest) < -math.log(alpha):
        return largest
    return float(
        scipy.optimize.brentq(lambda s: logarithm(s) + math.log(alpha), 0.0, largest, xtol=1e-10)
    )


def poly_stitching_bound(
    v: float, alpha: float, *, v_min: float, c: float = 0.0, s: float = 1.4, eta: float = 2.0
) -> float:
    """Return a boundary in closed form that grows like the law of the iterated logarithm.

    Examples:
        >>> round(poly_stitching_bound(100, 0.05, v_min=10, c=3), 3)
        64.488
    """
    time = max(v, v_min)
    k1 = (eta**0.25 + eta**-0.25) / math.sqrt(2)
    k2 = (math.sqrt(eta) + 1) / 2
    level = s * math.log(math.log(eta * time / v_min))
    level += math.log(float(zeta(s)) / (alpha * math.log(eta) ** s))
    linear = k2 * c * level
    return math.sqrt(k1**2 * time * level + linear**2) + linear


def bernoulli_confidence_interval(
    successes: float, n_obs: int, alpha: float, *, t_opt: float, alpha_opt: float = 0.05
) -> tuple[float, float]:
    """Return a confidence sequence of a share, tightest after ``t_opt`` observations.

    Examples:
        >>> low, high = bernoulli_confidence_interval(700, 1000, 0.05, t_opt=100)
        >>> round(low, 4), round(high, 4)
        (0.6516, 0.7459)
    """
    estimate = successes / n_obs

    def surplus(share: float) -> float:
        spread = share * (1 - share)
        logarithm = beta_binomial_log_mixture(
            (estimate - share) * n_obs,
            spread * n_obs,
            v_opt=spread * t_opt,
            g=share,
            h=1 - share,
            alpha_opt=alpha_opt,
            one_sided=False,
        )
        return logarithm + math.log(alpha)

    tiny = 1e-12
    low = (
        scipy.optimize.brentq(surplus, tiny, estimate)
        if estimate > 0 and surplus(tiny) > 0
        else 0.0
    )
    high = (
        scipy.optimize.brentq(surplus, estimate, 1 - tiny)
        if estimate < 1 and surplus(1 - tiny) > 0
        else 1.0
    )
    return (float(low), float(high))


def _log_incomplete_beta(a: float, b: float, upper: float) -> float:
    whole = float(betaln(a, b))
    return whole if upper == 1.0 else whole + math.log(float(betainc(a, b, upper)))


def _bound(logarithm: LogMixture, v: float, alpha: float) -> float:
    """Return where the log mixture reaches ``-log(alpha)``."""
    threshold = -math.log(alpha)
    upper = max(v, 1.0)
    while logarithm(upper) <= threshold:
        upper *= 2
        if upper > _LARGEST:
            raise InputError(f"no boundary is found at time {v!r} and level {alpha!r}")
    return float(scipy.optimize.brentq(lambda s: logarithm(s) - threshold, 0.0, upper, xtol=1e-10))
