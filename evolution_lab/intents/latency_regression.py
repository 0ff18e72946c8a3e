"""Latency regressions: more slow calls than the trailing baseline explains.

Test: how many calls of a window are slower than a threshold taken from the baseline's own
distribution, as a beta-binomial count. Counting exceedances needs no shape of the distribution,
works for five calls as for five thousand, and comes from mergeable histograms. Thresholds lie half
as high again (``SMALLEST_SLOWDOWN``) above the baseline's median, 90th and 98th percentile: what is
asked is not whether latency moved at all (it always does) but whether it moved by an amount worth a
signal. The median makes the metric ``latency-median``, the other two ``latency-tail``; each over one
window and over four.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy

from evolution_lab.intents.baseline import (
    HORIZONS,
    LENGTH,
    MINIMUM,
    SPEEDS,
    Judged,
    Ring,
    ShareMemory,
    best_channel,
    predictive_correlation,
    walk,
)
from evolution_lab.intents.evidence import evidence_frame
from evolution_lab.intents.tails import beta_binomial_upper
from evolution_lab.intents.view import DetectionView, Floats, Ints
from evolution_lab.windows.bins import GAMMA, bin_value

LEVELS: Final = (0.5, 0.9, 0.98)
CHANNELS: Final = tuple((level, horizon) for level in LEVELS for horizon in HORIZONS)
METRIC_LEVELS: Final = {"latency-median": LEVELS[:1], "latency-tail": LEVELS[1:]}
TOLD: Final = {
    (metric, speed): tuple(
        row
        for row, (level, horizon) in enumerate(CHANNELS)
        if level in levels and horizon in SPEEDS[speed]
    )
    for metric, levels in METRIC_LEVELS.items()
    for speed in range(len(SPEEDS))
}
"""Channels of each row of evidence: a metric at one speed."""
SHOWN_LEVEL: Final = {"latency-median": 0.5, "latency-tail": 0.95}
SMALLEST_SLOWDOWN: Final = 1.5
"""The smallest ratio worth a signal: below it a threshold is no further than ordinary drift goes."""
SMALLEST_DELAY_NS: Final = 1_000_000
"""The smallest slowdown worth a signal, in time: nobody waits for less than a millisecond."""
DESCRIBED_BELOW: Final = 0.01
"""Effects and intervals are computed for rows at most this probable; the others are quiet."""
_MARGIN_BINS: Final = round(math.log(SMALLEST_SLOWDOWN) / math.log(GAMMA))
_PSEUDO: Final = 0.5
_MINIMUM_CALLS: Final = 20


class Exceedances:
    """The trailing model: a histogram per operation, and counts above its quantiles."""

    channels = len(CHANNELS)

    def __init__(self, view: DetectionView) -> None:
        self._windows = view.bins
        filled = [columns[1] for columns in view.bins if len(columns[1])]
        self._first = int(min(bins.min() for bins in filled))
        width = int(max(bins.max() for bins in filled)) - self._first + 1
        operations = len(view.operations)
        values = GAMMA ** (np.arange(width + 1) + self._first)
        self._worth = np.searchsorted(values, values + SMALLEST_DELAY_NS)
        self.histogram = np.zeros((operations, width))
        self._included = np.zeros((len(view.bins), operations), dtype=bool)
        self._count = Ring(operations)
        self._memory = ShareMemory(self.channels, operations)

    def judge(self, t: int) -> Judged:
        """Judge window ``t`` at every threshold and horizon."""
        operations = len(self.histogram)
        cumulative = self.histogram.cumsum(axis=1)
        baseline = cumulative[:, -1]
        per_window = baseline / np.maximum(self._count.total, 1.0)
        recent = {h: self._recent(t, h) for h in HORIZONS}
        trials = {h: np.bincount(o, c, operations) for h, (o, _, c) in recent.items()}
        observed = np.zeros((self.channels, operations))
        share = np.zeros_like(observed)
        for level in LEVELS:
            quantile = (cumulative < (level * baseline)[:, None]).sum(axis=1)
            threshold = np.maximum(quantile + _MARGIN_BINS, self._worth[quantile])
            at = np.minimum(threshold, cumulative.shape[1] - 1)
            above = baseline - np.take_along_axis(cumulative, at[:, None], axis=1)[:, 0]
            for horizon in HORIZONS:
                row = CHANNELS.index((level, horizon))
                o, b, c = recent[horizon]
                observed[row] = np.bincount(o, c * (b - self._first > threshold[o]), operations)
                share[row] = (above + _PSEUDO) / (baseline + 2 * _PSEUDO)
        n = np.stack([trials[h] for _, h in CHANNELS]).astype(np.float64)
        correlation = self._memory.correlation(share, per_window)
        dispersion = predictive_correlation(correlation, per_window, baseline)
        ready = (
            (self._count.total >= MINIMUM)
            & (baseline >= _MINIMUM_CALLS)
            & (trials[HORIZONS[0]] > 0)
        )
        p = beta_binomial_upper(observed, np.maximum(n, 1.0), share, dispersion)
        return Judged(np.where(ready, p, np.nan), observed, n, share, dispersion)

    def learn(
        self, t: int, judged: Judged, include: npt.NDArray[np.bool_], normal: npt.NDArray[np.bool_]
    ) -> None:
        """Add the window's histogram to the baseline; the oldest window falls out."""
        operation, bins, counts = self._windows[t]
        self._included[t] = include
        keep = include[operation]
        np.add.at(self.histogram, (operation[keep], bins[keep] - self._first), counts[keep])
        if t >= LENGTH:
            operation, bins, counts = self._windows[t - LENGTH]
            keep = self._included[t - LENGTH][operation]
            np.add.at(self.histogram, (operation[keep], bins[keep] - self._first), -counts[keep])
        self._count.push(t, (include & (judged.trials[0] > 0)).astype(np.float64))
        self._memory.learn(t, judged, normal)

    def _recent(self, t: int, horizon: int) -> tuple[Ints, Ints, Floats]:
        block = self._windows[max(0, t - horizon + 1) : t + 1]
        operation, bins, counts = zip(*block, strict=True)
        return np.concatenate(operation), np.concatenate(bins), np.concatenate(counts)

    def quantile(self, operation: int, level: float) -> float:
        """Return a quantile of the baseline in ns, to the histogram's 1 %."""
        return _histogram_quantile(self.histogram[operation], self._first, level)

    def recent_histogram(self, t: int, horizon: int, operation: int) -> Floats:
        """Return the histogram of the last windows of one operation, on the baseline's bins."""
        o, b, c = self._recent(t, horizon)
        mine = o == operation
        counts = np.bincount(b[mine] - self._first, c[mine], self.histogram.shape[1])
        return counts.astype(np.float64)


