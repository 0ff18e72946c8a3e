"""Whether what came back is what a case expects: the one meaning every emitted suite shares.

The rules, in every language:

- The order of properties is irrelevant. A property that is ``undefined`` is missing; an
  ``undefined`` element or result is ``null``. A missing property and ``null`` differ.
- A property that is not expected is a difference.
- Numbers are compared as IEEE doubles: 1 is 1.0, 0 is -0, NaN is NaN, 2^53 + 1 is 2^53. ``true``
  is no number.
- Texts are compared code point by code point, without normalisation.
- Arrays have an order unless ``unordered`` says otherwise.
- Names given by ``bind`` are collected over the whole value first, then everything is compared: the
  order in which properties come cannot change a verdict.
- Beyond ``DEEPEST`` levels nothing is compared: it is a difference.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal

from evolution_lab.golden.matchers import (
    DEEPEST,
    MATCH,
    PATTERNS,
    Tree,
    escape_pattern,
    json_type,
    literal,
    plain_key,
)
from evolution_lab.golden.suite import ExpectedError, describe_matcher
from evolution_lab.records.json_form import CAMEL_CASE

DifferenceKind = Literal[
    "missing", "extra", "type", "value", "shape", "length", "element", "link", "depth", "error"
]

_SHOWN: Final = 120
_ANY_TEXT: Final = r"[\s\S]*"
_EPOCHS: Final = {"s": (978_307_200.0, 4_102_444_800.0), "ms": (978_307_200e3, 4_102_444_800e3)}


@dataclass(frozen=True)
class Difference:
    """One place where what came back is not what is expected.

    Attributes:
        path: JSON Pointer within the value; empty for the value itself.
        kind: ``missing`` or ``extra`` property, other JSON ``type``, other ``value``, text of
            another ``shape``, array of another ``length``, ``element`` without a partner in an
            unordered array, ``link`` to another value broken, ``depth`` beyond the limit, or
            another ``error``.
        expected: What was expected, shortened.
        actual: What came, shortened.
    """

    __pydantic_config__ = CAMEL_CASE

    path: str
    kind: DifferenceKind
    expected: str
    actual: str

    def __str__(self) -> str:
        return f"{self.path or '/'}: {self.kind}: expected {self.expected}, got {self.actual}"


def compare(
    actual: object,
    expected: Tree,
    *,
    names: dict[str, Any] | None = None,
    sent: object = None,
) -> list[Difference]:
    r"""Compare what came back with what is expected.

    Args:
        actual: A JSON value (dicts, lists, tuples, texts, numbers, booleans, None).
        expected: A tree of ``matchers``.
        names: Values that earlier steps of the case gave names to; this step's are added.
        sent: The input of the step as it was sent, for ``from-input``.

    Returns:
        The differences, in the order of the expected tree; empty where it fits.

    Examples:
        >>> from evolution_lab.golden.matchers import bind, named, ref, text
        >>> expected = {
        ...     "id": bind("id", named("uuid")),
        ...     "url": text(["/orders/", ref("id", named("uuid"))]),
        ... }
        >>> order = "0b8f7d1e-3c55-4a4e-9d5e-0f3f5f1f2a3b"
        >>> compare({"url": f"/orders/{order}", "id": order}, expected)
        []
        >>> print(*compare({"url": "/orders/1", "id": order, "paid": True}, expected), sep="\n")
        /url: link: expected "/orders/" + value of id, got "/orders/1"
        /paid: extra: expected no such property, got true
    """
    names = {} if names is None else names
    _collect(actual, expected, names, 0)
    comparison = _Comparison(names, sent)
    comparison.walk(actual, expected, "", 0)
    return comparison.found


def compare_error(
    name: str | None, code: str | None, message: str | None, expected: ExpectedError
) -> list[Difference]:
    """Compare an error that came with the one expected; a part not recorded is not compared.

    Examples:
        >>> declined = ExpectedError(name="CardError", code="declined", message="Card declined")
        >>> print(*compare_error("CardError", "expired", "Card declined", declined))
        /error/code: error: expected "declined", got "expired"
    """
    found = [
        Difference(f"/error/{part}", "error", show(wanted), show(came))
        for part, wanted, came in (("name", expected.name, name), ("code", expected.code, code))
        if wanted is not None and wanted != came
    ]
    if expected.message is not None:
        wrong = compare(message, expected.message)
        found += [Difference("/error/message", "error", d.expected, d.actual) for d in wrong]
    return found


def resolve(tree: Tree, names: Mapping[str, Any]) -> Any:
    """Return the input to send: names replaced by the values earlier steps gave.

    Raises:
        KeyError: No earlier step gave a value this name.

    Examples:
        >>> from evolution_lab.golden.matchers import named, ref, text
        >>> resolve({"path": text(["/orders/", ref("id", named("uuid"))])}, {"id": 7})
        {'path': '/orders/7'}
    """
    if isinstance(tree, list):
        return [resolve(item, names) for item in tree]
    if not isinstance(tree, dict):
        return tree
    match tree.get(MATCH):
        case "ref":
            return names[tree["alias"]]
        case "text":
            whole = "".join(
                part if isinstance(part, str) else as_text(names[part["alias"]])
                for part in tree["parts"]
            )
            return whole if tree["encoding"] == "none" else _base64(whole)
        case "number":
            return read_number(tree["value"])
        case _:
            return {plain_key(key): resolve(value, names) for key, value in tree.items()}


def show(value: object) -> str:
    """Return a value as short JSON for people; long ones are cut.

    Examples:
        >>> show({"id": None}), show("x" * 200)[-4:]
        ('{"id": null}', 'xxx…')
    """
    try:
        whole = json.dumps(value, ensure_ascii=False, default=lambda v: type(v).__name__)
    except (RecursionError, ValueError, TypeError):
        whole = f"a {json_type(value)}"
    return whole if len(whole) <= _SHOWN else whole[: _SHOWN - 1] + "…"


def as_text(value: object) -> str:
    """Return how a value stands within a text: integers in digits, booleans as in JSON."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    return str(value)


