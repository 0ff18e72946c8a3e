"""Calls of one session whose values feed each other: create, then get.

A call that sends an identifier an earlier answer gave cannot be repeated alone: the identifier is
another one tomorrow. Together with the calls it rests on it can.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from evolution_lab.golden.cases import Call
from evolution_lab.golden.comparison import as_text
from evolution_lab.golden.expected_trees import pointer
from evolution_lab.golden.links import Leaf, Path, can_be_base
from evolution_lab.golden.matchers import Tree, escape_key, literal, ref, text
from evolution_lab.golden.shapes import shape_of
from evolution_lab.golden.suite import canonical_json

MOST_STEPS: Final = 8
_READS: Final = ("GET ", "HEAD ", "OPTIONS ")
_CUTS = re.compile(r"([/?&=,;: ])")


@dataclass(frozen=True)
class Source:
    """Where an identifier comes from: which step's output, and where in it."""

    step: int
    path: Path

    @property
    def alias(self) -> str:
        """A name that says where, for what cases are told apart by."""
        return f"{self.step}:{pointer(self.path)}"


@dataclass(frozen=True)
class Chain:
    """A call with the calls it rests on, oldest first; most chains have one link.

    Attributes:
        calls: The steps.
        sources: Identifiers that a step's input takes from an earlier output, by step.
    """

    calls: tuple[Call, ...]
    sources: tuple[Mapping[str, Source], ...] = ()

    @property
    def last(self) -> Call:
        """The call the case is about."""
        return self.calls[-1]

    def sent(self, step: int) -> Tree:
        """Return what a step sends, with refs for values that earlier steps give."""
        if not self.sources or not self.sources[step]:
            return self.calls[step].sent
        return sent_tree(self.calls[step].snapshot.input, self.sources[step])

    @cached_property
    def content(self) -> str:
        """What equal cases have in common, as one text."""
        if len(self.calls) == 1:
            return self.last.content
        return canonical_json(["scenario", self._sent()])

    @property
    def identity(self) -> str:
        """Operation, what is sent and outcome as one text: what the id is made of."""
        if len(self.calls) == 1:
            return self.last.content
        return canonical_json([self.last.operation, self._sent(), self.last.outcome])

    def _sent(self) -> list[Tree]:
        return [[c.operation, self.sent(i), c.outcome] for i, c in enumerate(self.calls)]


def session_of(call: Call) -> str | None:
    """Return what ties a call to others: its session, else its trace."""
    snapshot = call.snapshot
    if snapshot.session_id is not None:
        return f"session {snapshot.session_id}"
    return None if snapshot.trace_id is None else f"trace {snapshot.trace_id}"


def chains_of(calls: Sequence[Call], *, scenarios: bool = True) -> list[Chain]:
    """Return each call with the calls it rests on.

    A call rests on the one that first gave an identifier it sends, on what that rests on, and on
    the calls between that changed something under the same identifier (those that are no reads by
    their method). Chains longer than ``MOST_STEPS`` stay single calls.

    Args:
        calls: In order of time.
        scenarios: Off, every call stands alone.
    """
    sessions: dict[str, list[Call]] = {}
    chains: dict[str, Chain] = {}
    for call in calls:
        session = session_of(call) if scenarios else None
        if session is None:
            chains[call.snapshot.id] = Chain((call,))
        else:
            sessions.setdefault(session, []).append(call)
    for members in sessions.values():
        chains.update(_session_chains(members))
    return [chains[call.snapshot.id] for call in calls]


def _session_chains(members: Sequence[Call]) -> dict[str, Chain]:
    first_given: dict[str, tuple[int, Path]] = {}
    first_sent: dict[str, int] = {}
    uses: list[set[str]] = []
    chains: dict[str, Chain] = {}
    for index, call in enumerate(members):
        sent = tokens_of(call.exchange.sent_leaves)
        uses.append({t for t in sent if t in first_given and first_given[t][0] < index})
        needed = _needed(index, uses, first_given, members)
        if needed and len(needed) < MOST_STEPS:
            chains[call.snapshot.id] = _chain(sorted(needed), index, uses, first_given, members)
        else:
            chains[call.snapshot.id] = Chain((call,))
        for token in sent:
            first_sent.setdefault(token, index)
        for leaf in call.exchange.leaves:
            if can_be_base(leaf.value):
                base = as_text(leaf.value)
                shape = shape_of(leaf.name, leaf.value)
                if shape is not None and shape.identity and base not in first_sent:
                    first_given.setdefault(base, (index, leaf.path))
    return chains


