"""How often detection cries wolf where nothing changes, counted and printed; `make test-long`."""

from __future__ import annotations

from datetime import timedelta

import pytest
from scipy.stats import chi2

from evolution_lab.datasets import CallShape, LatencyShape, null_samples
from evolution_lab.intents import IntentDetector
from evolution_lab.windows import aggregate

CELLS: tuple[tuple[float, CallShape, LatencyShape, float, int], ...] = (
    (3, "flat", "lognormal", 0.01, 80),
    (3, "overdispersed", "gamma", 0.05, 80),
    (20, "flat", "lognormal", 0.001, 80),
    (20, "seasonal", "gamma", 0.01, 80),
    (20, "ar1", "bimodal", 0.05, 80),
    (200, "flat", "bimodal", 0.05, 40),
    (200, "seasonal", "lognormal", 0.01, 40),
    (200, "overdispersed", "lognormal", 0.001, 40),
    (200, "ar1", "gamma", 0.01, 40),
    (2_000, "seasonal", "lognormal", 0.01, 10),
)
BATCH = 10


def false_alarms(
    calls: float, shape: CallShape, latency: LatencyShape, error_rate: float, weeks: int
) -> int:
    """Count signals over operation-weeks of 672 windows after 96 windows of warm-up."""
    count = 0
    for seed in range(weeks // BATCH):
        samples = null_samples(
            calls=calls,
            windows=768,
            operations=BATCH,
            shape=shape,
            error_rate=error_rate,
            latency=latency,
            seed=1_000 + seed,
        )
        windows = aggregate(samples, window=timedelta(minutes=15), latency_bins=True)
        count += len(IntentDetector().detect(windows).signals)
    return count


@pytest.mark.slow
def test_false_alarms_stay_within_the_budget():
    total, weeks_in_all = 0, 0
    print("\ncalls  shape          latency    errors  op-weeks  alarms  per op-week (95 %)")
    for calls, shape, latency, error_rate, weeks in CELLS:
        found = false_alarms(calls, shape, latency, error_rate, weeks)
        high = chi2.ppf(0.975, 2 * found + 2) / 2 / weeks
        print(
            f"{calls:5.0f}  {shape:13s}  {latency:9s}  {error_rate:6.3f}  {weeks:8d}  {found:6d}  "
            f"{found / weeks:.3f} (to {high:.3f})"
        )
        assert found / weeks <= 0.2
        total, weeks_in_all = total + found, weeks_in_all + weeks
    print(f"all: {total / weeks_in_all:.4f} per operation-week")
    assert total / weeks_in_all <= 0.05
