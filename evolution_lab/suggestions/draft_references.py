"""Schemas of drafts, put into a document: definitions become its components, or copies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from evolution_lab.contracts import OpenApiDocument
from evolution_lab.contracts.references import REF, pointer
from evolution_lab.contracts.schema_bundle import Direction, SchemaBundle
from evolution_lab.errors import InvalidDocumentError
from evolution_lab.suggestions.json_patch import same_json

_DEFINITIONS: Final = "#/$defs/"
_DEEPEST: Final = 12
_DIRECTIONS: Final[tuple[Direction, ...]] = ("request", "response")


def grounded(schema: Mapping[str, Any], document: OpenApiDocument) -> dict[str, Any]:
    """Return a draft's schema without definitions of its own.

    A definition that is a component of the document, as the steps' schemas are, becomes a reference
    to it; all others become copies in place, cut where they contain themselves.

    Examples:
        >>> document = OpenApiDocument.load({"openapi": "3.1.0", "info": {"version": "1"},
        ...     "paths": {}, "components": {"schemas": {"Cart": {"type": "object"}}}})
        >>> grounded({"$ref": "#/$defs/Cart", "$defs": {"Cart": {"type": "object"}}}, document)
        {'$ref': '#/components/schemas/Cart'}
        >>> grounded({"$ref": "#/$defs/A", "$defs": {"A": {"type": "string"}}}, document)
        {'type': 'string'}
    """
    definitions = schema.get("$defs")
    known = definitions if isinstance(definitions, Mapping) else {}
    places = {name: place for name in known if (place := _component(name, known, document))}
    rest = {keyword: value for keyword, value in schema.items() if keyword != "$defs"}
    found = _replaced(rest, known, places, 0)
    assert isinstance(found, dict)
    return found


def _component(name: str, known: Mapping[str, Any], document: OpenApiDocument) -> str | None:
    components = document.content.get("components")
    schemas = components.get("schemas") if isinstance(components, Mapping) else None
    if not isinstance(schemas, Mapping) or name not in schemas:
        return None
    place = f"#{pointer('components', 'schemas', name)}"
    for direction in _DIRECTIONS:
        bundle = SchemaBundle(document.content, legacy=document.legacy, direction=direction)
        try:
            bundle.schema({REF: place})
            if same_json(bundle.definitions().get(name), known[name]):
                return place
        except InvalidDocumentError:
            return None
    return None


def _replaced(value: Any, known: Mapping[str, Any], places: Mapping[str, str], depth: int) -> Any:
    if isinstance(value, list):
        return [_replaced(item, known, places, depth) for item in value]
    if not isinstance(value, Mapping):
        return value
    reference = value.get(REF)
    if isinstance(reference, str) and reference.startswith(_DEFINITIONS):
        name = reference.removeprefix(_DEFINITIONS)
        beside = {
            key: _replaced(inner, known, places, depth)
            for key, inner in value.items()
            if key != REF
        }
        if name in places:
            return {REF: places[name], **beside}
        inner = known.get(name) if depth < _DEEPEST else None
        copied = _replaced(inner, known, places, depth + 1) if isinstance(inner, Mapping) else {}
        return {**copied, **beside}
    return {key: _replaced(inner, known, places, depth) for key, inner in value.items()}
