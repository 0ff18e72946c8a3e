"""What flows through workflows, and what is equal for other reasons."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from evolution_lab.records import OperationRef, TrafficSnapshot, Workflow
from evolution_lab.suggestions.traffic.composites import composite_parts
from evolution_lab.suggestions.traffic.data_flow import DataFlow, find_data_flow
from evolution_lab.suggestions.traffic.exchanges import read_exchanges

Make = Callable[..., TrafficSnapshot]
KEYS = ("GET /carts/{id}", "POST /quotes", "POST /invoices")
WORKFLOW = Workflow(
    id="w",
    basis="session",
    steps=tuple(OperationRef(key, service="shop") for key in KEYS),
    support=60,
    sequences=100,
    expected=2.0,
    lift=30.0,
    p_value=1e-9,
)


def runs(make: Make, *, linked: bool, n: int = 60) -> list[TrafficSnapshot]:
    rng = np.random.default_rng(11)
    snapshots = []
    for i in range(n):
        cart, quote = (f"c-{rng.integers(10**9)}" for _ in range(2))
        other, another = (f"c-{rng.integers(10**9)}" for _ in range(2))
        tenant = f"t{i % 3}"
        skus = [f"sku-{rng.integers(10**4)}" for _ in range(int(rng.integers(1, 4)))]
        lines = [{"sku": sku, "quantity": 1} for sku in skus]
        # Equal in all three calls, for other reasons than flow.
        same = {"day": "2026-03-02", "express": True, "count": 1, "region": f"region-{tenant}"}
        common = {"session": f"s{i}", "tenant": tenant}
        snapshots += [
            make(3 * i, KEYS[0], path=f"/carts/{cart}", status=200, answer={"id": cart, "items": lines, **same}, **common),
            make(3 * i + 1, KEYS[1], body={"cartId": cart if linked else other, "items": lines if linked else [], **same}, answer={"quoteId": quote, **same}, **common),
            make(3 * i + 2, KEYS[2], body={"quoteId": quote if linked else another, "to": f"x-{i}", **same}, answer={"id": f"inv-{i}"}, **common),
        ]  # fmt: skip
    return snapshots


def flow_of(snapshots: list[TrafficSnapshot]) -> DataFlow | None:
    return find_data_flow(WORKFLOW, read_exchanges(snapshots))


def test_what_flows_is_found_and_nothing_else(snapshot: Make):
    flow = flow_of(runs(snapshot, linked=True))
    assert {(k.step, k.path, k.from_step, k.side, k.from_path) for k in flow.links} == {
        (1, ("body", "cartId"), 0, "output", ("id",)),
        (1, ("body", "items", "[]", "sku"), 0, "output", ("items", "[]", "sku")),
        (1, ("body", "items", "[]", "quantity"), 0, "output", ("items", "[]", "quantity")),
        (2, ("body", "quoteId"), 1, "output", ("quoteId",)),
    }
    assert (0, ("path", "id")) in flow.inputs
    assert (2, ("body", "to")) in flow.inputs
    assert flow.calls_saved == 2
    assert flow.saved_interval[0] <= flow.saved_ns <= flow.saved_interval[1]


def test_equal_values_without_flow_are_no_links(snapshot: Make):
    assert flow_of(runs(snapshot, linked=False)).links == ()


def test_few_runs_say_nothing(snapshot: Make):
    assert flow_of(runs(snapshot, linked=True, n=19)) is None


def test_a_composite_asks_for_what_no_step_answers(snapshot: Make):
    exchanges = read_exchanges(runs(snapshot, linked=True))
    flow = find_data_flow(WORKFLOW, exchanges)
    parts = composite_parts(WORKFLOW, flow, exchanges, [None, None, None])
    assert set(parts.input_schema["properties"]) == {
        "id",
        "to",
        "day",
        "express",
        "count",
        "region",
    }
    assert set(parts.output_schema["properties"]) == {"id"}
    assert parts.given[2] == (
        {"to": "/body/quoteId", "from": {"step": 1, "of": "output", "at": "/quoteId"}},
    )
