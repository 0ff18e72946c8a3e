from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest

from evolution_lab.errors import FrameContractError
from evolution_lab.records import OperationRef
from evolution_lab.schemas import SAMPLES, SEQUENCES, check, empty
from evolution_lab.windows import operation_sequences, span_tree


def steps(sequences: pl.DataFrame, basis: str, names: tuple[str, ...]) -> list[list[str]]:
    """The sequences of a basis as lists of names, in the frame's order."""
    known = {OperationRef(name).op_id: name for name in names}
    rows = sequences.filter(pl.col("basis") == basis)
    assert (
        rows["position"].to_list()
        == rows.select(pl.int_range(pl.len()).over("sequence_id")).to_series().to_list()
    )
    grouped = rows.group_by("sequence_id", maintain_order=True).agg("op_id")
    return [[known[op] for op in ops] for ops in grouped["op_id"]]


def test_a_trace_gives_its_operations_by_start_nested_ones_included(call, frame):
    def span(span_id, parent, key, kind, seconds):
        return call(key, seconds, trace_id="t", span_id=span_id, parent_span_id=parent, kind=kind)

    samples = frame(
        span("4", "3", "c", "server", 3),
        span("1", None, "a", "server", 0),
        span("3", "1", "call", "client", 2),
        span("2", "1", "b", "consumer", 1),
        call("alone", 5, trace_id="u", span_id="1", kind="server"),
    )
    assert steps(operation_sequences(samples), "trace", ("a", "b", "c")) == [["a", "b", "c"]]


def test_a_session_gives_the_entry_operations_of_its_traces(call, frame):
    spans = []
    for number, key in enumerate(("browse", "cart", "pay")):
        shared = {"trace_id": f"t{number}", "actor_id": "actor_1"}
        spans += [
            call(key, number * 60, span_id="1", kind="server", **shared),
            call("db", number * 60 + 1, span_id="2", parent_span_id="1", kind="server", **shared),
        ]
    sequences = operation_sequences(frame(*spans))
    assert steps(sequences, "session", ("browse", "cart", "pay", "db")) == [
        ["browse", "cart", "pay"]
    ]
    assert len(steps(sequences, "trace", ("browse", "cart", "pay", "db"))) == 3
    assert sequences.filter(pl.col("basis") == "session")["sequence_id"].unique().to_list() == [
        "t0/1"
    ]


def test_a_long_gap_begins_a_new_session(call, frame):
    times = (0, 60, 60 + 1_800, 60 + 1_800 + 1_799)
    samples = frame(*(call(f"s{n}", t, actor_id="x") for n, t in enumerate(times)))
    names = tuple(f"s{n}" for n in range(4))
    assert steps(operation_sequences(samples), "session", names) in (
        [["s0", "s1"], ["s2", "s3"]],
        [["s2", "s3"], ["s0", "s1"]],
    )
    wide = operation_sequences(samples, session_gap=timedelta(hours=1))
    assert steps(wide, "session", names) == [["s0", "s1", "s2", "s3"]]


def test_session_id_wins_over_actor_and_tenants_are_kept_apart(call, frame):
    samples = frame(
        call("a", 0, session_id="s", actor_id="x"),
        call("b", 1, session_id="s", actor_id="y"),
        call("c", 2, actor_id="x"),
        call("d", 3, actor_id="x", tenant_id="other"),
        call("e", 4, actor_id="x"),
        call("f", 5),
        call("g", 6),
    )
    found = steps(operation_sequences(samples), "session", tuple("abcdefg"))
    assert sorted(found) == [["a", "b"], ["c", "e"]]


def test_names_with_separators_do_not_join_two_sessions(call, frame):
    samples = frame(
        call("a", 0, session_id="x|y"),
        call("b", 1, session_id="x", tenant_id="y"),
        call("c", 2, session_id="x"),
        call("d", 3, session_id="x|", tenant_id="|"),
    )
    assert operation_sequences(samples).is_empty()


def test_excluded_operations_are_no_steps(call, frame):
    samples = frame(*(call(k, n, actor_id="x") for n, k in enumerate(("a", "GET /health", "b"))))
    found = operation_sequences(samples, exclude=["GET /health*"])
    assert steps(found, "session", ("a", "b")) == [["a", "b"]]


def test_any_order_and_a_tree_give_the_same_frame(call, frame):
    samples = frame(
        *(
            call(
                f"s{n % 5}",
                n // 3,
                actor_id=f"actor_{n % 4}",
                trace_id=f"t{n % 30}",
                span_id=f"{n}",
            )
            for n in range(120)
        )
    )
    expected = operation_sequences(samples)
    assert expected.height > 100
    check(expected, SEQUENCES)
    assert expected.equals(expected.sort("basis", "sequence_id", "position"))
    for seed in range(3):
        shuffled = samples.sample(fraction=1.0, shuffle=True, seed=seed)
        assert operation_sequences(shuffled).equals(expected)
        assert operation_sequences(span_tree(shuffled.lazy())).equals(expected)


def test_nothing_gives_an_empty_frame():
    assert operation_sequences(empty(SAMPLES)).schema == empty(SEQUENCES).schema


def test_a_frame_that_breaks_its_contract_is_refused(call, frame):
    with pytest.raises(FrameContractError, match="weight"):
        operation_sequences(frame(call("a")).with_columns(weight=pl.lit(0.0)))
