"""Latency of windows that come ready-made: percentiles without the calls behind them.

Where only a percentile per window is left, its calls cannot be counted. The logarithm of each
metric's value is compared with the trailing baseline's median and robust spread (median absolute
deviation, floored at 5 %), through Student's t of four degrees of freedom: heavy tails, because a
percentile of few calls jumps. The distance is measured from ``SMALLEST_SLOWDOWN`` above the median.
Weaker than counting exceedances: land the calls, or histograms, where they can be had.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
import scipy

from evolution_lab.intents.baseline import LENGTH, MINIMUM
from evolution_lab.intents.evidence import evidence_frame
from evolution_lab.intents.latency_regression import SMALLEST_SLOWDOWN
from evolution_lab.intents.view import DetectionView, Floats

COLUMNS: Final = {"latency-median": ("p50_ns", "mean_ns"), "latency-tail": ("p95_ns", "p99_ns")}
_DEGREES_OF_FREEDOM: Final = 4
_SMALLEST_SPREAD: Final = 0.05


@dataclass(frozen=True)
class LatencyValuesDetector:
    """Evidence that ready-made percentiles rose; metrics ``latency-median`` and ``latency-tail``."""

    name: str = "latency-values"

    def __call__(self, view: DetectionView) -> pl.DataFrame:
        """Return one row an operation, metric and window that could be judged."""
        frames = []
        for metric, names in COLUMNS.items():
            present = [n for n in names if n in view.values and not np.isnan(view.values[n]).all()]
            values = view.values[present[0]] if present else np.full(view.calls.shape, np.nan)
            frames.append(self._metric(view, metric, values))
        return pl.concat(frames)

    def _metric(self, view: DetectionView, metric: str, values: Floats) -> pl.DataFrame:
        logs = np.log(np.maximum(values, 1.0))
        shape = logs.shape
        p_value, baseline, spread = (np.full(shape, np.nan) for _ in range(3))
        for i in range(shape[1]):
            known = np.nonzero(~np.isnan(logs[:, i]))[0]
            for place in range(MINIMUM, len(known)):
                t = known[place]
                past = logs[known[max(0, place - LENGTH) : place], i]
                middle = float(np.median(past))
                wide = max(1.4826 * float(np.median(np.abs(past - middle))), _SMALLEST_SPREAD)
                distance = (logs[t, i] - middle - np.log(SMALLEST_SLOWDOWN)) / wide
                p_value[t, i] = scipy.stats.t.sf(distance, _DEGREES_OF_FREEDOM)
                baseline[t, i], spread[t, i] = np.exp(middle), wide
        calls = np.nan_to_num(view.calls)
        return evidence_frame(
            view,
            detector=self.name,
            metric=metric,
            columns={
                "p_value": p_value,
                "statistic": logs - np.log(baseline),
                "n_obs": calls,
                "observed": values,
                "baseline": baseline,
                "effect": values / baseline,
                "dispersion": spread,
                "horizon": np.ones(shape),
            },
        )
