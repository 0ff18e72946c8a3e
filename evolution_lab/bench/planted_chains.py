"""Chains of calls with values that flow between them, and equal values that do not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from evolution_lab.bench.simulated_shops import Call, Operation, Rng, identifier, make_call

Link = tuple[int, tuple[str, ...], int]
"""Step, path of its input, and the step that the value comes from."""


@dataclass(frozen=True, kw_only=True)
class Chain:
    """A planted workflow.

    Attributes:
        operations: Its steps.
        links: What flows: of each linked input, the earliest step that answers its value.
        make: Makes one run.
    """

    operations: tuple[Operation, ...]
    links: frozenset[Link]
    make: Callable[[Rng, str, float], list[Call]]


def draw_chain(rng: Rng, noun: str = "journey") -> Chain:
    """Draw a chain of three calls: read, prepare, commit.

    Each optional flow is there or not by chance. Beside them stand values that are equal for other
    reasons: a count of 1 or 2, a flag, today's date, the tenant's region, a currency.
    """
    name = noun
    with_quote, with_total, numeric = (bool(rng.random() < 0.5) for _ in range(3))
    error = {"description": "Refused", "content": {"application/json": {"schema": {"type": "object"}}}}  # fmt: skip
    open_answer = {"description": "Done", "content": {"application/json": {"schema": {"type": "object"}}}}  # fmt: skip
    errors = dict.fromkeys(("400", "404", "422", "500"), error)
    free = {"requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}}  # fmt: skip
    read = Operation(
        method="GET", path=f"/{name}s/{{{name}Id}}", noun=name, base_ms=30, stops_at=-1.0,
        declared={"parameters": [{"name": f"{name}Id", "in": "path", "required": True, "schema": {"type": "string"}}], "responses": {"200": open_answer, **errors}},
    )  # fmt: skip
    prepare = Operation(
        method="POST", path=f"/{name}-offers", noun=f"{name}Offer", base_ms=50, stops_at=-1.0,
        declared={**free, "responses": {"201": open_answer, **errors}},
    )  # fmt: skip
    commit = Operation(
        method="POST", path=f"/{name}-orders", noun=f"{name}Order", base_ms=80, stops_at=-1.0,
        declared={**free, "responses": {"201": open_answer, **errors}},
    )  # fmt: skip
    # Nobody calls them alone: ``stops_at`` is before the beginning.
    links: set[Link] = {(1, ("body", f"{name}Id"), 0), (2, ("body", "offerId"), 1)}
    if with_quote:
        links.add((2, ("body", f"{name}Id"), 0))
    if with_total:
        links.add((2, ("body", "agreedPrice"), 1))

    def fresh(rng: Rng, prefix: str) -> Any:
        return int(rng.integers(100_000, 10_000_000)) if numeric else identifier(rng, prefix)

    def make(rng: Rng, tenant: str, when: float) -> list[Call]:
        today, region = f"2025-03-{3 + int(when > 0.5):02d}", f"region-{tenant}"
        count, flag = int(rng.integers(1, 3)), bool(rng.random() < 0.9)
        own, offer = fresh(rng, name), fresh(rng, "offer")
        price = round(float(rng.lognormal(4, 1)) + 0.01, 2)
        common = {"region": region, "day": today, "currency": "EUR"}
        first = Call(
            operation=read, tenant=tenant, when=when, path_id=str(own), query={}, body=None, status=200,
            answer={"id": own, "seats": count, "open": flag, **common},
        )  # fmt: skip
        second = Call(
            operation=prepare, tenant=tenant, when=when, path_id=None, query={}, status=201,
            body={f"{name}Id": own, "seats": int(rng.integers(1, 3)), "insured": flag, "payer": identifier(rng, "payer"), **common},
            answer={"offerId": offer, "price": price, "seats": 1, "valid": True, **common},
        )  # fmt: skip
        body: dict[str, Any] = {"offerId": offer, "seats": 1, "confirm": True, "contact": identifier(rng, "contact"), **common}  # fmt: skip
        if with_quote:
            body[f"{name}Id"] = own
        if with_total:
            body["agreedPrice"] = price
        third = Call(
            operation=commit, tenant=tenant, when=when, path_id=None, query={}, status=201, body=body,
            answer={"orderId": fresh(rng, "order"), **common},
        )  # fmt: skip
        return [first, second, third]

    return Chain(operations=(read, prepare, commit), links=frozenset(links), make=make)


def unlinked_chain(rng: Rng, operations: list[Operation]) -> Chain:
    """Draw a chain of three ordinary calls between which nothing flows."""
    picked = tuple(operations[int(i)] for i in rng.choice(len(operations), 3, replace=False))

    def make(rng: Rng, tenant: str, when: float) -> list[Call]:
        calls = [make_call(operation, rng, tenant, when) for operation in picked]
        for call in calls:
            for fault in call.operation.faults:
                fault(call, rng)
        return calls

    return Chain(operations=picked, links=frozenset(), make=make)
