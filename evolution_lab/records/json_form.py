"""Records to JSON and back, through pydantic's TypeAdapter of the frozen dataclasses.

JSON uses camelCase names and ISO 8601 UTC times. ``to_json`` writes keys in field order, so equal
records give equal bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar, cast

from pydantic import ConfigDict, TypeAdapter
from pydantic.alias_generators import to_camel

T = TypeVar("T")

CAMEL_CASE: Final[ConfigDict] = ConfigDict(alias_generator=to_camel, populate_by_name=True)
"""Set as ``__pydantic_config__`` of every record."""


_ADAPTERS: dict[type[Any], TypeAdapter[Any]] = {}


def _adapter(record_type: type[T]) -> TypeAdapter[T]:
    if record_type not in _ADAPTERS:
        _ADAPTERS[record_type] = TypeAdapter(record_type)
    return _ADAPTERS[record_type]


def to_json(record: object, *, indent: int | None = None) -> bytes:
    """Return a record (or a list of records) as UTF-8 JSON with camelCase names.

    Examples:
        >>> from evolution_lab.records import OperationRef
        >>> to_json(OperationRef("GET /users/{id}", service="shop"))
        b'{"key":"GET /users/{id}","service":"shop","version":null,"tenantId":null}'
    """
    adapter = _adapter(type(record))
    return adapter.dump_json(record, by_alias=True, indent=indent)


def to_python(record: object) -> dict[str, Any]:
    """Return a record as JSON-ready Python values (dicts, lists, strings, numbers)."""
    dumped = _adapter(type(record)).dump_python(record, mode="json", by_alias=True)
    return cast("dict[str, Any]", dumped)


def to_plain(record: object) -> dict[str, Any]:
    """Return a record as Python values with camelCase names, texts as they are.

    For payloads of strangers: ``to_python`` refuses texts with half a surrogate pair.
    """
    return cast("dict[str, Any]", _adapter(type(record)).dump_python(record, by_alias=True))


def from_json(record_type: type[T], text: bytes | str | Mapping[str, Any]) -> T:
    """Read a record from JSON text, or from a mapping that was read from JSON.

    Raises:
        pydantic.ValidationError: The text is not JSON or does not fit the record.

    Examples:
        >>> from evolution_lab.records import OperationRef
        >>> from_json(OperationRef, '{"key": "checkout"}').key
        'checkout'
    """
    adapter = _adapter(record_type)
    if isinstance(text, Mapping):
        return adapter.validate_python(text)
    return adapter.validate_json(text)


def json_schema(record_type: type[object]) -> dict[str, Any]:
    """Return the JSON Schema of a record, with the camelCase names of its JSON form."""
    return _adapter(record_type).json_schema(by_alias=True)
