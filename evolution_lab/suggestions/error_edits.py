"""Errors declared in an OpenAPI document: a response, and its code where errors are told by code."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any, Final

from evolution_lab.contracts.openapi_parts import json_media_name
from evolution_lab.errors import InapplicableEditError
from evolution_lab.suggestions.editable import Editable
from evolution_lab.suggestions.edits import DeclareError

_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9._-]+")
_DEEPEST: Final = 10


def declare_error(target: Editable, operation: dict[str, Any], edit: DeclareError) -> None:
    """Declare an error of an operation, in place.

    A response that is not there yet takes its schema from the operation's other errors. Where that
    schema enumerates codes the code is added there, else it is shown by an example.

    Raises:
        InapplicableEditError: The error is declared already.
    """
    responses = operation.setdefault("responses", {})
    name = _status(edit)
    by_status_only = edit.code == name
    if name not in responses:
        responses[name] = {"description": edit.when or f"Error {edit.code}."}
        schema = _usual_schema(target, responses, name)
        if schema is not None:
            responses[name]["content"] = {"application/json": {"schema": schema}}
    elif by_status_only:
        _describe(target, responses, name, edit)
    if not by_status_only:
        _declare_code(target, target.own(responses, name), edit)


def _describe(target: Editable, responses: dict[str, Any], name: str, edit: DeclareError) -> None:
    """Say of a declared error what leads to it."""
    stated = target.peek(responses[name]).get("description")
    known = stated if isinstance(stated, str) else ""
    if not edit.when or edit.when in known:
        raise InapplicableEditError(f"the error {edit.code!r} is declared already.")
    described = f"{known.rstrip().rstrip('.')}: {edit.when}." if known.strip() else edit.when
    target.own(responses, name)["description"] = described


def _status(edit: DeclareError) -> str:
    if edit.status is not None:
        return str(edit.status)
    return edit.code if re.fullmatch("[45][0-9][0-9]", edit.code) else "default"


def _usual_schema(target: Editable, responses: Mapping[str, Any], name: str) -> Any:
    """Return a copy of what other errors answer: of the same class, else of any."""
    others = sorted(
        (status for status in responses if status != name and status[:1] in {"4", "5", "d"}),
        key=lambda status: (status[:1] != name[:1], status == "default", status),
    )
    for status in others:
        response = target.peek(responses[status])
        media = json_media_name(response) if isinstance(response, Mapping) else None
        if media is not None:
            schema = target.peek(response["content"][media]).get("schema")
            if schema is not None:
                return copy.deepcopy(schema)
    return None


def _declare_code(target: Editable, response: dict[str, Any], edit: DeclareError) -> None:
    media_name = json_media_name(response)
    if media_name is None:
        content = response.setdefault("content", {})
        media = content.setdefault("application/json", {})
    else:
        media = target.own(response["content"], media_name)
    if _enumerate(target, media, edit.code):
        return
    value = _example(target, media.get("schema"), edit)
    examples = media.setdefault("examples", {})
    if "example" in media:  # The two exclude each other.
        examples["example"] = {"value": media.pop("example")}
    if any(_code_of(target.peek(shown)) == edit.code for shown in examples.values()):
        raise InapplicableEditError(f"the error {edit.code!r} is declared already.")
    key = _NOT_IN_NAMES.sub("_", edit.code)[:80] or "error"
    while key in examples:
        key += "_"
    examples[key] = {**({"summary": edit.when} if edit.when else {}), "value": value}


def _enumerate(target: Editable, media: dict[str, Any], code: str) -> bool:
    """Add the code to those that the schema enumerates; say whether it enumerates any."""
    for path in (("code",), ("error", "code")):
        looked = _looked_at(target, media.get("schema"), path)
        if not isinstance(looked, Mapping) or not {"enum", "const"} & looked.keys():
            continue
        sites: list[tuple[Any, str | int]] = [(media, "schema")]
        for name in path:
            sites = [s for holder, key in sites for s in target.fields(holder, key, name)]
        for holder, key in sites:
            schema = target.own(holder, key)
            known = schema.get("enum", [schema.pop("const", None)])
            if code in known:
                raise InapplicableEditError(f"the error {code!r} is declared already.")
            schema["enum"] = [*known, code]
        return bool(sites)
    return False


def _looked_at(target: Editable, schema: object, path: tuple[str, ...]) -> Any:
    looked = target.peek(schema)
    for name in path:
        properties = looked.get("properties") if isinstance(looked, Mapping) else None
        looked = target.peek(properties.get(name)) if isinstance(properties, Mapping) else None
    return looked


def _code_of(example: object) -> object:
    value = example.get("value") if isinstance(example, Mapping) else None
    for holder in (value, value.get("error") if isinstance(value, Mapping) else None):
        if isinstance(holder, Mapping) and isinstance(holder.get("code"), str):
            return holder["code"]
    return None


def _example(target: Editable, schema: object, edit: DeclareError) -> dict[str, Any]:
    """Return a body that tells the error, in the form that the schema gives to bodies."""
    looked = target.peek(schema)
    properties = looked.get("properties") if isinstance(looked, Mapping) else None
    known = properties if isinstance(properties, Mapping) else {}
    filled = _filled(target, looked, edit, 0)
    body = filled if isinstance(filled, dict) else {}
    if "error" in known and "code" not in known:
        inner = _filled(target, known["error"], edit, 0)
        body["error"] = {**(inner if isinstance(inner, dict) else {}), "code": edit.code}
        return body
    return {**body, "code": edit.code}


def _filled(target: Editable, value: object, edit: DeclareError, depth: int) -> Any:
    """Return the least value that a schema admits, as far as it can be seen without trying."""
    schema = target.peek(value)
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return None
    if "const" in schema:
        return schema["const"]
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return schema["enum"][0]
    for keyword in ("anyOf", "oneOf", "allOf"):
        if isinstance(schema.get(keyword), list) and schema[keyword] and "type" not in schema:
            return _filled(target, schema[keyword][0], edit, depth + 1)
    stated = schema.get("type")
    kind = stated[0] if isinstance(stated, list) and stated else stated
    if kind == "object" or "properties" in schema:
        properties = schema.get("properties")
        known = properties if isinstance(properties, Mapping) else {}
        needed = schema.get("required")
        names = [name for name in needed if name in known] if isinstance(needed, list) else []
        return {name: _filled(target, known[name], edit, depth + 1) for name in names}
    simple: dict[object, Any] = {
        "string": edit.when or edit.code,
        "integer": edit.status or schema.get("minimum", 0),
        "number": schema.get("minimum", 0),
        "boolean": False,
        "array": [],
    }
    return simple.get(kind)
