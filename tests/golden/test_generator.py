"""From snapshots to a suite: scenarios, errors, ids, and the same bytes whatever the order."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from evolution_lab.errors import InputError, UnknownNameError
from evolution_lab.golden.comparison import compare, compare_error, resolve
from evolution_lab.golden.generator import GoldenTestGenerator
from evolution_lab.golden.suite import GoldenSuite
from evolution_lab.records import OperationRef
from evolution_lab.records.json_form import from_json, to_json
from evolution_lab.records.traffic import RecordedError, TrafficSnapshot

START = datetime(2026, 1, 5, 12, tzinfo=UTC)


def traffic(seed: int, sessions: int = 6) -> list[TrafficSnapshot]:
    """Sessions of a small shop: create an order, pay it, get it; some are declined."""
    draw = random.Random(seed)
    snapshots = []

    def add(session, operation, sent, output=None, error=None):
        number = len(snapshots)
        snapshots.append(
            TrafficSnapshot(
                id=f"s{seed}-{number}",
                operation=OperationRef(operation),
                input=sent,
                output=output,
                error=error,
                success=error is None,
                timestamp=START + timedelta(days=seed, seconds=number),
                metadata={"sessionId": f"{seed}-{session}"},
            )
        )

    for session in range(sessions):
        order = f"ord_{draw.getrandbits(64):016x}"
        at = (START + timedelta(days=seed, seconds=session)).isoformat()
        amount = [5, 40, 900][session % 3]
        body = {"id": order, "url": f"/orders/{order}", "amount": amount, "createdAt": at}
        add(session, "POST /orders", {"body": {"amount": amount}}, {"status": 201, "body": body})
        if amount > 100:
            error = RecordedError(
                name="CardError", code="DECLINED", message=f"payment of {order} declined"
            )
            add(session, "orders.pay", {"order": order}, error=error)
        else:
            add(session, "orders.pay", {"order": order}, {"paid": order, "amount": amount})
        add(
            session,
            "GET /orders/{id}",
            {"path": f"/orders/{order}?full=1"},
            {"status": 200, "body": {**body, "paid": amount < 100}},
        )
    return snapshots


@pytest.fixture(scope="module")
def suites():
    return GoldenTestGenerator().generate_all(traffic(1))


def replay(case, snapshots):
    """Run a case against another recording of the same session: what each step must give."""
    names: dict[str, object] = {}
    found = []
    for step, snapshot in zip(case.steps, snapshots, strict=True):
        sent = resolve(step.input, names)
        assert sent == snapshot.input
        if step.error is not None:
            error = snapshot.error
            found += compare_error(error.name, error.code, error.message, step.error)
        else:
            found += compare(snapshot.output, step.output, names=names, sent=sent)
    return found


@pytest.mark.parametrize("operation", ["GET /orders/{id}", "orders.pay", "POST /orders"])
def test_cases_hold_in_another_run_with_other_identifiers(suites, operation):
    length = {"POST /orders": 1, "orders.pay": 2, "GET /orders/{id}": 3}[operation]
    again = traffic(2)
    amounts = {5: 0, 40: 1, 900: 2}
    for case in suites[operation].cases:
        assert len(case.steps) == length
        session = amounts[case.steps[0].input["body"]["amount"]]
        assert replay(case, again[3 * session : 3 * session + length]) == []


def test_sessions_that_differ_in_identifiers_alone_are_one_case(suites):
    assert len(suites["GET /orders/{id}"].cases) == 3
    assert all(case.snapshots == 2 for case in suites["GET /orders/{id}"].cases)


def test_a_broken_link_is_seen(suites):
    case = next(
        c for c in suites["GET /orders/{id}"].cases if c.steps[0].input["body"]["amount"] == 5
    )
    created, _, got = traffic(2)[:3]
    wrong = {**got.output, "body": {**got.output["body"], "id": "ord_0000000000000000"}}
    names: dict[str, object] = {}
    compare(created.output, case.steps[0].output, names=names)
    assert [d.kind for d in compare(wrong, case.steps[2].output, names=names)] == ["link"]


def test_the_error_of_a_declined_payment_keeps_its_code(suites):
    declined = [c for c in suites["orders.pay"].cases if c.outcome == "error-DECLINED"]
    assert [c.steps[-1].error.code for c in declined] == ["DECLINED"]
    assert declined[0].name.endswith("declined")


def test_same_bytes_in_any_order():
    snapshots = traffic(1)
    first = {k: to_json(v) for k, v in GoldenTestGenerator().generate_all(snapshots).items()}
    random.Random(5).shuffle(snapshots)
    again = {k: to_json(v) for k, v in GoldenTestGenerator().generate_all(snapshots).items()}
    assert first == again


SCRIPT = """
import sys, random
sys.path.insert(0, {folder!r})
from test_generator import traffic
from evolution_lab.golden.generator import GoldenTestGenerator
from evolution_lab.records.json_form import to_json
snapshots = traffic(1)
random.Random({seed}).shuffle(snapshots)
for suite in GoldenTestGenerator(budget=2).generate_all(snapshots).values():
    sys.stdout.buffer.write(to_json(suite))
"""


@pytest.mark.parametrize(
    ("seed", "zone", "locale"), [(1, "Pacific/Kiritimati", "C"), (2, "America/Lima", "C.UTF-8")]
)
def test_same_bytes_in_another_process_hash_seed_zone_and_locale(seed, zone, locale):
    here = b"".join(
        to_json(suite) for suite in GoldenTestGenerator(budget=2).generate_all(traffic(1)).values()
    )
    environment = {**os.environ, "PYTHONHASHSEED": str(seed), "TZ": zone, "LC_ALL": locale}
    script = SCRIPT.format(folder=str(Path(__file__).parent), seed=seed)
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, check=True
    )
    assert done.stdout == here


def test_one_snapshot_more_changes_no_other_case(suites):
    more = [
        *traffic(1),
        TrafficSnapshot(
            id="new",
            operation=OperationRef("POST /orders"),
            input={"body": {"amount": 77}},
            output={"status": 201, "body": {"id": "ord_00ff00ff00ff00ff", "amount": 77}},
            success=True,
            timestamp=START + timedelta(days=3),
        ),
    ]
    grown = GoldenTestGenerator().generate_all(more)
    for operation, suite in suites.items():
        before = {case.id: to_json(case) for case in suite.cases}
        after = {case.id: to_json(case) for case in grown[operation].cases}
        assert before.items() <= after.items()
    assert len(grown["POST /orders"].cases) == len(suites["POST /orders"].cases) + 1


def test_suite_survives_json(suites):
    for suite in suites.values():
        assert from_json(GoldenSuite, to_json(suite)) == suite


def test_operation_must_be_known_and_named():
    with pytest.raises(InputError, match="name the operation"):
        GoldenTestGenerator().generate(traffic(1))
    with pytest.raises(UnknownNameError, match=r"orders\.pay"):
        GoldenTestGenerator().generate(traffic(1), operation="orders.pya")


def test_what_cannot_be_compared_is_quarantined():
    deep: list[object] = []
    for _ in range(300):
        deep = [deep]
    calls = [
        TrafficSnapshot(
            id=str(i),
            operation=OperationRef("op"),
            input={},
            output=output,
            success=True,
            timestamp=START,
        )
        for i, output in enumerate([deep, object(), {"fine": 1}])
    ]
    suite = GoldenTestGenerator().generate(calls)
    assert len(suite.cases) == 1
    assert len(suite.quarantined) == 2
