"""How two JSON Schemas differ: which of them admits more values, place by place."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from evolution_lab.contracts.references import REF, at_pointer, local_pointer, pointer

SchemaChangeKind = Literal[
    "narrowed", "widened", "changed", "field-added", "field-removed", "field-renamed"
]

_LOW: Final = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_HIGH: Final = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_FREE: Final = ("pattern", "format", "multipleOf", "contentEncoding", "contentMediaType")
_WORDS: Final = frozenset(
    {"title", "description", "examples", "example", "default", "deprecated", "readOnly"}
    | {"writeOnly", "xml", "externalDocs", "discriminator", "$comment", "$defs", "$schema", "$id"}
)
_LISTS: Final = ("allOf", "anyOf", "oneOf")
_READ: Final = frozenset(
    {"type", "enum", "const", "required", "properties", "items", "additionalProperties"}
    | {"uniqueItems", *_LOW, *_HIGH, *_FREE, *_LISTS}
)
_TYPES: Final = frozenset({"string", "integer", "number", "boolean", "object", "array", "null"})
_DEEPEST: Final = 60
_MOST: Final = 1_000


@dataclass(frozen=True, kw_only=True)
class SchemaChange:
    """One place where a schema admits other values than before.

    Attributes:
        kind: ``narrowed`` admits fewer, ``widened`` more, ``changed`` others or unknown ones. Fields
            of open objects are told apart: added, removed, renamed.
        place: JSON Pointer of the value: names of fields, ``*`` for items.
        what: What changed, in words.
    """

    kind: SchemaChangeKind
    place: str
    what: str


def schema_changes(before: Any, after: Any) -> tuple[SchemaChange, ...]:
    """Return where two schemas differ in what they admit; words for people do not count.

    Args:
        before: JSON Schema 2020-12 that stands by itself.
        after: The other one.

    Returns:
        At most 1,000 changes. Keywords that are not understood (``not``, ``if``, ``contains`` …)
        count as ``changed`` where they differ.

    Examples:
        >>> [(c.kind, c.place) for c in schema_changes(
        ...     {"properties": {"sku": {"maxLength": 8}}},
        ...     {"properties": {"sku": {"maxLength": 4}}, "required": ["sku"]})]
        [('narrowed', '/sku'), ('narrowed', '/sku')]
    """
    comparison = _Comparison(before, after)
    found: list[SchemaChange] = []
    for change in comparison.compare((), before, after):
        if change not in found:
            found.append(change)
        if len(found) == _MOST:
            break
    return tuple(found)


@dataclass(eq=False)
class _Comparison:
    before: Any
    after: Any
    _open: set[tuple[str, str]] = field(default_factory=set)

    def compare(self, path: tuple[str, ...], old: Any, new: Any) -> Iterator[SchemaChange]:
        pair = (_canonical(old), _canonical(new))
        old, new = _followed(self.before, old), _followed(self.after, new)
        if len(path) > _DEEPEST or pair in self._open:
            return
        if old is False or new is False:
            if old is not new:
                yield _change(
                    "narrowed" if new is False else "widened", path, "nothing is admitted"
                )
            return
        old, new = _object(old), _object(new)
        self._open.add(pair)
        try:
            yield from self._alternatives(path, old, new)
        finally:
            self._open.discard(pair)

    def _alternatives(
        self, path: tuple[str, ...], old: Mapping[str, Any], new: Mapping[str, Any]
    ) -> Iterator[SchemaChange]:
        """Compare schemas that are one of several; a schema by itself is the only one."""
        one, other = _choices(old), _choices(new)
        if len(one) == len(other) == 1:
            yield from self._keywords(path, one[0], other[0])
            return
        lost = [a for a in one if not any(self._same(path, a, b) for b in other)]
        won = [b for b in other if not any(self._same(path, a, b) for a in one)]
        if len(lost) == 1 and len(won) == 1:
            yield from self.compare(path, lost[0], won[0])
            return
        for choice in lost:
            yield _change("narrowed", path, f"no longer {_named(choice)}")
        for choice in won:
            yield _change("widened", path, f"also {_named(choice)}")

    def _same(self, path: tuple[str, ...], one: Any, other: Any) -> bool:
        return next(self.compare(path, one, other), None) is None

    def _keywords(
        self, path: tuple[str, ...], old: Mapping[str, Any], new: Mapping[str, Any]
    ) -> Iterator[SchemaChange]:
        yield from _types(path, old, new)
        yield from _values(path, old, new)
        yield from _limits(path, old, new)
        yield from self._fields(path, old, new)
        if "items" in old or "items" in new:
            yield from self.compare((*path, "*"), old.get("items", {}), new.get("items", {}))
        for keyword in _LISTS:
            yield from self._members(path, keyword, old, new)
        for keyword in sorted((old.keys() | new.keys()) - _READ - _WORDS):
            if keyword.startswith("x-"):
                continue
            if _canonical(old.get(keyword)) != _canonical(new.get(keyword)):
                yield _change("changed", path, f"{keyword} differs")

    def _fields(
        self, path: tuple[str, ...], old: Mapping[str, Any], new: Mapping[str, Any]
    ) -> Iterator[SchemaChange]:
        known, named = _object(old.get("properties")), _object(new.get("properties"))
        for name in known.keys() & named.keys():
            yield from self.compare((*path, name), known[name], named[name])
        lost = sorted(known.keys() - named.keys())
        won = sorted(named.keys() - known.keys())
        if len(lost) == len(won) == 1 and self._same(path, known[lost[0]], named[won[0]]):
            yield _change("field-renamed", (*path, lost[0]), f"now called {won[0]!r}")
            lost, won = [], []
        for name in lost:
            yield _change("field-removed", (*path, name), "no longer declared")
        for name in won:
            yield _change("field-added", (*path, name), "newly declared")
        needed, asked = set(_list(old.get("required"))), set(_list(new.get("required")))
        for name in sorted(asked - needed):
            yield _change("narrowed", (*path, str(name)), "is required now")
        for name in sorted(needed - asked):
            yield _change("widened", (*path, str(name)), "is no longer required")
        rest, left = old.get("additionalProperties", True), new.get("additionalProperties", True)
        if _canonical(rest) != _canonical(left):
            yield from self.compare((*path, "*"), rest, left)

    def _members(
        self, path: tuple[str, ...], keyword: str, old: Mapping[str, Any], new: Mapping[str, Any]
    ) -> Iterator[SchemaChange]:
        one, other = _list(old.get(keyword)), _list(new.get(keyword))
        lost = [a for a in one if not any(self._same(path, a, b) for b in other)]
        won = [b for b in other if not any(self._same(path, a, b) for a in one)]
        if len(lost) == len(won):
            for a, b in zip(lost, won, strict=True):
                yield from self.compare(path, a, b)
        elif keyword == "allOf":
            yield _change("narrowed" if len(won) > len(lost) else "widened", path, "allOf differs")
        else:
            for choice in lost:
                yield _change("widened" if not other else "narrowed", path, f"not {_named(choice)}")
            for choice in won:
                yield _change("narrowed" if not one else "widened", path, f"also {_named(choice)}")


def _types(
    path: tuple[str, ...], old: Mapping[str, Any], new: Mapping[str, Any]
) -> Iterator[SchemaChange]:
    known, named = _type_set(old), _type_set(new)
    lost = {t for t in known - named if not (t == "integer" and "number" in named)}
    won = {t for t in named - known if not (t == "integer" and "number" in known)}
    if "number" in lost and "integer" in named:
        lost.discard("number")
        yield _change("narrowed", path, "whole numbers only")
    if lost and not won:
        yield _change("narrowed", path, f"no longer {', '.join(sorted(lost))}")
    elif won and not lost:
        yield _change("widened", path, f"also {', '.join(sorted(won))}")
    elif won:
        yield _change("changed", path, f"{', '.join(sorted(won))} for {', '.join(sorted(lost))}")


def _values(
    path: tuple[str, ...], old: Mapping[str, Any], new: Mapping[str, Any]
) -> Iterator[SchemaChange]:
    known, named = _enumerated(old), _enumerated(new)
    if known is None or named is None:
        if known is not named:
            kind: SchemaChangeKind = "widened" if named is None else "narrowed"
            yield _change(kind, path, "any value" if named is None else "listed values only")
        return
    # A null that comes or goes with its type is told of once, by the type.
    lost, won = known - named - {"null"}, named - known - {"null"}
    if lost:
        yield _change("narrowed", path, f"no longer {', '.join(sorted(lost))}")
    if won:
        yield _change("widened", path, f"also {', '.join(sorted(won))}")


def _limits(
    path: tuple[str, ...], old: Mapping[str, Any], new: Mapping[str, Any]
) -> Iterator[SchemaChange]:
    lower: Callable[[float, float], bool] = lambda a, b: a < b  # noqa: E731
    higher: Callable[[float, float], bool] = lambda a, b: a > b  # noqa: E731
    for keywords, narrows in ((_LOW, higher), (_HIGH, lower)):
        for keyword in keywords:
            a, b = old.get(keyword), new.get(keyword)
            if a == b or not (_is_number(a) or _is_number(b)):
                continue
            narrowed = a is None or (b is not None and narrows(b, a))
            kind: SchemaChangeKind = "narrowed" if narrowed else "widened"
            yield _change(kind, path, f"{keyword} {_shown(a)} → {_shown(b)}")
    for keyword in _FREE:
        a, b = old.get(keyword), new.get(keyword)
        if a != b:
            kind = "narrowed" if a is None else "widened" if b is None else "changed"
            yield _change(kind, path, f"{keyword} {_shown(a)} → {_shown(b)}")
    a, b = old.get("uniqueItems") is True, new.get("uniqueItems") is True
    if a is not b:
        yield _change("narrowed" if b else "widened", path, "uniqueItems differs")


def _followed(root: Any, schema: Any) -> Any:
    for _ in range(_DEEPEST):
        if not isinstance(schema, Mapping) or REF not in schema:
            return schema
        target = at_pointer(root, local_pointer(schema[REF]))
        beside = {k: v for k, v in schema.items() if k != REF and k not in _WORDS}
        schema = {"allOf": [target, beside]} if beside else target
    return {}


def _choices(schema: Mapping[str, Any]) -> list[Any]:
    rest = schema.keys() - _WORDS - {"anyOf"}
    choices = schema.get("anyOf")
    if isinstance(choices, list) and choices and not any(not k.startswith("x-") for k in rest):
        return choices
    return [schema]


def _type_set(schema: Mapping[str, Any]) -> set[str]:
    stated = schema.get("type")
    if stated is None:
        return set(_TYPES)
    return {str(name) for name in (stated if isinstance(stated, list) else [stated])}


def _enumerated(schema: Mapping[str, Any]) -> set[str] | None:
    if "const" in schema:
        return {_canonical(schema["const"])}
    stated = schema.get("enum")
    return {_canonical(value) for value in stated} if isinstance(stated, list) else None


def _change(kind: SchemaChangeKind, path: tuple[str, ...], what: str) -> SchemaChange:
    return SchemaChange(kind=kind, place=pointer(*path), what=what)


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _named(schema: Any) -> str:
    stated = _object(schema).get("type") or _object(schema).get(REF) or "another form"
    return ", ".join(map(str, stated)) if isinstance(stated, list) else str(stated)


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: object) -> str:
    return "none" if value is None else str(value)[:80]
