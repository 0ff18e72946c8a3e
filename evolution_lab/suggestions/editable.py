"""A document that can be changed in one place without changing what others see of it.

A schema that several places refer to is one promise to all of them. Traffic of one operation says
nothing of the others, so an edit gives that operation a copy of its own, and tells so. A schema that
one place refers to is that place's own, and is changed where it stands.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from evolution_lab.contracts.references import REF, at_pointer, local_pointer, resolved
from evolution_lab.errors import InapplicableEditError
from evolution_lab.suggestions.edits import ITEMS

_COMPOSITIONS: Final = ("allOf", "anyOf", "oneOf")
_ALTERNATIVES: Final = ("anyOf", "oneOf")
_PARTS: Final = ("/components/", "/$defs/")
_DEEPEST: Final = 100


@dataclass(eq=False)
class Editable:
    """A document, or a schema that stands by itself, being changed.

    Attributes:
        root: The document; changed in place.
        legacy: Whether its schemas are those of OpenAPI 3.0.
        copied: JSON Pointers of shared parts that were copied to be changed.
        changed: JSON Pointers of parts referred to once that were changed where they stand.
    """

    root: dict[str, Any]
    legacy: bool
    copied: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)

    def own(self, holder: Any, key: str | int) -> dict[str, Any]:
        """Return the object at ``holder[key]``, free to be changed; a shared one is copied there.

        Raises:
            InapplicableEditError: There is no object.
            InvalidDocumentError: A reference leads nowhere.
        """
        for _ in range(_DEEPEST):
            value = holder[key]
            if value is True:
                value = holder[key] = {}
            if not isinstance(value, dict):
                raise InapplicableEditError(f"{key!r} holds no object that could be changed.")
            if REF not in value:
                return value
            path = local_pointer(value[REF])
            if self._is_own(path) and (self.legacy or len(value) == 1):
                above, _, last = path.rpartition("/")
                holder, key = at_pointer(self.root, above), _unescaped(last)
                key = int(key) if isinstance(holder, list) else key
                self._note(self.changed, path)
            else:
                beside = {} if self.legacy else {k: v for k, v in value.items() if k != REF}
                holder[key] = _beside(copy.deepcopy(at_pointer(self.root, path)), beside)
                self._note(self.copied, path)
        raise InapplicableEditError("references go in a circle.")

    def peek(self, value: object) -> Any:
        """Return a value with its references followed; for looking only."""
        return resolved(self.root, value)

    def fields(self, holder: Any, key: str | int, name: str) -> list[tuple[Any, str | int]]:
        """Return where the schemas of a field (or of items) below ``holder[key]`` are kept.

        Compositions are searched; parts on the way are made the operation's own. Empty where the
        schema does not know the field.
        """
        if not self._knows(holder[key], name):
            return []
        schema = self.own(holder, key)
        found: list[tuple[Any, str | int]] = []
        if name == ITEMS:
            keywords = ("items", "additionalProperties")
            found += [(schema, word) for word in keywords if isinstance(schema.get(word), dict)]
        elif isinstance(schema.get("properties"), dict) and name in schema["properties"]:
            found.append((schema["properties"], name))
        for _, branches, place in _branches(schema):
            found += self.fields(branches, place, name)
        if not found and isinstance(schema.get("additionalProperties"), dict):
            found.append((schema, "additionalProperties"))
        return found

    def objects(self, holder: Any, key: str | int) -> list[dict[str, Any]]:
        """Return the schemas at ``holder[key]`` that a new field has to be declared in.

        These are the alternatives that are objects, and members of ``allOf`` that admit no other
        fields; else the schema itself.
        """
        schema = self.own(holder, key)
        closed = [
            inner
            for keyword, branches, place in _branches(schema)
            if keyword == "allOf" and self._is_closed(branches[place])
            for inner in self.objects(branches, place)
        ]
        alternatives = [
            inner
            for keyword, branches, place in _branches(schema)
            if keyword in _ALTERNATIVES and self._is_object(branches[place])
            for inner in self.objects(branches, place)
        ]
        if "properties" in schema or not (closed or alternatives):
            return [schema, *closed]
        return [*closed, *alternatives]

    def essence(self, holder: Any, key: str | int) -> dict[str, Any]:
        """Return the schema at ``holder[key]``, or its one alternative that is not null."""
        schema = self.own(holder, key)
        for keyword in _ALTERNATIVES:
            branches = schema.get(keyword)
            if isinstance(branches, list):
                solid = [i for i, branch in enumerate(branches) if not _is_null(branch)]
                if len(solid) == 1:
                    return self.essence(branches, solid[0])
        return schema

    def is_shared(self, value: object) -> bool:
        """Say whether a value is a reference to what other places refer to too."""
        if not isinstance(value, Mapping) or REF not in value:
            return False
        return not self._is_own(local_pointer(value[REF]))

    def _knows(self, value: object, name: str, depth: int = 0) -> bool:
        schema = self.peek(value)
        if not isinstance(schema, Mapping) or depth > _DEEPEST:
            return False
        properties = schema.get("properties")
        if name == ITEMS and isinstance(schema.get("items"), Mapping):
            return True
        if isinstance(schema.get("additionalProperties"), Mapping):
            return True
        if isinstance(properties, Mapping) and name in properties:
            return True
        return any(
            self._knows(branches[place], name, depth + 1)
            for _, branches, place in _branches(schema)
        )

    def _is_closed(self, value: object) -> bool:
        schema = self.peek(value)
        return isinstance(schema, Mapping) and schema.get("additionalProperties") is False

    def _is_object(self, value: object) -> bool:
        schema = self.peek(value)
        if not isinstance(schema, Mapping):
            return False
        stated = schema.get("type")
        types = stated if isinstance(stated, list) else [stated]
        return "object" in types or "properties" in schema or any(True for _ in _branches(schema))

    def _is_own(self, path: str) -> bool:
        """Say whether a part is there to be referred to, and one place alone does."""
        if not path.startswith(_PARTS):
            return False
        return (
            sum(
                path == other or path.startswith(f"{other}/") or other.startswith(f"{path}/")
                for other in references(self.root)
            )
            == 1
        )

    def _note(self, paths: list[str], path: str) -> None:
        if path not in paths:
            paths.append(path)


def references(value: object) -> Iterator[str]:
    """Yield the JSON Pointer of every reference into the document, as often as it is there."""
    stack = [value]
    while stack:
        node = stack.pop()
        if isinstance(node, Mapping):
            stated = node.get(REF)
            if isinstance(stated, str) and stated.startswith("#/"):
                yield local_pointer(stated)
            stack.extend(node.values())
        elif isinstance(node, list):
            stack.extend(node)


def _branches(schema: Mapping[str, Any]) -> Iterator[tuple[str, list[Any], int]]:
    for keyword in _COMPOSITIONS:
        branches = schema.get(keyword)
        if isinstance(branches, list):
            for place in range(len(branches)):
                yield keyword, branches, place


def _is_null(schema: object) -> bool:
    if not isinstance(schema, Mapping):
        return False
    return schema.get("type") == "null" or schema.get("enum") == [None]


def _beside(value: Any, beside: dict[str, Any]) -> Any:
    """Return a copied schema with the keywords that stood beside the reference to it."""
    if not beside or not isinstance(value, dict):
        return value
    notes = {"title", "description", "summary", "example", "examples", "default", "deprecated"}
    if beside.keys() <= notes or not beside.keys() & value.keys():
        return {**value, **beside}
    return {"allOf": [value, dict(beside)]}


def _unescaped(token: str) -> str:
    return token.replace("~1", "/").replace("~0", "~")
