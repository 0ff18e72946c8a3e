"""The windows around an episode, in the units people read."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import polars as pl
import pytest

from evolution_lab.export.series import LONGEST, metric_of, signal_series
from evolution_lab.records import OperationRef


def _by_kind(scene, kind, error_class=None):
    return next(
        s for s in scene.detection.signals if s.kind == kind and s.error_class == error_class
    )


def _own(scene, signal):
    return scene.windows.filter(
        (pl.col("operation_key") == signal.operation.key)
        & (pl.col("service") == signal.operation.service)
    ).sort("window_start")


def test_error_rate_is_errors_of_recorded_outcomes_in_percent(scene):
    signal = _by_kind(scene, "error-spike", "server")
    series = signal_series(signal, scene.windows)
    own = _own(scene, signal)
    first = own.row(series.position(series.start), named=True)
    assert series.unit == "%"
    assert series.lines[0].values[0] == pytest.approx(
        100 * first["errors"] / first["outcomes"], rel=1e-5
    )
    during = series.position(signal.window_start)
    assert series.lines[0].values[during] > 35
    assert max(v for v in series.lines[0].values[:during] if v is not None) < 10


def test_client_errors_are_of_all_calls(scene):
    signal = _by_kind(scene, "error-spike", "client")
    series = signal_series(signal, scene.windows)
    position = series.position(signal.window_start)
    row = (
        _own(scene, signal).filter(pl.col("window_start") == signal.window_start).row(0, named=True)
    )
    assert series.metric == "client-error-rate"
    assert series.lines[0].values[position] == pytest.approx(
        100 * row["client_errors"] / row["calls"], rel=1e-5
    )


def test_latency_is_in_milliseconds_and_the_judged_quantile_is_the_main_line(scene):
    tail, median = [s for s in scene.detection.signals if s.kind == "latency-regression"]
    series = signal_series(tail, scene.windows)
    assert [(line.label, line.main) for line in series.lines] == [
        ("95th percentile", True),
        ("median", False),
    ]
    assert series.baseline == pytest.approx(250.0)
    assert signal_series(median, scene.windows).lines[0].label == "median"


def test_row_order_does_not_matter(scene):
    for signal in scene.detection.signals:
        expected = signal_series(signal, scene.windows)
        assert signal_series(signal, scene.windows.sort("calls", "p50_ns")) == expected


def test_counts_of_versions_are_summed_and_their_percentiles_are_not(scene):
    slow = _by_kind(scene, "latency-regression")
    other = scene.windows.filter(pl.col("operation_key") == slow.operation.key).with_columns(
        operation_version=pl.lit("2.0"),
        op_id=pl.lit(77, dtype=pl.Int64),
        p95_ns=pl.col("p95_ns") * 2,
    )
    both = pl.concat([scene.windows, other])
    one, two = signal_series(slow, scene.windows), signal_series(slow, both)
    assert two.calls == tuple(2 * n for n in one.calls)
    assert {line.label for line in two.lines} == {
        "95th percentile, no version",
        "95th percentile, 2.0",
    }
    assert two.op_ids == (77, *one.op_ids)
    # The version a change is attributed to comes first.
    blamed = replace(slow, operation=replace(slow.operation, version="2.0"))
    assert signal_series(blamed, both).lines[0].label == "95th percentile, 2.0"


def test_unknown_outcomes_are_gaps_and_not_zero_errors(scene):
    signal = _by_kind(scene, "error-spike", "server")
    nothing = scene.windows.with_columns(
        pl.lit(None, dtype=pl.Int64).alias(name) for name in ("outcomes", "errors")
    )
    assert set(signal_series(signal, nothing).lines[0].values) == {None}


def test_missing_windows_are_gaps(scene):
    signal = _by_kind(scene, "throughput-drop")
    start = signal_series(signal, scene.windows).start + timedelta(minutes=15)
    series = signal_series(signal, scene.windows.filter(pl.col("window_start") != start))
    assert series.calls[1] is None
    assert series.lines[0].values[1] is None
    assert series.calls[2] is not None


def test_a_long_episode_is_cut_and_says_so(scene):
    signal = _by_kind(scene, "throughput-drop")
    long = replace(signal, window_start=signal.window_start - timedelta(hours=12))
    assert signal_series(long, scene.windows).complete
    endless = replace(signal, window_end=signal.window_start + timedelta(days=30))
    series = signal_series(endless, scene.windows)
    assert not series.complete
    assert len(series.calls) <= LONGEST


def test_an_operation_without_windows_has_no_series(scene):
    signal = scene.detection.signals[0]
    elsewhere = replace(signal, operation=OperationRef("GET /nowhere"))
    assert signal_series(elsewhere, scene.windows) is None


def test_the_metric_is_told_by_evidence_then_by_kind(scene):
    slow = _by_kind(scene, "latency-regression")
    assert metric_of(slow) == "latency-tail"
    assert metric_of(replace(slow, evidence=())) == "latency-tail"
    client = _by_kind(scene, "error-spike", "client")
    assert metric_of(replace(client, evidence=())) == "client-error-rate"
