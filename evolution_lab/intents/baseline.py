"""Trailing baselines that stay clean of the incidents they are used to find.

Window by window, every operation is judged against up to 96 earlier windows; later, when no horizon
reaches back to it any more, the window joins the baseline or not. It stays out where it looks abnormal for its operation (``p < 1e-3``), or where
the whole lab looks abnormal and this operation is on the suspicious side (``p < 0.5``): a fault that
is weak in one operation is strong in its neighbours. After 12 abnormal windows in a row the new
level is taken for normal: a lasting step is re-learnt. Nothing looks ahead, so that results do not
change when later data arrives. These levels shape the baseline only; what is said is decided in
``decide``, which alone knows a budget.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from evolution_lab.intents.tails import (
    cauchy_tail,
    cauchy_tails,
    cauchy_terms,
    intra_window_correlation,
)

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

LENGTH: Final = 96
"""Windows a baseline holds at most: a day of the default window length."""
MINIMUM: Final = 12
"""Windows a baseline needs before anything is judged."""
OWN_LEVEL: Final = 1e-3
LAB_LEVEL: Final = 0.05
SUSPICIOUS: Final = 0.5
RELEARN_AFTER: Final = 12
LEAST_CORRELATION: Final = 1e-3
"""Calls of one window are taken to be at least this much alike, however steady they looked."""
HORIZONS: Final = (1, 2, 4, 8, 16)
"""Windows that one test covers."""
SPEEDS: Final = ((1, 2), (4, 8, 16))
"""Horizons that are said apart: fast ones that see a new fault, slow ones that see a small one.

A long horizon remembers the last fault for as long as it reaches; told together, what is over would
hide what begins.
"""
LAG: Final = 4
"""Windows between the newest one and the baseline, once there is one.

