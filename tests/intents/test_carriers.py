"""Which of several carriers remain beside each other, and whether size carries a shift."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from evolution_lab.datasets import NULL_START, null_samples
from evolution_lab.intents import IntentDetector
from evolution_lab.intents.carriers import payload_carrier, rate_difference, remaining_carriers
from evolution_lab.windows import aggregate


def calls(rng: np.random.Generator, n: int = 2_000) -> pl.DataFrame:
    """The new version serves mostly one tenant; only the version makes calls fail."""
    version = np.where(rng.random(n) < 0.3, "2", "1")
    tenant = np.where(rng.random(n) < np.where(version == "2", 0.8, 0.2), "acme", "globex")
    failed = rng.random(n) < np.where(version == "2", 0.5, 0.02)
    return pl.DataFrame({"operation_version": version, "tenant_id": tenant, "affected": failed})


def test_what_is_only_named_with_another_carrier_is_let_go():
    frame = calls(np.random.default_rng(1))
    named = {"tenant_id": "acme", "operation_version": "2"}
    assert remaining_carriers(frame, named) == {"operation_version"}
    assert remaining_carriers(frame, {"tenant_id": "acme"}) == {"tenant_id"}


def test_carriers_that_cannot_be_told_apart_are_all_kept():
    frame = calls(np.random.default_rng(2)).with_columns(tenant_id=pl.col("operation_version"))
    named = {"tenant_id": "2", "operation_version": "2"}
    assert remaining_carriers(frame, named) == set(named)
    perfect = frame.with_columns(affected=pl.col("operation_version") == "2", tenant_id=pl.lit("a"))
    assert remaining_carriers(perfect, {"tenant_id": "a", "operation_version": "2"})


def test_the_size_that_tells_slow_calls_apart_is_named():
    rng = np.random.default_rng(3)
    sizes = np.where(
        rng.random(400) < 0.2, rng.integers(5_000, 9_000, 400), rng.integers(50, 900, 400)
    )
    frame = pl.DataFrame({"payload_bytes": sizes, "affected": sizes > 4_000})
    found = payload_carrier(frame)
    assert 5_000 <= found["bytes"] < 5_300
    assert found["auc"] == 1.0
    assert found["carried"] == 1.0
    low, high = found["interval"]
    assert low <= 1.0 <= high


@pytest.mark.parametrize("seed", range(8))
def test_size_is_not_named_where_it_says_nothing(seed: int):
    rng = np.random.default_rng(seed)
    frame = pl.DataFrame(
        {"payload_bytes": rng.integers(50, 9_000, 300), "affected": rng.random(300) < 0.3}
    )
    assert payload_carrier(frame) is None
    assert payload_carrier(frame.head(12)) is None
    assert payload_carrier(frame.with_columns(payload_bytes=pl.lit(None, pl.Int64))) is None
    assert payload_carrier(frame.with_columns(payload_bytes=pl.lit(7))) is None


def test_a_difference_of_rates_has_an_interval():
    low, high = rate_difference(50, 100, 5, 100)
    assert low < 0.45 < high
    assert rate_difference(0, 0, 1, 2) is None


def test_young_operations_are_told_what_they_still_need():
    window = timedelta(minutes=1)
    old = null_samples(calls=5, windows=60, window=window)
    young = null_samples(
        calls=5, windows=4, window=window, start=NULL_START + 56 * window, operations=2
    ).with_columns(operation_key="young " + pl.col("operation_key"), op_id=pl.col("op_id") // 2)
    windows = aggregate(pl.concat([old, young]), window=window, latency_bins=True)
    (note,) = IntentDetector().detect(windows).notes
    assert "2 operations have 12 windows of history or fewer" in note
    assert "9m more" in note
