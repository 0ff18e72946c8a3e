"""Fast and slow horizons are told apart: what is over must not hide what begins."""

from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl
import pytest

from evolution_lab.config import EvolutionConfig
from evolution_lab.datasets import NULL_START, null_samples, plant
from evolution_lab.intents import IntentDetector, detection_view
from evolution_lab.intents.baseline import HORIZONS, SPEEDS
from evolution_lab.windows import aggregate

MINUTE = timedelta(minutes=1)


def at(window: int) -> datetime:
    return NULL_START + MINUTE * window


@pytest.fixture(scope="module")
def two_faults() -> pl.DataFrame:
    """Two faults of three minutes, seven minutes apart, the first far stronger than the second."""
    samples = null_samples(calls=60, windows=90, operations=3, window=MINUTE, seed=3)
    samples = plant(samples, start=at(50), end=at(53), latency_factor=20.0)
    samples = plant(samples, start=at(60), end=at(63), latency_factor=2.5)
    return aggregate(samples, window=MINUTE, latency_bins=True)


def test_every_horizon_belongs_to_one_speed():
    assert sorted(h for speed in SPEEDS for h in speed) == list(HORIZONS)


def test_a_fault_is_found_though_a_stronger_one_has_just_passed(two_faults: pl.DataFrame):
    result = IntentDetector(EvolutionConfig(window=MINUTE)).detect(two_faults)
    detected = [i.detected_at for i in result.incidents]
    assert any(at(50) < moment <= at(52) for moment in detected)
    assert any(at(60) < moment <= at(62) for moment in detected)


def test_evidence_has_one_row_a_speed(two_faults: pl.DataFrame):
    evidence = IntentDetector(EvolutionConfig(window=MINUTE)).evidence(detection_view(two_faults))
    evidence = evidence.filter(pl.col("window_start") >= at(40))  # All horizons have a history.
    rows = evidence.group_by("op_id", "metric", "window_start").len()["len"]
    assert set(rows) == {len(SPEEDS)}
    tests_of = evidence.group_by("op_id", "metric", "window_start").agg(
        fast=(pl.col("horizon") <= max(SPEEDS[0])).sum()
    )
    assert set(tests_of["fast"]) == {1}
