from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolution_lab.datasets import NULL_START, null_samples, null_windows
from evolution_lab.errors import InputError
from evolution_lab.schemas import SAMPLES, WINDOWS, check


def type_7(values: list[int], q: float) -> float:
    ordered = sorted(values)
    h = (len(ordered) - 1) * q
    low = int(h)
    high = min(low + 1, len(ordered) - 1)
    return float(ordered[low]) + (float(ordered[high]) - float(ordered[low])) * (h - low)


@settings(max_examples=15, deadline=None)
@given(
    calls=st.sampled_from([0.5, 3, 20]),
    shape=st.sampled_from(["flat", "seasonal", "overdispersed", "ar1"]),
    latency=st.sampled_from(["lognormal", "gamma", "bimodal"]),
    error_rate=st.sampled_from([0.0, 0.1, 1.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_windows_are_the_windows_of_the_samples(calls, shape, latency, error_rate, seed) -> None:
    same = {
        "calls": calls,
        "shape": shape,
        "latency": latency,
        "error_rate": error_rate,
        "seed": seed,
        "windows": 12,
        "operations": 2,
    }
    samples = check(null_samples(**same), SAMPLES)
    windows = check(null_windows(**same), WINDOWS)
    assert windows.height == 24
    assert windows["calls"].sum() == samples.height
    for row in windows.iter_rows(named=True):
        inside = samples.filter(
            pl.col("timestamp").is_between(row["window_start"], row["window_end"], closed="left"),
            op_id=row["op_id"],
        )
        durations = inside["duration_ns"].to_list()
        assert row["calls"] == row["outcomes"] == len(durations)
        assert row["errors"] == (~inside["success"]).sum()
        if not durations:
            assert row["error_rate"] is row["mean_ns"] is row["p50_ns"] is row["max_ns"] is None
            continue
        assert row["mean_ns"] == sum(durations) / len(durations)
        assert row["max_ns"] == max(durations)
        for name, q in (("p50_ns", 0.5), ("p95_ns", 0.95), ("p99_ns", 0.99)):
            assert row[name] == type_7(durations, q)
        top = [{"error_code": "500", "count": row["errors"]}] if row["errors"] else []
        assert row["top_errors"] == top


@pytest.mark.parametrize(
    ("shape", "dispersion"),
    [("flat", (0.9, 1.1)), ("overdispersed", (2.7, 3.3)), ("ar1", (1.5, 2.2))],
)
def test_calls_vary_as_their_shape_says(shape: str, dispersion: tuple[float, float]) -> None:
    windows = null_windows(calls=20, operations=40, windows=672, shape=shape, seed=2)
    calls = windows["calls"]
    assert calls.mean() == pytest.approx(20, rel=0.02)
    assert dispersion[0] < calls.var() / calls.mean() < dispersion[1]


def test_ar1_traffic_remembers_the_window_before() -> None:
    def autocorrelation(shape: str) -> float:
        windows = null_windows(calls=2000, windows=672, operations=2, shape=shape, seed=4)
        calls = windows["calls"].to_numpy().reshape(2, -1).astype(float)
        logs = np.log(calls) - np.log(calls).mean(axis=1, keepdims=True)
        return float((logs[:, 1:] * logs[:, :-1]).mean() / (logs**2).mean())

    assert autocorrelation("ar1") == pytest.approx(0.5, abs=0.1)
    assert abs(autocorrelation("flat")) < 0.1


def test_seasonal_traffic_follows_day_and_week() -> None:
    windows = null_windows(calls=50, windows=672, operations=4, shape="seasonal", seed=3)
    by_hour = (
        windows.filter(pl.col("window_start").dt.weekday() <= 5)
        .group_by(pl.col("window_start").dt.hour().alias("hour"))
        .agg(pl.col("calls").mean())
    )
    calls = dict(by_hour.iter_rows())
    assert calls[6] / calls[18] == pytest.approx(1.8 / 0.2, rel=0.1)
    weekend = windows.filter(pl.col("window_start").dt.weekday() > 5)["calls"].mean()
    weekday = windows.filter(pl.col("window_start").dt.weekday() <= 5)["calls"].mean()
    assert weekend / weekday == pytest.approx(0.6, rel=0.03)
    assert windows["calls"].mean() == pytest.approx(50, rel=0.02)


@pytest.mark.parametrize(
    ("latency", "median_ms"), [("lognormal", 100), ("gamma", 101), ("bimodal", 70)]
)
def test_latencies_have_the_medians_they_are_said_to_have(latency: str, median_ms: float) -> None:
    samples = null_samples(calls=2000, windows=10, latency=latency, seed=6)
    assert samples["duration_ns"].median() / 1e6 == pytest.approx(median_ms, rel=0.05)


def test_equal_seeds_give_equal_frames_and_others_do_not() -> None:
    first = null_samples(calls=20, windows=4, seed=1)
    assert first.equals(null_samples(calls=20, windows=4, seed=1))
    assert not first.equals(null_samples(calls=20, windows=4, seed=2))


def test_windows_of_other_lengths_begin_where_asked() -> None:
    windows = null_windows(calls=3, windows=5, window=timedelta(minutes=1))
    assert windows["window_start"][0] == NULL_START
    assert windows["window_end"][-1] == NULL_START + timedelta(minutes=5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"calls": 0}, "calls == 0"),
        ({"windows": 0}, "windows == 0"),
        ({"error_rate": 1.1}, "error_rate"),
        ({"shape": "seasnal"}, "Did you mean 'seasonal'"),
        ({"latency": "normal"}, "Did you mean 'lognormal'"),
        ({"start": datetime(2025, 1, 1)}, "time zone"),  # noqa: DTZ001
        ({"start": datetime(2025, 1, 1, 0, 7, tzinfo=UTC)}, "aligned"),
        ({"window": timedelta(minutes=7)}, "divide a day"),
    ],
)
def test_arguments_out_of_range_are_refused(change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        null_windows(**({"calls": 3, "windows": 2} | change))
