"""Gaps planted in public OpenAPI documents, with the traffic that shows them.

For each operation calls are made up that keep to its schemas, then calls that show one gap: a field
that the document does not name, a null, an unlisted value, an error, a request that is refused
without a field … Beside them stands the edit that closes the gap.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from evolution_lab.contracts import OpenApiDocument, OpenApiOperation
from evolution_lab.contracts.conformance import Conformance
from evolution_lab.errors import EvolutionLabError
from evolution_lab.records import OperationRef, TrafficSnapshot
from evolution_lab.suggestions.edits import (
    AddParameter,
    AllowTypes,
    AllowValues,
    DeclareError,
    DeclareField,
    DeclareResponse,
    Deprecate,
    Edit,
    Place,
    RequireField,
    SetExtension,
    SetLimit,
)

_AT: Final = datetime(2026, 1, 1, tzinfo=UTC)
_NEW: Final = "plantedField"
_CODE: Final = "planted_error"
_ERROR: Final = 418
_FORMATS: Final[Mapping[str, str]] = {
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "time": "00:00:00Z",
    "uuid": "8f14e45f-ceea-467f-a0e6-0a1b2c3d4e5f",
    "email": "a@example.com",
    "uri": "https://example.com/",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
}
_DEEPEST: Final = 12


@dataclass(frozen=True, kw_only=True)
class PlantedEdit:
    """One edit with the traffic that asks for it.

    Attributes:
        edit: What closes the gap.
        asked: Calls that show the gap; empty where nothing in traffic asks (a policy).
        good: Calls that keep to the document as it is.
    """

    edit: Edit
    asked: tuple[TrafficSnapshot, ...] = ()
    good: tuple[TrafficSnapshot, ...] = ()


def planted_edits(document: OpenApiDocument, operation: OpenApiOperation) -> Iterator[PlantedEdit]:
    """Yield edits of every kind that fits an operation, with traffic made up for them.

    Nothing is planted in what the made-up calls cannot reach; an operation for which no call can be
    made up gets edits without traffic.
    """
    yield PlantedEdit(edit=Deprecate())
    yield PlantedEdit(edit=SetExtension(path=("policy", "latency"), value={"timeoutMs": 500}))
    call = good_call(document, operation)
    if call is None:
        return
    yield from _parameters(call)
    yield from _errors(document, operation, call)
    yield from _response_fields(document, operation, call)
    yield from _request_fields(document, operation, call)


def good_call(document: OpenApiDocument, operation: OpenApiOperation) -> TrafficSnapshot | None:
    """Return a call that keeps to the document; None where none can be made up."""
    try:
        parts = document.parts(operation.route)
        request = parts.input_schema()
        status = next(
            (s for s in ("200", "201", "202", "204") if parts.status_of(int(s)) == s), None
        )
        if status is None:
            return None
        body = _value(parts.body_schema(status))
        sent = _value(request) if request else {}
        sent = sent if isinstance(sent, dict) else {}
        values = sent.get("path", {})
        path = re.sub(
            r"\{([^{}]+)\}",
            lambda m: quote(_text(values.get(m[1], "x")), safe=""),
            operation.path,
        )
        query = {name: _text(value) for name, value in sent.get("query", {}).items()}
        call = TrafficSnapshot(
            id="good",
            operation=OperationRef(operation.route),
            input={"path": path, "query": query, "headers": {}, "body": sent.get("body")},
            output={"status": int(status), "headers": {}, "body": body},
            success=True,
            timestamp=_AT,
        )
        return None if Conformance(document).violations(call) else call
    except (EvolutionLabError, RecursionError):
        return None


def _parameters(call: TrafficSnapshot) -> Iterator[PlantedEdit]:
    place = Place(part="query", path=("plantedLimit",))
    schema = {"type": "integer", "minimum": 1, "maximum": 200}
    asked = _sent(call, "query", {**call.input["query"], "plantedLimit": "50"})
    bare = _declares_no_query(call)
    yield PlantedEdit(
        edit=AddParameter(place=place, schema=schema, description="How many at most."),
        asked=() if bare else (asked,),
        good=(call,),
    )


def _declares_no_query(call: TrafficSnapshot) -> bool:
    return not call.input["query"]


def _errors(
    document: OpenApiDocument, operation: OpenApiOperation, call: TrafficSnapshot
) -> Iterator[PlantedEdit]:
    parts = document.parts(operation.route)
    if parts.status_of(_ERROR) is not None:
        return
    known = parts.operation.get("responses", {})
    others = [code for code in sorted(known) if code[:1] == "4"] or [
        code for code in sorted(known) if code[:1] in {"5", "d"}
    ]
    like = next((code for code in others if parts.body_schema(code)), None)
    body = {"code": _CODE} if like is None else _coded(_value(parts.body_schema(like)))
    edit = DeclareError(code=_CODE, status=_ERROR, when="A planted refusal.")
    if like is not None:
        status = int(like) if like.isdecimal() else 400 if like[:1] == "4" else 500
        found = Conformance(document).response_violations(
            _answered(call, status, body), operation.route
        )
        if any(violation.kind != "undocumented-error" for violation in found):
            # Errors of this operation have no place for a code: told by the status alone.
            body = _value(parts.body_schema(like))
            found = Conformance(document).response_violations(
                _answered(call, status, body), operation.route
            )
            edit = DeclareError(code=str(_ERROR), status=_ERROR, when="A planted refusal.")
    refused = _answered(call, _ERROR, body)
    made_up = like is None or all(violation.kind == "undocumented-error" for violation in found)
    yield PlantedEdit(edit=edit, asked=(refused,) if made_up else (), good=(call,))
    response = DeclareResponse(status=_ERROR, description="A planted refusal.")
    yield PlantedEdit(edit=response, asked=(_answered(call, _ERROR, None),), good=(call,))


def _coded(body: Any) -> Any:
    if not isinstance(body, dict):
        return body
    if isinstance(body.get("error"), dict):
        return {**body, "error": {**body["error"], "code": _CODE}}
    return {**body, "code": _CODE}


def _response_fields(
    document: OpenApiDocument, operation: OpenApiOperation, call: TrafficSnapshot
) -> Iterator[PlantedEdit]:
    status = str(call.output["status"])
    schema = document.parts(operation.route).body_schema(status)
    place = Place(part="response", status=status)
    for path, value in _objects(call.output["body"]):
        asked = _answered(
            call, int(status), _with(call.output["body"], (*path, _NEW), "2026-01-01")
        )
        if Conformance(document).violations(asked):
            yield PlantedEdit(
                edit=DeclareField(
                    place=_below(place, (*path, _NEW)), schema={"type": "string", "format": "date"}
                ),
                asked=(asked,),
                good=(call,),
            )
        for name in list(value)[:2]:
            asked = _answered(call, int(status), _with(call.output["body"], (*path, name), None))
            if Conformance(document).violations(asked):
                yield PlantedEdit(
                    edit=AllowTypes(place=_below(place, (*path, name)), types=("null",)),
                    asked=(asked,),
                    good=(call,),
                )
            if _is_listed(schema, (*path, name)):
                new = _with(call.output["body"], (*path, name), "planted")
                yield PlantedEdit(
                    edit=AllowValues(place=_below(place, (*path, name)), values=("planted",)),
                    asked=(_answered(call, int(status), new),),
                    good=(call,),
                )


def _request_fields(
    document: OpenApiDocument, operation: OpenApiOperation, call: TrafficSnapshot
) -> Iterator[PlantedEdit]:
    body = call.input["body"]
    schema = _mapping(_mapping(document.parts(operation.route).input_schema()).get("properties"))
    top = document.parts(operation.route).input_schema()
    known = _properties(top, schema.get("body"))
    needed = set(_resolve(top, schema.get("body")).get("required", ()))
    place = Place(part="body")
    if not isinstance(body, dict):
        return
    for name in [n for n in known if n not in needed][:3]:
        value = _value({**_mapping(known[name]), "$defs": top.get("$defs", {})})
        whole = _sent(call, "body", {**body, name: value})
        if value is None or Conformance(document).violations(whole):
            continue
        lacking = _refusal(document, operation, _sent(call, "body", _without(body, name)))
        yield PlantedEdit(
            edit=RequireField(place=_below(place, (name,))),
            asked=() if lacking is None else (lacking,),
            good=(whole,),
        )
        if isinstance(value, list):
            long = _refusal(document, operation, _sent(call, "body", {**body, name: value * 9}))
            few = _sent(call, "body", {**body, name: value[:1]})
            yield PlantedEdit(
                edit=SetLimit(place=_below(place, (name,)), keyword="maxItems", value=5),
                asked=() if long is None or len(value) == 0 else (long,),
                good=(few,),
            )
        if isinstance(value, str) and "enum" not in _mapping(known[name]):
            long = _refusal(
                document, operation, _sent(call, "body", {**body, name: value + "x" * 99})
            )
            yield PlantedEdit(
                edit=SetLimit(place=_below(place, (name,)), keyword="maxLength", value=90),
                asked=() if long is None else (long,),
                good=(whole,),
            )
    if Conformance(document).violations(_sent(call, "body", {**body, _NEW: "x"})):
        yield PlantedEdit(
            edit=DeclareField(place=_below(place, (_NEW,)), schema={"type": "string"}),
            asked=(_sent(call, "body", {**body, _NEW: "x"}),),
            good=(call,),
        )


def _refusal(
    document: OpenApiDocument, operation: OpenApiOperation, call: TrafficSnapshot
) -> TrafficSnapshot | None:
    """Return a call that the document admits as refused; None where it tells no refusals."""
    conformance = Conformance(document)
    if conformance.request_violations(call, operation.route):
        return None
    parts = document.parts(operation.route)
    for status in (400, 422):
        declared = parts.status_of(status)
        if declared is not None:
            refused = _answered(call, status, _value(parts.body_schema(declared)))
            if not conformance.response_violations(refused, operation.route):
                return refused
    return None


def _objects(
    value: Any, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    if len(path) > 3:
        return
    if isinstance(value, dict):
        yield path, value
        for name, inner in list(value.items())[:3]:
            yield from _objects(inner, (*path, name))
    elif isinstance(value, list) and value:
        yield from _objects(value[0], (*path, "*"))


def _with(value: Any, path: tuple[str, ...], new: Any) -> Any:
    if not path:
        return new
    changed = copy.copy(value)
    if isinstance(changed, list):
        changed[0] = _with(changed[0], path[1:], new)
    else:
        changed[path[0]] = _with(changed.get(path[0]), path[1:], new)
    return changed


def _without(value: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: inner for key, inner in value.items() if key != name}


def _below(place: Place, path: tuple[str, ...]) -> Place:
    return Place(part=place.part, path=(*place.path, *path), status=place.status)


def _sent(call: TrafficSnapshot, part: str, value: Any) -> TrafficSnapshot:
    return replace(call, id=f"sent-{part}", input={**call.input, part: value})


def _answered(call: TrafficSnapshot, status: int, body: Any) -> TrafficSnapshot:
    output = {"status": status, "headers": {}, "body": body}
    return replace(call, id=f"answered-{status}", output=output, success=status < 500)


def _is_listed(schema: Any, path: tuple[str, ...]) -> bool:
    node: Any = _resolve(schema, schema)
    for name in path:
        below = node.get("items") if name == "*" else _mapping(node.get("properties")).get(name)
        node = _resolve(schema, below)
    return isinstance(node.get("enum"), list)


def _properties(root: Any, schema: Any) -> Mapping[str, Any]:
    return _mapping(_resolve(root, schema).get("properties"))


def _resolve(root: Any, schema: Any) -> Mapping[str, Any]:
    node = _mapping(schema)
    for _ in range(_DEEPEST):
        reference = node.get("$ref")
        if not isinstance(reference, str):
            return node
        node = _mapping(
            _mapping(_mapping(root).get("$defs")).get(reference.removeprefix("#/$defs/"))
        )
    return node


def _value(schema: Any, root: Any = None, depth: int = 0) -> Any:  # noqa: C901, PLR0912
    """Return a value that a schema admits, as far as it can be made up; declared fields filled."""
    root = schema if root is None else root
    node = _resolve(root, schema)
    for keyword in ("const", "default"):
        if node.get(keyword) is not None:
            return node[keyword]
    if isinstance(node.get("enum"), list) and node["enum"]:
        return next((value for value in node["enum"] if value is not None), None)
    if depth > _DEEPEST:
        return None
    merged: dict[str, Any] = {}
    for part in node.get("allOf") or ():
        inner = _value(part, root, depth + 1)
        merged |= inner if isinstance(inner, dict) else {}
    for keyword in ("anyOf", "oneOf"):
        choices = node.get(keyword) or ()
        solid = [choice for choice in choices if _mapping(choice).get("type") != "null"]
        if solid:
            inner = _value(solid[0], root, depth + 1)
            if not isinstance(inner, dict):
                return inner
            merged |= inner
    stated = node.get("type")
    kinds = stated if isinstance(stated, list) else [stated]
    kind = next((k for k in kinds if k not in {"null", None}), None)
    if kind == "object" or "properties" in node or merged:
        needed = node.get("required") or ()
        for name, part in _mapping(node.get("properties")).items():
            if name in needed or depth < 4:
                value = _value(part, root, depth + 1)
                if value is not None or name in needed:
                    merged[name] = value
        return merged
    if kind == "array":
        value = _value(node.get("items"), root, depth + 1) if depth < 6 else None
        return [] if value is None else [value] * max(1, int(node.get("minItems", 1)))
    if kind == "string":
        text = _FORMATS.get(str(node.get("format")), "text")
        return text + "x" * max(0, int(node.get("minLength", 0)) - len(text))
    if kind in {"integer", "number"}:
        low = node.get("minimum", node.get("exclusiveMinimum"))
        return 1 if low is None else int(low) + (1 if "exclusiveMinimum" in node else 0)
    return {"boolean": True}.get(str(kind))


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