def as_double(value: float) -> float:
    """Return a number as JavaScript would hold it; what is too large is infinite."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def read_number(digits: str) -> float:
    """Return the number behind the ``value`` of a ``number`` matcher."""
    try:
        return int(digits)
    except ValueError:
        return float(digits.replace("Infinity", "inf"))


@lru_cache(maxsize=4096)
def compiled(pattern: str) -> re.Pattern[str]:
    """Return a pattern ready to match whole texts."""
    return re.compile(pattern)


def _collect(actual: object, expected: Tree, names: dict[str, Any], depth: int) -> None:
    """Give values their names; walks where the expected tree can say so without a choice."""
    if depth > DEEPEST or not isinstance(expected, dict | list):
        return
    if isinstance(expected, list):
        if isinstance(actual, list | tuple):
            for item, tree in zip(actual, expected, strict=False):
                _collect(item, tree, names, depth + 1)
        return
    kind = expected.get(MATCH)
    if kind == "bind":
        names[expected["alias"]] = actual
    elif kind == "optional":
        _collect(actual, expected["as"], names, depth)
    elif kind is None and isinstance(actual, Mapping):
        for key, tree in expected.items():
            plain = plain_key(key)
            if plain in actual:
                _collect(actual[plain], tree, names, depth + 1)


class _Comparison:
    """One walk over a value and its tree, collecting differences."""

    def __init__(self, names: Mapping[str, Any], sent: Any) -> None:
        self.names = names
        self.sent = sent
        self.found: list[Difference] = []

    def walk(self, actual: Any, expected: Tree, path: str, depth: int) -> None:
        if depth > DEEPEST:
            self.say(path, "depth", f"at most {DEEPEST} levels", "more")
        elif isinstance(expected, dict):
            if MATCH in expected:
                self.match(actual, expected, path, depth)
            else:
                self.properties(actual, expected, path, depth)
        elif isinstance(expected, list):
            self.array(actual, expected, path, depth)
        elif _is_number(expected) and _is_number(actual):
            if not _same_number(actual, expected):
                self.say(path, "value", show(expected), show(actual))
        elif json_type(actual) != json_type(expected):
            self.say(path, "type", show(expected), show(actual))
        elif actual != expected:
            self.say(path, "value", show(expected), show(actual))

    def say(self, path: str, kind: DifferenceKind, expected: str, actual: str) -> None:
        self.found.append(Difference(path, kind, expected, actual))

    def fits(self, actual: Any, expected: Tree, depth: int) -> bool:
        alone = _Comparison(self.names, self.sent)
        alone.walk(actual, expected, "", depth)
        return not alone.found

    def properties(self, actual: Any, expected: dict[str, Tree], path: str, depth: int) -> None:
        if not isinstance(actual, Mapping):
            self.say(path, "type", "an object", show(actual))
            return
        known = set()
        for key, tree in expected.items():
            plain = plain_key(key)
            known.add(plain)
            if plain in actual:
                self.walk(actual[plain], tree, _pointer(path, plain), depth + 1)
            elif not (isinstance(tree, dict) and tree.get(MATCH) == "optional"):
                self.say(_pointer(path, plain), "missing", wanted(tree), "nothing")
        for key, value in actual.items():
            if key not in known:
                self.say(_pointer(path, key), "extra", "no such property", show(value))

    def array(self, actual: Any, expected: list[Tree], path: str, depth: int) -> None:
        if not isinstance(actual, list | tuple):
            self.say(path, "type", "an array", show(actual))
            return
        if len(actual) != len(expected):
            self.say(path, "length", str(len(expected)), str(len(actual)))
        for index, (item, tree) in enumerate(zip(actual, expected, strict=False)):
            self.walk(item, tree, f"{path}/{index}", depth + 1)

    def match(self, actual: Any, tree: dict[str, Any], path: str, depth: int) -> None:
        kind = tree[MATCH]
        structural = _STRUCTURAL.get(kind)
        if structural is not None:
            structural(self, actual, tree, path, depth)
        elif kind == "type":
            came, named = json_type(actual), tree["type"]
            if came != named and not (named == "number" and came == "integer"):
                self.say(path, "type", named, show(actual))
        elif kind in {"number", "close-to", "epoch"}:
            self.number(actual, tree, path)
        elif kind == "pattern" or kind in PATTERNS:
            self.shape(actual, tree, path)
        else:
            raise ValueError(f"{kind!r} is no matcher.")

    def number(self, actual: Any, tree: dict[str, Any], path: str) -> None:
        if not _is_number(actual):
            self.say(path, "type", wanted(tree), show(actual))
        elif not _fits_number(as_double(actual), tree):
            self.say(path, "value", wanted(tree), show(actual))

    def shape(self, actual: Any, tree: dict[str, Any], path: str) -> None:
        if not isinstance(actual, str):
            self.say(path, "type", wanted(tree), show(actual))
        elif compiled(tree.get("pattern") or PATTERNS[tree[MATCH]]).fullmatch(actual) is None:
            self.say(path, "shape", wanted(tree), show(actual))

    def inner(self, actual: Any, tree: dict[str, Any], path: str, depth: int) -> None:
        self.walk(actual, tree["as"], path, depth)

    def array_of(self, actual: Any, tree: dict[str, Any], path: str, depth: int) -> None:
        if not isinstance(actual, list | tuple):
            self.say(path, "type", "an array", show(actual))
            return
        if len(actual) < tree["min"]:
            self.say(path, "length", f"at least {tree['min']}", str(len(actual)))
        for index, item in enumerate(actual):
            self.walk(item, tree["as"], f"{path}/{index}", depth + 1)

    def one_of(self, actual: Any, tree: dict[str, Any], path: str, depth: int) -> None:
        if not any(self.fits(actual, choice, depth) for choice in tree["of"]):
            self.say(path, "shape", wanted(tree), show(actual))

    def ref(self, actual: Any, tree: dict[str, Any], path: str, depth: int) -> None:
        if tree["alias"] not in self.names:
            self.walk(actual, tree["as"], path, depth)
        elif not _same_scalar(actual, self.names[tree["alias"]]):
            self.say(path, "link", wanted(tree), show(actual))

    def from_input(self, actual: Any, tree: dict[str, Any], path: str, depth: int) -> None:
        if not self.fits(actual, literal(at_pointer(self.sent, tree["path"])), depth):
            self.say(path, "link", f"value of input {tree['path']}", show(actual))

    def text(self, actual: Any, tree: dict[str, Any], path: str, depth: int) -> None:
        del depth
        if not isinstance(actual, str):
            self.say(path, "type", wanted(tree), show(actual))
            return
        plain = decode_base64(actual) if tree["encoding"] == "base64" else actual
        whole = "".join(self.part(part) for part in tree["parts"])
        if plain is None or compiled(whole).fullmatch(plain) is None:
            self.say(path, "link", wanted(tree), show(actual))

    def part(self, part: Tree) -> str:
        if isinstance(part, str):
            return escape_pattern(part)
        kind = part[MATCH]
        if kind == "from-input":
            return escape_pattern(as_text(at_pointer(self.sent, part["path"])))
        if kind != "ref":
            return f"(?:{part.get('pattern') or PATTERNS[kind]})"
        if part["alias"] not in self.names:
            return _ANY_TEXT
        return escape_pattern(as_text(self.names[part["alias"]]))

    def unordered(self, actual: Any, tree: dict[str, Any], path: str, depth: int) -> None:
        """Find each element a partner of its own (augmenting paths, Kuhn 1955)."""
        items = tree["items"]
        if not isinstance(actual, list | tuple):
            self.say(path, "type", "an array", show(actual))
            return
        if len(actual) != len(items):
            self.say(path, "length", str(len(items)), str(len(actual)))
            return
        fitting = [
            [i for i, item in enumerate(actual) if self.fits(item, wish, depth + 1)]
            for wish in items
        ]
        holders: dict[int, int] = {}

        def place(wish: int, tried: set[int]) -> bool:
            for index in fitting[wish]:
                if index not in tried:
                    tried.add(index)
                    if index not in holders or place(holders[index], tried):
                        holders[index] = wish
                        return True
            return False

        for wish, item in enumerate(items):
            if not place(wish, set()):
                self.say(path, "element", wanted(item), "no such element")


_STRUCTURAL: Final[Mapping[str, Callable[[_Comparison, Any, dict[str, Any], str, int], None]]] = {
    "bind": _Comparison.inner,
    "optional": _Comparison.inner,
    "array-of": _Comparison.array_of,
    "one-of": _Comparison.one_of,
    "ref": _Comparison.ref,
    "from-input": _Comparison.from_input,
    "text": _Comparison.text,
    "unordered": _Comparison.unordered,
}


def wanted(tree: Tree) -> str:
    """Return what a tree expects in words."""
    if not isinstance(tree, dict) or MATCH not in tree:
        return show(tree)
    match tree[MATCH]:
        case "text":
            return " + ".join(wanted(part) for part in tree["parts"])
        case "ref":
            return f"value of {tree['alias']}"
        case "from-input":
            return f"value of input {tree['path']}"
        case "number":
            return str(tree["value"])
        case "close-to":
            return f"{tree['value']} ± {tree['abs']:g}"
        case "pattern":
            return f"text like {tree['pattern']}"[:_SHOWN]
        case "bind" | "optional":
            return wanted(tree["as"])
        case _:
            return describe_matcher(tree)


def at_pointer(value: Any, pointer: str) -> Any:
    """Return what stands at a JSON Pointer (RFC 6901), None where nothing does.

    Examples:
        >>> at_pointer({"items": [{"a/b": 1}]}, "/items/0/a~1b")
        1
    """
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, Mapping):
            value = value.get(key)
        elif isinstance(value, list | tuple) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    return value


def decode_base64(text: str) -> str | None:
    """Return the text behind base64 or base64url, None where there is none."""
    if len(text) % 4 == 1:
        return None
    padded = text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4)
    try:
        return base64.b64decode(padded, validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return None


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode("ascii")


def _pointer(path: str, key: object) -> str:
    return f"{path}/{str(key).replace('~', '~0').replace('/', '~1')}"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _same_number(left: float, right: float) -> bool:
    a, b = as_double(left), as_double(right)
    return a == b or (math.isnan(a) and math.isnan(b))


def _same_scalar(left: Any, right: Any) -> bool:
    if _is_number(left) and _is_number(right):
        return _same_number(left, right)
    return json_type(left) == json_type(right) and bool(left == right)


def _fits_number(actual: float, tree: dict[str, Any]) -> bool:
    if tree[MATCH] == "number":
        return _same_number(actual, read_number(tree["value"]))
    if tree[MATCH] == "epoch":
        low, high = _EPOCHS[tree["unit"]]
        return low <= actual < high
    return bool(abs(actual - tree["value"]) <= tree["abs"])
