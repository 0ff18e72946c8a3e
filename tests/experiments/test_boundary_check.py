"""Boundaries that the control breaks already are found, and one is named that it keeps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from evolution_lab.errors import InputError
from evolution_lab.experiments import ControlCounts, Guardrail, check_boundaries, control_counts
from evolution_lab.experiments.boundary_check import exact_interval

ERRORS = Guardrail(metric="error_rate", boundary=0.05)
P99 = Guardrail(metric="latency_p99", boundary=750.0)
FALLBACKS = Guardrail(metric="fallback_rate", boundary=0.01)
NOW = datetime(2026, 3, 9, tzinfo=UTC)


@given(st.integers(1, 100_000), st.floats(0, 1))
def test_intervals_are_those_of_statsmodels(trials: int, share: float) -> None:
    events = round(share * trials)
    low, high = proportion_confint(events, trials, alpha=0.01, method="beta")
    expected = (0.0 if events == 0 else low, 1.0 if events == trials else high)
    assert exact_interval(events, trials) == pytest.approx(expected, abs=1e-12)


def test_impossible_counts_are_refused() -> None:
    for events, trials in ((1, 0), (-1, 5), (6, 5)):
        with pytest.raises(InputError, match="must be 0 <= events <= trials"):
            exact_interval(events, trials)


@pytest.mark.parametrize(
    ("failed", "verdict"), [(400, "kept"), (500, "unclear"), (520, "unclear"), (800, "broken")]
)
def test_errors_are_judged_by_the_interval(failed: int, verdict: str) -> None:
    recent = ControlCounts(calls=10_000, judged=10_000, failed=failed, slow={})
    (found,) = check_boundaries([ERRORS, FALLBACKS], recent)
    assert found.verdict == verdict
    assert f"{failed} of 10000 calls" in found.sentence
    assert (found.acceptable is None) is (verdict != "broken")


@given(st.integers(600, 200_000), st.floats(0.06, 0.9))
def test_what_is_offered_is_accepted(calls: int, share: float) -> None:
    recent = ControlCounts(calls=calls, judged=calls, failed=round(share * calls), slow={})
    (found,) = check_boundaries([ERRORS], recent)
    if found.verdict == "broken" and found.acceptable is not None:
        offered = Guardrail(metric="error_rate", boundary=found.acceptable)
        assert check_boundaries([offered], recent)[0].verdict == "kept"


def test_few_calls_say_nothing() -> None:
    for recent in (
        ControlCounts(calls=50, judged=50, failed=50, slow={750.0: 50}),
        ControlCounts(calls=0, judged=0, failed=0, slow={750.0: 0}),
    ):
        assert [f.verdict for f in check_boundaries([ERRORS, P99], recent)] == ["unknown"] * 2


def samples(days: float, calls: int, *, median_ms: float, errors: float) -> pl.DataFrame:
    random = np.random.default_rng(7)
    times = NOW - timedelta(days=days) * random.random(calls)
    return pl.DataFrame(
        {
            "operation_key": ["checkout"] * calls,
            "timestamp": times.tolist(),
            "duration_ns": (median_ms * 1e6 * random.lognormal(0, 0.5, calls)).astype(np.int64),
            "success": random.random(calls) >= errors,
        }
    )


def test_the_last_seven_days_of_the_operation_are_counted() -> None:
    recent = samples(6.9, 5_000, median_ms=400, errors=0.02)
    before = samples(7, 5_000, median_ms=4_000, errors=0.9).with_columns(
        pl.col("timestamp") - pl.duration(days=8)
    )
    other = recent.with_columns(operation_key=pl.lit("search"), success=pl.lit(value=False))
    unknown = recent.head(100).with_columns(success=pl.lit(None, dtype=pl.Boolean))
    table = pl.concat([recent, before, other, unknown])
    found = control_counts(table.lazy(), ["checkout", "POST /checkout"], [ERRORS, P99])
    assert (found.calls, found.judged) == (5_100, 5_000)
    assert found.failed == (~recent["success"]).sum()
    slow = (recent["duration_ns"] > 750_000_000).sum()
    assert found.slow[750.0] == slow + (unknown["duration_ns"] > 750_000_000).sum()
    errors, p99 = check_boundaries([ERRORS, P99], found)
    assert (errors.verdict, p99.verdict) == ("kept", "broken")  # p99 = 400 ms · exp(0.5 · 2.33)
    assert p99.acceptable is not None
    assert 1_280 < p99.acceptable < 1_800
    offered = Guardrail(metric="latency_p99", boundary=p99.acceptable)
    again = control_counts(table.lazy(), ["checkout"], [offered])
    assert check_boundaries([offered], again)[0].verdict == "kept"


def test_calls_of_an_earlier_variant_are_left_out() -> None:
    control = samples(1, 1_000, median_ms=100, errors=0.01)
    labels = ["v@1:variant", "v@1:control", None, ""]
    parts = [control.with_columns(variant_id=pl.lit(v, dtype=pl.String)) for v in labels]
    found = control_counts(pl.concat(parts).lazy(), ["checkout"], [ERRORS, P99])
    assert found.calls == 3_000
    assert found.failed == 3 * (~control["success"]).sum()


def test_a_bound_needs_enough_calls() -> None:
    few = samples(1, 400, median_ms=2_000, errors=0)
    found = control_counts(few.lazy(), ["checkout"], [P99])
    assert found.p99_bound_ms is None
    (p99,) = check_boundaries([P99], found)
    assert (p99.verdict, p99.acceptable) == ("broken", None)
    assert "would be accepted" not in p99.sentence


def test_an_operation_without_samples_is_counted_as_nothing() -> None:
    table = samples(1, 10, median_ms=1, errors=0)
    found = control_counts(table.lazy(), ["elsewhere"], [ERRORS, P99])
    assert found == ControlCounts(calls=0, judged=0, failed=0, slow={750.0: 0})


def test_counts_beyond_another_boundary_are_refused() -> None:
    recent = ControlCounts(calls=1_000, judged=1_000, failed=0, slow={500.0: 0})
    with pytest.raises(InputError, match=r"\[500\.0\] ms, must be counted beyond 750\.0 ms"):
        check_boundaries([P99], recent)
