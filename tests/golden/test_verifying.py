"""Suites tried on the unchanged service: what counts on is let go, what is gone is set aside."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evolution_lab.bench.golden_services import made_suites, new_service, service_module
from evolution_lab.bench.services import RealWorld, served
from evolution_lab.bench.services.traffic import asked, recording
from evolution_lab.golden.emitting import emit
from evolution_lab.golden.generator import GoldenTestGenerator
from evolution_lab.golden.runners import LoadedRunner
from evolution_lab.golden.running import run_golden_tests
from evolution_lab.golden.side_files import EmitSettings, read_side_file, side_text
from evolution_lab.golden.updating import accept
from evolution_lab.golden.verifying import ProvenSuite, proven_suites
from evolution_lab.records import TrafficSnapshot


def orders(seed: int = 1) -> list[TrafficSnapshot]:
    service = new_service(service_module("orders"), RealWorld(seed))
    return recording("orders", service.call, sessions=40, seed=9)


def runner_of(service: Any, calls: list[str] | None = None) -> LoadedRunner:
    def run(value: Any, metadata: Any) -> Any:
        if calls is not None:
            calls.append(metadata["operation"])
        status, body = service.call(asked(value, metadata))
        return {"status": status, "headers": {}, "body": deepcopy(body)}

    return LoadedRunner(run)


def fresh(seed: int = 2) -> LoadedRunner:
    return runner_of(new_service(service_module("orders"), RealWorld(seed)))


def write(proven: ProvenSuite, output: Path) -> None:
    emit(
        proven.suite,
        output,
        EmitSettings(framework="pytest", runner_import="./runner"),
        verified=proven.verified,
        basis=proven.basis,
        accepted=proven.accepted,
    ).write(output)


def test_a_counter_is_let_go_on_the_evidence_of_reruns() -> None:
    proven = proven_suites(GoldenTestGenerator(), orders(), runner=fresh())
    relaxed = {
        (each.path, each.evidence)
        for case in proven["POST /orders"].suite.cases
        for each in case.relaxations
    }
    assert ("/body/number", "reruns") in relaxed
    assert all(not each.suite.quarantined for each in proven.values())
    for each in proven.values():
        assert run_golden_tests([each.suite], fresh(7)).exit_code == 0


def test_what_the_service_no_longer_has_is_set_aside_with_the_reason() -> None:
    snapshots = orders()
    moved = [
        replace(each, output={**each.output, "status": 410})
        if each.operation.key == "GET /orders"
        else each
        for each in snapshots
    ]
    proven = proven_suites(GoldenTestGenerator(), moved, runner=fresh())["GET /orders"]
    assert proven.suite.cases == ()
    assert {q.reason for q in proven.suite.quarantined} == {
        "not reproduced by the unchanged service: drift at /status value"
    }
    assert set(proven.verified.values()) == {"drift"}


def test_generating_again_asks_nobody_and_gives_the_same_bytes(tmp_path: Path) -> None:
    output = tmp_path / "test_orders.py"
    first = proven_suites(GoldenTestGenerator(), orders(), runner=fresh())["POST /orders"]
    write(first, output)
    before = output.read_text(), side_text(read_side_file(output))
    calls: list[str] = []
    service = new_service(service_module("orders"), RealWorld(8))
    for runner in (None, runner_of(service, calls)):
        again = proven_suites(
            GoldenTestGenerator(),
            orders(),
            operation="POST /orders",
            runner=runner,
            earlier={"POST /orders": read_side_file(output)},
        )["POST /orders"]
        write(again, output)
        assert (output.read_text(), side_text(read_side_file(output))) == before
    assert calls == []


def test_what_was_accepted_stays_until_traffic_says_otherwise(tmp_path: Path) -> None:
    output = tmp_path / "test_products.py"
    proven = proven_suites(GoldenTestGenerator(), orders(), runner=fresh())["GET /orders"]
    write(proven, output)
    changed = service_module("orders").Service(RealWorld(3))
    plain = changed.call

    class Dearer:
        def call(self, request: Any) -> Any:
            status, body = plain(request)
            if "products" in body:
                body["products"] = [{**p, "price": p["price"] + 1} for p in body["products"]]
            return status, body

    run = run_golden_tests([proven.suite], runner_of(Dearer()))
    group = next(g.group for g in run.groups if "price" in g.path)
    accept(output, run.results, only=group, why="dearer since March", by="kim")
    side = read_side_file(output)
    kept = proven_suites(
        GoldenTestGenerator(), orders(), operation="GET /orders", earlier={"GET /orders": side}
    )["GET /orders"]
    assert kept.accepted == side.accepted
    assert kept.suite.cases == side.suite.cases
    dearer = [
        replace(
            s,
            output={
                **s.output,
                "body": Dearer().call(asked(s.input, {"method": "GET", "operation": ""}))[1],
            },
        )
        if s.operation.key == "GET /orders"
        else s
        for s in orders()
    ]
    new = proven_suites(
        GoldenTestGenerator(), dearer, operation="GET /orders", earlier={"GET /orders": side}
    )["GET /orders"]
    assert new.accepted == () or new.suite.cases != side.suite.cases


@pytest.mark.parametrize("name", ["orders", "sessions", "catalogue"])
def test_suites_of_a_service_stay_green_on_a_fresh_one(name: str) -> None:
    def start(seed: int) -> Any:
        return served(new_service(service_module(name), RealWorld(seed)))

    _, suites = made_suites(name, start, sessions=15)
    service = new_service(service_module(name), RealWorld(99))
    run = run_golden_tests(list(suites.values()), runner_of(service))
    assert run.exit_code == 0
    assert len(run.results) >= 8
