"""What is worth having in a suite: features of calls, and how much of the traffic rests on each.

A feature is something that behaviour can depend on: an operation, a value at a place, two values
together, a structure, a smallest or largest number. A change of behaviour shows in a suite that
holds a call with the features it depends on. What it will depend on is not known, so every call
counts alike, within a call no condition, one value and two values count alike, and of those each
value and each pair. Identifiers and times are no features: no two runs share them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Final

from evolution_lab.golden.cases import Call
from evolution_lab.golden.links import Leaf, without_changing_parts
from evolution_lab.golden.matchers import json_type
from evolution_lab.golden.shapes import shape_of

Feature = tuple[str, ...]
"""A kind (``outcome``, ``value``, ``pair``, ``structure``, ``class``, ``boundary``, ``line``), the operation,
and what it is."""

_EXTRA: Final = 0.1
_LONGEST_VALUE: Final = 60
_MOST_PAIRED: Final = 64


@dataclass(frozen=True)
class Traits:
    """The features of one call, each with the share of the call that rests on it.

    Attributes:
        outcome: The outcome class of its operation: one call of each is always kept.
        shares: By feature; those of one kind add up to the same in every call.
    """

    outcome: Feature
    shares: dict[Feature, float]


def traits_of(calls: Sequence[Call]) -> list[Traits]:
    """Return the features of each call, told apart against all calls of its operation.

    Pairs join at most 64 values of a call, those shared by most calls but not by all: what is
    rarer stands for itself, and what all share tells nothing.
    """
    values = [sorted(set(_values(call))) for call in calls]
    boundaries = _boundaries(calls)
    counts: Counter[Feature] = Counter(feature for each in values for feature in each)
    totals: Counter[str] = Counter(call.operation for call in calls)
    return [
        _traits(call, values[index], boundaries[index], counts, totals[call.operation])
        for index, call in enumerate(calls)
    ]


def with_lines(traits: Traits, lines: Collection[tuple[str, int]]) -> Traits:
    """Return the features of a call with the lines of code that it runs.

    Together they weigh as much as the outcome: a line that no other call runs is a reason to keep
    one, a line that all run is none.

    Args:
        traits: Features of the call.
        lines: Files and lines.
    """
    operation = traits.outcome[1]
    each = 1 / max(len(lines), 1)
    ran: dict[Feature, float] = {
        ("line", operation, f"{Path(file).name}:{line}"): each for file, line in lines
    }
    return Traits(traits.outcome, {**traits.shares, **ran})


def _traits(
    call: Call, values: list[Feature], boundary: set[Feature], counts: Counter[Feature], total: int
) -> Traits:
    outcome = ("outcome", call.operation, call.outcome)
    shares: dict[Feature, float] = {outcome: 1.0}
    singles = [feature for feature in values if feature[0] == "value"]
    for feature in singles:
        shares[feature] = 1 / len(singles)
    telling = [feature for feature in singles if counts[feature] < total]
    paired = sorted(sorted(telling, key=lambda f: (-counts[f], f))[:_MOST_PAIRED])
    pairs = len(singles) * (len(singles) - 1) / 2
    for left, right in combinations(paired, 2):
        shares["pair", left[1], *left[2:], *right[2:]] = 1 / pairs
    extra = [("structure", call.operation, _structure(call)), *sorted(boundary)]
    extra += [feature for feature in values if feature[0] == "class"]
    for feature in extra:
        shares[feature] = _EXTRA / len(extra)
    return Traits(outcome, shares)


def describe(feature: Feature) -> str:
    """Return a feature in words that hold no values of payloads but those of its kind and place."""
    kind = feature[0]
    if kind == "outcome":
        return f"outcome {feature[2]}"
    if kind == "structure":
        return "a structure of input and output"
    if kind == "pair":
        return f"values together at {feature[2]} {feature[3]} and {feature[5]} {feature[6]}"
    if kind == "line":
        return f"line {feature[2]}"
    return f"a {kind} at {feature[2]} {feature[3]}"


def _leaves(call: Call) -> Iterator[tuple[str, Leaf]]:
    for side, leaves in (("in", call.exchange.sent_leaves), ("out", call.exchange.leaves)):
        for leaf in leaves:
            yield side, leaf


def _values(call: Call) -> Iterator[Feature]:
    for side, leaf in _leaves(call):
        where = "/".join(str(key) for key in leaf.path)
        value = leaf.value
        shape = shape_of(leaf.name, value)
        if shape is not None and shape.changes:
            continue
        if isinstance(value, str):
            value = without_changing_parts(value)[:_LONGEST_VALUE]
        yield ("value", call.operation, side, where, repr(value))
        yield ("class", call.operation, side, where, _class(leaf.value))


def _class(value: Any) -> str:
    """Return the class of a value where behaviour often turns: empty, zero, negative, a fraction."""
    if isinstance(value, str):
        if not value:
            return "empty text"
        return "text" if value.isascii() else "text beyond ASCII"
    if isinstance(value, int | float) and not isinstance(value, bool):
        sign = "zero" if value == 0 else "negative" if value < 0 else "positive"
        return f"{sign} {json_type(value)}"
    return json_type(value)


def _structure(call: Call) -> str:
    return "\n".join(
        sorted(
            {
                f"{side}{'/'.join('*' if isinstance(k, int) else k for k in leaf.path)}"
                f":{json_type(leaf.value)}"
                for side, leaf in _leaves(call)
            }
        )
    )


def _boundaries(calls: Sequence[Call]) -> list[set[Feature]]:
    """Find the calls that hold the smallest and the largest number of each place."""
    ends: dict[tuple[str, str, str], list[float]] = {}
    numbers: list[list[tuple[tuple[str, str, str], float]]] = []
    for call in calls:
        held = []
        for side, leaf in _leaves(call):
            if isinstance(leaf.value, bool) or not isinstance(leaf.value, int | float):
                continue
            where = "/".join("*" if isinstance(key, int) else key for key in leaf.path)
            place = (call.operation, side, where)
            held.append((place, float(leaf.value)))
            low, high = ends.get(place, [leaf.value, leaf.value])
            ends[place] = [min(low, leaf.value), max(high, leaf.value)]
        numbers.append(held)
    return [
        {
            ("boundary", *place, name)
            for place, number in held
            for name, end in (("least", ends[place][0]), ("most", ends[place][1]))
            if number == end and ends[place][0] < ends[place][1]
        }
        for held in numbers
    ]
