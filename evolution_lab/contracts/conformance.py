"""Whether recorded traffic keeps to a document: what it holds that the document does not say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import jsonschema_rs

from evolution_lab.contracts.closed_schemas import closed_schema
from evolution_lab.contracts.openapi import OpenApiDocument
from evolution_lab.contracts.openapi_parts import PLACES, OperationParts
from evolution_lab.errors import InvalidDocumentError, UnknownNameError
from evolution_lab.records import TrafficSnapshot

ViolationKind = Literal[
    "undocumented-operation",
    "undocumented-status",
    "undocumented-error",
    "undocumented-field",
    "schema",
]
MOST_VIOLATIONS: Final = 50
_HIDDEN: Final = "the value"
_TEMPLATE: Final = re.compile(r"\{([^{}/]+)\}")
_PLAIN: Final = frozenset({"true", "false"})


@dataclass(frozen=True, kw_only=True)
class Violation:
    """One thing in a recorded call that the document does not say.

    Attributes:
        side: ``request`` or ``response``.
        kind: What it is; ``schema`` is a value that a schema does not admit.
        place: JSON Pointer in the request (``/body/items/0``) or in the response's body.
        what: The rule that is broken; values are left out.
    """

    side: Literal["request", "response"]
    kind: ViolationKind
    place: str
    what: str


@dataclass(eq=False)
class Conformance:
    """Checks recorded calls against a document; schemas are compiled once.

    A field that the document does not name is a violation where the document names the others: this
    is how it differs from validation alone, which admits what is not named.

    Attributes:
        document: The document.

    Examples:
        >>> from datetime import UTC, datetime
        >>> from evolution_lab.records import OperationRef
        >>> document = OpenApiDocument.load({"openapi": "3.1.0", "info": {"version": "1"}, "paths": {
        ...     "/a": {"get": {"responses": {"200": {"description": "A.", "content": {
        ...         "application/json": {"schema": {"properties": {"id": {}}}}}}}}}}})
        >>> call = TrafficSnapshot(id="1", operation=OperationRef("GET /a"), input={"path": "/a"},
        ...     output={"status": 200, "body": {"id": 1, "new": 2}}, success=True,
        ...     timestamp=datetime(2026, 1, 1, tzinfo=UTC))
        >>> [(v.kind, v.place) for v in Conformance(document).violations(call)]
        [('undocumented-field', '/new')]
    """

    document: OpenApiDocument
    _compiled: dict[tuple[str, str], jsonschema_rs.Draft202012Validator | None] = field(
        default_factory=dict, init=False, repr=False
    )
    _parts: dict[str, tuple[OperationParts, dict[str, Any]]] = field(
        default_factory=dict, init=False, repr=False
    )

    def violations(self, call: TrafficSnapshot) -> tuple[Violation, ...]:
        """Return what a recorded HTTP call holds that the document does not say.

        Raises:
            InvalidDocumentError: The document cannot be read at the operation.
        """
        try:
            route = self.document.operation(call.operation.key).route
        except UnknownNameError:
            return (
                Violation(
                    side="request",
                    kind="undocumented-operation",
                    place="",
                    what=f"{call.operation.key} is not in the document",
                ),
            )
        return (*self.request_violations(call, route), *self.response_violations(call, route))

    def request_violations(self, call: TrafficSnapshot, route: str) -> tuple[Violation, ...]:
        """Return what a call's request holds that the operation does not say."""
        _, schema = self._of(route)
        sent = call.input if isinstance(call.input, Mapping) else {"body": call.input}
        value = _as_declared(sent, schema, route)
        return self._check(route, "", "request", value)

    def response_violations(self, call: TrafficSnapshot, route: str) -> tuple[Violation, ...]:
        """Return what a call's response holds that the operation does not say."""
        parts, _ = self._of(route)
        answer = call.output if isinstance(call.output, Mapping) else None
        status = answer.get("status") if answer is not None else None
        if answer is None or not isinstance(status, int):
            return ()
        declared = parts.status_of(status)
        if declared is None:
            what = f"the status {status} is not declared"
            return (Violation(side="response", kind="undocumented-status", place="", what=what),)
        body = answer.get("body")
        found = self._check(route, declared, "response", body)
        code, codes = _code_of(body), parts.codes_of(declared)
        if status >= 400 and code is not None and codes and code not in codes:
            what = f"the error code is not one of the {len(codes)} declared"
            found = (
                *found,
                Violation(side="response", kind="undocumented-error", place="", what=what),
            )
        return found

    def _of(self, route: str) -> tuple[OperationParts, dict[str, Any]]:
        known = self._parts.get(route)
        if known is None:
            parts = self.document.parts(route)
            known = self._parts[route] = (parts, parts.input_schema())
        return known

    def _check(
        self, route: str, status: str, side: Literal["request", "response"], value: Any
    ) -> tuple[Violation, ...]:
        validator = self._validator(route, status)
        if validator is None:
            return ()
        found: list[Violation] = []
        for error in validator.iter_errors(value):
            undeclared = getattr(error.kind, "name", "") == "unevaluatedProperties"
            place = "".join(f"/{part}" for part in error.instance_path)
            names = getattr(error.kind, "unexpected", ()) if undeclared else ("",)
            found += [
                Violation(
                    side=side,
                    kind="undocumented-field" if undeclared else "schema",
                    place=f"{place}/{name}" if undeclared else place,
                    what="is not declared" if undeclared else error.message,
                )
                for name in names
            ]
            if len(found) >= MOST_VIOLATIONS:
                break
        return tuple(found)

    def _validator(self, route: str, status: str) -> jsonschema_rs.Draft202012Validator | None:
        """Return what checks the request (no status) or the response of a status; None for all."""
        key = (route, status)
        if key not in self._compiled:
            parts, request = self._of(route)
            schema: Any = parts.body_schema(status) if status else _without_headers(request)
            try:
                self._compiled[key] = (
                    jsonschema_rs.Draft202012Validator(
                        closed_schema(schema), offline=True, mask=_HIDDEN, validate_formats=True
                    )
                    if isinstance(schema, Mapping) and schema
                    else None
                )
            except ValueError as error:
                raise InvalidDocumentError(f"{route}: {error}") from None
        return self._compiled[key]