A baseline that took in the windows under test would learn a small lasting shift before it is seen;
one that lies far back would take every drift for a fault.
"""


@dataclass(frozen=True, eq=False)
class Judged:
    """One window judged: rows are a model's channels, columns the operations.

    Attributes:
        p_values: NaN where an operation was not judged.
        observed: Observed counts.
        trials: Out of how many (the horizon's calls), or the expected number for throughput.
        share: Expected share, or the expected number of calls.
        dispersion: Intra-window correlation, or the dispersion of the number of calls.
    """

    p_values: Floats
    observed: Floats
    trials: Floats
    share: Floats
    dispersion: Floats


class TrailingModel(Protocol):
    """A family of tests that share one baseline; a channel is one test."""

    channels: int

    def judge(self, t: int) -> Judged:
        """Judge window ``t`` against what was learnt so far."""

    def learn(self, t: int, judged: Judged, include: Mask, normal: Mask) -> None:
        """Take window ``t`` into the baseline of the operations in ``include``.

        ``normal`` are those of them that were judged and looked normal: only they tell how much
        windows vary.
        """


def walk(model: TrailingModel, *, windows: int, live: Mask) -> list[Judged]:
    """Judge every window in order, and let the model learn from the normal ones.

    Args:
        model: The tests.
        windows: How many windows there are.
        live: Which operations exist at which window, shape ``(windows, m)``.

    Returns:
        One ``Judged`` a window.
    """
    streak = np.zeros(live.shape[1], dtype=np.int64)
    results = []
    waiting: deque[tuple[int, Judged, Mask, Mask]] = deque()
    for t in range(windows):
        judged = model.judge(t)
        tested = ~np.isnan(judged.p_values)
        p = np.where(tested, judged.p_values, 1.0).min(axis=0, initial=1.0)
        p = np.minimum(p * model.channels, 1.0)
        lab = _lab_p_value(judged.p_values[tested])
        abnormal = (p < OWN_LEVEL) | ((lab < LAB_LEVEL) & (p < SUSPICIOUS))
        streak = np.where(abnormal, streak + 1, 0)
        include = live[t] & (~abnormal | (streak > RELEARN_AFTER))
        waiting.append((t, judged, include, include & ~abnormal & tested.any(axis=0)))
        while len(waiting) > min(LAG, max(t - MINIMUM, 0)):
            model.learn(*waiting.popleft())
        results.append(judged)
    return results


def _lab_p_value(p_values: Floats) -> float:
    return cauchy_tail(float(cauchy_terms(p_values).mean())) if len(p_values) > 2 else 1.0


class Ring:
    """Sums over the last ``LENGTH`` windows, per row and column."""

    def __init__(self, *shape: int) -> None:
        self._slots = np.zeros((LENGTH, *shape))
        self.total = np.zeros(shape)

    def push(self, t: int, values: Floats) -> None:
        """Add the values of window ``t``; those of window ``t - LENGTH`` fall out."""
        slot = t % LENGTH
        self.total += values - self._slots[slot]
        self._slots[slot] = values


class ShareMemory:
    """How much shares vary between windows, learnt from the counts of earlier normal windows.

    The counts are those of each channel and horizon as they were judged, so that drift,
    autocorrelation and traces that bunch calls widen the prediction instead of raising alarms.
    """

    PRIOR: Final = 0.03
    PRIOR_WINDOWS: Final = 5.0
    LEAST_SPREAD: Final = 0.1
    """However steady it looked, a rare share is taken to vary by a tenth of itself."""

    def __init__(self, channels: int, operations: int, *, rare: bool = False) -> None:
        self._rare = rare
        self._sums = {name: Ring(channels, operations) for name in ("xx", "xn", "nn", "n")}

    def correlation(self, share: Floats, calls_per_window: Floats) -> Floats:
        """Return the intra-window correlation for today's share, shape ``(channels, operations)``.

        Residuals are taken against today's share, not the one of their time: a share that was
        underestimated when failures were few would make every later failure look like a cluster.
        """
        xx, xn, nn, n = (self._sums[name].total for name in ("xx", "xn", "nn", "n"))
        spread = np.maximum(share * (1.0 - share), 1e-9)
        squared = np.maximum(xx - 2.0 * share * xn + share**2 * nn, 0.0) / spread
        prior_pairs = (
            self.PRIOR_WINDOWS * calls_per_window * np.maximum(calls_per_window - 1.0, 0.5)
        )
        return intra_window_correlation(
            squared,
            n,
            nn - n,
            prior=self.PRIOR,
            prior_pairs=prior_pairs,
            least=np.minimum(self.LEAST_SPREAD**2 * share / (1.0 - share), LEAST_CORRELATION)
            if self._rare
            else np.full_like(share, LEAST_CORRELATION),
        )

    def learn(self, t: int, judged: Judged, normal: Mask) -> None:
        """Remember the counts of window ``t`` for the operations that looked normal."""
        used = normal & ~np.isnan(judged.p_values)
        x, n = np.where(used, judged.observed, 0.0), np.where(used, judged.trials, 0.0)
        for name, value in (("xx", x * x), ("xn", x * n), ("nn", n * n), ("n", n)):
            self._sums[name].push(t, value)


def predictive_correlation(
    correlation: Floats, calls_per_window: Floats, baseline_calls: Floats
) -> Floats:
    """Add the uncertainty of a baseline of finite size to the intra-window correlation.

    The variance of the baseline's share is ``p q (1 + (n - 1) rho) / N``; as a part of the
    predictive variance it acts like more correlation.
    """
    design_effect = 1.0 + np.maximum(calls_per_window - 1.0, 0.0) * correlation
    return np.clip(correlation + design_effect / np.maximum(baseline_calls, 1.0), 1e-6, 0.9)


def trailing(values: Floats, t: int, horizon: int) -> Floats:
    """Return the sum of the last ``horizon`` rows up to and including row ``t``; NaN counts as 0."""
    block = values[max(0, t - horizon + 1) : t + 1]
    total: Floats = np.nansum(block, axis=0)
    return total


def best_channel(judged: Sequence[Judged], rows: Sequence[int]) -> dict[str, Floats]:
    """Combine channels of one metric by the Cauchy combination test, and keep the strongest.

    Args:
        judged: One a window.
        rows: The channels of the metric.

    Returns:
        Arrays of shape ``(T, m)``: ``p_value`` (NaN where untested), ``channel`` (the deciding row)
        and the deciding channel's ``observed``, ``trials``, ``share``, ``dispersion``.
    """
    chosen = list(rows)
    p = np.stack([j.p_values[chosen] for j in judged])
    tested = ~np.isnan(p)
    filled = np.where(tested, p, 2.0)
    best = filled.argmin(axis=1)
    count = np.maximum(tested.sum(axis=1), 1)
    picked = {
        name: np.take_along_axis(
            np.stack([getattr(j, name)[chosen] for j in judged]), best[:, None], axis=1
        )[:, 0]
        for name in ("observed", "trials", "share", "dispersion")
    }
    terms = np.where(tested, cauchy_terms(np.where(tested, p, 0.5)), 0.0)
    p_value = np.where(tested.any(axis=1), cauchy_tails(terms.sum(axis=1) / count), np.nan)
    return {"p_value": p_value, "channel": np.asarray(chosen)[best].astype(np.float64), **picked}