class _Describing(Exceedances):
    """Keeps, while walking, the quantiles that describe suspicious windows."""

    def __init__(self, view: DetectionView) -> None:
        super().__init__(view)
        shape = (len(view.starts), len(view.operations))
        self.described = {
            (*told, column): np.full(shape, np.nan)
            for told in TOLD
            for column in ("observed", "baseline", "effect", "effect_low", "effect_high")
        }

    def learn(
        self, t: int, judged: Judged, include: npt.NDArray[np.bool_], normal: npt.NDArray[np.bool_]
    ) -> None:
        """Describe suspicious operations before the window changes the baseline."""
        for (metric, speed), rows in TOLD.items():
            p = np.where(np.isnan(judged.p_values[list(rows)]), 1.0, judged.p_values[list(rows)])
            for operation in np.nonzero(p.min(axis=0) * len(rows) < DESCRIBED_BELOW)[0]:
                horizon = CHANNELS[rows[int(p[:, operation].argmin())]][1]
                self._describe(t, int(operation), (metric, speed), horizon)
        super().learn(t, judged, include, normal)

    def _describe(self, t: int, operation: int, told: tuple[str, int], horizon: int) -> None:
        level = SHOWN_LEVEL[told[0]]
        recent = self.recent_histogram(t, horizon, operation)
        observed = _histogram_quantile(recent, self._first, level)
        low, high = _quantile_interval(recent, self._first, level)
        baseline = self.quantile(operation, level)
        values = {
            "observed": observed,
            "baseline": baseline,
            "effect": observed / baseline,
            "effect_low": low / baseline,
            "effect_high": high / baseline,
        }
        for column, value in values.items():
            self.described[*told, column][t, operation] = value


@dataclass(frozen=True)
class LatencyRegressionDetector:
    """Evidence that calls got slower; metrics ``latency-median`` and ``latency-tail``."""

    name: str = "latency-regression"

    def __call__(self, view: DetectionView) -> pl.DataFrame:
        """Return one row an operation, metric and window that could be judged."""
        if not view.has_bins:
            nothing = {"p_value": np.full(view.calls.shape, np.nan)}
            return evidence_frame(
                view, detector=self.name, metric="latency-median", columns=nothing
            )
        model = _Describing(view)
        judged = walk(model, windows=len(view.starts), live=view.live)
        horizons = np.array([horizon for _, horizon in CHANNELS], dtype=np.float64)
        frames = []
        for (metric, speed), rows in TOLD.items():
            best = best_channel(judged, rows)
            frames.append(
                evidence_frame(
                    view,
                    detector=self.name,
                    metric=metric,
                    columns={
                        "p_value": best["p_value"],
                        "statistic": best["observed"],
                        "n_obs": best["trials"],
                        "dispersion": best["dispersion"],
                        "horizon": horizons[best["channel"].astype(np.int64)],
                        **{
                            column: values
                            for (*told, column), values in model.described.items()
                            if told == [metric, speed]
                        },
                    },
                )
            )
        return pl.concat(frames)


def _histogram_quantile(histogram: Floats, first: int, level: float) -> float:
    """Return the lower order statistic of a histogram: the value of the bin that holds it."""
    cumulative = histogram.cumsum()
    rank = math.floor(level * max(cumulative[-1] - 1, 0)) + 1
    return bin_value(first + int(np.searchsorted(cumulative, rank)))


def _quantile_interval(histogram: Floats, first: int, level: float) -> tuple[float, float]:
    """Return a 95 % interval of a quantile from order statistics (David & Nagaraja 2003, 7.1)."""
    cumulative = histogram.cumsum()
    calls = int(cumulative[-1])
    low = max(int(scipy.stats.binom.ppf(0.025, calls, level)), 1)
    high = min(int(scipy.stats.binom.ppf(0.975, calls, level)) + 1, calls)
    return (
        bin_value(first + int(np.searchsorted(cumulative, low))),
        bin_value(first + int(np.searchsorted(cumulative, high))),
    )
