"""A drafted operation as an OpenAPI document has it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, Final

from evolution_lab.suggestions.edits import AddOperation
from evolution_lab.suggestions.identity import json_ready
from evolution_lab.suggestions.schema_words import in_words_of

_PARAMETERS: Final = ("path", "query", "header", "cookie")
_PLACES: Final = frozenset({*_PARAMETERS, "body"})
_TEMPLATE: Final = re.compile(r"\{([^{}]+)\}")
_WITHOUT_BODY: Final = frozenset({"GET", "HEAD", "DELETE", "OPTIONS", "TRACE"})


def drafted_operation(
    edit: AddOperation, *, legacy: bool, taken: Collection[str] = ()
) -> dict[str, Any]:
    """Return the operation object of a draft.

    An ``inputSchema`` with the properties ``path``, ``query``, ``header``, ``cookie`` and ``body``
    gives parameters and body, as ``OpenApiDocument.spec`` reads them; any other one is the body.

    Args:
        edit: The draft with its method and path.
        legacy: Whether the document is OpenAPI 3.0.
        taken: Names of operations that the document has.

    Examples:
        >>> edit = AddOperation(method="POST", path="/purchases", draft={"key": "purchase",
        ...     "goal": "Buy.", "outputSchema": {"type": "object"}})
        >>> drafted_operation(edit, legacy=False)["responses"]["200"]["description"]
        'Done.'
    """
    draft = json_ready(edit.draft)
    operation: dict[str, Any] = {}
    key = draft.get("key")
    if isinstance(key, str) and re.fullmatch(r"[A-Za-z0-9._-]+", key) and key not in taken:
        operation["operationId"] = key
    operation["summary"] = str(draft.get("goal") or f"{edit.method.upper()} {edit.path}")
    if draft.get("kind") in {"command", "query"}:
        operation["x-kind"] = draft["kind"]
    places = _places(_mapping(draft.get("inputSchema")))
    parameters = _parameters(places, edit.path, legacy=legacy)
    if parameters:
        operation["parameters"] = parameters
    body = places.get("body")
    if body is not None and edit.method.upper() not in _WITHOUT_BODY:
        needed = "body" in places.get("required", ())
        operation["requestBody"] = {
            "required": needed,
            "content": {"application/json": {"schema": in_words_of(body, legacy=legacy)}},
        }
    operation["responses"] = _responses(draft, legacy=legacy)
    if draft.get("steps"):
        operation["x-composes"] = draft["steps"]
    if policy := _mapping(draft.get("policy")):
        operation["x-policy"] = policy
    return operation


def _mapping(value: object) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}


def _places(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schemas of parameters and body by place, with ``required``."""
    properties = _mapping(schema.get("properties"))
    if properties and properties.keys() <= _PLACES:
        return {**properties, "required": tuple(schema.get("required", ()))}
    return {"body": schema, "required": ("body",)} if schema else {}


def _parameters(places: Mapping[str, Any], path: str, *, legacy: bool) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for place in _PARAMETERS:
        schema = _mapping(places.get(place))
        needed = schema.get("required", ())
        for name, inner in _mapping(schema.get("properties")).items():
            if place == "path" and f"{{{name}}}" not in path:
                continue
            parameter: dict[str, Any] = {"name": name, "in": place}
            if place == "path" or name in needed:
                parameter["required"] = True
            found.append({**parameter, "schema": in_words_of(_mapping(inner), legacy=legacy)})
    known = {entry["name"] for entry in found if entry["in"] == "path"}
    return found + [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in dict.fromkeys(_TEMPLATE.findall(path))
        if name not in known
    ]


def _responses(draft: Mapping[str, Any], *, legacy: bool) -> dict[str, Any]:
    done: dict[str, Any] = {"description": "Done."}
    output = _mapping(draft.get("outputSchema"))
    if output:
        schema = in_words_of(output, legacy=legacy)
        done["content"] = {"application/json": {"schema": schema}}
    responses = {"200": done}
    for code, error in _mapping(draft.get("errors")).items():
        stated = _mapping(error)
        status = str(stated.get("http") or "default")
        response = responses.setdefault(status, {"description": str(stated.get("when") or code)})
        if status == code:
            continue
        content = response.setdefault("content", {"application/json": {"examples": {}}})
        shown = content["application/json"].setdefault("examples", {})
        name = re.sub(r"[^A-Za-z0-9._-]+", "_", code)
        shown[name] = {"value": {"error": {"code": code}}}
    return responses
