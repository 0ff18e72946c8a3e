"""Error spikes: more failures than the trailing baseline explains.

Test: failures of a window as a beta-binomial count out of the calls whose outcome is recorded,
against the share of the trailing baseline. The intra-window correlation is estimated from the
operation's own past windows; the baseline's finite size widens the prediction. Three horizons (1, 4
and 12 windows) share one p-value by Bonferroni: a burst shows in one window, a small lasting rise or
thin traffic in twelve.

Client errors (4xx of a server: 401, 404, 422, 429 …) are a metric of their own and never part of
the server's error rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.special import betaincinv

from evolution_lab.intents.baseline import (
    HORIZONS,
    MINIMUM,
    SPEEDS,
    Judged,
    Ring,
    ShareMemory,
    best_channel,
    predictive_correlation,
    trailing,
    walk,
)
from evolution_lab.intents.evidence import evidence_frame
from evolution_lab.intents.tails import beta_binomial_upper
from evolution_lab.intents.view import DetectionView, Floats

_PSEUDO: Final = 0.5
"""Jeffreys' half an error and half a success: a baseline without errors is not a promise of none."""


class ErrorShares:
    """The trailing model of failures out of calls."""

    channels = len(HORIZONS)

    def __init__(self, errors: Floats, outcomes: Floats) -> None:
        self._errors, self._outcomes = errors, outcomes
        operations = errors.shape[1]
        self._failed = Ring(operations)
        self._trials = Ring(operations)
        self._windows = Ring(operations)
        self._memory = ShareMemory(self.channels, operations, rare=True)

    def judge(self, t: int) -> Judged:
        """Judge the sums of the windows that end with ``t``."""
        baseline = self._trials.total
        per_window = baseline / np.maximum(self._windows.total, 1.0)
        share = (self._failed.total + _PSEUDO) / (baseline + 2 * _PSEUDO)
        correlation = self._memory.correlation(share, per_window)
        dispersion = predictive_correlation(correlation, per_window, baseline)
        observed = np.stack([trailing(self._errors, t, h) for h in HORIZONS])
        trials = np.stack([trailing(self._outcomes, t, h) for h in HORIZONS])
        ready = (self._windows.total >= MINIMUM) & (np.nan_to_num(self._outcomes[t]) > 0)
        p = beta_binomial_upper(
            observed, np.maximum(trials, 1.0), np.broadcast_to(share, observed.shape), dispersion
        )
        return Judged(
            p_values=np.where(ready, p, np.nan),
            observed=observed,
            trials=trials,
            share=np.broadcast_to(share, observed.shape),
            dispersion=dispersion,
        )

    def learn(
        self, t: int, judged: Judged, include: npt.NDArray[np.bool_], normal: npt.NDArray[np.bool_]
    ) -> None:
        """Take the window's failures and calls into the baseline."""
        outcomes = np.nan_to_num(self._outcomes[t])
        used = include & (outcomes > 0)
        self._failed.push(t, np.where(used, np.nan_to_num(self._errors[t]), 0.0))
        self._trials.push(t, np.where(used, outcomes, 0.0))
        self._windows.push(t, used.astype(np.float64))
        self._memory.learn(t, judged, normal)


@dataclass(frozen=True)
class ErrorSpikeDetector:
    """Evidence that more calls fail than before; metrics ``error-rate`` and ``client-error-rate``."""

    name: str = "error-spike"

    def __call__(self, view: DetectionView) -> pl.DataFrame:
        """Return one row an operation, metric and window that could be judged."""
        asked = np.where(np.isnan(view.client_errors), np.nan, view.calls)
        return pl.concat(
            [
                self._metric(view, "error-rate", view.errors, view.outcomes),
                self._metric(view, "client-error-rate", view.client_errors, asked),
            ]
        )

    def _metric(
        self, view: DetectionView, metric: str, errors: Floats, outcomes: Floats
    ) -> pl.DataFrame:
        count = len(view.starts)
        if not count or not np.nansum(errors):
            return evidence_frame(
                view,
                detector=self.name,
                metric=metric,
                columns={"p_value": np.full(view.calls.shape, np.nan)},
            )
        judged = walk(ErrorShares(errors, outcomes), windows=count, live=view.live)
        return pl.concat([self._told(view, metric, judged, speed) for speed in SPEEDS])

    def _told(
        self, view: DetectionView, metric: str, judged: Sequence[Judged], speed: Sequence[int]
    ) -> pl.DataFrame:
        best = best_channel(judged, [HORIZONS.index(horizon) for horizon in speed])
        trials = np.maximum(best["trials"], 1.0)
        rate = best["observed"] / trials
        low, high = share_interval(best["observed"], trials, best["dispersion"])
        return evidence_frame(
            view,
            detector=self.name,
            metric=metric,
            columns={
                "p_value": best["p_value"],
                "statistic": best["observed"],
                "n_obs": best["trials"],
                "observed": rate,
                "baseline": best["share"],
                "effect": rate - best["share"],
                "effect_low": low - best["share"],
                "effect_high": high - best["share"],
                "dispersion": best["dispersion"],
                "horizon": np.asarray(HORIZONS, dtype=np.float64)[best["channel"].astype(np.int64)],
            },
        )


def share_interval(
    observed: Floats, trials: Floats, correlation: Floats, *, level: float = 0.95
) -> tuple[Floats, Floats]:
    """Return Jeffreys' interval of a share, on the effective number of independent calls.

    Brown, Cai & DasGupta (2001), "Interval estimation for a binomial proportion".

    Examples:
        >>> low, high = share_interval(np.array([5.0]), np.array([10.0]), np.array([1e-6]))
        >>> round(float(low[0]), 3), round(float(high[0]), 3)
        (0.224, 0.776)
    """
    effective = trials / (1.0 + np.maximum(trials - 1.0, 0.0) * correlation)
    successes = observed * effective / trials
    a, b = successes + 0.5, effective - successes + 0.5
    tail = (1.0 - level) / 2.0
    low = np.where(observed <= 0, 0.0, betaincinv(a, b, tail))
    high = np.where(observed >= trials, 1.0, betaincinv(a, b, 1.0 - tail))
    return low, high
