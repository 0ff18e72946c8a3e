"""Schemas of an OpenAPI document as JSON Schema 2020-12 that stands by itself.

References become ``#/$defs/…``, never copies: a schema may contain itself, and a few lines of
references that double each other would fill the memory.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from evolution_lab.contracts.references import REF, at_pointer, local_pointer, resolved
from evolution_lab.errors import InvalidDocumentError

Direction = Literal["request", "response"]

_MAPS: Final = frozenset({"properties", "patternProperties", "dependentSchemas"})
_LISTS: Final = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_SINGLE: Final = frozenset(
    {"items", "additionalProperties", "contains", "propertyNames", "not", "if", "then", "else"}
    | {"unevaluatedItems", "unevaluatedProperties", "contentSchema"}
)
_DROPPED: Final = frozenset({"$id", "$schema", "$anchor", "$defs", "definitions"})
"""What places a schema in a document; every reference is rewritten, so nothing needs them."""
_HIDDEN: Final[Mapping[Direction, str]] = {"request": "readOnly", "response": "writeOnly"}
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(eq=False)
class SchemaBundle:
    """Turns schemas of one document into JSON Schema 2020-12 and collects what they refer to.

    Attributes:
        document: The OpenAPI document.
        legacy: Whether it is OpenAPI 3.0: ``nullable``, exclusive limits as booleans, and
            references whose neighbours do not count.
        direction: In a request, ``readOnly`` properties are not required, in a response
            ``writeOnly`` ones.

    Examples:
        >>> document = {"components": {"schemas": {"Id": {"type": "string", "nullable": True}}}}
        >>> bundle = SchemaBundle(document, legacy=True, direction="request")
        >>> bundle.schema({"$ref": "#/components/schemas/Id"})
        {'$ref': '#/$defs/Id'}
        >>> bundle.definitions()
        {'Id': {'type': ['string', 'null']}}
    """

    document: Mapping[str, Any]
    legacy: bool
    direction: Direction
    _names: dict[str, str] = field(default_factory=dict, init=False)

    def schema(self, value: object) -> Any:
        """Return one schema; what it refers to is then in ``definitions``.

        Raises:
            InvalidDocumentError: It is no schema, or a reference leads out of the document.
        """
        if isinstance(value, bool):
            return value
        if not isinstance(value, Mapping):
            raise InvalidDocumentError(f"{value!r} is no schema, must be an object or a boolean.")
        if "$dynamicRef" in value:
            raise InvalidDocumentError("$dynamicRef is not supported; use $ref.")
        if REF in value and self.legacy:
            return {REF: self._definition(value[REF])}
        converted = {
            keyword: self._keyword(keyword, part)
            for keyword, part in value.items()
            if keyword not in _DROPPED
        }
        self._show_only_what_is_sent(converted, value.get("properties"))
        return _modern(converted) if self.legacy else converted

    def definitions(self) -> dict[str, Any]:
        """Return everything that the schemas so far refer to, by name."""
        found: dict[str, Any] = {}
        while len(found) < len(self._names):  # What is referred to may refer to more.
            for path, name in list(self._names.items()):
                if name not in found:
                    found[name] = self.schema(at_pointer(self.document, path))
        return dict(sorted(found.items()))

    def _keyword(self, keyword: str, part: object) -> Any:
        if keyword == REF:
            return self._definition(part)
        if keyword in _SINGLE:
            return self.schema(part)
        if keyword in _MAPS and isinstance(part, Mapping):
            return {name: self.schema(child) for name, child in part.items()}
        if keyword in _LISTS and isinstance(part, list):
            return [self.schema(child) for child in part]
        return part

    def _definition(self, reference: object) -> str:
        path = local_pointer(reference)
        if path not in self._names:
            at_pointer(self.document, path)  # It must be there.
            self._names[path] = self._free_name(path)
        return f"#/$defs/{self._names[path]}"

    def _free_name(self, path: str) -> str:
        name = _NOT_IN_NAMES.sub("_", path.rpartition("/")[2]) or "document"
        number, free = 1, name
        while free in self._names.values():
            number += 1
            free = f"{name}_{number}"
        return free

    def _show_only_what_is_sent(self, converted: dict[str, Any], properties: object) -> None:
        required = converted.get("required")
        if not isinstance(required, list) or not isinstance(properties, Mapping):
            return
        hidden = _HIDDEN[self.direction]
        kept = [name for name in required if not self._is(hidden, properties.get(name))]
        if len(kept) < len(required):
            converted["required"] = kept

    def _is(self, mark: str, schema: object) -> bool:
        if isinstance(schema, Mapping) and schema.get(mark) is True and not self.legacy:
            return True
        target = resolved(self.document, schema)
        return isinstance(target, Mapping) and target.get(mark) is True


def _modern(schema: dict[str, Any]) -> dict[str, Any]:
    """Say in JSON Schema 2020-12 what OpenAPI 3.0 says in its own words."""
    for exclusive, limit in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        flag = schema.get(exclusive)
        if isinstance(flag, bool):
            del schema[exclusive]
            if flag and limit in schema:
                schema[exclusive] = schema.pop(limit)
    # Without a type ``nullable`` says nothing (OpenAPI 3.0.3, proposal 2019-10-31).
    if schema.pop("nullable", False) is True and isinstance(schema.get("type"), str):
        schema["type"] = [schema["type"], "null"]
    return schema
