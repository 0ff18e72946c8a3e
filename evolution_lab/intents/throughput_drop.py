"""Throughput drops, down to zero.

Test: calls of the last 1, 2, 4, 8 and 16 windows as negative binomial counts against the mean of the
trailing baseline, less the smallest drop worth a signal (``throughput_drop``): the question is not
whether traffic fell at all but whether it fell by more than that. The dispersion is estimated from
the one-step-ahead residuals of each horizon, so that rhythm and autocorrelation widen the
prediction instead of raising alarms. What is expected is the trailing mean, or less where the last
windows were falling, the same time yesterday was lower (a nightly low is no drop), or the operations
that call this one were called less: their drop explains its own. Long horizons let an operation of three calls a
window that stops be told from chance.

Real traffic also has blips: a window or two without calls that no smooth law explains. Where an
operation had ``r`` of them in its last ``W`` windows, one low window alone is no more surprising
than ``r / (W + 1)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy

from evolution_lab.intents.baseline import (
    HORIZONS,
    MINIMUM,
    SPEEDS,
    Judged,
    Ring,
    best_channel,
    trailing,
    walk,
)
from evolution_lab.intents.evidence import evidence_frame
from evolution_lab.intents.tails import negative_binomial_lower
from evolution_lab.intents.view import DetectionView, Floats

_PRIOR_DISPERSION: Final = 0.1
_PRIOR_WINDOWS: Final = 5.0
_BLIP_LEVEL: Final = 0.05
_LONGEST_BLIP: Final = 2
_LOCAL: Final = 8
"""Windows before the horizon that say where traffic stands and where it is going."""
_AROUND: Final = 2
"""Windows around the same time yesterday."""
_FORGOTTEN_BELOW: Final = 0.05
"""A baseline mean of fewer calls a window says nothing about a window without calls."""


class CallCounts:
    """The trailing model of the number of calls a window."""

    channels = len(HORIZONS)

    def __init__(self, view: DetectionView, drop: Floats) -> None:
        self._calls = np.where(view.live, np.nan_to_num(view.calls), 0.0)
        self._complete = view.complete
        self._drop = drop
        operations = self._calls.shape[1]
        self._day = round(timedelta(days=1) / view.window)
        self._age = np.cumsum(view.live, axis=0)
        self._exposure = _exposure(view, self._calls)
        self._exposed = Ring(operations)
        self._sum = Ring(operations)
        self._windows = Ring(operations)
        self._blips = Ring(operations)
        self._low_for = np.zeros(operations)
        self._excess = Ring(self.channels, operations)
        self._weight = Ring(self.channels, operations)

    def judge(self, t: int) -> Judged:
        """Judge the sums of calls that end with window ``t``."""
        windows = self._windows.total
        mean = self._sum.total / np.maximum(windows, 1.0)
        observed = np.stack([trailing(self._calls, t, h) for h in HORIZONS])
        ratio = self._sum.total / np.maximum(self._exposed.total, 1.0)
        expected = np.stack(
            [
                np.fmin(
                    np.minimum(mean, self._rhythm(t, h)) * h, ratio * _total(self._exposure, t, h)
                )
                for h in HORIZONS
            ]
        )
        prior = _PRIOR_WINDOWS * np.maximum(expected, 1.0) ** 2
        dispersion = np.clip(
            (self._excess.total + _PRIOR_DISPERSION * prior) / (self._weight.total + prior),
            1e-3,
            10.0,
        )
        uncertainty = (1.0 / np.maximum(mean, 1e-9) + dispersion[0]) / np.maximum(windows, 1.0)
        total = np.clip(dispersion + uncertainty, 1e-6, 20.0)
        ready = np.stack([(windows >= MINIMUM) & (self._age[t] >= MINIMUM + h) for h in HORIZONS])
        ready &= (mean > _FORGOTTEN_BELOW) & self._complete[t]
        p = negative_binomial_lower(
            observed, np.maximum(expected * (1.0 - self._drop), 1e-9), total
        )
        p[0] = np.maximum(p[0], self._blips.total / (windows + 1.0))
        return Judged(np.where(ready, p, np.nan), observed, expected, expected, total)

    def _rhythm(self, t: int, horizon: int) -> Floats:
        """Return the calls a window that the time of day lets expect.

        The mean of the windows just before the horizon, carried on downwards if they are falling,
        and the same time yesterday where the history reaches back that far; the lower of the two.
        """
        before = t - horizon + 1
        recent = self._mean(before - _LOCAL, before)
        earlier = self._mean(before - 2 * _LOCAL, before - _LOCAL)
        fall = np.minimum(recent / np.maximum(earlier, 1e-9), 1.0)
        ahead = (_LOCAL + horizon) / 2 / _LOCAL
        local = np.where(np.isnan(fall), recent, recent * fall**ahead)
        yesterday = t - self._day
        if yesterday < horizon + _AROUND:
            return np.nan_to_num(local, nan=np.inf)
        then = self._mean(yesterday - horizon + 1 - _AROUND, yesterday + 1 + _AROUND)
        return np.nan_to_num(np.fmin(local, then), nan=np.inf)

    def _mean(self, start: int, end: int) -> Floats:
        """Return calls a window between two windows; NaN where an operation is younger."""
        start, end = max(start, 0), max(end, 0)
        if end <= start:
            return np.full(self._age.shape[1], np.nan)
        known = self._age[end - 1] >= end - start
        mean: Floats = np.where(known, self._calls[start:end].mean(axis=0), np.nan)
        return mean

    def learn(
        self, t: int, judged: Judged, include: npt.NDArray[np.bool_], normal: npt.NDArray[np.bool_]
    ) -> None:
        """Take the window's calls into the baseline, and its residuals into the dispersion."""
        used = include & self._complete[t]
        self._sum.push(t, np.where(used, self._calls[t], 0.0))
        self._windows.push(t, used.astype(np.float64))
        self._exposed.push(t, np.where(used, np.nan_to_num(self._exposure[t]), 0.0))
        low = np.nan_to_num(judged.p_values[0], nan=1.0) < _BLIP_LEVEL
        was_blip = ~low & (self._low_for > 0) & (self._low_for <= _LONGEST_BLIP)
        self._blips.push(t, was_blip.astype(np.float64))
        self._low_for = np.where(low, self._low_for + 1, 0.0)
        told = normal & ~np.isnan(judged.p_values)
        # Only falling short matters, and the expectation is a cautious one: a half of the variance.
        short = np.maximum(judged.share - judged.observed, 0.0)
        squared = 2.0 * short**2 - judged.share
        self._excess.push(t, np.where(told, squared, 0.0))
        self._weight.push(t, np.where(told, judged.share**2, 0.0))


