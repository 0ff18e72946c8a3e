"""Counts merge by addition, in any order, to what one process would have counted."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolution_lab.errors import InputError
from evolution_lab.experiments.counters import (
    ArmCounts,
    RolloutCounts,
    StageCounts,
    counts_of_units,
    merged,
)

TALLIES = st.lists(st.tuples(*[st.integers(1, 9)] + [st.integers(0, 9)] * 3), max_size=30)


@given(TALLIES, st.integers(1, 8), st.randoms())
def test_shards_in_any_order_are_one_pass(
    tallies: list[tuple[int, int, int, int]], n_shards: int, order: random.Random
) -> None:
    shards = [
        RolloutCounts(
            (StageCounts(0.1, variant=ArmCounts(**counts_of_units(tallies[k::n_shards]))),)
        )
        for k in range(n_shards)
    ]
    order.shuffle(shards)
    whole = ArmCounts(**counts_of_units(tallies))
    assert merged(shards).stages[0].variant == whole


def test_other_stages_do_not_add_up() -> None:
    with pytest.raises(InputError, match="do not add up"):
        merged([RolloutCounts.empty((0.1,)), RolloutCounts.empty((0.1, 1.0))])
    with pytest.raises(InputError, match="do not add up"):
        merged([RolloutCounts.empty((0.1,)), RolloutCounts.empty((0.2,))])
    with pytest.raises(InputError, match="no counts"):
        merged([])


def test_counts_are_not_negative() -> None:
    with pytest.raises(InputError, match="failed == -1"):
        ArmCounts(failed=-1)
