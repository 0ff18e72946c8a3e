"""Which values of an answer change, told from several recordings of it: the strong evidence.

Only a scalar that drifts at one place is let go. What changes the structure, the length of an
array, the type, or so much that little would be left to check, stays checked and is named with the
rule it breaks: a refused case goes red with a reason, one relaxed too far goes green and asserts
nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from evolution_lab.golden.comparison import as_text, compare
from evolution_lab.golden.links import Path, leaves_of, sent_texts
from evolution_lab.golden.matchers import (
    Tree,
    close_to,
    json_type,
    literal,
    matcher_of,
    named,
    of_type,
    one_of,
    pattern,
    text,
)
from evolution_lab.golden.shapes import shape_of
from evolution_lab.golden.suite import RefusalReason, canonical_json

_ENOUGH_REPEATS: Final = 10
_LONGEST_ALIGNED: Final = 5_000
_KINDS_OF_TEXT: Final = (
    ("[0-9]", re.compile(r"[0-9]*")),
    ("[0-9a-f]", re.compile(r"[0-9a-f]*")),
    ("[0-9A-Za-z]", re.compile(r"[0-9A-Za-z]*")),
    ("[0-9A-Za-z_.:-]", re.compile(r"[0-9A-Za-z_.:-]*")),
)


@dataclass(frozen=True)
class Observed:
    """One recorded answer with what was sent for it."""

    sent: Any
    output: Any


@dataclass
class Changes:
    """What differs between recordings of the same call.

    Attributes:
        values: Every value seen at a place where not all are equal, in the order of recordings.
        unordered: Arrays with the same elements in another order.
        equal: Places of scalars that were the same in all.
        echoed: Places whose value differs exactly as what was sent differs.
        refused: Places that differ in a way that is never let go, with reason and words.
    """

    values: dict[Path, list[Any]] = field(default_factory=dict)
    unordered: set[Path] = field(default_factory=set)
    equal: set[Path] = field(default_factory=set)
    echoed: set[Path] = field(default_factory=set)
    refused: dict[Path, tuple[RefusalReason, str]] = field(default_factory=dict)


def find_changes(first: Observed, others: Sequence[Observed]) -> Changes:
    """Compare recordings of one call, place by place.

    Examples:
        >>> one = Observed({"n": 1}, {"id": 7, "tags": ["a", "b"], "n": 1})
        >>> two = Observed({"n": 2}, {"id": 9, "tags": ["b", "a"], "n": 2})
        >>> changes = find_changes(one, [two])
        >>> changes.values, changes.unordered, changes.echoed
        ({('id',): [7, 9]}, {('tags',)}, {('n',)})
    """
    changes = Changes()
    sent = [sent_texts(leaves_of(o.sent)) for o in (first, *others)]
    _walk([first.output, *(o.output for o in others)], (), "", sent, changes)
    return changes


def _walk(
    values: list[Any], path: Path, name: str, sent: list[frozenset[str]], changes: Changes
) -> None:
    first = values[0]
    if all(isinstance(v, Mapping) for v in values):
        _walk_objects(values, path, sent, changes)
    elif all(isinstance(v, list | tuple) for v in values):
        _walk_arrays(values, path, name, sent, changes)
    elif any(isinstance(v, Mapping | list | tuple) for v in values):
        changes.refused[path] = ("structural", "sometimes an object or array, sometimes not")
    elif all(_same(first, v) for v in values[1:]):
        changes.equal.add(path)
    elif all(v is not None and as_text(v) in s for v, s in zip(values, sent, strict=True)):
        changes.echoed.add(path)
    else:
        kinds = {json_type(v) for v in values} - {"null"}
        if len(kinds) > 1 and kinds != {"integer", "number"}:
            changes.refused[path] = ("type-change", f"sometimes {', '.join(sorted(kinds))}")
        else:
            changes.values[path] = values


def _same(left: Any, right: Any) -> bool:
    return json_type(left) == json_type(right) and bool(left == right)


def _walk_objects(
    values: list[Any], path: Path, sent: list[frozenset[str]], changes: Changes
) -> None:
    for key in sorted(set().union(*values)):
        present = [v[key] for v in values if key in v]
        if len(present) < len(values):
            share = f"{len(present)} of {len(values)} recordings have it"
            changes.refused[(*path, str(key))] = ("structural", share)
        else:
            _walk(present, (*path, str(key)), str(key), sent, changes)


def _walk_arrays(
    values: list[Any], path: Path, name: str, sent: list[frozenset[str]], changes: Changes
) -> None:
    lengths = sorted({len(v) for v in values})
    if len(lengths) > 1:
        changes.refused[path] = ("array-length", f"{lengths[0]} to {lengths[-1]} elements")
        return
    if not 1 < lengths[0] <= _LONGEST_ALIGNED:
        _walk_elements(values, path, name, sent, changes)
        return
    masked = [[canonical_json(mask(item, name)) for item in v] for v in values]
    if any(m != masked[0] for m in masked[1:]):
        ordered = sorted(masked[0])
        if all(sorted(m) == ordered for m in masked[1:]):
            changes.unordered.add(path)
            return
        before = len(changes.values)
        _walk_elements(values, path, name, sent, changes)
        shared = len(set(masked[0]).intersection(*masked[1:]))
        if shared > lengths[0] // 2 and len(changes.values) - before > lengths[0]:
            for place in [p for p in changes.values if p[: len(path)] == path]:
                del changes.values[place]
            changes.refused[path] = (
                "order-ambiguous",
                f"{shared} of {lengths[0]} elements come again at another place, the rest differ",
            )
        return
    _walk_elements(values, path, name, sent, changes)


def _walk_elements(
    values: list[Any], path: Path, name: str, sent: list[frozenset[str]], changes: Changes
) -> None:
    for index in range(len(values[0])):
        _walk([v[index] for v in values], (*path, index), name, sent, changes)


def mask(value: Any, name: str = "") -> Any:
    """Return a value with everything that looks like an identifier or a time replaced by its kind.

    What two elements have in common when the one is the other's rerun.
    """
    if isinstance(value, Mapping):
        return {str(key): mask(item, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [mask(item, name) for item in value]
    shape = shape_of(name, value)
    if shape is not None and shape.changes:
        return {"<kind>": shape.kind}
    return literal(value)


def matcher_for(name: str, values: Sequence[Any], *, float_tolerance: float) -> Tree:
    """Return the narrowest check that all values seen at one place pass.

    In this order: rounding of a fraction, one of few words often seen, a shape, a text of which a
    part changes, the bare type; with ``null`` beside it where that was seen.

    Examples:
        >>> matcher_for("id", ["ord_8f3a2b1c9d0e", "ord_0a1b2c3d4e5f"], float_tolerance=0)["pattern"]
        'ord_[0-9a-z]{9,15}'
        >>> matcher_for("n", [1, None, 3], float_tolerance=0)["of"]
        [None, {'$match': 'type', 'type': 'integer'}]
        >>> matcher_for("url", ["/a/1/b", "/a/27/b"], float_tolerance=0)["parts"][1]
        {'$match': 'pattern', 'pattern': '[0-9]{1,8}'}
    """
    present = [v for v in values if v is not None]
    tree = _matcher_for(name, present, len(values), float_tolerance)
    return one_of([None, tree]) if len(present) < len(values) else tree


def _matcher_for(name: str, values: list[Any], seen: int, float_tolerance: float) -> Tree:
    first = values[0]
    if isinstance(first, bool):
        return of_type("boolean")
    if isinstance(first, int | float):
        return _number_matcher(name, values, float_tolerance)
    distinct = sorted(set(values))
    if seen >= _ENOUGH_REPEATS and len(distinct) * 3 <= seen:
        return one_of([literal(v) for v in distinct])
    shapes = [shape_of(name, v) for v in distinct]
    candidates = [shape.matcher for shape in shapes if shape is not None]
    for tree in candidates:
        if all(not compare(v, tree) for v in distinct):
            return tree
    template = _template(distinct)
    if template is not None:
        return template
    if all(not compare(v, named("url")) for v in distinct):
        return named("url")
    return of_type("string")


def _number_matcher(name: str, values: list[Any], float_tolerance: float) -> Tree:
    if any(isinstance(v, float) and not v.is_integer() for v in values) and float_tolerance > 0:
        low, high = min(values), max(values)
        allowed = float_tolerance * max(abs(low), abs(high))
        if high - low <= allowed:
            return close_to(values[0], tolerance=allowed)
    shapes = [shape_of(name, v) for v in values]
    matchers = [shape.matcher for shape in shapes if shape is not None]
    if len(matchers) == len(values) and matcher_of(matchers[0]) == "epoch":
        return matchers[0]
    return of_type("integer" if all(json_type(v) == "integer" for v in values) else "number")


def _template(values: list[str]) -> Tree | None:
    """Return the text all values share around one part that changes, cut at whole words."""
    low, high = min(values), max(values)
    start = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))
    while start and low[start - 1].isalnum():
        start -= 1
    room = min(len(v) for v in values) - start
    end = 0
    while end < room and len({v[-1 - end] for v in values}) == 1:
        end += 1
    while end and values[0][-end].isalnum():
        end -= 1
    if start + end < 2:
        return None
    prefix, suffix = low[:start], low[len(low) - end :] if end else ""
    middles = [v[start : len(v) - end] for v in values]
    longest = max(8, 2 * max(len(m) for m in middles))
    least = 1 if all(middles) else 0
    for alphabet, fits in _KINDS_OF_TEXT:
        if all(fits.fullmatch(m) for m in middles):
            changing = pattern(f"{alphabet}{{{least},{longest}}}")
            return text([part for part in (prefix, changing, suffix) if part])
    return None


def is_bare_type(tree: Tree) -> bool:
    """Return whether a check asks for nothing but a JSON type."""
    name = matcher_of(tree)
    if name == "one-of":
        return all(choice is None or is_bare_type(choice) for choice in tree["of"])
    return name == "type"


def refuse_over_broad(changes: Changes, names: Mapping[Path, str], *, leaves: int) -> None:
    """Take back everything where more than half of an answer would go unchecked.

    Repeats within one recording tell state from noise only where most of the answer stays.
    """
    plain = [p for p, v in changes.values.items() if not _all_shaped(names.get(p, ""), v)]
    if len(plain) >= 4 and 2 * len(plain) > leaves:
        for place in plain:
            del changes.values[place]
            changes.refused[place] = (
                "over-broad",
                f"{len(plain)} of {leaves} values differ between repeats: another state, no noise",
            )


def _all_shaped(name: str, values: Iterable[Any]) -> bool:
    shapes = [shape_of(name, v) for v in values if v is not None]
    return all(shape is not None and shape.changes for shape in shapes)