def _exposure(view: DetectionView, calls: Floats) -> Floats:
    """Return how often an operation's callers were called, NaN where clients call it."""
    exposure = np.full_like(calls, np.nan)
    for operation, callers in view.callers.items():
        exposure[:, operation] = calls[:, list(callers)].sum(axis=1)
    return exposure


def _total(values: Floats, t: int, horizon: int) -> Floats:
    total: Floats = values[max(0, t - horizon + 1) : t + 1].sum(axis=0)
    return total


@dataclass(frozen=True)
class ThroughputDropDetector:
    """Evidence that an operation is called less, or not at all; metric ``throughput``.

    Attributes:
        drops: Smallest relative drop worth a signal by operation key; ``default_drop`` otherwise.
    """

    name: str = "throughput-drop"
    default_drop: float = 0.3
    drops: tuple[tuple[str, float], ...] = ()

    def __call__(self, view: DetectionView) -> pl.DataFrame:
        """Return one row an operation and complete window that could be judged."""
        by_key = dict(self.drops)
        drop = np.array([by_key.get(o.key, self.default_drop) for o in view.operations])
        if not len(view.starts):
            nothing = {"p_value": np.full(view.calls.shape, np.nan)}
            return evidence_frame(view, detector=self.name, metric="throughput", columns=nothing)
        model = CallCounts(view, drop)
        judged = walk(model, windows=len(view.starts), live=view.live)
        return pl.concat([self._told(view, judged, speed) for speed in SPEEDS])

    def _told(
        self, view: DetectionView, judged: Sequence[Judged], speed: Sequence[int]
    ) -> pl.DataFrame:
        best = best_channel(judged, [HORIZONS.index(horizon) for horizon in speed])
        horizon = np.asarray(HORIZONS, dtype=np.float64)[best["channel"].astype(np.int64)]
        expected = np.maximum(best["share"], 1e-9)
        low, high = _poisson_interval(best["observed"])
        return evidence_frame(
            view,
            detector=self.name,
            metric="throughput",
            columns={
                "p_value": best["p_value"],
                "statistic": best["observed"],
                "n_obs": best["observed"],
                "observed": best["observed"] / horizon,
                "baseline": expected / horizon,
                "effect": best["observed"] / expected,
                "effect_low": low / expected,
                "effect_high": high / expected,
                "dispersion": best["dispersion"],
                "horizon": horizon,
            },
        )


def _poisson_interval(observed: Floats, *, level: float = 0.95) -> tuple[Floats, Floats]:
    """Return Garwood's (1936) exact interval of a Poisson mean."""
    tail = (1.0 - level) / 2.0
    low = np.where(observed > 0, scipy.stats.chi2.ppf(tail, 2 * observed) / 2, 0.0)
    return np.nan_to_num(low), scipy.stats.chi2.ppf(1 - tail, 2 * observed + 2) / 2
