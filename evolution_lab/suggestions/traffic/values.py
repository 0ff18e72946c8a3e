"""The scalars of a JSON value by path, and a schema that describes values seen."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from evolution_lab.suggestions.traffic.exchanges import is_redacted

ITEM: Final = "[]"
"""Stands for any element of an array in a path."""
MOST_DEPTH: Final = 12
MOST_ITEMS: Final = 30
_FEWEST_FOR_FORMAT: Final = 20
_FORMATS: Final = (
    ("date-time", re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")),
    ("date", re.compile(r"\d{4}-\d\d-\d\d")),
    (
        "uuid",
        re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE),
    ),
)

Path = tuple[str, ...]


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield scalars with their paths; elements of arrays share the path with ``[]``.

    Examples:
        >>> list(leaves({"id": "c-7", "items": [{"sku": "a"}, {"sku": "b"}]}))
        [(('id',), 'c-7'), (('items', '[]', 'sku'), 'a'), (('items', '[]', 'sku'), 'b')]
    """
    if len(path) > MOST_DEPTH:
        return
    if isinstance(value, Mapping):
        for name in sorted(value, key=str):
            yield from leaves(value[name], (*path, str(name)))
    elif isinstance(value, list):
        for item in value[:MOST_ITEMS]:
            yield from leaves(item, (*path, ITEM))
    else:
        yield path, value


def type_name(value: object) -> str:
    """Return the JSON Schema type of a value; whole floats are integers, as JSON Schema has it.

    Examples:
        >>> [type_name(value) for value in (None, True, 1, 1.5, "a", [], {})]
        ['null', 'boolean', 'integer', 'number', 'string', 'array', 'object']
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "integer" if float(value).is_integer() else "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def inferred_schema(values: Sequence[Any], depth: int = 0) -> dict[str, Any]:
    """Return a schema that every value fits, saying types, formats, and what is always there.

    Examples:
        >>> inferred_schema([{"a": 1, "b": None}, {"a": 2.5}])["properties"]
        {'a': {'type': 'number'}, 'b': {'type': 'null'}}
    """
    types = sorted({type_name(value) for value in values})
    if "number" in types and "integer" in types:
        types.remove("integer")
    schema: dict[str, Any] = {}
    if types:
        schema["type"] = types[0] if len(types) == 1 else types
    texts = [value for value in values if isinstance(value, str)]
    named = _format_of(texts)
    if named is not None:
        schema["format"] = named
    if depth > MOST_DEPTH:
        return schema
    objects = [value for value in values if isinstance(value, Mapping)]
    if objects:
        names = sorted({str(name) for value in objects for name in value})
        schema["properties"] = {
            name: inferred_schema([v[name] for v in objects if name in v], depth + 1)
            for name in names
        }
        always = [name for name in names if all(name in value for value in objects)]
        if always:
            schema["required"] = always
    items = [item for value in values if isinstance(value, list) for item in value[:MOST_ITEMS]]
    if items:
        schema["items"] = inferred_schema(items, depth + 1)
    return schema


def _format_of(texts: Sequence[str]) -> str | None:
    told = [text for text in texts if not is_redacted(text)]
    if len(told) < _FEWEST_FOR_FORMAT:
        return None
    return next((name for name, form in _FORMATS if all(map(form.fullmatch, told))), None)
