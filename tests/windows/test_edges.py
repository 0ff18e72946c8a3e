from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from evolution_lab.errors import FrameContractError
from evolution_lab.records import OperationRef, TelemetrySample
from evolution_lab.schemas import EDGES, SAMPLES, check, empty
from evolution_lab.windows import (
    call_depth,
    call_edges,
    sample_frame,
    span_tree,
    trace_companions,
)


def ref(key: str) -> int:
    return OperationRef(key).op_id


@pytest.fixture
def traces(call, frame):
    def span(trace, span_id, parent, key, kind):
        return call(key, trace_id=trace, span_id=span_id, parent_span_id=parent, kind=kind)

    spans = []
    for trace in ("t", "u", "v"):
        spans += [
            span(trace, "1", None, "gateway", "server"),
            span(trace, "2", "1", "call orders", "client"),
            span(trace, "3", "2", "orders", "server"),
            span(trace, "4", "3", "work", "internal"),
            span(trace, "5", "4", "call stock", "client"),
            span(trace, "6", "5", "stock", "server"),
            span(trace, "7", "6", "stock", "server"),
        ]
    spans.append(span("w", "6", "5", "stock", "server"))
    return frame(*spans)


def test_callers_are_found_through_client_and_internal_spans(traces):
    expected = sorted([(ref("gateway"), ref("orders"), 3), (ref("orders"), ref("stock"), 3)])
    assert call_edges(traces).rows() == expected
    assert call_edges(traces.sample(fraction=1.0, shuffle=True, seed=4)).rows() == expected
    assert call_edges(span_tree(traces)).rows() == expected
    check(call_edges(traces), EDGES)


def test_depth_is_the_median_number_of_spans_above(traces):
    depths = dict(call_depth(traces).iter_rows())
    # stock stands 5 and 6 deep three times each, and once as a root.
    assert depths == {ref("gateway"): 0, ref("orders"): 2, ref("stock"): 5}


def test_an_excluded_operation_is_passed_over(traces):
    assert call_edges(traces, exclude=["ord*"]).rows() == [(ref("gateway"), ref("stock"), 3)]
    assert ref("orders") not in call_depth(traces, exclude=["ord*"])["op_id"]


def test_a_table_without_kinds_gives_edges_between_neighbours(call, frame):
    samples = frame(
        call("a", trace_id="t", span_id="1"),
        call("b", trace_id="t", span_id="2", parent_span_id="1"),
        call("b", trace_id="t", span_id="3", parent_span_id="1"),
        call("c", trace_id="t", span_id="4", parent_span_id="3"),
        call("c"),
    )
    expected = sorted([(ref("a"), ref("b"), 2), (ref("b"), ref("c"), 1)])
    assert call_edges(samples).rows() == expected


def test_nothing_gives_empty_frames(call, frame):
    assert call_edges(empty(SAMPLES)).schema == empty(EDGES).schema
    assert call_depth(empty(SAMPLES)).is_empty()
    assert call_edges(frame(call("a"), call("b"))).is_empty()


def test_a_frame_that_breaks_its_contract_is_refused(traces):
    with pytest.raises(FrameContractError, match="duration_ns"):
        call_edges(traces.with_columns(duration_ns=-traces["duration_ns"]))
    with pytest.raises(FrameContractError, match="span_id"):
        call_edges(traces.lazy().drop("span_id"))


def test_operations_keep_company_when_they_share_most_traces():
    begin = datetime(2025, 3, 4, 9, tzinfo=UTC)
    samples = sample_frame(
        [
            TelemetrySample(
                operation=OperationRef(key),
                timestamp=begin + timedelta(seconds=trace),
                duration_ns=1,
                trace_id=f"{trace:032x}",
            )
            for trace in range(10)
            for key in (
                "entry",
                *(("rare",) if trace < 3 else ()),
                *(("other",) * (trace in {3, 9})),
            )
        ]
    )
    ids = {key: OperationRef(key).op_id for key in ("entry", "rare", "other")}
    pairs = {
        frozenset(row[:2]): row[2]
        for row in trace_companions(samples)
        .select("caller_op_id", "callee_op_id", "calls")
        .iter_rows()
    }
    assert pairs == {
        frozenset({ids["entry"], ids["rare"]}): 3,
        frozenset({ids["entry"], ids["other"]}): 2,
    }
    assert trace_companions(samples.clear()).is_empty()
