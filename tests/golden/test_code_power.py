"""What a suite notices of changes of the code its runner calls."""

from __future__ import annotations

import importlib.util
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from evolution_lab.golden.code_power import code_power, reach_of
from evolution_lab.golden.generator import GoldenTestGenerator
from evolution_lab.golden.runners import LoadedRunner
from evolution_lab.golden.suite import GoldenSuite
from evolution_lab.golden.verifying import proven_suites
from evolution_lab.records import OperationRef, TrafficSnapshot

SOURCE = """
def price(quantity, coupon):
    total = quantity * 7
    if quantity > 10:
        total = total - 5
    if coupon == "TEN":
        total = total * 0.9
    return {"total": total, "big": total >= 100}


def run(sent, metadata):
    return price(sent["quantity"], sent.get("coupon"))
"""


@pytest.fixture
def runner(tmp_path: Path) -> Any:
    path = tmp_path / "own_pricing.py"
    path.write_text(SOURCE)
    spec = importlib.util.spec_from_file_location("own_pricing", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["own_pricing"] = module
    spec.loader.exec_module(module)
    yield LoadedRunner(module.run)
    del sys.modules["own_pricing"]


def suite_of(runner: LoadedRunner, *calls: dict[str, Any]) -> GoldenSuite:
    return GoldenTestGenerator().generate(
        TrafficSnapshot(
            id=str(number),
            operation=OperationRef("price"),
            input=sent,
            output=runner.run(sent, {}),
            success=True,
            timestamp=datetime(2026, 1, 1, tzinfo=UTC),
        )
        for number, sent in enumerate(calls)
    )


def test_a_suite_that_reaches_more_notices_more(runner: LoadedRunner, tmp_path: Path) -> None:
    poor = suite_of(runner, {"quantity": 2})
    rich = suite_of(
        runner,
        *({"quantity": n, "coupon": c} for n in (2, 10, 11, 15, 16) for c in ("TEN", "OLD")),
    )
    reached = {}
    for name, suite in (("poor", poor), ("rich", rich)):
        reach = reach_of(suite, runner, root=tmp_path)
        reached[name] = sum(map(len, reach.lines.values()))
        noticed, tried = code_power(suite, runner, reach).code
        assert 0 < noticed <= tried
        if name == "rich":
            assert noticed / tried >= 0.8
    assert reached["poor"] < reached["rich"]


def test_code_is_as_it_was_afterwards(runner: LoadedRunner, tmp_path: Path) -> None:
    before = runner.run({"quantity": 15, "coupon": "TEN"}, {})
    suite = suite_of(runner, {"quantity": 15, "coupon": "TEN"})
    code_power(suite, runner, reach_of(suite, runner, root=tmp_path))
    assert runner.run({"quantity": 15, "coupon": "TEN"}, {}) == before
    assert sys.gettrace() is None or "coverage" in repr(sys.gettrace())


def test_libraries_are_left_alone(runner: LoadedRunner, tmp_path: Path) -> None:
    suite = suite_of(runner, {"quantity": 1})
    assert reach_of(suite, runner, root=tmp_path / "elsewhere").lines == {}


def test_within_a_budget_the_calls_that_reach_most_are_kept(
    runner: LoadedRunner, tmp_path: Path
) -> None:
    sent = [{"quantity": n} for n in range(1, 9)] + [{"quantity": 12, "coupon": "TEN"}]
    snapshots = [
        TrafficSnapshot(
            id=str(number),
            operation=OperationRef("price"),
            input=each,
            output=runner.run(each, {}),
            success=True,
            timestamp=datetime(2026, 1, 1, tzinfo=UTC),
        )
        for number, each in enumerate(sent)
    ]
    proven = proven_suites(
        GoldenTestGenerator(budget=2), snapshots, runner=runner, code_root=tmp_path
    )["price"]
    assert len(proven.suite.cases) == 2
    assert any(case.steps[0].input["quantity"] == 12 for case in proven.suite.cases)
    assert proven.suite.power is not None
    assert proven.suite.power.code[1] > 0
