"""What looks lead to: harm, safety, holds, and the same decisions again from what was stored."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolution_lab.experiments.analysis import ExperimentAnalysis
from evolution_lab.experiments.analyzer import harmful_among
from evolution_lab.experiments.counters import ArmCounts, RolloutCounts, StageCounts, merged
from evolution_lab.experiments.decisions import (
    CountedOutcomes,
    Look,
    RolloutDecision,
    decide,
    replay,
)
from evolution_lab.experiments.definition import Binding, Guardrail, SpecExperiment, Stage
from evolution_lab.records import from_json, to_json

START = datetime(2026, 5, 4, tzinfo=UTC)
SHARES = (0.01, 0.10, 0.50, 1.0)


def experiment(**changes: Any) -> SpecExperiment:
    values: dict[str, Any] = {
        "key": "checkout-2",
        "operation": "checkout",
        "control": Binding(operation="checkout", version="1"),
        "variant": Binding(operation="checkout", version="2"),
        "unit": "request",
        "stages": tuple(
            Stage(share=s, minimum_dwell=timedelta(hours=1), maximum_dwell=timedelta(days=2))
            for s in SHARES
        ),
    }
    return SpecExperiment(**(values | changes))


def arm(requests: int, failed: int = 0, slow: int = 0, **more: int) -> ArmCounts:
    return ArmCounts(requests=requests, failed=failed, slow=slow, tail=slow, **more)


def counts(*stages: tuple[ArmCounts, ArmCounts]) -> RolloutCounts:
    empty = [(ArmCounts(), ArmCounts())] * (len(SHARES) - len(stages))
    return RolloutCounts(
        tuple(
            StageCounts(share, control=control, variant=variant)
            for share, (variant, control) in zip(SHARES, [*stages, *empty], strict=True)
        )
    )


def look(counted: RolloutCounts, *, hours: float = 2.0, stage: int = 0, **changes: Any) -> Look:
    at = START + timedelta(hours=hours)
    values: dict[str, Any] = {
        "number": 7,
        "at": at,
        "stage": stage,
        "entered_at": START,
        "outcomes": CountedOutcomes(counts=counted, newest=at - timedelta(seconds=20)),
    }
    return Look(**(values | changes))


HEALTHY = counts((arm(4000, 60, 8), arm(396_000, 6000, 800)))
BROKEN = counts((arm(400, 40, 1), arm(39_600, 600, 80)))


def test_harm_rolls_back_and_says_by_which_numbers():
    decision = decide(experiment(), look(BROKEN))
    assert (decision.action, decision.cause) == ("roll_back", "harm")
    assert "40 of 400 requests of the variant failed" in decision.reason
    by_metric = {each.metric: each for each in decision.analysis.guardrails}
    assert by_metric["error_rate"].verdict == "harm"
    assert by_metric["latency_p99"].verdict == "inconclusive"
    low, high = by_metric["error_rate"].ratio_interval
    assert 1 < low < 6 < high


def test_proven_safety_advances_after_the_least_dwell_only():
    assert decide(experiment(), look(HEALTHY)).action == "advance"
    early = decide(experiment(), look(HEALTHY, hours=0.5))
    assert (early.action, early.cause) == ("hold", "dwell")


def test_the_last_stage_completes():
    earlier = [(arm(round(1000 * s)), arm(round(1000 * (1 - s)))) for s in SHARES[:3]]
    last = counts(*earlier, (arm(4000, 60, 8), ArmCounts()))
    assert decide(experiment(), look(last, stage=3)).action == "complete"


def test_safety_of_an_earlier_stage_is_none_of_this_one():
    first = (HEALTHY.stages[0].variant, HEALTHY.stages[0].control)
    thin = counts(first, (arm(100, 1, 0), arm(900, 9, 2)))
    decision = decide(experiment(), look(thin, stage=1))
    assert (decision.action, decision.cause) == ("hold", "undecided")


def test_every_guardrail_must_be_safe():
    slow = counts((arm(4000, 60, 40), arm(396_000, 6000, 3960)))
    assert decide(experiment(), look(slow)).action == "hold"
    falling_back = counts((arm(4000, 60, 8, fallbacks=40), arm(396_000, 6000, 800)))
    assert decide(experiment(), look(falling_back)).action == "hold"


def test_fallbacks_beyond_their_boundary_are_harm():
    falling_back = counts((arm(400, 6, 1, fallbacks=60), arm(39_600, 600, 80)))
    decision = decide(experiment(), look(falling_back))
    assert decision.action == "roll_back"
    assert "fell back" in decision.reason


def test_nothing_proven_for_too_long_asks_a_person():
    thin = counts((arm(100, 1, 0), arm(9_900, 99, 20)))
    assert decide(experiment(), look(thin, hours=47)).action == "hold"
    decision = decide(experiment(), look(thin, hours=48))
    assert (decision.action, decision.cause) == ("ask", "maximum-dwell")


def test_a_broken_split_holds_what_would_advance_but_not_a_rollback():
    lost = counts((arm(2000, 30, 4), arm(396_000, 6000, 800)))
    decision = decide(experiment(), look(lost))
    assert (decision.action, decision.cause) == ("hold", "split")
    harmful = counts((arm(2000, 400, 4), arm(396_000, 6000, 800)))
    assert decide(experiment(), look(harmful)).action == "roll_back"


def test_no_traffic_and_stale_data_hold():
    empty = decide(experiment(), look(counts()))
    assert (empty.action, empty.cause) == ("hold", "no-traffic")
    at = START + timedelta(hours=2)
    old = CountedOutcomes(counts=HEALTHY, newest=at - timedelta(minutes=4))
    stale = decide(experiment(), look(HEALTHY, outcomes=old))
    assert (stale.action, stale.cause) == ("hold", "stale-data")
    assert "must be at most 3m" in stale.reason


def test_users_that_keep_their_arm_are_the_unit():
    # Two users with 50 failures each are two failed units, not a hundred failed requests.
    two = ArmCounts(
        units=100, failed_units=2, requests=1000, failed=100, request_squares=10_000,
        failed_squares=5000, failed_products=1000,
    )  # fmt: skip
    many = ArmCounts(
        units=9900, failed_units=600, requests=99_000, failed=1000, request_squares=990_000,
        failed_squares=2000, failed_products=10_000,
    )  # fmt: skip
    sticky = decide(experiment(unit="user"), look(counts((two, many))))
    assert sticky.action == "hold"
    assert sticky.analysis.unit == "user"
    assert decide(experiment(), look(counts((two, many)))).action == "roll_back"


def test_users_advance_by_the_share_of_their_requests():
    def users(n: int) -> ArmCounts:
        return ArmCounts(
            units=n, failed_units=n // 7, slow_units=n // 50, tail_units=n // 50, requests=10 * n,
            failed=n // 5, slow=n // 50, tail=n // 50, request_squares=100 * n,
            failed_squares=n // 4, failed_products=2 * n, slow_squares=n // 50,
            slow_products=n // 5,
        )  # fmt: skip

    counted = counts((users(5000), users(495_000)))
    guardrails = (
        Guardrail(metric="error_rate", boundary=0.05),
        Guardrail(metric="latency_p99", boundary=750.0),
    )
    decision = decide(experiment(unit="user", guardrails=guardrails), look(counted))
    assert decision.action == "advance"


ARMS = st.builds(
    lambda n, failed, slow: arm(n, min(n, failed), min(n, slow)),
    st.integers(0, 5000),
    st.integers(0, 300),
    st.integers(0, 300),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(ARMS, ARMS), min_size=1, max_size=4), st.randoms())
def test_any_partition_in_any_order_gives_the_same_decision(stages, order: random.Random):
    """Counts cut into shards, at random, decide bit for bit as the whole."""
    whole = counts(*stages)
    shards = []
    rest = whole
    for _ in range(5):
        part = RolloutCounts(
            tuple(
                StageCounts(
                    s.share, control=_some(s.control, order), variant=_some(s.variant, order)
                )
                for s in rest.stages
            )
        )
        shards.append(part)
        rest = RolloutCounts(
            tuple(
                StageCounts(
                    r.share,
                    control=_less(r.control, p.control),
                    variant=_less(r.variant, p.variant),
                )
                for r, p in zip(rest.stages, part.stages, strict=True)
            )
        )
    shards.append(rest)
    order.shuffle(shards)
    last = len(stages) - 1
    assert to_json(decide(experiment(), look(merged(shards), stage=last))) == to_json(
        decide(experiment(), look(whole, stage=last))
    )


def _some(counted: ArmCounts, order: random.Random) -> ArmCounts:
    return ArmCounts(**{n: order.randint(0, v) for n, v in vars(counted).items()})


def _less(counted: ArmCounts, part: ArmCounts) -> ArmCounts:
    return ArmCounts(**{n: v - getattr(part, n) for n, v in vars(counted).items()})


def test_a_thousand_shards_decide_as_one():
    rng = random.Random(7)
    shards = [
        counts((arm(rng.randint(0, 9), rng.randint(0, 2), 0), arm(rng.randint(0, 900), 5, 1)))
        for _ in range(1000)
    ]
    one = to_json(decide(experiment(), look(merged(shards))))
    for _ in range(3):
        rng.shuffle(shards)
        assert to_json(decide(experiment(), look(merged(shards)))) == one


def test_stored_looks_give_the_same_decisions_again():
    looks = [
        look(counts((arm(n, n // 50, n // 300), arm(99 * n, n, n // 3))), hours=n / 100, number=k)
        for k, n in enumerate(range(50, 4000, 250), start=1)
    ]
    first = tuple(decide(experiment(), each) for each in looks)
    stored = [to_json(each) for each in looks]
    again = replay(
        from_json(SpecExperiment, to_json(experiment())), (from_json(Look, s) for s in stored)
    )
    assert [to_json(each) for each in again] == [to_json(each) for each in first]
    assert from_json(RolloutDecision, to_json(first[-1])) == first[-1]


def test_a_decision_is_made_from_little_and_quickly():
    each = look(HEALTHY)
    assert len(to_json(each.outcomes)) <= 2048 * len(experiment().guardrails)
    best = min(_seconds(lambda: decide(experiment(), each)) for _ in range(20))
    assert best < 0.05  # What it costs on this machine is measured by `bench rollout`.


def _seconds(work: Any) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def test_a_decision_shows_itself():
    decision = decide(experiment(), look(BROKEN))
    assert "40 of 400 requests" in decision.to_markdown()
    assert "roll_back" in str(decision)
    assert replace(decision, look=8) != decision


@pytest.mark.parametrize("stage", [-1, 4])
def test_there_is_no_such_stage(stage):
    with pytest.raises(ValueError, match="stage =="):
        decide(experiment(), look(HEALTHY, stage=stage))


def test_of_many_rollouts_those_that_do_harm_are_named():
    def analysis(key: str, counted: RolloutCounts) -> ExperimentAnalysis:
        return decide(experiment(key=key), look(counted)).analysis

    analyses = [analysis(f"fine-{n}", HEALTHY) for n in range(20)] + [analysis("bad", BROKEN)]
    assert harmful_among(analyses) == ("bad@1",)
    assert harmful_among(analyses[:20]) == ()
