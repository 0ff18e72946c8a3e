"""What clients ask of the five services: sessions drawn by seed, and how each is recorded."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Mapping
from copy import deepcopy
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from evolution_lab.bench.services.world import Request, Response
from evolution_lab.records import OperationRef, TrafficSnapshot

Session = Generator[Request, Response, None]
Call = Callable[[Request], Response]

_START: Final = datetime(2026, 3, 2, tzinfo=UTC)


def _orders(rng: random.Random) -> Session:
    skus = ["mug", "lamp", "desk", "pen", "chair"]
    what = rng.random()
    if what < 0.2:
        limit = rng.choice(["1", "2", "3", "4", "5", "6", "10", "100", "0", "101", "x"])
        yield Request("GET", "/orders", {"limit": limit})
        return
    if what < 0.3:
        yield Request("GET", f"/orders/unknown-{rng.randrange(20)}")
        return
    items = [
        {"sku": rng.choice(skus), "quantity": rng.choice([1, 2, 3, 7, 50])}
        for _ in range(rng.randrange(1, 4))
    ]
    if what < 0.4:
        items[0] = rng.choice(
            [{"sku": "sofa"}, {"sku": "mug", "quantity": 0}, {"sku": "pen", "quantity": 51}]
        )
    body: dict[str, Any] = {"items": [] if what < 0.43 else items}
    if rng.random() < 0.3:
        body["coupon"] = rng.choice(["TEN", "OLD"])
    status, order = yield Request("POST", "/orders", {}, body)
    if status == 201 and rng.random() < 0.6:
        yield Request("GET", f"/orders/{order['id']}")
        if rng.random() < 0.5:
            yield Request("POST", f"/orders/{order['id']}/cancel")
            if rng.random() < 0.4:
                yield Request("POST", f"/orders/{order['id']}/cancel")


def _catalogue(rng: random.Random) -> Session:
    skus = ["mug-01", "mug-02", "lamp-01", "lamp-02", "desk-01", "pen-01"]
    query: dict[str, str] = {}
    if rng.random() < 0.6:
        query["currency"] = rng.choice(["EUR", "USD", "PLN", "GBP"])
    if rng.random() < 0.5:
        sku = rng.choice([*skus, f"sofa-{rng.randrange(9)}"])
        yield Request("GET", f"/products/{sku}", query)
        return
    if rng.random() < 0.7:
        query["tag"] = rng.choice(["kitchen", "office", "light", "gift", "wood", "garden"])
    if rng.random() < 0.5:
        query["min"] = str(rng.choice([0, 125, 790, 850, 3950]))
        query["max"] = str(rng.choice([100, 790, 850, 8900, 24900]))
    yield Request("GET", "/products", query)


def _sessions(rng: random.Random) -> Session:
    member = rng.choice(["kim", "lou", "max", "eve"])
    pins = {"kim": "4711", "lou": "1234", "max": "9999", "eve": "0000"}
    body: dict[str, Any] = {"member": member, "pin": pins[member]}
    if rng.random() < 0.2:
        body["pin"] = str(rng.randrange(1000, 1040))
    if rng.random() < 0.1:
        del body["pin"]
    if rng.random() < 0.4:
        body["remember"] = rng.random() < 0.5
    status, signed = yield Request("POST", "/sessions", {}, body)
    if status == 201:
        path = f"/sessions/{signed['session']}"
        yield Request("GET", path)
        if rng.random() < 0.5:
            yield Request("DELETE", path)
            if rng.random() < 0.5:
                yield Request("GET", path)
    elif rng.random() < 0.3:
        yield Request("GET", f"/sessions/none-{rng.randrange(9)}")


def _bookings(rng: random.Random) -> Session:
    what = rng.random()
    if what < 0.2:
        query = {"beds": str(rng.randrange(1, 6)), "size": str(rng.randrange(1, 4))}
        if rng.random() < 0.4:
            query["from"] = str(rng.randrange(3))
        yield Request("GET", "/rooms", query)
        return
    room = rng.choice(["attic", "garden", "suite"])
    if what < 0.26:
        yield Request("GET", f"/rooms/{rng.choice([room, f'cave-{rng.randrange(5)}'])}")
        return
    # each session has days of its own, so that what one books is free for another
    arrival = date(2028, 1, 1) + timedelta(days=rng.randrange(25_000))
    body: dict[str, Any] = {
        "room": room,
        "arrival": arrival.isoformat(),
        "nights": rng.choice([1, 2, 3, 6, 7, 8, 14, 21, 22, 0]),
        "guests": rng.randrange(1, 5),
    }
    if what < 0.6:
        yield Request("POST", "/quotes", {}, body)
        return
    if rng.random() < 0.5:
        body["deposit"] = rng.choice([0, 50, 200])
    if rng.random() < 0.15:
        body |= {"room": "suite", "arrival": "2027-08-05", "guests": 2, "nights": 3}
    status, booking = yield Request("POST", "/bookings", {}, body)
    if status == 201 and rng.random() < 0.5:
        path = f"/bookings/{booking['reference']}"
        yield Request("GET", path)
        if rng.random() < 0.5:
            yield Request("DELETE", path)
    elif status != 201 and rng.random() < 0.2:
        yield Request("GET", f"/bookings/none-{rng.randrange(9)}")


def _ledger(rng: random.Random) -> Session:
    what = rng.random()
    accounts = ["acc-100", "acc-200", "acc-300"]
    if what < 0.15:
        account = rng.choice([*accounts, "acc-900"])
        yield Request("GET", f"/accounts/{account}")
        return
    if what < 0.4:
        months = str(rng.choice([1, 2, 3, 4, 5, 8, 12, 13, 0]))
        yield Request("GET", f"/accounts/{rng.choice(accounts)}/statement", {"months": months})
        return
    body = {
        "from": rng.choice([*accounts[:2], "acc-100", "acc-300", "acc-900"]),
        "to": rng.choice(accounts),
        "amount": rng.choice([0, -5, 80.25, 99.99, 100, 499.99, 500, 1000, 1000.01])
        if rng.random() < 0.3
        else round(rng.uniform(1, 900), 2),
    }
    if rng.random() < 0.3:
        body["memo"] = rng.choice(["rent", "books", "fuel"])
    status, transfer = yield Request("POST", "/transfers", {}, body)
    if status == 201 and rng.random() < 0.4:
        yield Request("GET", f"/transfers/{transfer['id']}")
    elif status != 201 and rng.random() < 0.1:
        yield Request("GET", f"/transfers/tr_none{rng.randrange(9)}")


SESSIONS: Final[Mapping[str, Callable[[random.Random], Session]]] = {
    "orders": _orders,
    "catalogue": _catalogue,
    "sessions": _sessions,
    "bookings": _bookings,
    "ledger": _ledger,
}
"""What one client does, by service."""

_TEMPLATES: Final = {
    "orders": ("/orders/{id}", "/orders/{id}/cancel"),
    "catalogue": ("/products/{sku}",),
    "sessions": ("/sessions/{token}",),
    "bookings": ("/rooms/{name}", "/bookings/{reference}"),
    "ledger": ("/transfers/{id}", "/accounts/{id}", "/accounts/{id}/statement"),
}


def operation_of(name: str, request: Request) -> str:
    """Return the operation of a request, by the shape of its path.

    Examples:
        >>> operation_of("orders", Request("GET", "/orders/7"))
        'GET /orders/{id}'
    """
    parts = request.path.strip("/").split("/")
    for template in _TEMPLATES[name]:
        shape = template.strip("/").split("/")
        if len(shape) == len(parts) and all(
            s.startswith("{") or s == p for s, p in zip(shape, parts, strict=True)
        ):
            return f"{request.method} {template}"
    return f"{request.method} {request.path}"


def recording(name: str, call: Call, *, sessions: int, seed: int) -> list[TrafficSnapshot]:
    """Return what is recorded of a service while clients use it.

    Args:
        name: Which service.
        call: Asks it.
        sessions: How many clients.
        seed: Of what they do.
    """
    rng = random.Random(seed)  # noqa: S311 - nothing secret depends on it
    found: list[TrafficSnapshot] = []
    for number in range(sessions):
        session = SESSIONS[name](rng)
        request = next(session)
        while True:
            answer = call(request)
            found.append(_snapshot(name, number, len(found), request, answer))
            try:
                request = session.send(answer)
            except StopIteration:
                break
    return found


def _snapshot(
    name: str, session: int, number: int, request: Request, answer: Response
) -> TrafficSnapshot:
    return TrafficSnapshot(
        id=f"{name}-{number}",
        operation=OperationRef(operation_of(name, request)),
        input=sent(request),
        # a service in this process may change later what it gave out
        output={"status": answer[0], "headers": {}, "body": deepcopy(answer[1])},
        success=answer[0] < 500,
        timestamp=_START + timedelta(seconds=number),
        metadata={"sessionId": f"s{session}", "method": request.method},
    )


def sent(request: Request) -> dict[str, Any]:
    """Return the input of a snapshot of a request."""
    return {
        "path": request.path,
        "query": dict(request.query),
        "headers": {},
        "body": request.body,
    }


def asked(value: Mapping[str, Any], metadata: Mapping[str, Any]) -> Request:
    """Return the request that a case sends."""
    method = str(metadata.get("method") or str(metadata["operation"]).split(" ")[0])
    query = {key: str(text) for key, text in (value.get("query") or {}).items()}
    return Request(method, value["path"], query, value.get("body"))
