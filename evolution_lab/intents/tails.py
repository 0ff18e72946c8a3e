"""Tail probabilities of counts, accurate where it matters: far out, and with over-dispersion.

Calls of one window are not independent (they share a machine, a trace, a minute), so a count out of
``n`` is modelled as beta-binomial and a number of calls as negative binomial. Both predictive
distributions carry the uncertainty of a baseline of finite length. ``scipy.stats.betabinom.sf`` is
``1 - cdf`` and cannot go below 1e-16; the sums here run from the tail inwards instead.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import betainc, betaincc, betaln, gammaln, ndtr

Floats = npt.NDArray[np.float64]

_SMALL_N: Final = 100
_LARGE_N: Final = 20_000
"""From here on the beta-binomial is its own beta limit to better than the model is true."""
_SMALLEST: Final = 1e-300


def beta_binomial_upper(x: Floats, n: Floats, share: Floats, correlation: Floats) -> Floats:
    r"""Return P(X >= x) for a beta-binomial count.

    The law has mean ``n * share`` and variance
    ``n * share * (1 - share) * (1 + (n - 1) * correlation)``: ``correlation`` is the intra-window
    correlation of two calls (Skellam 1948).

    Args:
        x: Observed counts, 0 to ``n``.
        n: Trials.
        share: Expected share, strictly between 0 and 1.
        correlation: Intra-class correlation, strictly between 0 and 1.

    Returns:
        Probabilities, same shape; never below 1e-300.

    Examples:
        >>> import numpy as np
        >>> one = np.array([1.0])
        >>> float(beta_binomial_upper(3 * one, 3 * one, 0.5 * one, 1e-9 * one).round(6)[0])
        0.125
    """
    size = 1.0 / correlation - 1.0
    a, b = share * size, (1.0 - share) * size
    mean = n * share
    spread = np.sqrt(mean * (1 - share) * (1 + (n - 1) * correlation))
    # Near the mean (two spreads, one of a small count) nothing is surprising, and a normal curve says so cheaply.
    result = np.where(x > 0, ndtr((mean - x + 0.5) / np.maximum(spread, 1e-12)), 1.0)
    surprising = (x > 0) & (x > mean + np.where(n <= _SMALL_N, 1.0, 2.0) * spread)
    large = surprising & (n > _LARGE_N)
    result[large] = betaincc(a, b, np.clip((x - 0.5) / np.maximum(n, 1.0), 0.0, 1.0))[large]
    exact = surprising & ~large
    if exact.any():
        result[exact] = _upper_sum(x[exact], n[exact], a[exact], b[exact])
    clipped: Floats = np.clip(result, _SMALLEST, 1.0)
    return clipped


def _upper_sum(x: Floats, n: Floats, a: Floats, b: Floats) -> Floats:
    """Sum the beta-binomial probabilities from ``x`` up to ``n`` by their ratio."""
    log_term = (
        gammaln(n + 1)
        - gammaln(x + 1)
        - gammaln(n - x + 1)
        + betaln(x + a, n - x + b)
        - betaln(a, b)
    )
    ratio_sum = np.ones_like(x)
    left = np.arange(len(x))
    term, k = np.ones_like(x), x.copy()
    while len(left):
        n_left, a_left, b_left = n[left], a[left], b[left]
        term = term * (n_left - k) * (a_left + k) / ((k + 1) * (b_left + n_left - k - 1))
        k = k + 1
        ratio_sum[left] += term
        more = (k < n_left) & (term > 1e-14 * ratio_sum[left])
        left, term, k = left[more], term[more], k[more]
    total: Floats = np.exp(np.maximum(log_term + np.log(ratio_sum), np.log(_SMALLEST)))
    return total


def negative_binomial_lower(x: Floats, mean: Floats, dispersion: Floats) -> Floats:
    """Return P(N <= x) for a negative binomial count of variance ``mean + dispersion * mean**2``.

    Examples:
        >>> import numpy as np
        >>> one = np.array([1.0])
        >>> round(float(negative_binomial_lower(0 * one, 3 * one, 1e-9 * one)[0]), 4)
        0.0498
    """
    size = 1.0 / dispersion
    probability = betainc(size, x + 1.0, size / (size + mean))
    result: Floats = np.clip(probability, _SMALLEST, 1.0)
    return result


def cauchy_terms(p_values: Floats) -> Floats:
    """Return ``tan((0.5 - p) * pi)``, the terms of the Cauchy combination, without overflow."""
    p = np.clip(p_values, _SMALLEST, 0.999)
    terms: Floats = np.where(p < 1e-9, 1.0 / (np.pi * p), np.tan((0.5 - p) * np.pi))
    return terms


def cauchy_tail(statistic: float) -> float:
    """Return the p-value of a mean of Cauchy terms.

    Liu & Xie (2020), "Cauchy combination test", JASA 115:393-402: the tail of the mean is that of
    one standard Cauchy variable whatever the dependence between the p-values, which is why it can
    combine operations that call each other.

    Examples:
        >>> round(cauchy_tail(float(cauchy_terms(np.array([0.01]))[0])), 6)
        0.01
    """
    if statistic > 1e6:
        return 1.0 / (np.pi * statistic)
    return float(0.5 - np.arctan(statistic) / np.pi)


def cauchy_tails(statistics: Floats) -> Floats:
    """Return ``cauchy_tail`` of each statistic."""
    large = statistics > 1e6
    far = 1.0 / (np.pi * np.where(large, statistics, 1.0))
    tails: Floats = np.where(large, far, 0.5 - np.arctan(statistics) / np.pi)
    return tails


def intra_window_correlation(
    squared: Floats,
    trials: Floats,
    pairs: Floats,
    *,
    prior: float,
    prior_pairs: Floats,
    least: Floats,
) -> Floats:
    """Estimate the intra-window correlation by moments, shrunk to a prior.

    With ``E[(x - n p)^2 / (p q)] = n + n (n - 1) correlation`` the sums over the baseline's windows
    give the estimate; ``prior_pairs`` says how many pairs of calls the prior is worth.

    Args:
        squared: Sum of ``(x - n p)**2 / (p q)``.
        trials: Sum of ``n``.
        pairs: Sum of ``n (n - 1)``.
        prior: Correlation assumed without data.
        prior_pairs: Weight of the prior, in pairs.
        least: The smallest correlation returned.
    """
    estimate = (squared - trials + prior * prior_pairs) / np.maximum(pairs + prior_pairs, 1e-12)
    result: Floats = np.clip(estimate, least, 0.5)
    return result
