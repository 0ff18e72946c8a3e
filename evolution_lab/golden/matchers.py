r"""What a golden test expects: JSON whose leaves are literals or matchers.

An *expected tree* is plain JSON. An object with the key ``$match`` is a matcher, anything else a
literal; literal keys that look like it carry one more ``$``, so that no payload can pose as a
matcher. The functions below are the only writers of matchers, ``comparison`` gives them their
meaning, and the emitters print them in each framework's words.

======================  ==========================================  ===============================
``$match``              parameters                                  passes
======================  ==========================================  ===============================
``type``                ``type``: string, integer, number,          values of that JSON type; 1.0 is
                        boolean, null, object, array                an integer, as it is in JavaScript
a name of ``PATTERNS``  none                                        texts of that shape, whole
``pattern``             ``pattern``                                 texts that match as a whole
``number``              ``value``: NaN, Infinity, -Infinity, or     that number as a double: what JSON
                        an integer beyond 2^53 in digits            itself cannot carry to JavaScript
``close-to``            ``value``, ``abs``                          numbers at most ``abs`` away
``epoch``               ``unit``: s or ms                           numbers that are a time, 2001–2100
``one-of``              ``of``: trees                               what fits one of them
``optional``            ``as``: tree                                a property that is missing, or fits
``unordered``           ``items``: trees                            arrays with one partner for each
``array-of``            ``as``: tree, ``min``                       arrays whose every element fits
``bind``                ``alias``, ``as``: matcher                  what fits; the value gets a name
``ref``                 ``alias``, ``as``: matcher                  the value that has that name
``text``                ``parts``: texts, refs, inputs and          texts put together in that way
                        patterns; ``encoding``: none or base64
``from-input``          ``path``: JSON Pointer                      the value there in the step's input
======================  ==========================================  ===============================

Patterns are written in what ``re`` and JavaScript's ``u`` mode read alike: ASCII classes, bounded
repetition, no look-around, and backslashes only before ``^$\.*+?()[]{}|/``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

Tree = Any
"""A JSON value in which objects with ``$match`` are matchers."""

JsonType = Literal["string", "integer", "number", "boolean", "null", "object", "array"]

MATCH: Final = "$match"
SAFE_INTEGER: Final = 2**53
"""Integers up to here are told apart by every language; beyond, numbers are compared as doubles."""

DEEPEST: Final = 128
"""Levels of nesting that are compared; what is deeper is refused, in every language alike."""

_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9](?::(?:[0-5][0-9]|60)(?:[.,][0-9]{1,9})?)?"
_DATE = r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
_HOST = r"[A-Za-z0-9_.~%!$&'()*+,;=:@\[\]-]{1,255}"

PATTERNS: Final[Mapping[str, str]] = {
    "uuid": r"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}",
    "ulid": r"[0-7][0-9A-HJKMNP-TV-Z]{25}",
    "iso-time": rf"{_DATE}[Tt ]{_TIME} ?(?:[Zz]|UTC|[+-][0-9]{{2}}:?[0-9]{{2}})?",
    "iso-date": _DATE,
    "http-date": (
        r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), [0-9]{1,2} "
        r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [0-9]{4} "
        r"[0-9]{2}:[0-9]{2}:[0-9]{2} (?:GMT|UTC|[+-][0-9]{4})"
    ),
    "jwt": r"eyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*",
    "digits": r"[0-9]{1,64}",
    "url": rf"[A-Za-z][A-Za-z0-9+.-]{{1,30}}:\/\/{_HOST}(?:[\/?#][^ ]*)?",
}
"""Shapes of text that have a name; a matcher of that name passes texts of that shape."""

_SYNTAX: Final = frozenset("^$\\.*+?()[]{}|/")


def escape_pattern(text: str) -> str:
    r"""Return a pattern that matches just this text, in Python and in JavaScript's ``u`` mode.

    Examples:
        >>> escape_pattern("a.b-c/d")
        'a\\.b-c\\/d'
    """
    return "".join(f"\\{c}" if c in _SYNTAX else c for c in text)


def escape_key(key: str) -> str:
    """Return a literal key as it stands in a tree.

    Examples:
        >>> [escape_key(k) for k in ("id", "$match", "$$matches", "$ref")]
        ['id', '$$match', '$$$matches', '$ref']
    """
    return f"${key}" if key.startswith("$") and key.lstrip("$").startswith("match") else key


def plain_key(key: str) -> str:
    """Return the literal key behind one of a tree; the inverse of ``escape_key``."""
    return key[1:] if key.startswith("$$") and key.lstrip("$").startswith("match") else key


def literal(value: object) -> Tree:
    """Return the tree that expects exactly this JSON value.

    Tuples become arrays; numbers that JSON cannot carry become matchers.

    Raises:
        TypeError: The value holds something that JSON has no word for.
        ValueError: The value is nested deeper than ``DEEPEST``.

    Examples:
        >>> literal({"$match": "me", "n": 2**53 + 1, "x": float("nan")})
        {'$$match': 'me', 'n': {'$match': 'number', 'value': '9007199254740993'}, 'x': {'$match': 'number', 'value': 'NaN'}}
    """
    return _literal(value, 0)


def _literal(value: object, depth: int) -> Tree:
    if value is None or value is True or value is False or isinstance(value, str):
        return value
    if isinstance(value, int):
        return int(value) if -SAFE_INTEGER <= value <= SAFE_INTEGER else number(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else number(value)
    if depth >= DEEPEST:
        raise ValueError(f"nested deeper than {DEEPEST} levels.")
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TypeError("a property whose name is no text has no JSON form.")
        return {escape_key(key): _literal(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_literal(item, depth + 1) for item in value]
    raise TypeError(f"{type(value).__name__} has no JSON form.")


def matcher_of(tree: Tree) -> str | None:
    """Return the name of the matcher that a tree is, None for a literal.

    Examples:
        >>> matcher_of(named("uuid")), matcher_of({"id": 1})
        ('uuid', None)
    """
    if isinstance(tree, dict):
        name = tree.get(MATCH)
        return name if isinstance(name, str) else None
    return None


def json_type(value: object) -> JsonType:
    """Return the JSON type of a value; a number without a fraction is an ``integer``.

    Examples:
        >>> [json_type(v) for v in (None, True, 1.0, 1.5, "a", [], {})]
        ['null', 'boolean', 'integer', 'number', 'string', 'array', 'object']
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "integer" if value.is_integer() else "number"
    if isinstance(value, str):
        return "string"
    return "object" if isinstance(value, Mapping) else "array"


