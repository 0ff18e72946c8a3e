"""Figures of rollouts are drawn from decisions, whatever names are in them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from evolution_lab.experiments import (
    ArmCounts,
    Binding,
    CountedOutcomes,
    Look,
    RolloutCounts,
    SpecExperiment,
    StageCounts,
    decide,
)
from evolution_lab.experiments.operating_characteristics import operating_characteristics
from evolution_lab.export.rollout_figures import evidence_figure, operating_figure, rates_figure

START = datetime(2026, 5, 4, tzinfo=UTC)
EXPERIMENT = SpecExperiment(
    key="checkout-2",
    operation="<script>",
    unit="request",
    control=Binding(operation="<script>", version="1"),
    variant=Binding(operation="<script>", version="2"),
)


def decision(number: int, failed: int):
    shares = [stage.share for stage in EXPERIMENT.stages]
    n = 200 * number
    first = StageCounts(
        shares[0],
        control=ArmCounts(requests=99 * n, failed=n, slow=n // 3, tail=n // 3),
        variant=ArmCounts(requests=n, failed=failed, slow=1, tail=1),
    )
    counts = RolloutCounts((first, *(StageCounts(share) for share in shares[1:])))
    at = START + timedelta(minutes=number)
    outcomes = CountedOutcomes(counts=counts, newest=at)
    return decide(
        EXPERIMENT, Look(number=number, at=at, stage=0, entered_at=START, outcomes=outcomes)
    )


@pytest.fixture(scope="module")
def decisions():
    return [decision(1, 2), decision(2, 5), decision(3, 60)]


def test_evidence_over_time_shows_the_rollback(decisions):
    figure = evidence_figure(decisions)
    names = [trace.name for trace in figure.data]
    assert names == ["errors", "p99", "fallbacks", "over all guardrails", "roll back"]
    assert figure.data[-2].y[-1] > 1.3 > figure.data[-2].y[0]
    assert "<script>" not in figure.to_json().replace("\\u003c", "<")


def test_rates_have_their_sequence(decisions):
    figure = rates_figure(decisions, "error_rate")
    high, low, variant, control = (trace.y for trace in figure.data)
    assert all(a >= b >= c for a, b, c in zip(high, variant, low, strict=True))
    assert len(control) == 3


def test_nothing_to_draw_says_so():
    assert "No look yet" in evidence_figure([]).layout.annotations[0].text
    assert "Nothing was counted" in rates_figure([], "error_rate").layout.annotations[0].text


def test_operating_characteristics_are_drawn():
    told = operating_characteristics(
        EXPERIMENT, requests_per_day=10**5, error_rate=0.01, p99_ms=400, n_rollouts=20
    )
    figure = operating_figure(told)
    assert [trace.name for trace in figure.data] == ["rolled back", "undecided", "reached 100 %"]
    assert len(figure.data[0].y) == len(told.points)
