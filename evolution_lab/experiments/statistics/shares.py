"""Is a share above its boundary? Exact evidence from two counts, for errors and for slow requests.

"p99 at most 750 ms" says the same as "at most 1 % take longer than 750 ms", so that a quantile is
guarded by the counter of slow requests: no latency is kept, no sketch adds its error.

References:
    Robbins (1970), Statistical methods related to the law of the iterated logarithm.
    Howard, Ramdas, McAuliffe, Sekhon (2021), Time-uniform, nonparametric, nonasymptotic
    confidence sequences, Annals of Statistics 49(2).
"""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainc, betaln

from evolution_lab.errors import InputError

Floats = NDArray[np.float64]


def log_e_share_above(
    failures: ArrayLike, n_obs: ArrayLike, boundary: float, *, a: float = 0.5, b: float = 0.5
) -> Floats:
    """Return the log e-value against "the share is at most ``boundary``".

    A mixture over all shares above the boundary, each weighted as Beta(``a``, ``b``) truncated to
    them. It holds for shares that drift, as long as they stay at or under the boundary.

    Args:
        failures: Counts of failed (or slow) ones.
        n_obs: Counts of all.
        boundary: The largest share that is harmless, between 0 and 1.
        a: First parameter of the mixing distribution.
        b: Second parameter of it.

    Returns:
        Natural logarithms; minus infinity far inside the hypothesis, never a large value there.

    Raises:
        InputError: If the boundary is not a share.

    Examples:
        >>> float(log_e_share_above(9, 60, 0.05)) > 2
        True
        >>> float(log_e_share_above(1500, 73_000, 0.05)) < 0
        True
    """
    return _log_e(failures, n_obs, boundary, a, b, above=True)


def log_e_share_below(
    failures: ArrayLike, n_obs: ArrayLike, boundary: float, *, a: float = 0.5, b: float = 0.5
) -> Floats:
    """Return the log e-value against "the share is at least ``boundary``": proof of safety.

    Args:
        failures: Counts of failed (or slow) ones.
        n_obs: Counts of all.
        boundary: The smallest share that is harm.
        a: First parameter of the mixing distribution.
        b: Second parameter of it.

    Raises:
        InputError: If the boundary is not a share.

    Examples:
        >>> float(log_e_share_below(20, 1000, 0.05)) > 3
        True
    """
    return _log_e(failures, n_obs, boundary, a, b, above=False)


def _log_e(
    failures: ArrayLike, n_obs: ArrayLike, boundary: float, a: float, b: float, *, above: bool
) -> Floats:
    if not 0 < boundary < 1:
        raise InputError(f"a boundary of {boundary!r} is no share: it lies between 0 and 1")
    failed = np.asarray(failures, dtype=np.float64)
    passed = np.asarray(n_obs, dtype=np.float64) - failed
    # An underflowing tail must give no evidence at all: a floor such as 1e-300 would turn it
    # into overwhelming evidence, since the binomial term beside it is as small.
    with np.errstate(divide="ignore"):
        if above:
            tail = np.log(betainc(b + passed, a + failed, 1 - boundary))
            prior = np.log(betainc(b, a, 1 - boundary))
        else:
            tail = np.log(betainc(a + failed, b + passed, boundary))
            prior = np.log(betainc(a, b, boundary))
    mixed = betaln(a + failed, b + passed) + tail - betaln(a, b) - prior
    null = failed * np.log(boundary) + passed * np.log1p(-boundary)
    return np.asarray(mixed - null, dtype=np.float64)


def share_interval(failures: int, n_obs: int, *, alpha: float = 0.05) -> tuple[float, float]:
    """Return a confidence sequence of a share: it holds at all times together.

    The shares that a Beta(1/2, 1/2) mixture does not reject at ``alpha``.

    Args:
        failures: How many failed.
        n_obs: How many there were.
        alpha: Probability that the sequence ever misses the share.

    Examples:
        >>> low, high = share_interval(50, 1000)
        >>> 0.02 < low < 0.05 < high < 0.08
        True
        >>> share_interval(0, 0)
        (0.0, 1.0)
    """
    if n_obs <= 0:
        return (0.0, 1.0)
    a = b = 0.5
    passed = n_obs - failures
    mixed = float(betaln(a + failures, b + passed) - betaln(a, b))
    limit = -np.log(alpha)

    def surplus(share: float) -> float:
        null = failures * np.log(share) if failures else 0.0
        null += passed * np.log1p(-share) if passed else 0.0
        return float(mixed - null - limit)

    estimate = min(max(failures / n_obs, 1e-12), 1 - 1e-12)
    tiny = 1e-15
    low = scipy.optimize.brentq(surplus, tiny, estimate) if failures and surplus(tiny) > 0 else 0.0
    high = (
        scipy.optimize.brentq(surplus, estimate, 1 - tiny)
        if passed and surplus(1 - tiny) > 0
        else 1.0
    )
    return (float(low), float(high))
