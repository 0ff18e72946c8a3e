"""Which values of an answer change from run to run, told from one recording of it.

Evidence comes in this order, the earlier overruling the later: repeats of the same request, a second
recording, reruns (all three in ``volatile_pairs``), links between values, and shape with name.
This module holds the last two, and the form all five take.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final

from evolution_lab.golden.comparison import as_text
from evolution_lab.golden.links import (
    Leaf,
    Link,
    Path,
    can_be_base,
    find_link,
    leaves_of,
    sent_texts,
)
from evolution_lab.golden.matchers import Tree
from evolution_lab.golden.shapes import Shape, shape_of
from evolution_lab.golden.suite import EvidenceKind

Place = tuple[int, Path]
"""Index of a step and the path within its output."""

_LONG: Final = 8
_SHORTEST: Final = 4
_MOST_LONG: Final = 512


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One value that changes, how that is known, and what is still checked of it.

    Attributes:
        matcher: What is checked where the value stands for itself; None for one that is checked
            in full because it changes only with what is sent (``through_input``).
        evidence: How it is known.
        detail: The same in words, without values.
        base: Text of the value, where others may be built from it.
        link: What it is made of, where it is built from others.
        through_input: Whether it changes only with what is sent: a case sends the same, so the
            value stays.
    """

    matcher: Tree | None
    evidence: EvidenceKind
    detail: str
    base: str | None = None
    link: Link | None = None
    through_input: bool = False


@dataclass(frozen=True)
class Exchange:
    """One call as the detection sees it.

    Attributes:
        sent: The input.
        output: What came back.
        at: When; what tells that a time was read from a clock.
        stand_ins: JSON Pointers into the output where something stands in for what was recorded.
    """

    sent: Any
    output: Any
    at: datetime | None = None
    stand_ins: frozenset[str] = frozenset()

    @cached_property
    def leaves(self) -> list[Leaf]:
        """Scalars of what came back."""
        return leaves_of(self.output)

    @cached_property
    def sent_leaves(self) -> list[Leaf]:
        """Scalars of what was sent."""
        return leaves_of(self.sent)

    @cached_property
    def sent_texts(self) -> frozenset[str]:
        """Texts that came back may merely repeat."""
        return sent_texts(self.sent_leaves)


class KnownIds:
    """Identifiers seen anywhere in a recording: what one answer gives, others may carry."""

    def __init__(self, exchanges: Iterable[Exchange] = ()) -> None:
        self.shapes: dict[str, Shape] = {}
        for exchange in exchanges:
            self.learn(exchange)

    def learn(self, exchange: Exchange) -> None:
        """Take in the identifiers of an exchange, of what was sent as of what came back."""
        for leaf in (*exchange.leaves, *exchange.sent_leaves):
            if not can_be_base(leaf.value):
                continue
            shape = shape_of(leaf.name, leaf.value)
            if shape is not None and shape.identity and shape.changes:
                self.shapes.setdefault(as_text(leaf.value), shape)

    def __contains__(self, text: str) -> bool:
        return text in self.shapes


def find_changing(
    exchanges: Sequence[Exchange],
    known: KnownIds | None = None,
    seen: Mapping[Place, Shape] = MappingProxyType({}),
) -> dict[Place, Finding]:
    """Return the values of a case that change from run to run, by shape, name and link.

    Args:
        exchanges: The calls of the case, in order; one unless it is a scenario.
        known: Identifiers of the whole recording.
        seen: Places already seen to change, however plain their values look: texts may be built
            from them too.

    Examples:
        >>> from evolution_lab.golden.volatile import Exchange
        >>> answer = {"id": 515435515, "url": "/orders/515435515", "paid": True}
        >>> found = find_changing([Exchange({"body": {"amount": 3}}, answer)])
        >>> [(path, f.evidence) for (_, path), f in found.items()]
        [(('id',), 'shape'), (('url',), 'link')]
    """
    known = known or KnownIds()
    found: dict[Place, Finding] = {}
    bases: dict[str, Shape] = {}
    rest: list[tuple[int, Leaf]] = []
    fixed_by_step: list[frozenset[str]] = []
    for step, exchange in enumerate(exchanges):
        fixed = exchange.sent_texts
        fixed_by_step.append(fixed if fixed.isdisjoint(bases) else fixed - bases.keys())
        for leaf in exchange.leaves:
            finding = _by_shape(leaf, exchange, fixed_by_step[step], known)
            if finding is None and (step, leaf.path) in seen:
                finding = _as_seen(leaf, seen[step, leaf.path])
            if finding is None:
                rest.append((step, leaf))
                continue
            found[step, leaf.path] = finding
            if finding.base is not None and not finding.through_input:
                shape = shape_of(leaf.name, leaf.value, near=exchange.at)
                shape = shape or seen.get((step, leaf.path)) or known.shapes[finding.base]
                bases.setdefault(finding.base, shape)
    _by_link(rest, bases, fixed_by_step, known, found)
    return found


