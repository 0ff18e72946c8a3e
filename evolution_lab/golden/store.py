"""``TrafficStore``: where snapshots are kept and found again; in memory here, in the lake beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Protocol

from evolution_lab.display import ResultMixin
from evolution_lab.records import OperationRef, TrafficSnapshot


@dataclass(frozen=True)
class Added:
    """What became of snapshots that were handed to a store.

    Attributes:
        added: Stored now.
        duplicates: Stored before: a snapshot of the same id is there.
    """

    added: int = 0
    duplicates: int = 0

    def __add__(self, other: Added) -> Added:
        return Added(self.added + other.added, self.duplicates + other.duplicates)


@dataclass(frozen=True)
class RecordedOperation(ResultMixin):
    """How much is stored of one operation.

    Attributes:
        operation: Service, key and version.
        snapshots: How many.
        first: The oldest one's time, UTC.
        last: The newest one's time, UTC.
    """

    operation: OperationRef
    snapshots: int
    first: datetime
    last: datetime

    _title: ClassVar[str] = "Recorded operation"

    def to_dicts(self) -> list[dict[str, object]]:
        """Return one dict."""
        return [
            {
                "operation": str(self.operation),
                "snapshots": self.snapshots,
                "first": self.first,
                "last": self.last,
            }
        ]


class TrafficStore(Protocol):
    """Keeps snapshots. What is handed in is sanitised already: stores write what they are given."""

    def add(self, snapshots: Iterable[TrafficSnapshot]) -> Added:
        """Store snapshots; those whose id is stored already are left out."""
        ...

    def snapshots(
        self,
        operation: OperationRef | str | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Iterator[TrafficSnapshot]:
        """Yield snapshots one after the other, without holding them all.

        Args:
            operation: Only this one: its key (in any service and version), or the ref (with service
                and version where the ref says them).
            since: At or after this time; aware.
            until: Before this time; aware.
        """
        ...

    def operations(self) -> tuple[RecordedOperation, ...]:
        """Return what is stored of each operation, in their order everywhere."""
        ...


@dataclass(eq=False)
class InMemoryTrafficStore:
    """Keeps snapshots in this process, for tests and notebooks.

    Examples:
        >>> from datetime import UTC
        >>> store = InMemoryTrafficStore()
        >>> snapshot = TrafficSnapshot(id="s1", operation=OperationRef("cart.add"), input={},
        ...     success=True, timestamp=datetime(2026, 1, 1, tzinfo=UTC))
        >>> store.add([snapshot, snapshot])
        Added(added=1, duplicates=1)
        >>> [found.id for found in store.snapshots("cart.add")]
        ['s1']
    """

    _kept: dict[str, TrafficSnapshot] = field(default_factory=dict, init=False, repr=False)

    def add(self, snapshots: Iterable[TrafficSnapshot]) -> Added:
        """Store snapshots; those whose id is stored already are left out."""
        before, handed = len(self._kept), 0
        for snapshot in snapshots:
            handed += 1
            self._kept.setdefault(snapshot.id, snapshot)
        added = len(self._kept) - before
        return Added(added, handed - added)

    def snapshots(
        self,
        operation: OperationRef | str | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Iterator[TrafficSnapshot]:
        """Yield snapshots by time and id."""
        for snapshot in sorted(self._kept.values(), key=lambda s: (s.timestamp, s.id)):
            if operation is not None and not is_of(snapshot.operation, operation):
                continue
            if since is not None and snapshot.timestamp < since:
                continue
            if until is not None and snapshot.timestamp >= until:
                continue
            yield snapshot

    def operations(self) -> tuple[RecordedOperation, ...]:
        """Return what is stored of each operation."""
        times: dict[OperationRef, list[datetime]] = {}
        for snapshot in self._kept.values():
            times.setdefault(snapshot.operation, []).append(snapshot.timestamp)
        return tuple(
            RecordedOperation(operation, len(found), min(found), max(found))
            for operation, found in sorted(times.items(), key=lambda item: item[0].sort_key)
        )

    def __len__(self) -> int:
        return len(self._kept)


def is_of(found: OperationRef, wanted: OperationRef | str) -> bool:
    """Say whether an operation is the one that is wanted.

    Examples:
        >>> cart = OperationRef("cart.add", "shop", "1.0.0")
        >>> is_of(cart, "cart.add"), is_of(cart, OperationRef("cart.add", "shop"))
        (True, True)
        >>> is_of(cart, OperationRef("cart.add", "billing"))
        False
    """
    if isinstance(wanted, str):
        return found.key == wanted
    return (
        found.key == wanted.key
        and wanted.service in {None, found.service}
        and wanted.version in {None, found.version}
    )
