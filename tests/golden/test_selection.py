"""Which cases are kept: every outcome, then what has most features together; what is lost is said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from evolution_lab.golden.generator import GoldenTestGenerator
from evolution_lab.records import OperationRef
from evolution_lab.records.traffic import TrafficSnapshot

START = datetime(2026, 1, 5, tzinfo=UTC)


def calls() -> list[TrafficSnapshot]:
    """Sixty calls, three plans by two currencies, one refused in a way of its own."""
    made = []
    for number in range(60):
        refused = number == 41
        body = {"plan": ["free", "pro", "team"][number % 3], "currency": ["EUR", "USD"][number % 2]}
        made.append(
            TrafficSnapshot(
                id=str(number),
                operation=OperationRef("POST /plans"),
                input={"body": {**body, "seats": number}},
                output={"status": 422 if refused else 201, "body": body},
                success=True,
                timestamp=START + timedelta(seconds=number),
            )
        )
    return made


@pytest.mark.parametrize("budget", [1, 2, 7, 20])
def test_rare_failure_is_kept_at_any_budget(budget):
    suite = GoldenTestGenerator(budget=budget).generate(calls())
    assert {case.outcome for case in suite.cases} == {"status-201", "status-422"}
    assert len(suite.cases) == max(budget, 2)


def test_few_cases_hold_all_plans_and_currencies_together():
    suite = GoldenTestGenerator(budget=8).generate(calls())
    bodies = [case.steps[0].input["body"] for case in suite.cases]
    assert len({(body["plan"], body["currency"]) for body in bodies}) == 6


def test_what_is_lost_and_what_a_case_is_kept_for_are_said():
    suite = GoldenTestGenerator(budget=5).generate(calls())
    assert suite.lost["a value at in body/seats"] == 55
    assert all(case.kept_for for case in suite.cases)
    assert any("outcome status-422" in case.kept_for for case in suite.cases)
    assert GoldenTestGenerator().generate(calls()).lost == {}


def test_selection_does_not_depend_on_order():
    forward = GoldenTestGenerator(budget=9).generate(calls())
    backward = GoldenTestGenerator(budget=9).generate(calls()[::-1])
    assert forward == backward


def test_power_says_what_a_suite_would_notice():
    suite = GoldenTestGenerator(budget=9, power_sites=3).generate(calls())
    assert suite.power is not None
    noticed, tried = suite.power.values
    assert noticed == tried > 0
    assert suite.power.structural[0] == suite.power.structural[1] > 0
    assert "drop" in str(suite.power)
