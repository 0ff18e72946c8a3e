"""Shops drawn by chance, with spec gaps planted or none: recorded calls, telemetry and a spec.

Nothing in them is the demo shop's. Every shop has what must not be taken for a gap: failures at
random, refused inputs that the spec refuses too, optional fields left out, a tenant that fails more
for reasons of its own, rare oddities below what is tolerated, equal small numbers, flags and dates.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import polars as pl

from evolution_lab.contracts import BoundSpecs, OpenApiDocument, bind_specs
from evolution_lab.records import OperationRef, TrafficSnapshot
from evolution_lab.schemas import SAMPLES, polars_schema

START: Final = datetime(2025, 3, 3, tzinfo=UTC)
HOURS: Final = 12
SERVICE: Final = "api"
VERSION: Final = "1.0.0"
NOUNS: Final = (
    "ticket", "parcel", "lease", "badge", "route", "claim", "recipe", "vessel", "permit", "lesson", "meter", "voucher",
)  # fmt: skip
WORDS: Final = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "haven")
Rng = np.random.Generator
Json = dict[str, Any]


@dataclass(kw_only=True)
class Operation:
    """One operation of a shop: how it is declared, and how it behaves.

    Attributes:
        method: HTTP method.
        path: Path template.
        noun: What it is about.
        declared: Its OpenAPI object.
        base_ms: Usual duration.
        faults: What was planted: each may change a call that is being made.
        stops_at: Share of the time after which nobody calls it.
    """

    method: str
    path: str
    noun: str
    declared: Json
    base_ms: float
    faults: list[Callable[[Call, Rng], None]] = field(default_factory=list)
    stops_at: float = 2.0

    @property
    def key(self) -> str:
        """Method and path template."""
        return f"{self.method} {self.path}"


@dataclass(kw_only=True)
class Call:
    """A call as it is made; planted gaps change it."""

    operation: Operation
    tenant: str
    when: float
    path_id: str | None
    query: Json
    body: Json | None
    status: int
    answer: Any
    factor: float = 1.0

    def fail(self, status: int, code: str) -> None:
        """Answer with an error."""
        self.status, self.answer = status, {"error": {"code": code, "message": "no"}}

    @property
    def fine(self) -> bool:
        """Whether it succeeded so far."""
        return self.status < 400


@dataclass(frozen=True, kw_only=True)
class Shop:
    """A shop's traffic.

    Attributes:
        snapshots: Recorded calls.
        samples: Their telemetry (``schemas.SAMPLES``).
        specs: Its document, bound to the operations.
    """

    snapshots: list[TrafficSnapshot]
    samples: pl.DataFrame
    specs: BoundSpecs


def identifier(rng: Rng, prefix: str) -> str:
    """Return an identifier such as ``ticket-3f9a01c2``."""
    return f"{prefix}-{rng.integers(0, 1 << 32):08x}"


def draw_operations(rng: Rng, count: int) -> list[Operation]:
    """Draw operations: some read one thing, some list, some create."""
    nouns = [str(n) for n in rng.choice(NOUNS, count, replace=False)]
    return [_operation(rng, noun, i) for i, noun in enumerate(nouns)]


def _operation(rng: Rng, noun: str, index: int) -> Operation:
    shape = ("read", "list", "create")[index % 3]
    base = float(rng.uniform(15, 120))
    errors = {
        s: {"description": "Refused", "content": _json(_ERROR)}
        for s in ("400", "401", "404", "422", "500")
    }
    item: Json = {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "state": {"type": "string", "enum": ["open", "held", "done"]},
            "size": {"type": "integer", "minimum": 0},
            "price": {"type": "number"},
            "madeAt": {"type": "string", "format": "date-time"},
            "note": {"type": "string"},
            "fragile": {"type": "boolean"},
        },
        "required": ["id", "state", "size", "price", "madeAt", "fragile"],
    }
    if shape == "list":
        answer: Json = {
            "type": "object",
            "properties": {"items": {"type": "array", "items": item}, "total": {"type": "integer"}},
            "required": ["items", "total"],
        }
        declared: Json = {
            "parameters": [
                {
                    "name": "limit",
                    "in": "query",
                    "schema": {"type": "integer", "minimum": 1, "maximum": 100},
                },
                {
                    "name": "state",
                    "in": "query",
                    "schema": {"type": "string", "enum": ["open", "held", "done"]},
                },
                {"name": "q", "in": "query", "schema": {"type": "string"}},
            ],
            "responses": {"200": {"description": "Done", "content": _json(answer)}, **errors},
        }
        return Operation(method="GET", path=f"/{noun}s", noun=noun, declared=declared, base_ms=base)
    if shape == "read":
        declared = {
            "parameters": [
                {"name": f"{noun}Id", "in": "path", "required": True, "schema": {"type": "string"}}
            ],
            "responses": {"200": {"description": "Done", "content": _json(item)}, **errors},
        }
        return Operation(
            method="GET", path=f"/{noun}s/{{{noun}Id}}", noun=noun, declared=declared, base_ms=base
        )
    given: Json = {
        "type": "object",
        "properties": {
            "ownerId": {"type": "string"},
            "label": {"type": "string"},
            "size": {"type": "integer", "minimum": 1},
            "grade": {"type": "string"},
            "costCentre": {"type": "string"},
            "remark": {"type": "string"},
            "express": {"type": "boolean"},
            "lines": {"type": "array", "minItems": 1, "items": {"type": "object", "properties": {"partId": {"type": "string"}, "count": {"type": "integer"}}, "required": ["partId"]}},
        },
        "required": ["ownerId", "label", "size", "lines"],
    }  # fmt: skip
    declared = {
        "requestBody": {"required": True, "content": _json(given)},
        "responses": {"201": {"description": "Done", "content": _json(item)}, **errors},
    }
    return Operation(method="POST", path=f"/{noun}s", noun=noun, declared=declared, base_ms=base)


_ERROR: Final[Json] = {
    "type": "object",
    "properties": {"error": {"type": "object", "properties": {"code": {"type": "string"}, "message": {"type": "string"}}}},
}  # fmt: skip


def _json(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}


def thing(rng: Rng, noun: str, when: float) -> Json:
    """Return an item as it is answered."""
    made: Json = {
        "id": identifier(rng, noun),
        "state": str(rng.choice(["open", "held", "done"])),
        "size": int(rng.integers(0, 9)),
        "price": round(float(rng.lognormal(3, 1)), 2),
        "madeAt": f"{START + timedelta(hours=HOURS * when):%Y-%m-%dT%H:%M:%SZ}",
        "fragile": bool(rng.random() < 0.3),
    }
    if rng.random() < 0.5:
        made["note"] = " ".join(str(w) for w in rng.choice(WORDS, 3))
    return made


def make_call(operation: Operation, rng: Rng, tenant: str, when: float) -> Call:
    """Make one call as clients and an operation without gaps would."""
    call = Call(operation=operation, tenant=tenant, when=when, path_id=None, query={}, body=None, status=200, answer=None)  # fmt: skip
    noun = operation.noun
    if operation.method == "POST":
        lines = 1 + int(rng.geometric(0.4))
        call.status = 201
        call.body = {
            "ownerId": identifier(rng, "owner"),
            "label": " ".join(str(w) for w in rng.choice(WORDS, int(rng.integers(1, 5)))),
            "size": int(1 + rng.geometric(0.15)),
            "lines": [{"partId": identifier(rng, "part"), "count": int(rng.integers(1, 5))} for _ in range(lines)],
        }  # fmt: skip
        for name, chance in (("grade", 0.8), ("costCentre", 0.7 if tenant != "t0" else 0.2), ("remark", 0.5), ("express", 0.6)):  # fmt: skip
            if rng.random() < chance:
                call.body[name] = bool(rng.random() < 0.3) if name == "express" else str(rng.choice(WORDS))  # fmt: skip
        call.answer = thing(rng, noun, when)
    elif "{" in operation.path:
        call.path_id = identifier(rng, noun)
        call.answer = {**thing(rng, noun, when), "id": call.path_id}
    else:
        if rng.random() < 0.85:
            call.query["limit"] = str(rng.choice([5, 10, 20]))
        if rng.random() < 0.4:
            call.query["state"] = str(rng.choice(["open", "held", "done"]))
        count = int(call.query.get("limit", 20))
        call.answer = {"items": [thing(rng, noun, when) for _ in range(min(count, 6))], "total": int(rng.integers(6, 400))}  # fmt: skip
    _disturb(call, rng)
    return call


def _disturb(call: Call, rng: Rng) -> None:
    """Add what happens in every shop and asks for nothing."""
    luck = rng.random()
    if luck < 0.005:
        call.fail(500, "store_timeout")
    elif luck < 0.015 and call.path_id is not None:
        call.fail(404, "not_found")
    elif luck < 0.02 and call.body is not None:
        call.body["size"] = 0  # The spec refuses it too.
        call.fail(422, "invalid_size")
    elif luck < 0.025 and call.body is None and call.path_id is None:
        call.query["limit"] = "none"
        call.fail(400, "invalid_limit")
    elif luck < 0.06 and call.tenant == "t0" and call.body is not None:
        call.fail(422, "account_overdrawn")  # A matter of the tenant, which also sends less.
    odd = rng.random()
    if odd < 0.0004 and call.fine and isinstance(call.answer, dict):
        call.answer["debug"] = "1"
    elif odd > 0.99 and call.body is None:
        call.query["_"] = str(rng.integers(1 << 30))


def play(
    rng: Rng,
    operations: list[Operation],
    *,
    sessions: int,
    chain: Callable[[Rng, str, float], list[Call]] | None = None,
    chain_share: float = 0.0,
) -> Shop:
    """Return a shop's traffic: sessions of calls in random order, and perhaps a chain in some."""
    document = _document(operations)
    tenants = [f"t{i}" for i in range(4)]
    weights = np.array([0.2, 0.4, 0.25, 0.15])
    snapshots: list[TrafficSnapshot] = []
    rows: list[Json] = []
    for number in range(sessions):
        tenant = str(rng.choice(tenants, p=weights))
        when = float(rng.random() * 0.99)
        count = int(rng.geometric(1 / 4))
        picks = rng.integers(0, len(operations), count)
        plan: list[Operation | None] = [operations[int(i)] for i in picks]
        if chain is not None and rng.random() < chain_share:
            plan.insert(int(rng.integers(len(plan) + 1)), None)
        at = START + timedelta(hours=HOURS * when)
        for step in plan:
            made = chain(rng, tenant, when) if step is None and chain is not None else []
            if step is not None:
                if when > step.stops_at:
                    continue
                call = make_call(step, rng, tenant, when)
                for fault in step.faults:
                    fault(call, rng)
                made = [call]
            for call in made:
                ms = call.operation.base_ms * call.factor * float(rng.lognormal(0, 0.25))
                _record(call, at, ms, f"s{number}", len(rows), snapshots, rows)
                at += timedelta(milliseconds=ms) + timedelta(
                    seconds=0.1 + float(rng.exponential(4))
                )
    frame = pl.DataFrame(rows, infer_schema_length=None)
    types = polars_schema(SAMPLES)
    samples = frame.select(
        (pl.col(n) if n in frame.columns else pl.lit(None)).cast(t).alias(n)
        for n, t in types.items()
    )
    seen = {(SERVICE, operation.key) for operation in operations}
    specs = bind_specs([(SERVICE, OpenApiDocument.load(document))], seen)
    return Shop(snapshots=snapshots, samples=samples, specs=specs)


