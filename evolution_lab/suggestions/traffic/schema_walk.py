"""One value beside its declared schema: what the schema does not say of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Literal, NamedTuple

import jsonschema_rs

from evolution_lab.suggestions.traffic.exchanges import is_redacted
from evolution_lab.suggestions.traffic.values import ITEM, MOST_DEPTH, MOST_ITEMS, Path, type_name

DriftKind = Literal["field", "required", "type", "null", "enum", "format", "limit"]

_LIMITS: Final = frozenset(
    {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
    | {"minLength", "maxLength", "pattern", "minItems", "maxItems"}
)
_MOST_BRANCHES: Final = 64
_Place = tuple[str | int, ...]


class Part(NamedTuple):
    """One subschema that holds for a value, and where it stands in its document."""

    schema: Mapping[str, Any]
    place: _Place


class Difference(NamedTuple):
    """One thing that a value has and its schema does not say.

    Attributes:
        kind: What differs.
        path: Where in the value; of a field, its parent.
        detail: The field's name, the type seen, the keyword broken, the enum's new value as text.
        place: Where in the schema the change belongs.
    """

    kind: DriftKind
    path: Path
    detail: str
    place: _Place


@dataclass
class Walk:
    """Differences of one value, and what of the schema was reached.

    Attributes:
        differences: Each with a value that shows it.
        reached: Paths of objects that were there, with the places of their schemas.
        present: Declared fields that were there.
    """

    differences: dict[Difference, Any] = field(default_factory=dict)
    reached: set[Path] = field(default_factory=set)
    present: set[Path] = field(default_factory=set)


@dataclass(frozen=True, eq=False)
class SchemaWalker:
    """Holds values against one schema; references and combinations are followed.

    Attributes:
        root: JSON Schema 2020-12 with its ``$defs``.

    Examples:
        >>> walker = SchemaWalker({"properties": {"id": {"type": "string"}}})
        >>> [(d.kind, d.path, d.detail) for d in walker.walk({"id": 7, "at": "x"}).differences]
        [('type', ('id',), 'integer'), ('field', (), 'at')]
    """

    root: Mapping[str, Any]
    _compiled: dict[_Place, Any] = field(default_factory=dict, init=False, repr=False)
    _fixed: dict[tuple[_Place, ...], list[Part]] = field(
        default_factory=dict, init=False, repr=False
    )
    _fields: dict[tuple[_Place, ...], tuple[dict[str, list[Part]], Part | None]] = field(
        default_factory=dict, init=False, repr=False
    )

    def walk(self, value: Any) -> Walk:
        """Return what the schema does not say of a value."""
        walk = Walk()
        self._visit(value, (Part(self.root, ()),), (), walk)
        return walk

    def declared_fields(self) -> dict[Path, _Place]:
        """Return all fields the schema declares, with their places; recursion is cut."""
        found: dict[Path, _Place] = {}
        self._declare((Part(self.root, ()),), (), found, frozenset())
        return found

    def accepts(self, value: Any) -> bool:
        """Say whether a value fits, formats included."""
        return bool(self._validator(Part(self.root, ())).is_valid(value))

    def _visit(self, value: Any, given: tuple[Part, ...], path: Path, walk: Walk) -> None:
        if len(path) > MOST_DEPTH or is_redacted(value):
            return
        parts = self._applying(given, value)
        if any(self._broken_type(part, value, path, walk) for part in parts):
            return
        for part in parts:
            self._check_scalar(part, value, path, walk)
        if isinstance(value, Mapping):
            self._check_object(value, parts, path, walk)
        elif isinstance(value, list):
            items = tuple(
                Part(part.schema["items"], (*part.place, "items"))
                for part in parts
                if isinstance(part.schema.get("items"), Mapping)
            )
            for item in value[:MOST_ITEMS] if items else ():
                self._visit(item, items, (*path, ITEM), walk)

    def _broken_type(self, part: Part, value: Any, path: Path, walk: Walk) -> bool:
        stated = part.schema.get("type")
        allowed = stated if isinstance(stated, list) else [stated] if stated else []
        seen = type_name(value)
        if not allowed or seen in allowed or (seen == "integer" and "number" in allowed):
            return False
        kind: DriftKind = "null" if seen == "null" else "type"
        walk.differences.setdefault(Difference(kind, path, seen, part.place), value)
        return True

    def _check_scalar(self, part: Part, value: Any, path: Path, walk: Walk) -> None:
        schema = part.schema
        if not isinstance(value, (Mapping, list)):
            listed = schema.get("enum", [schema["const"]] if "const" in schema else None)
            if isinstance(listed, list) and not any(_same(value, each) for each in listed):
                detail = str(value)[:80]
                walk.differences.setdefault(Difference("enum", path, detail, part.place), value)
        for keyword in sorted(schema.keys() & _LIMITS):
            if not self._keeps(part, keyword, value):
                walk.differences.setdefault(Difference("limit", path, keyword, part.place), value)
        stated = schema.get("format")
        texts = isinstance(stated, str) and isinstance(value, str)
        if texts and not self._keeps(part, "format", value):
            walk.differences.setdefault(Difference("format", path, str(stated), part.place), value)

    def _check_object(
        self, value: Mapping[str, Any], parts: list[Part], path: Path, walk: Walk
    ) -> None:
        walk.reached.add(path)
        for part in parts:
            for name in part.schema.get("required", ()):
                if isinstance(name, str) and name not in value:
                    missing = Difference("required", path, name, part.place)
                    walk.differences.setdefault(missing, None)
        key = tuple(part.place for part in parts)
        if key not in self._fields:
            self._fields[key] = _declared(parts)
        declared, home = self._fields[key]
        for name, inside in declared.items():
            if name in value:
                walk.present.add((*path, name))
                self._visit(value[name], tuple(inside), (*path, name), walk)
        if home is not None:
            for name in value:
                if name not in declared:
                    walk.differences.setdefault(
                        Difference("field", path, str(name), home.place), value[name]
                    )

    def _applying(self, given: tuple[Part, ...], value: Any) -> list[Part]:
        """Return the subschemas that hold, kept where they do not depend on the value."""
        key = tuple(part.place for part in given)
        parts = self._fixed.get(key)
        if parts is None:
            parts = list(self._expanded(given, value))
            if not any("anyOf" in p.schema or "oneOf" in p.schema for p in parts):
                self._fixed[key] = parts
        return parts

    def _expanded(self, given: tuple[Part, ...], value: Any) -> Iterator[Part]:
        """Yield the subschemas that hold: references followed, the branch that fits best taken."""
        waiting, seen = list(reversed(given)), 0
        while waiting and seen < _MOST_BRANCHES:
            part = self._resolved(waiting.pop())
            seen += 1
            yield part
            for index, below in enumerate(_mappings(part.schema.get("allOf"))):
                waiting.append(Part(below, (*part.place, "allOf", index)))
            for word in ("anyOf", "oneOf"):
                branches = [
                    Part(below, (*part.place, word, index))
                    for index, below in enumerate(_mappings(part.schema.get(word)))
                ]
                if branches:
                    waiting.append(self._best(branches, value))

    def _best(self, branches: list[Part], value: Any) -> Part:
        for branch in branches:
            if self._validator(branch).is_valid(value):
                return branch

        def distance(branch: Part) -> tuple[bool, int]:
            schema = self._resolved(branch).schema
            stated = schema.get("type")
            allowed = stated if isinstance(stated, list) else [stated] if stated else []
            errors = sum(1 for _ in self._validator(branch).iter_errors(value))
            return (bool(allowed) and type_name(value) not in allowed, errors)

        return min(branches, key=distance)

    def _resolved(self, part: Part) -> Part:
        for _ in range(_MOST_BRANCHES):
            reference = part.schema.get("$ref")
            if not isinstance(reference, str) or not reference.startswith("#/$defs/"):
                return part
            name = reference.removeprefix("#/$defs/")
            target = self._definitions.get(name)
            if not isinstance(target, Mapping):
                return part
            part = Part(target, ("$defs", name))
        return part

    def _declare(
        self,
        given: tuple[Part, ...],
        path: Path,
        found: dict[Path, _Place],
        above: frozenset[_Place],
    ) -> None:
        waiting = list(given)
        while waiting:
            part = self._resolved(waiting.pop())
            if part.place in above or len(path) > MOST_DEPTH:
                continue
            inside = above | {part.place}
            for word in ("allOf", "anyOf", "oneOf"):
                for index, below in enumerate(_mappings(part.schema.get(word))):
                    waiting.append(Part(below, (*part.place, word, index)))
            properties = part.schema.get("properties")
            for name, below in properties.items() if isinstance(properties, Mapping) else ():
                place = (*part.place, "properties", name)
                found.setdefault((*path, name), place)
                if isinstance(below, Mapping):
                    self._declare((Part(below, place),), (*path, name), found, inside)
            items = part.schema.get("items")
            if isinstance(items, Mapping):
                self._declare((Part(items, (*part.place, "items")),), (*path, ITEM), found, inside)

    @cached_property
    def _definitions(self) -> Mapping[str, Any]:
        found = self.root.get("$defs")
        return found if isinstance(found, Mapping) else {}

    def _validator(self, part: Part) -> Any:
        if part.place not in self._compiled:
            whole = {**part.schema, "$defs": dict(self._definitions)}
            self._compiled[part.place] = jsonschema_rs.Draft202012Validator(
                whole, offline=True, validate_formats=True
            )
        return self._compiled[part.place]

    def _keeps(self, part: Part, keyword: str, value: Any) -> bool:
        place = (*part.place, "\0", keyword)
        if place not in self._compiled:
            self._compiled[place] = jsonschema_rs.Draft202012Validator(
                {keyword: part.schema[keyword]}, offline=True, validate_formats=True
            )
        return bool(self._compiled[place].is_valid(value))


def _declared(parts: list[Part]) -> tuple[dict[str, list[Part]], Part | None]:
    """Return declared fields, and where another belongs: None where any name may stand."""
    declared: dict[str, list[Part]] = {}
    home: Part | None = None
    open_map = False
    for part in parts:
        properties = part.schema.get("properties")
        if isinstance(properties, Mapping):
            home = home or part
            for name, schema in properties.items():
                below: Mapping[str, Any] = schema if isinstance(schema, Mapping) else {}
                place = (*part.place, "properties", name)
                declared.setdefault(name, []).append(Part(below, place))
        more = part.schema.get("additionalProperties")
        open_map |= more is True or isinstance(more, Mapping)
        open_map |= "patternProperties" in part.schema
    return declared, None if open_map else home


def typed(value: Any, schema: Any) -> Any:
    """Return a parameter's text as what its schema calls it, where it can be read so.

    Examples:
        >>> typed("7", {"type": "integer"}), typed("seven", {"type": "integer"})
        (7, 'seven')
    """
    if not isinstance(schema, Mapping):
        return value
    stated = schema.get("type")
    names = stated if isinstance(stated, list) else [stated]
    if "array" in names:
        items = value if isinstance(value, list) else [value]
        return [typed(item, schema.get("items")) for item in items]
    if not isinstance(value, str):
        return value
    if "integer" in names and re.fullmatch(r"[+-]?\d{1,18}", value):
        return int(value)
    if "number" in names and re.fullmatch(r"[+-]?\d{1,18}(\.\d+)?([eE][+-]?\d{1,2})?", value):
        return float(value)
    if "boolean" in names and value in {"true", "false"}:
        return value == "true"
    return value


def _mappings(value: object) -> list[Mapping[str, Any]]:
    return [v if isinstance(v, Mapping) else {} for v in value] if isinstance(value, list) else []


def _same(value: Any, each: Any) -> bool:
    """JSON equality of scalars: true is not 1."""
    return value == each and isinstance(value, bool) == isinstance(each, bool)
