"""Evidence of several kinds as one: over guardrails, and over many experiments.

References:
    Vovk, Wang (2021), E-values: calibration, combination and applications, Annals of Statistics 49(3).
    Wang, Ramdas (2022), False discovery rate control with e-values, JRSS B 84(3).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evolution_lab.errors import InputError


def log_sum_exp(logarithms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the logarithm of the sum of exponentials over the last axis.

    scipy's serves arrays of every library and spends 100 microseconds a call on finding out which;
    a decision of a rollout makes several.

    Examples:
        >>> float(log_sum_exp(np.log([1.0, 2.0, 5.0]))) == float(np.log(8.0))
        True
        >>> float(log_sum_exp(np.array([-np.inf, -np.inf])))
        -inf
    """
    highest = logarithms.max(axis=-1, keepdims=True)
    shift = np.where(np.isfinite(highest), highest, 0.0)
    with np.errstate(divide="ignore"):
        total = np.log(np.exp(logarithms - shift).sum(axis=-1))
    return np.asarray(total + shift[..., 0], dtype=np.float64)


def log_weighted_mean(
    log_e_values: ArrayLike, weights: ArrayLike, *, axis: int = 0
) -> NDArray[np.float64]:
    """Return the logarithm of a weighted mean of e-values, which is an e-value again.

    A union of guardrails is tested by it at the whole ``alpha``: it never fires later than a
    split of ``alpha`` in proportion to the weights.

    Args:
        log_e_values: Natural logarithms.
        weights: Their weights, which sum to 1.
        axis: Where the kinds of evidence are.

    Raises:
        InputError: If the weights do not sum to 1.

    Examples:
        >>> round(float(np.exp(log_weighted_mean(np.log([40.0, 1.0]), [0.5, 0.5]))), 6)
        20.5
    """
    share = np.asarray(weights, dtype=np.float64)
    if abs(float(share.sum()) - 1) > 1e-9 or np.any(share < 0):
        raise InputError(f"weights are not negative and sum to 1, got {share.tolist()}")
    logs = np.moveaxis(np.asarray(log_e_values, dtype=np.float64), axis, -1)
    with np.errstate(divide="ignore"):
        return log_sum_exp(logs + np.log(share))


def e_bh(log_e_values: Sequence[float], *, alpha: float = 0.05) -> tuple[bool, ...]:
    """Return which of many hypotheses are rejected, with a false discovery rate of ``alpha``.

    It holds under any dependence between the experiments.

    Args:
        log_e_values: One natural logarithm an experiment.
        alpha: False discovery rate.

    Examples:
        >>> e_bh([5.0, 4.5, 0.1, -3.0])
        (True, True, False, False)
        >>> e_bh([])
        ()
    """
    n_hypotheses = len(log_e_values)
    order = sorted(range(n_hypotheses), key=lambda index: -log_e_values[index])
    rejected = 0
    for rank, index in enumerate(order, start=1):
        if log_e_values[index] >= np.log(n_hypotheses / (alpha * rank)):
            rejected = rank
    chosen = set(order[:rejected])
    return tuple(index in chosen for index in range(n_hypotheses))
