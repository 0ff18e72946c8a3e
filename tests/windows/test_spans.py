from __future__ import annotations

import time

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from evolution_lab.windows import SpanTree, span_tree
from evolution_lab.windows.spans import NOBODY


def tree(parents: list[int], operations: list[bool]) -> SpanTree:
    return SpanTree(pl.DataFrame(), np.array(parents, dtype=np.int64), np.array(operations))


def climb(parents: list[int], row: int) -> list[int] | None:
    """The rows above, nearest first; None where the way up is a circle."""
    above: list[int] = []
    while (row := parents[row]) != NOBODY:
        if row in above:
            return None
        above.append(row)
    return above


@st.composite
def forests(draw):
    """Any parents at all, circles among them."""
    size = draw(st.integers(1, 25))
    parents = draw(st.lists(st.integers(NOBODY, size - 1), min_size=size, max_size=size))
    parents = [NOBODY if parent == row else parent for row, parent in enumerate(parents)]
    return parents, draw(st.lists(st.booleans(), min_size=size, max_size=size))


@settings(max_examples=150, deadline=None)
@given(forest=forests())
def test_doubling_finds_what_climbing_finds(forest):
    parents, operations = forest
    made = tree(parents, operations)
    ways = [climb(parents, row) for row in range(len(parents))]
    assert made.depths().tolist() == [0 if way is None else len(way) for way in ways]
    for row, (caller, way) in enumerate(zip(made.callers().tolist(), ways, strict=True)):
        if way is not None:
            assert caller == next((above for above in way if operations[above]), NOBODY)
        else:
            assert caller == NOBODY or (operations[caller] and parents[row] != NOBODY)


def test_deep_chains_and_forged_circles_take_no_time():
    size = 200_000
    chain = [NOBODY, *range(size - 1)]
    circle = [size - 1, *range(size - 1)]
    began = time.process_time()
    assert tree(chain, [True, *[False] * (size - 1)]).callers()[-1] == 0
    assert tree(chain, [False] * size).depths()[-1] == size - 1
    assert (tree(circle, [False] * size).callers() == NOBODY).all()
    assert not tree(circle, [False] * size).depths().any()
    assert time.process_time() - began < 5


def test_of_two_spans_of_one_id_the_earlier_one_is_the_parent(call, frame):
    samples = frame(
        call("late", 5, trace_id="t", span_id="1", kind="server"),
        call("early", 1, trace_id="t", span_id="1", kind="server"),
        call("child", 9, trace_id="t", span_id="2", parent_span_id="1", kind="server"),
    )
    made = span_tree(samples)
    assert made.parents.tolist() == [NOBODY, NOBODY, 0]
