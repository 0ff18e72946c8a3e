"""Detection on odd windows: never NaN, never a crash, whatever people's services do."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evolution_lab.datasets import null_samples
from evolution_lab.intents import IntentDetector
from evolution_lab.records import DetectionResult, OperationRef, to_python
from evolution_lab.schemas import SAMPLES, polars_schema
from evolution_lab.windows import aggregate

START = datetime(2025, 3, 3, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def frame(rows: list[dict]) -> pl.DataFrame:
    """Samples from a few columns; the others are null or their default."""
    defaults = {
        "kind": "server", "weight": 1.0, "name_source": "mapped", "service": "s", "success": True,
        "duration_ns": 1_000_000, "operation_key": "GET /a",
    }  # fmt: skip
    kinds = polars_schema(SAMPLES)
    complete = []
    for number, row in enumerate(rows):
        values = dict.fromkeys(kinds) | defaults | row
        ref = OperationRef(values["operation_key"], service=values["service"])
        complete.append(values | {"op_id": ref.op_id, "row_id": number})
    return pl.DataFrame(complete, schema=kinds, orient="row")


def judged(samples: pl.DataFrame, window: timedelta = MINUTE) -> DetectionResult:
    return IntentDetector().detect(aggregate(samples, window=window, latency_bins=True))


def numbers(value: object):
    if isinstance(value, float):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from numbers(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from numbers(part)


def is_sound(result: DetectionResult) -> None:
    found = list(numbers(to_python(result)))
    assert all(math.isfinite(number) for number in found)
    for signal in result.signals:
        assert 0.0 <= (signal.p_value or 0.0) <= 1.0
        assert 0.0 < (signal.confidence or 0.5) < 1.0
        assert signal.window_start < signal.detected_at <= signal.window_end


@given(
    calls=st.lists(st.integers(0, 6), min_size=1, max_size=45),
    failing=st.sampled_from(["none", "all", "some", "unknown", "late"]),
    duration=st.sampled_from([0, 1, 1_000, 10**9, 2**40]),
    varied=st.booleans(),
    gap=st.integers(0, 20),
    seed=st.integers(0, 9),
)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_window_frame_breaks_detection(calls, failing, duration, varied, gap, seed):
    rng = np.random.default_rng(seed)
    rows = []
    for t, n in enumerate(calls):
        at = START + MINUTE * (t + (gap if t > len(calls) // 2 else 0))
        for k in range(n):
            success = {
                "none": True,
                "all": False,
                "some": bool(rng.random() < 0.7),
                "unknown": None,
                "late": t < 30,
            }[failing]
            rows.append(
                {
                    "timestamp": at + timedelta(seconds=k),
                    "success": success,
                    "duration_ns": int(duration * (rng.random() if varied else 1)),
                }
            )
    if rows:
        is_sound(judged(frame(rows)))


@pytest.mark.parametrize("calls", [1, 2, 40])
def test_one_call_and_constant_latency(calls: int):
    is_sound(judged(frame([{"timestamp": START + MINUTE * i} for i in range(calls)])))


def test_everything_fails_from_the_first_call_on():
    rows = [{"timestamp": START + MINUTE * i / 5, "success": False} for i in range(300)]
    result = judged(frame(rows))
    is_sound(result)
    assert result.signals == ()


def test_a_clock_that_steps_back_and_far_ahead():
    rows = [{"timestamp": START + MINUTE * i / 4} for i in range(200)]
    rows += [{"timestamp": START + MINUTE * (i / 4 - 20)} for i in range(100)]
    rows += [{"timestamp": START + timedelta(hours=30) + MINUTE * i} for i in range(5)]
    is_sound(judged(frame(rows)))


def test_missing_days():
    rows = [
        {"timestamp": START + timedelta(days=day, minutes=15 * i)}
        for day in (0, 1, 4, 9)
        for i in range(96)
    ]
    is_sound(judged(frame(rows), timedelta(minutes=15)))


@pytest.mark.slow
def test_five_thousand_operations():
    samples = null_samples(calls=2, windows=40, operations=5_000, window=MINUTE, seed=3)
    result = judged(samples)
    is_sound(result)
    assert len(result.signals) <= 1
    assert result.operation_windows > 150_000
