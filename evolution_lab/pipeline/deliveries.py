"""One pass over the outbox: each destination is told what it has not been told, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from evolution_lab.approval import SpecSuggestionOrchestrator
from evolution_lab.approval.orchestrator import written_as
from evolution_lab.errors import DeliveryError, LockedError
from evolution_lab.pipeline.destinations import Destination
from evolution_lab.pipeline.outbox import E, Outbox, OutboxEntry
from evolution_lab.pipeline.suggestion_events import SuggestionEvent, events_of
from evolution_lab.telemetry.locks import file_lock

_BUSY_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class Deliveries:
    """What one pass has told.

    Attributes:
        delivered: Events that destinations took.
        failed: Attempts in vain; each is made again, later.
        busy: Destinations that another process is telling just now.
    """

    delivered: int = 0
    failed: int = 0
    busy: int = 0

    def __add__(self, other: Deliveries) -> Deliveries:
        return Deliveries(
            delivered=self.delivered + other.delivered,
            failed=self.failed + other.failed,
            busy=self.busy + other.busy,
        )


def deliver_all(
    outbox: Outbox[SuggestionEvent],
    orchestrator: SpecSuggestionOrchestrator,
    destinations: Sequence[Destination],
    *,
    clock: Callable[[], datetime],
    progress: Callable[[int, int], None] | None = None,
) -> Deliveries:
    """Tell every destination what it has not been told; returns when all were tried.

    A destination is told by one process at a time. One that cannot be reached keeps its events and
    holds up no other.

    Args:
        outbox: What is told already.
        orchestrator: Has the suggestions.
        destinations: Whom to tell.
        clock: Says what time it is, UTC.
        progress: Called with (destinations done, destinations in all).

    Raises:
        LockedError: Another process held the database for longer than the bounded wait.
        LakeError: The database cannot be read.
    """
    total = Deliveries()
    for done, destination in enumerate(destinations, start=1):
        try:
            with alone(outbox.lock_of(destination.name)):
                total += _deliver_to(destination, outbox, orchestrator, clock)
        except BusyError:
            total += Deliveries(busy=1)
        if progress is not None:
            progress(done, len(destinations))
    return total


def _deliver_to(
    destination: Destination,
    outbox: Outbox[SuggestionEvent],
    orchestrator: SpecSuggestionOrchestrator,
    clock: Callable[[], datetime],
) -> Deliveries:
    kept = orchestrator.list()
    # What was approved once and is pending again is shown as its envelope says it: withdrawn.
    known = {suggestion.id: written_as(suggestion) or suggestion for suggestion in kept}
    events = sorted(
        (event for s in kept for event in events_of(s) if destination.wants(event)),
        key=lambda event: event.at,
    )
    name = destination.name
    outbox.put(name, events, now=clock())

    def tell(entry: OutboxEntry[SuggestionEvent]) -> None:
        current = known.get(entry.event.suggestion.id, entry.event.suggestion)
        destination.deliver(entry.event, current)

    return drain(outbox, name, tell, clock=clock)


def drain(
    outbox: Outbox[E],
    name: str,
    tell: Callable[[OutboxEntry[E]], object],
    *,
    clock: Callable[[], datetime],
) -> Deliveries:
    """Tell a destination all that is due; ends early where it cannot be reached.

    Args:
        outbox: What is to be told.
        name: The destination's.
        tell: Tells one event; whatever it raises, the event is kept.
        clock: Says what time it is, UTC.
    """
    delivered = failed = 0
    while entries := outbox.due(name, now=clock()):
        for entry in entries:
            error = _error_of(tell, entry)
            if error is None:
                outbox.delivered(name, entry.event.key, now=clock())
                delivered += 1
                continue
            failed += 1
            outbox.failed(name, entry, str(error), now=clock())
            if not error.reachable:
                return Deliveries(delivered=delivered, failed=failed)
    return Deliveries(delivered=delivered, failed=failed)


def _error_of(
    tell: Callable[[OutboxEntry[E]], object], entry: OutboxEntry[E]
) -> DeliveryError | None:
    try:
        tell(entry)
    except DeliveryError as error:
        return error
    except Exception as error:  # noqa: BLE001 - whatever a hook raises, the event is kept
        return DeliveryError(f"{type(error).__name__}: {error}", reachable=True)
    return None


class BusyError(Exception):
    """Another process is telling the destination."""


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Be the only one who tells a destination.

    Args:
        path: Its lock, see ``Outbox.lock_of``.

    Raises:
        BusyError: Another process is telling it.
    """
    lock = file_lock(path, wait_seconds=_BUSY_SECONDS)
    try:
        lock.__enter__()
    except LockedError:
        raise BusyError from None
    try:
        yield
    finally:
        lock.__exit__(None, None, None)
