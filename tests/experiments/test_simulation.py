"""What simulated rollouts say of our rule: errors rates kept, bad variants stopped, good ones let through."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from evolution_lab.errors import InputError
from evolution_lab.experiments.definition import Binding, Guardrail, SpecExperiment, Stage
from evolution_lab.experiments.evidence import EvidencePlan
from evolution_lab.experiments.operating_characteristics import operating_characteristics
from evolution_lab.experiments.simulation import Schedule, Truth, evidence_rule, simulate
from evolution_lab.experiments.simulation_of_users import Users, false_rollbacks_of_users
from evolution_lab.experiments.statistics.shares import log_e_share_above

PLAN = EvidencePlan()
RULE = evidence_rule(PLAN)


@pytest.mark.parametrize(
    "truth",
    [
        Truth("low"),
        Truth("near the line", 0.045, 0.045, 700, 700),
        Truth("on the line", 0.05, 0.05, 750, 750),
        Truth("drifting", drift=0.5),
    ],
    ids=lambda truth: truth.name,
)
def test_harmless_rollouts_go_on(truth):
    outcome = simulate(truth, RULE, n_rollouts=200, seed=3)
    assert outcome.stopped <= 0.05
    assert (outcome.split_alarm >= 0).mean() <= 0.02


@pytest.mark.parametrize(
    ("truth", "most"),
    [
        (Truth("much worse", variant_errors=0.08), 125),
        (Truth("a little worse", variant_errors=0.03), 3200),
        (Truth("slower", variant_p99_ms=1000), 165),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_bad_rollouts_are_stopped_about_as_soon_as_one_look_would_need(truth, most):
    outcome = simulate(truth, RULE, n_rollouts=100, seed=4)
    assert outcome.stopped >= 0.99
    assert outcome.median_units <= most


def test_a_good_variant_arrives_and_one_on_the_line_is_held():
    schedule = Schedule(looks_a_stage=400)
    good = simulate(Truth("good"), RULE, n_rollouts=300, seed=5, schedule=schedule, advance_by=PLAN)
    assert (good.finished_at >= 0).mean() >= 0.97
    edge = simulate(
        Truth("edge", 0.02, 0.05), RULE, n_rollouts=300, seed=6, schedule=schedule, advance_by=PLAN
    )
    assert edge.advanced[0] / 300 <= 0.05


def test_users_that_keep_their_arm_roll_nothing_back_by_being_alike_themselves():
    users = Users(n_users=600, looks_a_stage=20)
    stopped = false_rollbacks_of_users(users, replace(PLAN, sticky=True), n_rollouts=150, seed=7)
    assert stopped.mean() <= 0.05


def test_underflow_far_inside_the_hypothesis_is_no_evidence():
    assert float(log_e_share_above(1500, 73_000, 0.05)) < 0


def experiment(**changes: object) -> SpecExperiment:
    values: dict[str, object] = {
        "key": "checkout-2",
        "operation": "checkout",
        "control": Binding(operation="checkout", version="1"),
        "variant": Binding(operation="checkout", version="2"),
        "unit": "request",
    }
    return SpecExperiment(**(values | changes))


def test_operating_characteristics_tell_good_from_bad():
    told = operating_characteristics(
        experiment(), requests_per_day=500_000, error_rate=0.01, p99_ms=400, n_rollouts=200
    )
    points = {point.variant: point for point in told.points}
    good = points["as good as the control"]
    assert good.arrived >= 0.97
    assert points["errors 4 times the control's"].rolled_back >= 0.99
    assert all(p.rolled_back + p.arrived + p.undecided == pytest.approx(1) for p in told.points)
    assert "rolled back" in told.to_markdown()


def test_little_traffic_leaves_rollouts_undecided():
    few = operating_characteristics(
        experiment(), requests_per_day=200, error_rate=0.01, p99_ms=400, n_rollouts=100
    )
    assert few.points[0].undecided > 0.9
    many = operating_characteristics(
        experiment(), requests_per_day=10**6, error_rate=0.01, p99_ms=400, n_rollouts=100
    )
    assert many.points[0].median_days < 5


def test_what_is_not_guarded_is_not_simulated():
    stages = (Stage(share=0.1, maximum_dwell=timedelta(days=1)), Stage(share=1.0))
    only = (Guardrail(metric="error_rate", boundary=0.05),)
    told = operating_characteristics(
        experiment(stages=stages, guardrails=only),
        requests_per_day=10**5,
        error_rate=0.01,
        p99_ms=400,
        n_rollouts=50,
    )
    assert not any("p99" in point.variant for point in told.points)
    assert told.days == 1


@pytest.mark.parametrize("wrong", [{"requests_per_day": 0}, {"error_rate": 1.0}, {"p99_ms": -1}])
def test_a_simulation_needs_traffic(wrong):
    values = {"requests_per_day": 1000.0, "error_rate": 0.01, "p99_ms": 400.0} | wrong
    with pytest.raises(InputError, match="must be above 0"):
        operating_characteristics(experiment(), **values)
