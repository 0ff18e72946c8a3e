"""The benchmark of suggestions: it counts what is right, and can fail."""

from __future__ import annotations

import pytest

from evolution_lab.bench.suggestions import (
    JUDGED_SEEDS,
    Tally,
    judge_null,
    judge_planted,
    report_of,
)
from evolution_lab.suggestions.traffic.confidence import bundled_counts, confidence_of


@pytest.fixture(scope="module")
def tally() -> Tally:
    counted = Tally()
    for seed in (0, 1):
        judge_planted(seed, counted)
    judge_null(1_000, counted)
    return counted


def test_planted_gaps_are_found(tally: Tally):
    assert tally.found == tally.planted
    assert tally.true == tally.suggestions
    assert tally.null_with_any == 0
    assert (tally.chains, tally.chains_exact, tally.links_invented) == (1, 1, 0)


def test_confidence_is_that_of_shops_nobody_judges(tally: Tally):
    counts = bundled_counts()
    assert max(counts["seeds"]["planted"] + counts["seeds"]["null"]) < min(JUDGED_SEEDS)
    for kind in ("drift", "failing-input", "slow-calls"):
        known = counts["kinds"][kind]
        assert confidence_of(kind) == (known["true"] + 1) / (known["said"] + 2)
    assert tally.stated
    assert all(0.8 < confidence < 1 for confidence, _ in tally.stated)


def test_misses_and_inventions_fail_a_target(tally: Tally):
    report = report_of(tally, 2)
    assert report.passed
    tally.suggestions += 50
    tally.links_invented += 1
    assert {t.id for t in report_of(tally, 2).targets if not t.passed} == {
        "suggestions-precision",
        "data-flow-invented",
    }
    tally.suggestions -= 50
    tally.links_invented -= 1
