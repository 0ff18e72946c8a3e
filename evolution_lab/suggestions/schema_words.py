"""Schemas in the words of a document: what JSON Schema 2020-12 says as OpenAPI 3.0 says it."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any, Final

_NULL_ONLY: Final = {"type": "string", "nullable": True, "enum": [None]}
"""OpenAPI 3.0 has no type ``null``: a nullable text that may only be null."""
_SCHEMAS: Final = ("items", "additionalProperties", "not")
_LISTS: Final = ("allOf", "anyOf", "oneOf")


def in_words_of(schema: Mapping[str, Any], *, legacy: bool) -> dict[str, Any]:
    """Return a schema as a document writes it, a copy.

    Args:
        schema: JSON Schema 2020-12 without references.
        legacy: Whether the document is OpenAPI 3.0.

    Examples:
        >>> in_words_of({"type": ["string", "null"], "const": "a"}, legacy=True)
        {'type': 'string', 'enum': ['a'], 'nullable': True}
        >>> in_words_of({"type": ["string", "null"]}, legacy=False)
        {'type': ['string', 'null']}
    """
    said = copy.deepcopy(dict(schema))
    return _legacy(said) if legacy else said


def allow_types(schema: dict[str, Any], types: Iterable[str], *, legacy: bool) -> None:
    """Let a schema admit values of further types, in place.

    Examples:
        >>> schema = {"type": "string", "enum": ["a"]}
        >>> allow_types(schema, ["null"], legacy=False)
        >>> schema
        {'type': ['string', 'null'], 'enum': ['a', None]}
        >>> schema = {"type": "integer", "minimum": 0, "description": "How many."}
        >>> allow_types(schema, ["string", "null"], legacy=True)
        >>> schema["anyOf"]
        [{'type': 'integer', 'minimum': 0}, {'type': 'string'}, {'type': 'string', 'nullable': True, 'enum': [None]}]
    """
    for name in types:
        if legacy:
            _allow_legacy(schema, name)
        else:
            _allow_modern(schema, name)


def null_beside(reference: Mapping[str, Any], *, legacy: bool) -> dict[str, Any]:
    """Return a schema that admits null beside what a reference leads to."""
    return {"anyOf": [dict(reference), dict(_NULL_ONLY) if legacy else {"type": "null"}]}


def _allow_modern(schema: dict[str, Any], name: str) -> None:
    stated = schema.get("type")
    if stated is None:
        _branch(schema, {"type": name})
        return
    types = list(stated) if isinstance(stated, list) else [stated]
    if name == "number" and "integer" in types:
        types.remove("integer")
    if name not in types and not (name == "integer" and "number" in types):
        types.append(name)
    schema["type"] = types if len(types) > 1 else types[0]
    if name == "null":
        _admit_null(schema)
    elif "enum" in schema or "const" in schema:
        schema["type"] = stated
        _branch(schema, {"type": name})


def _allow_legacy(schema: dict[str, Any], name: str) -> None:
    stated = schema.get("type")
    if name == "null":
        if isinstance(stated, str):
            schema["nullable"] = True
            _admit_null(schema)
        else:
            _branch(schema, dict(_NULL_ONLY))
    elif name == "number" and stated == "integer":
        schema["type"] = "number"
    elif stated != name and not (name == "integer" and stated == "number"):
        _branch(schema, {"type": name})


def _admit_null(schema: dict[str, Any]) -> None:
    if "const" in schema:
        schema["enum"] = [schema.pop("const")]
    stated = schema.get("enum")
    if isinstance(stated, list) and None not in stated:
        schema["enum"] = [*stated, None]


def _branch(schema: dict[str, Any], further: dict[str, Any]) -> None:
    """Make a schema one of two alternatives; its words for people stay above both."""
    words = {"title", "description", "deprecated", "readOnly", "writeOnly", "example", "default"}
    constraints = {k: v for k, v in schema.items() if k not in words and not k.startswith("x-")}
    if not constraints:  # It admits everything already.
        return
    known = schema.get("anyOf")
    if isinstance(known, list) and constraints.keys() == {"anyOf"}:
        if further not in known:
            schema["anyOf"] = [*known, further]
        return
    for keyword in constraints:
        del schema[keyword]
    schema["anyOf"] = [constraints, further]


def _legacy(schema: dict[str, Any]) -> dict[str, Any]:
    _legacy_parts(schema)
    if "const" in schema:
        schema["enum"] = [schema.pop("const")]
    examples = schema.pop("examples", None)
    if isinstance(examples, list) and examples:
        schema["example"] = examples[0]
    for exclusive, limit in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        value = schema.get(exclusive)
        if isinstance(value, int | float) and not isinstance(value, bool):
            schema[limit], schema[exclusive] = value, True
    stated = schema.get("type")
    if isinstance(stated, list):
        _legacy_types(schema, [name for name in stated if name != "null"], "null" in stated)
    elif stated == "null":
        schema.update(copy.deepcopy(_NULL_ONLY))
    return schema


def _legacy_parts(schema: dict[str, Any]) -> None:
    for keyword in _SCHEMAS:
        if isinstance(schema.get(keyword), dict):
            schema[keyword] = _legacy(schema[keyword])
    for keyword in _LISTS:
        if isinstance(schema.get(keyword), list):
            schema[keyword] = [_legacy(part) for part in schema[keyword]]
    if isinstance(schema.get("properties"), dict):
        schema["properties"] = {k: _legacy(v) for k, v in schema["properties"].items()}


def _legacy_types(schema: dict[str, Any], types: list[str], nullable: bool) -> None:  # noqa: FBT001
    del schema["type"]
    if len(types) == 1:
        rest = dict(schema)
        schema.clear()
        schema.update({"type": types[0], **rest})
        if nullable:
            schema["nullable"] = True
    elif types:
        schema["anyOf"] = [{"type": name} for name in types] + ([_NULL_ONLY] if nullable else [])