def _by_shape(
    leaf: Leaf, exchange: Exchange, fixed: frozenset[str], known: KnownIds
) -> Finding | None:
    value = leaf.value
    if value is None or isinstance(value, bool):
        return None
    own = shape = shape_of(leaf.name, value, near=exchange.at)
    text = as_text(value)
    by_id = can_be_base(value) and text in known
    if not (by_id or (shape is not None and shape.changes)):
        return None
    if by_id and (shape is None or not shape.changes):
        shape = known.shapes[text]
        if isinstance(value, int) and text.isdigit() and len(text) < 5:
            return None
    assert shape is not None
    sent = text in fixed
    return Finding(
        matcher=None if sent else _checked(shape, value),
        evidence="link" if sent or shape is not own else "shape",
        detail="repeats what is sent" if sent else f"{shape.kind}, by its form and name",
        base=text if shape.identity and can_be_base(value) else None,
        through_input=sent,
    )


def _as_seen(leaf: Leaf, shape: Shape) -> Finding | None:
    if leaf.value is None or isinstance(leaf.value, bool | float):
        return None
    return Finding(
        matcher=shape.matcher,
        evidence="recordings",
        detail="seen to change",
        base=as_text(leaf.value),
    )


def _checked(shape: Shape, value: Any) -> Tree:
    """Return the check of a shape, made to fit a number where the shape was learnt from text."""
    if isinstance(value, int) and shape.kind in {"digits", "identifier"}:
        return {"$match": "type", "type": "integer"}
    if isinstance(value, str) and shape.kind == "integer id":
        return {"$match": "digits"}
    return shape.matcher


def _by_link(
    rest: Iterable[tuple[int, Leaf]],
    bases: Mapping[str, Shape],
    fixed_by_step: Sequence[frozenset[str]],
    known: KnownIds,
    found: dict[Place, Finding],
) -> None:
    """Find texts that hold another changing value, or a changing form, within them."""
    sent_ids = [
        {text: known.shapes[text] for text in fixed if text in known} for fixed in fixed_by_step
    ]
    both = [{**bases, **sent} for sent in sent_ids]
    long_bases = [
        sorted((b for b in each if len(b) >= _LONG and not b.isdigit()), key=lambda b: (-len(b), b))
        for each in both
    ]
    for step, leaf in rest:
        if not isinstance(leaf.value, str) or len(leaf.value) < _SHORTEST:
            continue
        if leaf.value in fixed_by_step[step] and leaf.value not in known:
            continue
        link = find_link(leaf.value, both[step], long_bases[step][:_MOST_LONG], frozenset())
        if link is None:
            continue
        fixed = fixed_by_step[step]
        moving = [p for p in link.parts if not isinstance(p, str) and p.text not in fixed]
        found[step, leaf.path] = Finding(
            matcher=None,
            evidence="link",
            detail=_words(link, through_input=not moving),
            link=link,
            through_input=not moving,
        )


def _words(link: Link, *, through_input: bool) -> str:
    if through_input:
        return "built from what is sent"
    kinds = sorted({part.shape.kind for part in link.parts if not isinstance(part, str)})
    where = " behind base64" if link.encoding == "base64" else ""
    return f"built from {', '.join(kinds)}{where}"
