from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest

from evolution_lab.config import EvolutionConfig
from evolution_lab.errors import FrameContractError
from evolution_lab.schemas import EDGES, SEQUENCES, WINDOWS, check
from evolution_lab.windows import IntentAggregator, aggregate

MINUTE = timedelta(minutes=1)


@pytest.fixture
def aggregator() -> IntentAggregator:
    return IntentAggregator(EvolutionConfig(window=MINUTE, exclude=("GET /health*",)))


def test_samples_and_frames_give_what_aggregate_gives(aggregator, call, frame):
    calls = [call("a", n, trace_id="t", span_id=str(n), actor_id="x") for n in range(90)]
    for sample in calls[:30]:
        aggregator.add(sample)
    aggregator.add_all(calls[30:50])
    aggregator.add_frame(frame(*calls[50:], call("GET /health", 2)))
    snapshot = aggregator.snapshot()
    expected = aggregate(frame(*calls), window=MINUTE, latency_bins=True)
    assert snapshot.windows.equals(expected)
    assert snapshot.sample_count == 91
    assert snapshot.window_end - snapshot.window_start == 2 * MINUTE
    assert snapshot.sequences.filter(pl.col("basis") == "session").height == 90
    assert snapshot.to_dicts()[0]["calls"] == 60
    for part, contract in (
        (snapshot.windows, WINDOWS),
        (snapshot.sequences, SEQUENCES),
        (snapshot.edges, EDGES),
    ):
        check(part, contract)


def test_more_than_200_000_samples_of_a_window_are_all_counted(aggregator, call, frame):
    one = frame(call("a", 1, success=False, actor_id="x"))
    many = pl.concat([one] * 200_001).with_columns(
        row_id=pl.int_range(pl.len()).cast(pl.String), duration_ns=pl.int_range(pl.len())
    )
    aggregator.add_frame(many)
    aggregator.add(call("a", 2, success=True, actor_id="x", duration_ns=10**9))
    snapshot = aggregator.flush()
    row = snapshot.windows.row(0, named=True)
    assert (row["calls"], row["errors"], row["max_ns"]) == (200_002, 200_001, 10**9)
    assert snapshot.sequences.height == 200_002
    assert aggregator.flush().sample_count == 0


def test_a_flush_keeps_the_samples_of_windows_that_are_open(aggregator, call, frame, start):
    aggregator.add_all([call("a", 10), call("a", 60)])
    aggregator.add_frame(frame(call("a", 60, duration_ns=5), call("a", 200)))
    first = aggregator.flush(start + timedelta(seconds=90))
    assert first.windows.select("calls", "closed").rows() == [(1, True), (2, False)]
    assert first.sample_count == 3
    aggregator.add(call("a", 100))
    second = aggregator.flush(start + timedelta(seconds=120))
    assert second.windows.select("calls", "closed").rows() == [(3, True), (0, False)]
    assert aggregator.flush().windows["calls"].to_list() == [1]


def test_equal_samples_are_all_counted_and_their_order_does_not_show(aggregator, call):
    calls = [call(key, 5, actor_id="x") for key in ("a", "b", "a", "c")]
    aggregator.add_all(calls)
    forward = aggregator.flush()
    aggregator.add_all(reversed(calls))
    backward = aggregator.flush()
    assert forward.sequences.height == 4
    assert forward.sequences.equals(backward.sequences)
    assert forward.windows.equals(backward.windows)


def test_nothing_gives_an_empty_snapshot(aggregator):
    snapshot = aggregator.flush()
    assert (snapshot.sample_count, snapshot.window_start) == (0, None)
    assert "(nothing to show)" in str(snapshot)


def test_a_frame_that_breaks_its_contract_is_refused_and_not_taken(aggregator, call, frame):
    with pytest.raises(FrameContractError, match="weight"):
        aggregator.add_frame(frame(call("a")).with_columns(weight=pl.lit(0.5)))
    assert aggregator.snapshot().sample_count == 0


def test_people_see_operations_as_text(aggregator, call):
    aggregator.add(call("<img src=x onerror=alert(1)>"))
    assert "<img" not in aggregator.snapshot()._repr_html_()
