"""Regression behind attribution: which of several carriers remain, and whether size carries it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy

LEVEL: Final = 0.01
FEWEST: Final = 10
"""Affected and unaffected calls without which size says nothing."""
LEAST_AUC: Final = 0.7
"""Probability that an affected call is larger than an unaffected one, from which on size is named."""


def rate_difference(hit: int, calls: int, other_hit: int, other_calls: int) -> list[float] | None:
    """Return Newcombe's (1998) 95 % interval of a difference of rates, None without calls.

    It is a list, as JSON gives it back.

    Examples:
        >>> low, high = rate_difference(50, 100, 5, 100)
        >>> round(low, 2), round(high, 2)
        (0.34, 0.55)
    """
    if not calls or not other_calls:
        return None
    from statsmodels.stats.proportion import confint_proportions_2indep

    low, high = confint_proportions_2indep(hit, calls, other_hit, other_calls, method="newcomb")
    return [float(low), float(high)]


def remaining_carriers(calls: pl.DataFrame, named: Mapping[str, str]) -> set[str]:
    """Return the dimensions that still carry the shift beside each other.

    A tenant that only calls the new version is named with it; a logistic regression of affected calls
    on one indicator a dimension, with robust (HC1) errors, keeps those that add to the others. Where
    the regression cannot be fitted (one value separates perfectly) all are kept.

    Args:
        calls: Calls of the episode, with a Boolean column ``affected``.
        named: The value that carries it, by column.
    """
    if len(named) < 2:
        return set(named)
    indicators = np.column_stack(
        [
            (calls[column] == value).fill_null(value=False).to_numpy().astype(float)
            for column, value in named.items()
        ]
    )
    import statsmodels.api as sm

    design = sm.add_constant(indicators, has_constant="add")
    if np.linalg.matrix_rank(design) < design.shape[1]:
        return set(named)  # They cannot be told apart.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            fitted = sm.GLM(
                calls["affected"].to_numpy().astype(float), design, family=sm.families.Binomial()
            ).fit(cov_type="HC1")
    except (Warning, ValueError, np.linalg.LinAlgError):
        return set(named)
    kept = {
        column
        for column, coefficient, p in zip(named, fitted.params[1:], fitted.pvalues[1:], strict=True)
        if coefficient > 0 and p <= LEVEL
    }
    return kept or set(named)


def payload_carrier(calls: pl.DataFrame) -> dict[str, Any] | None:
    """Say whether affected calls are the large ones.

    Mann and Whitney's (1947) test of sizes, affected against not; the effect is the probability that
    an affected call is the larger one, with Hanley and McNeil's (1982) interval.

    Args:
        calls: Calls of the episode, with ``payload_bytes`` and a Boolean column ``affected``.

    Returns:
        ``value`` (the size that tells them apart best, in words), ``bytes``, ``auc``, its
        ``interval``, ``carried`` (share of the affected calls of that size or more), ``calls`` and
        ``pValue``; None where size says nothing.
    """
    sized = calls.drop_nulls("payload_bytes")
    if sized.height < calls.height / 2:
        return None
    sizes = sized["payload_bytes"].to_numpy().astype(float)
    hit = sized["affected"].to_numpy()
    large, small = sizes[hit], sizes[~hit]
    if min(len(large), len(small)) < FEWEST or large.max() == small.min():
        return None
    test = scipy.stats.mannwhitneyu(large, small, alternative="greater")
    auc = float(test.statistic) / (len(large) * len(small))
    if auc < LEAST_AUC or test.pvalue > LEVEL:
        return None
    cut = _best_cut(large, small)
    return {
        "value": f"{cut:,.0f} bytes or more",
        "bytes": cut,
        "carried": float((large >= cut).mean()),
        "calls": int((sizes >= cut).sum()),
        "auc": auc,
        "interval": list(_auc_interval(auc, len(large), len(small))),
        "pValue": float(test.pvalue),
    }


def _best_cut(large: npt.NDArray[np.float64], small: npt.NDArray[np.float64]) -> float:
    """Return the size that separates the two best (Youden 1950)."""
    cuts = np.unique(large)
    sensitivity = 1.0 - np.searchsorted(np.sort(large), cuts, side="left") / len(large)
    false = 1.0 - np.searchsorted(np.sort(small), cuts, side="left") / len(small)
    return float(cuts[int((sensitivity - false).argmax())])


def _auc_interval(auc: float, n: int, m: int) -> tuple[float, float]:
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = (auc * (1 - auc) + (n - 1) * (q1 - auc**2) + (m - 1) * (q2 - auc**2)) / (n * m)
    reach = 1.96 * math.sqrt(max(variance, 0.0))
    return max(auc - reach, 0.0), min(auc + reach, 1.0)