def _document(operations: list[Operation]) -> Json:
    paths: Json = {}
    for operation in operations:
        declared = {"operationId": f"{operation.noun}.{operation.method.lower()}", **copy.deepcopy(operation.declared)}  # fmt: skip
        paths.setdefault(operation.path, {})[operation.method.lower()] = declared
    return {"openapi": "3.1.0", "info": {"title": "Drawn", "version": "1.0.0"}, "paths": paths}


def _record(
    call: Call,
    at: datetime,
    ms: float,
    session: str,
    number: int,
    snapshots: list[TrafficSnapshot],
    rows: list[Json],
) -> None:
    operation, trace = call.operation, f"{number:032x}"
    ref = OperationRef(operation.key, SERVICE, VERSION)
    path = operation.path
    if call.path_id is not None:
        path = path[: path.index("{")] + call.path_id
    failed = call.status >= 500
    snapshots.append(
        TrafficSnapshot(
            id=f"r{number:06d}",
            operation=ref,
            input={"path": path, "query": call.query, "headers": {}, "body": call.body},
            output={"status": call.status, "headers": {}, "body": call.answer},
            success=not failed,
            timestamp=at,
            duration_ms=ms,
            metadata={"traceId": trace, "sessionId": session},
            tenant_id=call.tenant,
        )
    )
    error = call.answer["error"]["code"] if call.status >= 400 else None
    rows.append(
        {
            "service": SERVICE,
            "operation_key": operation.key,
            "operation_version": VERSION,
            "op_id": ref.op_id,
            "kind": "server",
            "timestamp": at,
            "duration_ns": int(ms * 1e6),
            "success": not failed,
            "status_code": call.status,
            "error_code": error if failed else None,
            "tenant_id": call.tenant,
            "actor_id": f"{call.tenant}-{hash_of(session)}",
            "session_id": session,
            "trace_id": trace,
            "span_id": f"{number:016x}",
            "channel": "rest",
            "weight": 1.0,
            "name_source": "route",
            "row_id": f"{trace}/{number:016x}",
        }
    )


def hash_of(session: str) -> int:
    """Return one of forty users for a session, always the same."""
    return int(session[1:]) % 40


def declared_schema(operation: Operation, side: str) -> Json:
    """Return the schema of an operation's body or of the item it answers, to be changed in place."""
    if side == "input":
        found: Json = operation.declared["requestBody"]["content"]["application/json"]["schema"]
        return found
    status = "201" if operation.method == "POST" else "200"
    schema: Json = operation.declared["responses"][status]["content"]["application/json"]["schema"]
    items = schema["properties"].get("items")
    return schema if items is None else items["items"]


def answered_items(answer: Any) -> list[Json]:
    """Return the items of an answer, be it one or a list."""
    if not isinstance(answer, dict):
        return []
    items = answer.get("items")
    return items if isinstance(items, list) else [answer] if "id" in answer else []
