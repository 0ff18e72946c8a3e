"""What recorded calls ask of a spec: planted gaps are found, what only looks like one is not."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from evolution_lab.contracts import DeclaredError, OperationSpec
from evolution_lab.records import TrafficSnapshot
from evolution_lab.suggestions import DeclaredSpecs, TrafficFinding, read_traffic
from evolution_lab.suggestions.edits import DeclareField, RequireField, SetLimit

Make = Callable[..., TrafficSnapshot]

BODY = {
    "type": "object",
    "properties": {
        "sku": {"type": "string"},
        "po": {"type": "string"},
        "size": {"type": "integer", "minimum": 1},
        "items": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["sku"],
}
SPEC = OperationSpec(
    key="POST /orders",
    version="1",
    kind="command",
    goal="Order.",
    input_schema={"type": "object", "properties": {"body": BODY}, "required": ["body"]},
    output_schema={"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]},
    errors={"422": DeclaredError(http=422), "500": DeclaredError(http=500)},
)


def findings(snapshots: list[TrafficSnapshot]) -> tuple[TrafficFinding, ...]:
    return read_traffic(snapshots, DeclaredSpecs((SPEC,))).findings


def ordinary(rng: np.random.Generator) -> dict[str, Any]:
    body: dict[str, Any] = {"sku": f"sku-{rng.integers(10**6)}", "size": int(rng.integers(1, 9))}
    if rng.random() < 0.7:
        body["po"] = f"PO-{rng.integers(10**6)}"
    body["items"] = ["x"] * int(rng.integers(1, 6))
    return body


def traffic(
    make: Make, change: Callable[[dict[str, Any], np.random.Generator], None], n: int = 400
) -> list[TrafficSnapshot]:
    rng = np.random.default_rng(7)
    snapshots = []
    for i in range(n):
        call: dict[str, Any] = {"body": ordinary(rng), "answer": {"id": f"o-{i}"}}
        if rng.random() < 0.01:
            refuse(call, 500, "store_timeout")
        change(call, rng)
        snapshots.append(make(i, **call))
    return snapshots


def refuse(call: dict[str, Any], status: int, code: str) -> None:
    call.update(status=status, answer={"error": {"code": code}})


def test_ordinary_traffic_asks_for_nothing(snapshot: Make):
    assert findings(traffic(snapshot, lambda _call, _rng: None)) == ()


def test_an_undeclared_field_is_declared_with_its_schema(snapshot: Make):
    found = findings(traffic(snapshot, lambda call, _: call["answer"].update(weight=1.5)))
    (edit,) = found[0].change.edits
    assert edit == DeclareField(place=edit.place, schema={"type": "number"})
    assert str(edit.place) == "response 201.weight"
    assert found[0].k == found[0].n
    assert found[0].p_value < 1e-100
    assert len(found[0].rows) == 20


def test_a_single_odd_call_is_no_drift(snapshot: Make):
    odd = traffic(snapshot, lambda _call, _rng: None)
    odd[5] = snapshot(5, body={"sku": "a"}, answer={"id": "o", "debug": 1})
    assert findings(odd) == ()


def test_many_calls_of_one_session_are_one(snapshot: Make):
    calls = traffic(snapshot, lambda _call, _rng: None)
    calls[:9] = [snapshot(i, body={"sku": "a"}, answer={"id": "o", "d": 1}, session="one") for i in range(9)]  # fmt: skip
    assert findings(calls) == ()


def test_drift_of_one_tenant_is_that_tenants(snapshot: Make):
    def change(call: dict[str, Any], rng: np.random.Generator) -> None:
        call["tenant"] = str(rng.choice(["a", "b", "c"]))
        if call["tenant"] == "b" and call.get("status", 200) < 400:
            call["answer"]["extra"] = "x"

    found = findings(traffic(snapshot, change))
    assert [finding.change.operation.tenant_id for finding in found] == ["b"]


def test_an_undeclared_error_is_declared(snapshot: Make):
    def change(call: dict[str, Any], rng: np.random.Generator) -> None:
        if rng.random() < 0.05:
            refuse(call, 409, "already_sent")

    found = findings(traffic(snapshot, change))
    assert [finding.change.spec for finding in found] == [
        {"errors": {"already_sent": {"http": 409, "when": "the request conflicts with the present state"}}}
    ]  # fmt: skip


def test_what_calls_without_a_field_have_in_common(snapshot: Make):
    def change(call: dict[str, Any], _rng: np.random.Generator) -> None:
        if "po" not in call["body"]:
            refuse(call, 422, "rejected")

    found = findings(traffic(snapshot, change))
    assert [type(finding.change.edits[0]) for finding in found] == [RequireField]
    assert str(found[0].change.edits[0].place) == "body.po"
    assert found[0].numbers["pWithinTenants"] < 1e-6
    assert found[0].interval[0] > 0.9


@pytest.mark.parametrize("limit", [50, 200])
def test_a_limit_is_found_where_it_is(snapshot: Make, limit: int):
    def change(call: dict[str, Any], rng: np.random.Generator) -> None:
        if rng.random() < 0.3:
            call["body"]["items"] = ["x"] * int(rng.integers(1, 3 * limit))
        if len(call["body"]["items"]) > limit:
            refuse(call, 422, "too_many")

    edits = [finding.change.edits[0] for finding in findings(traffic(snapshot, change))]
    assert [type(edit) for edit in edits] == [SetLimit]
    assert edits[0].keyword == "maxItems"
    assert 0.9 * limit <= edits[0].value <= 1.1 * limit


def test_a_tenants_own_failures_are_not_its_habits(snapshot: Make):
    """Tenant a fails for reasons of its own and never sends po: within tenants nothing is left."""

    def change(call: dict[str, Any], rng: np.random.Generator) -> None:
        call["tenant"] = "a" if rng.random() < 0.3 else "b"
        if call["tenant"] == "a":
            call["body"].pop("po", None)
            if rng.random() < 0.7:
                refuse(call, 422, "overdrawn")

    assert findings(traffic(snapshot, change)) == ()


def test_inputs_that_the_spec_refuses_ask_for_nothing(snapshot: Make):
    def change(call: dict[str, Any], rng: np.random.Generator) -> None:
        if rng.random() < 0.2:
            call["body"]["size"] = 0
            refuse(call, 422, "invalid_size")

    assert findings(traffic(snapshot, change)) == ()


def test_calls_with_long_lists_are_slow(snapshot: Make):
    def change(call: dict[str, Any], rng: np.random.Generator) -> None:
        if rng.random() < 0.2:
            call["body"]["items"] = ["x"] * int(rng.integers(50, 200))
        call["ms"] = (20 + 2 * len(call["body"]["items"])) * float(rng.lognormal(0, 0.2))

    found = findings(traffic(snapshot, change))
    assert [finding.kind for finding in found] == ["slow-calls"]
    edit = found[0].change.edits[0]
    assert (edit.keyword, str(edit.place)) == ("maxItems", "body.items")
    assert found[0].interval[0] > 2


def test_a_slow_tenant_gets_an_objective_of_its_own(snapshot: Make):
    def change(call: dict[str, Any], rng: np.random.Generator) -> None:
        call["tenant"] = str(rng.choice(["a", "b", "c"]))
        call["ms"] = float(rng.lognormal(3, 0.3)) * (4 if call["tenant"] == "c" else 1)

    found = findings(traffic(snapshot, change))
    assert [finding.change.operation.tenant_id for finding in found] == ["c"]


def test_the_order_of_calls_does_not_matter(snapshot: Make):
    def change(call: dict[str, Any], _rng: np.random.Generator) -> None:
        call["answer"]["weight"] = 1
        if "po" not in call["body"]:
            refuse(call, 422, "rejected")

    calls = traffic(snapshot, change)
    mixed = list(calls)
    random.Random(3).shuffle(mixed)
    assert findings(calls) == findings(mixed)


def test_never_seen_is_bounded_by_the_rule_of_three(snapshot: Make):
    reading = read_traffic(traffic(snapshot, lambda _call, _rng: None), DeclaredSpecs((SPEC,)))
    assert [(each.name, each.bound) for each in reading.never_seen] == [("422", 3 / 400)]


def test_hostile_names_stay_text(snapshot: Make):
    name = "<img src=x onerror=alert(1)>\x1b[31m"
    found = findings(traffic(snapshot, lambda call, _: call["answer"].update({name: 1})))
    assert len(found) == 1
    assert "\x1b" not in found[0].sentence
    assert "\x1b" not in found[0].change.summary


def test_maps_of_many_names_and_deep_bodies_are_bounded(snapshot: Make):
    deep: Any = 1
    for _ in range(200):
        deep = {"a": [deep]}
    calls = [
        snapshot(i, body={"sku": "a", **{f"k{i}-{j}": j for j in range(20)}, "deep": deep}, answer={"id": "o"}, status=201 if i % 4 else 422)
        for i in range(120)
    ]  # fmt: skip
    asked = [finding.change.edits[0].place.path for finding in findings(calls)]
    assert len(asked) <= 2
