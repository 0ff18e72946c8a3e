"""Behaviour changes to try a suite on: an answer with one thing wrong.

Eight operators, each at one place: another value, ``null``, another type, a property gone, a
property too many, an array cut short; and for places that are let go: ``null``, and another type.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from evolution_lab.golden.expected_trees import pointer
from evolution_lab.golden.links import Path
from evolution_lab.golden.suite_power import Operator


@dataclass(frozen=True)
class Mutant:
    """One wrong answer.

    Attributes:
        operator: What was done.
        path: Where.
        output: The answer with it.
    """

    operator: Operator
    path: Path
    output: Any


@dataclass(frozen=True)
class _Site:
    path: Path
    value: Any
    volatile: bool


def response_mutants(
    output: Any, relaxed: Collection[str], *, sites: int, seed: str
) -> Iterator[Mutant]:
    """Yield wrong answers, each with one change at one place.

    Args:
        output: The answer as recorded; it is not changed.
        relaxed: JSON Pointers of places that are let go: ``value`` is not tried there, since it may change.
        sites: Most places tried for each operator, drawn at random.
        seed: Decides the draw.

    Examples:
        >>> answer = {"id": 7, "tags": ["a"]}
        >>> found = response_mutants(answer, {"/id"}, sites=9, seed="x")
        >>> sorted({mutant.operator for mutant in found})
        ['drop', 'extra', 'null', 'truncate', 'type', 'value', 'volatile-null', 'volatile-type']
    """
    draw = random.Random(seed)  # noqa: S311 - no secret
    leaves, objects, arrays = _sites(output, relaxed)
    stable = [site for site in leaves if not site.volatile]
    loose = [site for site in leaves if site.volatile and site.value is not None]
    for site in _some(draw, stable, sites):
        yield _mutant("value", output, site.path, _another(draw, site.value))
        if site.value is not None:
            yield _mutant("null", output, site.path, None)
        yield _mutant("type", output, site.path, _other_type(site.value))
    for site in _some(draw, loose, sites):
        yield _mutant("volatile-null", output, site.path, None)
        yield _mutant("volatile-type", output, site.path, _other_type(site.value))
    for site in _some(draw, [site for site in objects if site.value], sites):
        key = draw.choice(sorted(site.value))
        rest = {k: v for k, v in site.value.items() if k != key}
        yield _mutant("drop", output, site.path, rest)
    for site in _some(draw, objects, sites):
        yield _mutant("extra", output, site.path, {**site.value, "unexpected": 1})
    for site in _some(draw, [site for site in arrays if site.value], sites):
        yield _mutant("truncate", output, site.path, list(site.value[:-1]))


def _some(draw: random.Random, sites: list[_Site], most: int) -> list[_Site]:
    return sites if len(sites) <= most else draw.sample(sites, most)


def _sites(output: Any, relaxed: Collection[str]) -> tuple[list[_Site], list[_Site], list[_Site]]:
    leaves: list[_Site] = []
    objects: list[_Site] = []
    arrays: list[_Site] = []

    def visit(value: Any, path: Path) -> None:
        site = _Site(path, value, pointer(path) in relaxed)
        if isinstance(value, Mapping):
            objects.append(site)
            for key in sorted(value):
                visit(value[key], (*path, key))
        elif isinstance(value, list | tuple):
            arrays.append(site)
            for index, item in enumerate(value):
                visit(item, (*path, index))
        else:
            leaves.append(site)

    visit(output, ())
    return leaves, objects, arrays


def _another(draw: random.Random, value: Any) -> Any:
    """Return a value of the same type that is another one."""
    if value is None:
        return "unexpected"
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value * 1.5 + 1.0
    return _another_text(draw, value)


def _another_text(draw: random.Random, value: str) -> str:
    """Return a text of the same form: one letter or digit, drawn, is another one of its kind."""
    for index in draw.sample(range(len(value)), len(value)):
        character = value[index]
        for alphabet in ("0123456789", "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"):
            if character in alphabet:
                other = alphabet[(alphabet.index(character) + 1) % len(alphabet)]
                return value[:index] + other + value[index + 1 :]
    return value + "x"


def _other_type(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return 7
    return [value] if isinstance(value, str) else str(value)


def _mutant(operator: Operator, output: Any, path: Path, value: Any) -> Mutant:
    return Mutant(operator, path, replaced(output, path, value))


def replaced(output: Any, path: Path, value: Any) -> Any:
    """Return a copy of an answer with another value at one place; the rest is shared."""
    if not path:
        return value
    key = path[0]
    if isinstance(output, Mapping):
        return {**output, key: replaced(output[key], path[1:], value)}
    assert isinstance(key, int)
    return [*output[:key], replaced(output[key], path[1:], value), *output[key + 1 :]]
