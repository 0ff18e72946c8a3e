"""Values made of other values: an identifier that comes again, alone or within a text.

A URL that is built from an id changes with it. Taken alone it looks like any text; found by its
link, it can be let go as far as the id goes and no further.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple

from evolution_lab.golden.comparison import as_text, decode_base64
from evolution_lab.golden.matchers import named
from evolution_lab.golden.shapes import Shape, shape_of, time_pattern

Path = tuple[str | int, ...]

_RUN = re.compile(r"[A-Za-z0-9]+(?:[_-]+[A-Za-z0-9]+)*")
_PIECE = re.compile(r"[A-Za-z0-9]+")
_WITHIN_TIME = re.compile(
    r"(?<![0-9])\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?", re.ASCII
)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{8,512}={0,2}")
_DIGIT = re.compile(r"[0-9]")
_LONG: Final = 8
_SMALLEST_NUMBER: Final = 1000
_URL_NUMBER: Final = 6


class Leaf(NamedTuple):
    """One scalar of a JSON value.

    Attributes:
        path: Keys and indices from the root.
        name: The last key of the path; elements of arrays carry the array's.
        value: The scalar.
    """

    path: Path
    name: str
    value: Any


def leaves_of(value: Any, path: Path = (), name: str = "") -> list[Leaf]:
    """Return the scalars of a JSON value, properties in sorted order; empty containers are skipped.

    Examples:
        >>> [(leaf.path, leaf.value) for leaf in leaves_of({"b": [1, 2], "a": {"c": None}})]
        [(('a', 'c'), None), (('b', 0), 1), (('b', 1), 2)]
    """
    found: list[Leaf] = []
    _gather(value, path, name, found)
    return found


def _gather(value: Any, path: Path, name: str, found: list[Leaf]) -> None:
    if isinstance(value, dict):
        for key in sorted(value):
            _gather(value[key], (*path, key), key, found)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _gather(item, (*path, index), name, found)
    else:
        found.append(Leaf(path, name, value))


@dataclass(frozen=True)
class Part:
    """One piece of a linked text.

    Attributes:
        text: As it stands there.
        base: Whether it is a value other values are built from (else a shape of its own).
        shape: What it looks like.
    """

    text: str
    base: bool
    shape: Shape


@dataclass(frozen=True)
class Link:
    """What a text is made of.

    Attributes:
        parts: Literal text and parts that change, in order.
        encoding: ``base64`` where the parts are found behind that encoding.
    """

    parts: tuple[str | Part, ...]
    encoding: str = "none"

    @property
    def bases(self) -> tuple[str, ...]:
        """Texts of the values it is built from."""
        return tuple(part.text for part in self.parts if isinstance(part, Part) and part.base)


def can_be_base(value: Any) -> bool:
    """Return whether a value is distinctive enough to be looked for within others."""
    if isinstance(value, bool):
        return False
    if isinstance(value, int):
        return abs(value) >= _SMALLEST_NUMBER
    return isinstance(value, str) and len(value) >= 4


def sent_texts(sent: Iterable[Leaf]) -> frozenset[str]:
    """Return the texts an answer may merely repeat: every scalar sent, and the pieces of paths.

    Examples:
        >>> sorted(sent_texts(leaves_of({"path": "/orders/ord_12/items", "body": {"n": 3}})))
        ['/orders/ord_12/items', '3', 'items', 'ord_12', 'orders']
    """
    found: set[str] = set()
    for leaf in sent:
        if leaf.value is None or isinstance(leaf.value, bool):
            continue
        text = as_text(leaf.value)
        found.add(text)
        if isinstance(leaf.value, str) and len(text) <= 2048 and "/" in text:
            found.update(_RUN.findall(text))
    return frozenset(found)


def find_link(
    text: str, bases: Mapping[str, Shape], long_bases: Iterable[str], fixed: frozenset[str]
) -> Link | None:
    """Return what a text is made of, None where nothing in it changes.

    Args:
        text: The text.
        bases: Values that others may be built from, by their text.
        long_bases: Those of at least eight characters, longest first: looked for anywhere.
        fixed: Texts that do not change, because they were sent.
    """
    if not 4 <= len(text) <= 8192:
        return None
    spans = _base_spans(text, bases, long_bases, fixed)
    spans += _shape_spans(text, spans, fixed)
    if spans:
        return Link(_parts(text, sorted(spans, key=lambda s: s[0])))
    if len(text) >= 12 and _BASE64.fullmatch(text):
        plain = decode_base64(text)
        if plain is not None and plain.isprintable():
            behind = _base_spans(plain, bases, long_bases, fixed)
            if behind:
                return Link(_parts(plain, sorted(behind, key=lambda s: s[0])), "base64")
    return None


_Span = tuple[int, int, bool, Shape]


def _base_spans(
    text: str, bases: Mapping[str, Shape], long_bases: Iterable[str], fixed: frozenset[str]
) -> list[_Span]:
    spans: list[_Span] = []
    if not bases:
        return spans
    for base in long_bases:
        start = text.find(base)
        while start >= 0:
            end = start + len(base)
            if _free(spans, start, end) and _bounded(text, start, end):
                spans.append((start, end, True, bases[base]))
            start = text.find(base, end)
    for pieces in (_RUN, _PIECE):
        for found in set(pieces.findall(text)):
            if found in bases and found not in fixed:
                spans += [
                    (run.start(), run.end(), True, bases[found])
                    for run in pieces.finditer(text)
                    if run[0] == found and _free(spans, run.start(), run.end())
                ]
    return spans


def _bounded(text: str, start: int, end: int) -> bool:
    """Whether a place is no part of a longer word or number."""
    before = start > 0 and text[start - 1].isalnum() and text[start].isalnum()
    after = end < len(text) and text[end].isalnum() and text[end - 1].isalnum()
    return not before and not after


def _free(spans: list[_Span], start: int, end: int) -> bool:
    return all(end <= s[0] or start >= s[1] for s in spans)


def _shape_spans(text: str, taken: list[_Span], fixed: frozenset[str]) -> list[_Span]:
    """Find identifiers and times within a text that nothing else in the answer names."""
    spans: list[_Span] = []
    if _DIGIT.search(text) is None:
        return spans
    for time in _WITHIN_TIME.finditer(text):
        if len(time[0]) < len(text) and time[0] not in fixed and _free(taken, *time.span()):
            shape = Shape("time", time_pattern(time[0]), changes=True)
            spans.append((*time.span(), False, shape))
    url = "://" in text or text.startswith("/")
    for run in _RUN.finditer(text):
        piece, place = run[0], run.span()
        if piece in fixed or not (_free(taken, *place) and _free(spans, *place)):
            continue
        if len(piece) >= _LONG:
            found = shape_of("", piece)
            if found is not None and found.changes:
                spans.append((*place, False, found))
                continue
        if url and len(piece) >= _URL_NUMBER and piece.isdigit():
            spans.append((*place, False, Shape("digits", named("digits"), changes=True)))
    return spans


def _parts(text: str, spans: list[_Span]) -> tuple[str | Part, ...]:
    parts: list[str | Part] = []
    last = 0
    for start, end, base, shape in spans:
        if start > last:
            parts.append(text[last:start])
        parts.append(Part(text[start:end], base, shape))
        last = end
    if last < len(text):
        parts.append(text[last:])
    return tuple(parts)


@lru_cache(maxsize=16_384)
def without_changing_parts(text: str) -> str:
    """Return a text with identifiers and times within it replaced by their kind.

    Examples:
        >>> without_changing_parts("/orders/ord_8f3a2b1c9d0e/lines/3")
        '/orders/<random token>/lines/3'
    """
    spans = _shape_spans(text, [], frozenset()) if 4 <= len(text) <= 8192 else []
    written, last = "", 0
    for start, end, _, shape in sorted(spans, key=lambda span: span[0]):
        written += f"{text[last:start]}<{shape.kind}>"
        last = end
    return written + text[last:]
