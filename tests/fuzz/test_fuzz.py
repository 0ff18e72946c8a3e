"""A few thousand broken inputs for everything that strangers reach; ``run.py`` does a million."""

from __future__ import annotations

import pytest
from fuzz_engine import LostNeighbourError, Mutator, Target, fuzz
from fuzz_readers import reading_targets
from fuzz_writers import writing_targets

TARGETS = [*reading_targets(), *writing_targets()]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_nothing_that_strangers_send_breaks_it(target: Target):
    inputs = max(20, round(12 * target.share * (1 if target.batch == 1 else 2)))
    try:
        figures = fuzz(target, inputs=inputs, seed=11)
    finally:
        target.close()
    assert figures.inputs >= inputs
    assert figures.sound, figures.examples


def test_the_engine_sees_crashes_hangs_and_lost_neighbours():
    def run(given: bytes) -> bool:
        if len(given) % 3 == 0:
            raise KeyError("a crash")
        if len(given) % 3 == 1:
            raise LostNeighbourError("row 7")
        return True

    figures = fuzz(Target("t", lambda m: m.data(b"0123456789"), run), inputs=300)
    assert figures.crashes
    assert figures.lost
    assert figures.refused == 300 - figures.crashes - figures.lost
    assert not figures.sound


def test_the_same_seed_draws_the_same_inputs():
    drawn = [[Mutator(seed).document({"a": [1, {"b": "c"}]}) for seed in range(50)] for _ in "ab"]
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) > 30