def of_type(name: JsonType) -> Tree:
    """Expect any value of a JSON type."""
    return {MATCH: "type", "type": name}


def named(name: str) -> Tree:
    """Expect text of a shape that has a name in ``PATTERNS``."""
    if name not in PATTERNS:
        raise KeyError(name)
    return {MATCH: name}


def pattern(text: str) -> Tree:
    """Expect text that matches a pattern from its beginning to its end."""
    return {MATCH: "pattern", "pattern": text}


def number(value: float) -> Tree:
    """Expect a number that plain JSON cannot carry: NaN, infinite, or beyond 2^53.

    Examples:
        >>> number(float("-inf"))
        {'$match': 'number', 'value': '-Infinity'}
    """
    if isinstance(value, int):
        return {MATCH: "number", "value": str(value) if abs(value) < 10**400 else _infinite(value)}
    if math.isnan(value):
        return {MATCH: "number", "value": "NaN"}
    return {MATCH: "number", "value": _infinite(value) if math.isinf(value) else repr(value)}


def _infinite(value: float) -> str:
    return "Infinity" if value > 0 else "-Infinity"


def close_to(value: float, *, tolerance: float) -> Tree:
    """Expect a number at most ``tolerance`` away from ``value``."""
    return {MATCH: "close-to", "value": value, "abs": tolerance}


def epoch(unit: Literal["s", "ms"]) -> Tree:
    """Expect a number that is a time since 1970 in seconds or milliseconds."""
    return {MATCH: "epoch", "unit": unit}


def one_of(trees: Sequence[Tree]) -> Tree:
    """Expect what fits at least one of the trees; none of them may name values."""
    return {MATCH: "one-of", "of": list(trees)}


def optional(tree: Tree) -> Tree:
    """Expect that a property is missing or fits."""
    return {MATCH: "optional", "as": tree}


def unordered(items: Sequence[Tree]) -> Tree:
    """Expect an array with the same elements in any order; none of them may name values."""
    return {MATCH: "unordered", "items": list(items)}


def array_of(tree: Tree, *, at_least: int = 0) -> Tree:
    """Expect an array of any length from ``at_least`` on whose every element fits."""
    return {MATCH: "array-of", "as": tree, "min": at_least}


def bind(alias: str, tree: Tree) -> Tree:
    """Expect what fits ``tree`` and give the value a name for ``ref`` and ``text``."""
    return {MATCH: "bind", "alias": alias, "as": tree}


def ref(alias: str, tree: Tree) -> Tree:
    """Expect the value that was given this name, here or in an earlier step of the case."""
    return {MATCH: "ref", "alias": alias, "as": tree}


def text(parts: Sequence[Tree], *, encoding: Literal["none", "base64"] = "none") -> Tree:
    """Expect text put together from literal text, refs, from-inputs and patterns."""
    return {MATCH: "text", "parts": list(parts), "encoding": encoding}


def from_input(path: str) -> Tree:
    """Expect the value that stands at a JSON Pointer in the input of the step."""
    return {MATCH: "from-input", "path": path}
