"""Which operations belong together: those that call each other, and those of one service."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from evolution_lab.records import OperationRef

CALLED_SHARE: Final = 0.9
"""Share of an operation's calls that others make, from which on they explain how often it is called."""


@dataclass(frozen=True)
class Connections:
    """The neighbourhood of operations, by their position in a view, and how deep each is called.

    Where nothing at all is known (no calls, no shared traces, no services) every operation counts as
    connected with every other: what changes at the same time is then most likely one thing.

    Attributes:
        neighbours: Positions that call or are called by a position.
        services: Service of each position, None where unknown.
        depths: Calls above a position in its traces, 0 for entry operations.
    """

    neighbours: Mapping[int, frozenset[int]]
    services: Sequence[str | None]
    depths: Sequence[float]

    def touching(self, operation: int, others: Iterable[int]) -> bool:
        """Say whether an operation is, calls, is called by or shares a service with one of others."""
        if not self.neighbours and not any(self.services):
            return any(True for _ in others)
        near = self.neighbours.get(operation, frozenset())
        service = self.services[operation]
        return any(
            other == operation
            or other in near
            or (service is not None and self.services[other] == service)
            for other in others
        )

    def calling(self, operation: int, others: Iterable[int]) -> bool:
        """Say whether an operation is one of others, calls one, or is called by one.

        Where no call is known, what ``touching`` knows has to do.
        """
        if not self.neighbours:
            return self.touching(operation, others)
        near = self.neighbours.get(operation, frozenset())
        return any(other == operation or other in near for other in others)

    def components(
        self, operations: Iterable[int], *, taken: Collection[int] = ()
    ) -> list[list[int]]:
        """Split operations into connected groups, each sorted; groups ordered by first member.

        Args:
            operations: Positions.
            taken: Those that were abnormal before. They carry others along calls only: a lasting
                fault must not vouch for whatever else its service does.

        Examples:
            >>> chain = Connections({0: frozenset({1}), 1: frozenset({0})}, [None] * 3, [0, 1, 0])
            >>> chain.components([0, 1, 2])
            [[0, 1], [2]]
            >>> shop = Connections({0: frozenset({1}), 1: frozenset({0})}, ["shop"] * 3, [0, 1, 0])
            >>> shop.components([0, 1, 2]), shop.components([0, 1, 2], taken={0, 1})
            ([[0, 1, 2]], [[0, 1], [2]])
        """
        left = sorted(operations)
        groups: list[list[int]] = []
        while left:
            group, queue = [], [left.pop(0)]
            while queue:
                current = queue.pop()
                group.append(current)
                joined = [
                    other
                    for other in left
                    if (
                        self.calling(current, [other])
                        if current in taken or other in taken
                        else self.touching(current, [other])
                    )
                ]
                left = [other for other in left if other not in joined]
                queue.extend(joined)
            groups.append(sorted(group))
        return groups


def callers_of(
    operations: Sequence[OperationRef],
    *,
    calls: Sequence[float],
    edges: pl.DataFrame,
    known: pl.DataFrame,
) -> Mapping[int, tuple[int, ...]]:
    """Return who calls an operation, for those of which nearly every call comes from another one.

    Args:
        operations: The view's operations.
        calls: Their calls in all.
        edges: An ``EDGES`` frame over op_ids with versions.
        known: An ``OPERATIONS`` frame: what each op_id is.
    """
    position = _positions(operations, known)
    from_others: dict[int, dict[int, int]] = {}
    for caller, callee, count in edges.select("caller_op_id", "callee_op_id", "calls").iter_rows():
        a, b = position.get(caller), position.get(callee)
        if a is not None and b is not None and a != b:
            own = from_others.setdefault(b, {})
            own[a] = own.get(a, 0) + count
    return {
        callee: tuple(sorted(own))
        for callee, own in sorted(from_others.items())
        if sum(own.values()) >= CALLED_SHARE * calls[callee]
    }


def _positions(operations: Sequence[OperationRef], known: pl.DataFrame) -> dict[int, int]:
    """Return the position of each op_id, whatever its version."""
    place = {(o.service, o.key): i for i, o in enumerate(operations)}
    return {
        op_id: place[service, key]
        for op_id, service, key in known.select("op_id", "service", "operation_key").iter_rows()
        if (service, key) in place
    }


@dataclass
class _Gathered:
    neighbours: dict[int, set[int]] = field(default_factory=dict)

    def join(self, a: int, b: int) -> None:
        if a != b:
            self.neighbours.setdefault(a, set()).add(b)
            self.neighbours.setdefault(b, set()).add(a)


def connections(
    operations: Sequence[OperationRef],
    *,
    edges: pl.DataFrame,
    depths: pl.DataFrame,
    known: pl.DataFrame,
) -> Connections:
    """Bring call edges between versions to edges between the operations of a view.

    Args:
        operations: The view's operations.
        edges: An ``EDGES`` frame over op_ids with versions.
        depths: Columns ``op_id`` and ``depth``.
        known: An ``OPERATIONS`` frame: what each op_id is.
    """
    position = _positions(operations, known)
    gathered = _Gathered()
    for caller, callee in edges.select("caller_op_id", "callee_op_id").iter_rows():
        if caller in position and callee in position:
            gathered.join(position[caller], position[callee])
    deep = [0.0] * len(operations)
    for op_id, depth in depths.select("op_id", "depth").iter_rows():
        if op_id in position:
            deep[position[op_id]] = max(deep[position[op_id]], float(depth))
    return Connections(
        neighbours={i: frozenset(others) for i, others in sorted(gathered.neighbours.items())},
        services=[o.service for o in operations],
        depths=deep,
    )