def _without_headers(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what recordings do not keep: most headers, and cookies."""
    kept = {"query", "body", "path"}
    properties = {k: v for k, v in _mapping(schema.get("properties")).items() if k in kept}
    needed = [name for name in schema.get("required", ()) if name in kept]
    return {**schema, "properties": properties, "required": needed} if properties else {}


def _as_declared(sent: Mapping[str, Any], schema: Mapping[str, Any], route: str) -> dict[str, Any]:
    """Return a request in the form of the schema: texts of path and query as what they stand for."""
    declared = _mapping(schema.get("properties"))
    value: dict[str, Any] = {}
    for place in PLACES[:2]:
        part = _mapping(declared.get(place))
        if not part:
            continue
        found = _path_values(route, sent.get("path")) if place == "path" else sent.get("query")
        known = _mapping(part.get("properties"))
        texts = _mapping(found)
        if texts or place in schema.get("required", ()):
            value[place] = {
                name: _parsed(text, known.get(name), schema) for name, text in texts.items()
            }
    if "body" in declared and sent.get("body") is not None:
        value["body"] = sent["body"]
    return value


def _path_values(route: str, path: object) -> dict[str, Any]:
    if isinstance(path, Mapping):
        return dict(path)
    template = route.partition(" ")[2]
    pattern, last = "", 0
    names: list[str] = []
    for match in _TEMPLATE.finditer(template):
        pattern += re.escape(template[last : match.start()]) + "([^/]+)"
        names.append(match[1])
        last = match.end()
    pattern += re.escape(template[last:]) + "/?$"
    found = re.search(pattern, path.partition("?")[0]) if isinstance(path, str) else None
    return dict(zip(names, found.groups(), strict=True)) if found else {}


def _parsed(value: Any, schema: Any, root: Mapping[str, Any]) -> Any:
    """Return what a text in a path or query stands for, by its declared types."""
    types = _types(schema, root)
    if "array" in types:
        items = _mapping(schema).get("items")
        return [_parsed(v, items, root) for v in (value if isinstance(value, list) else [value])]
    if not isinstance(value, str) or "string" in types:
        return value
    if "boolean" in types and value.lower() in _PLAIN:
        return value.lower() == "true"
    if {"integer", "number"} & types:
        try:
            return int(value) if re.fullmatch(r"-?\d{1,18}", value) else float(value)
        except ValueError:
            return value
    return value


def _types(schema: Any, root: Mapping[str, Any], depth: int = 0) -> set[str]:
    node = _mapping(schema)
    if depth > 5:
        return set()
    reference = node.get("$ref")
    if isinstance(reference, str) and reference.startswith("#/$defs/"):
        return _types(_mapping(root.get("$defs")).get(reference[8:]), root, depth + 1)
    stated = node.get("type")
    types = set(stated if isinstance(stated, list) else [stated] if stated else ())
    for keyword in ("anyOf", "oneOf", "allOf"):
        for part in node.get(keyword) or ():
            types |= _types(part, root, depth + 1)
    return types


def _code_of(body: object) -> str | None:
    for holder in (body, body.get("error") if isinstance(body, Mapping) else None):
        code = holder.get("code") if isinstance(holder, Mapping) else None
        if isinstance(code, str) and code:
            return code
    return None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
