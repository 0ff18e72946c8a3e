"""Schemas that admit declared fields only, so that traffic beyond a spec shows.

JSON Schema admits every field that it does not name. To see what a spec does not know, each object
that names its fields is closed with ``unevaluatedProperties`` (JSON Schema 2020-12, section 11.3),
which looks through references and compositions; free objects stay free.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from evolution_lab.contracts.references import REF, at_pointer, local_pointer

_MAPS: Final = ("properties", "patternProperties")
_LISTS: Final = ("prefixItems",)
_SITES: Final = ("items", "additionalProperties", "contains")
_COMPOSED: Final = ("allOf", "anyOf", "oneOf")
_DEEPEST: Final = 60

_Openness = Literal["named", "free", "no-object"]


def closed_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema in which objects that name their fields admit no others.

    Args:
        schema: JSON Schema 2020-12 that stands by itself (``$defs``).

    Examples:
        >>> closed_schema({"type": "object", "properties": {"a": {}}})["unevaluatedProperties"]
        False
        >>> closed_schema({"type": "object"})
        {'type': 'object'}
    """
    definitions = schema.get("$defs")
    closed: dict[str, Any] = _site(schema, {k: v for k, v in schema.items() if k != "$defs"})
    if isinstance(definitions, Mapping):
        closed["$defs"] = {name: _inner(schema, part) for name, part in definitions.items()}
    return closed


def _site(root: Mapping[str, Any], schema: Any) -> Any:
    """Close what stands at a value's own place, where nothing else says more of the value."""
    if not isinstance(schema, Mapping):
        return schema
    inner = _inner(root, schema)
    if {"additionalProperties", "unevaluatedProperties"} & schema.keys():
        return inner
    if _openness(root, schema, 0) == "named":
        inner["unevaluatedProperties"] = False
    return inner


def _inner(root: Mapping[str, Any], schema: Any) -> Any:
    """Close what is below a schema, not itself: it may be a part of what a composition says."""
    if not isinstance(schema, Mapping):
        return schema
    inner = dict(schema)
    for keyword in _MAPS:
        if isinstance(inner.get(keyword), Mapping):
            inner[keyword] = {name: _site(root, part) for name, part in inner[keyword].items()}
    for keyword in _LISTS:
        if isinstance(inner.get(keyword), list):
            inner[keyword] = [_site(root, part) for part in inner[keyword]]
    for keyword in _SITES:
        if keyword in inner:
            inner[keyword] = _site(root, inner[keyword])
    for keyword in _COMPOSED:
        if isinstance(inner.get(keyword), list):
            inner[keyword] = [_inner(root, part) for part in inner[keyword]]
    return inner


def _openness(root: Mapping[str, Any], schema: Any, depth: int) -> _Openness:
    """Say whether a schema names the fields of its objects; unclear ones count as free."""
    if depth > _DEEPEST or not isinstance(schema, Mapping):
        return "free" if schema is not False else "no-object"
    stated = schema.get("type")
    if stated is not None and "object" not in (stated if isinstance(stated, list) else [stated]):
        return "no-object"
    parts: list[_Openness] = []
    if REF in schema:
        parts.append(_openness(root, at_pointer(root, local_pointer(schema[REF])), depth + 1))
    if isinstance(schema.get("allOf"), list):
        parts += [_openness(root, part, depth + 1) for part in schema["allOf"]]
    for keyword in ("anyOf", "oneOf"):
        if isinstance(schema.get(keyword), list):
            parts.append(_any_of([_openness(root, p, depth + 1) for p in schema[keyword]]))
    if "properties" in schema or "patternProperties" in schema:
        parts.append("named")
    if "named" in parts:
        return "named"
    return "no-object" if parts and all(part == "no-object" for part in parts) else "free"


def _any_of(parts: list[_Openness]) -> _Openness:
    if "free" in parts:
        return "free"
    return "named" if "named" in parts else "no-object"
