"""Which recorded calls a suite is made of: the last days, and a share of production traffic."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

from evolution_lab.errors import EmptyLakeError, UnknownNameError
from evolution_lab.golden.store import TrafficStore
from evolution_lab.records.traffic import TrafficSnapshot


def recent_snapshots(
    store: TrafficStore,
    *,
    operation: str | None = None,
    days: float | None = None,
    sample_rate: float | None = None,
    now: datetime | None = None,
    hint: str = "",
) -> list[TrafficSnapshot]:
    """Return recorded calls to make a suite of.

    Calls of other operations are returned too: they are steps of scenarios, and evidence.

    Args:
        store: Where traffic is kept.
        operation: Whose suite.
        days: Only calls of the last days, counted back from ``now``.
        sample_rate: Share of production traffic wanted; what was recorded at this rate or a lower
            one is not thinned again.
        now: The moment to count from; now unless given.
        hint: How a longer time is asked for, with ``{days}`` in it; for the error.

    Raises:
        UnknownNameError: The operation was never recorded.
        EmptyLakeError: Nothing was recorded in that time, or at all.
    """
    recorded = store.operations()
    if not recorded:
        raise EmptyLakeError("no traffic is recorded: evolution-lab record, or import a HAR file.")
    newest = max(entry.last for entry in recorded)
    if operation is not None:
        of_it = [entry for entry in recorded if entry.operation.key == operation]
        if not of_it:
            raise UnknownNameError("operation", operation, {e.operation.key for e in recorded})
        newest = max(entry.last for entry in of_it)
    moment = now or datetime.now(UTC)
    since = None if days is None else moment - timedelta(days=days)
    found = list(thinned(store.snapshots(since=since), sample_rate))
    if not any(operation in {None, snapshot.operation.key} for snapshot in found):
        enough = int((moment - newest) / timedelta(days=1)) + 1
        raise EmptyLakeError(
            f"nothing was recorded in the last {days:g} days; the newest call is of "
            f"{newest:%Y-%m-%d %H:%M} UTC. {hint.format(days=enough)}".strip()
            if days is not None
            else "no recorded call is left at this sample rate."
        )
    return found


def thinned(
    snapshots: Iterable[TrafficSnapshot], sample_rate: float | None
) -> Iterator[TrafficSnapshot]:
    """Yield the share of snapshots that stands for a share of production, chosen by id.

    Examples:
        >>> list(thinned([], 0.05))
        []
    """
    for snapshot in snapshots:
        if sample_rate is None or snapshot.sample_rate <= sample_rate:
            yield snapshot
            continue
        digest = hashlib.sha256(snapshot.id.encode("utf-8", "surrogatepass")).digest()
        if int.from_bytes(digest[:8], "big") < sample_rate / snapshot.sample_rate * 2**64:
            yield snapshot