def _needed(
    index: int,
    uses: Sequence[set[str]],
    first_given: Mapping[str, tuple[int, Path]],
    members: Sequence[Call],
) -> set[int]:
    needed: set[int] = set()
    waiting = [index]
    while waiting:
        step = waiting.pop()
        for token in uses[step]:
            provider = first_given[token][0]
            between = {
                other
                for other in range(provider + 1, step)
                if token in uses[other] and not members[other].operation.startswith(_READS)
            }
            for other in ({provider} | between) - needed:
                needed.add(other)
                waiting.append(other)
    return needed - {index}


def _chain(
    before: Sequence[int],
    index: int,
    uses: Sequence[set[str]],
    first_given: Mapping[str, tuple[int, Path]],
    members: Sequence[Call],
) -> Chain:
    order = [*before, index]
    place = {member: step for step, member in enumerate(order)}
    sources = tuple(
        {
            token: Source(place[first_given[token][0]], first_given[token][1])
            for token in sorted(uses[member])
            if first_given[token][0] in place
        }
        for member in order
    )
    return Chain(tuple(members[member] for member in order), sources)


def tokens_of(leaves: Iterable[Leaf]) -> set[str]:
    """Return the texts of scalars, and the pieces of those that look like paths or queries.

    Examples:
        >>> from evolution_lab.golden.links import leaves_of
        >>> sorted(tokens_of(leaves_of({"path": "/orders/8f3a2b1c?full=1", "n": 12})))
        ['/orders/8f3a2b1c?full=1', '1', '12', '8f3a2b1c', 'full', 'orders']
    """
    found: set[str] = set()
    for leaf in leaves:
        if leaf.value is None or isinstance(leaf.value, bool):
            continue
        whole = as_text(leaf.value)
        found.add(whole)
        if isinstance(leaf.value, str) and len(whole) <= 2048:
            found.update(piece for piece, changing in cut(whole) if changing)
    return found


def cut(whole: str) -> list[tuple[str, bool]]:
    """Return a text cut at the marks of paths and queries: pieces, and marks (False)."""
    pieces = _CUTS.split(whole)
    return [(piece, index % 2 == 0) for index, piece in enumerate(pieces) if piece]


def sent_tree(
    value: Any, sources: Mapping[str, Source], aliases: Mapping[str, Tree] | None = None
) -> Tree:
    """Return the tree of an input: identifiers that earlier steps gave become refs.

    Args:
        value: The input as recorded.
        sources: By text, where each identifier comes from.
        aliases: By text, the ref to write; without it a name made of the source.
    """
    if isinstance(value, Mapping):
        return {escape_key(str(k)): sent_tree(v, sources, aliases) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [sent_tree(item, sources, aliases) for item in value]
    if value is None or isinstance(value, bool):
        return value
    whole = as_text(value)
    if whole in sources:
        return _ref(whole, sources, aliases)
    if not isinstance(value, str) or not any(token in whole for token in sources):
        return literal(value)
    parts: list[Tree] = []
    for piece, changing in cut(whole):
        if changing and piece in sources:
            parts.append(_ref(piece, sources, aliases))
        elif parts and isinstance(parts[-1], str):
            parts[-1] += piece
        else:
            parts.append(piece)
    return literal(value) if all(isinstance(p, str) for p in parts) else text(parts)


def _ref(token: str, sources: Mapping[str, Source], aliases: Mapping[str, Tree] | None) -> Tree:
    if aliases is not None:
        return aliases[token]
    return ref(sources[token].alias, None)
