"""The outbox: what each destination has still to be told, kept in ``evolution.duckdb``.

Decisions are rows that are only ever appended, so what has to be told follows from them at any time:
putting events down twice is putting them down once. A process that ends anywhere between a decision
and its delivery leaves a row that is not marked, and the next one goes on there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Final, Generic, Protocol, TypeVar

import duckdb

from evolution_lab.records import from_json, to_json
from evolution_lab.telemetry.state import STATE_FILE, open_state

FIRST_RETRY: Final = timedelta(seconds=5)
LONGEST_RETRY: Final = timedelta(hours=1)
"""A destination that fails is tried again after 5 s, then after twice as long each time, up to this."""

_LONGEST_ERROR: Final = 500
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS suggestion_outbox (
    destination VARCHAR NOT NULL,
    key VARCHAR NOT NULL,
    position BIGINT NOT NULL,
    suggestion_id VARCHAR NOT NULL,
    type VARCHAR NOT NULL,
    payload JSON,
    enqueued_at TIMESTAMP NOT NULL,
    attempts INTEGER NOT NULL,
    due_at TIMESTAMP NOT NULL,
    delivered_at TIMESTAMP,
    last_error VARCHAR,
    PRIMARY KEY (destination, key)
);
"""
"""``suggestion_id`` is the event's subject. Times are UTC. ``payload`` is the event's JSON until it is delivered, then null. ``position`` is
the order in which events were put down."""

# What failed holds up later events of its own suggestion only. A clock that was wrong for a while
# may have put the next attempt further away than any attempt is.
_DUE: Final = """
SELECT payload, attempts FROM suggestion_outbox AS entry
WHERE destination = $destination AND delivered_at IS NULL
  AND (due_at <= $now OR due_at > $furthest)
  AND NOT EXISTS (
    SELECT 1 FROM suggestion_outbox AS earlier
    WHERE earlier.destination = entry.destination AND earlier.suggestion_id = entry.suggestion_id
      AND earlier.position < entry.position AND earlier.delivered_at IS NULL
  )
ORDER BY position LIMIT $most
"""


class OutboxEvent(Protocol):
    """What an outbox keeps: a dataclass that goes to JSON and back."""

    @property
    def key(self) -> str:
        """Names the event for ever."""
        ...

    @property
    def type(self) -> str:
        """What happened."""
        ...

    @property
    def subject(self) -> str:
        """What it happened to; events of one subject are told in order."""
        ...


E = TypeVar("E", bound=OutboxEvent)


@dataclass(frozen=True, kw_only=True)
class OutboxEntry(Generic[E]):
    """One event that a destination has to be told.

    Attributes:
        event: The event.
        attempts: How often it was tried before.
    """

    event: E
    attempts: int


@dataclass(frozen=True, kw_only=True)
class OutboxCounts:
    """How one destination stands.

    Attributes:
        delivered: Events it was told.
        waiting: Events it has still to be told.
        failing: Those of them that were tried in vain.
        last_error: Why, of the one that was tried last; None where nothing fails.
    """

    delivered: int = 0
    waiting: int = 0
    failing: int = 0
    last_error: str | None = None


@dataclass(frozen=True)
class Outbox(Generic[E]):
    """What each destination has still to be told; safe to use from any number of processes.

    Attributes:
        data_dir: The lab directory.
        kind: What its events are.
    """

    data_dir: Path
    kind: type[E]

    def put(self, destination: str, events: Iterable[E], *, now: datetime) -> int:
        """Put down the events that are not there yet, all of them or none, and return how many.

        Args:
            destination: Whom to tell.
            events: In the order in which they are to be told.
            now: The present moment, UTC.
        """
        with open_state(self.data_dir) as state:
            return self.put_in(state, destination, events, now=now)

    def put_in(
        self,
        state: duckdb.DuckDBPyConnection,
        destination: str,
        events: Iterable[E],
        *,
        now: datetime,
    ) -> int:
        """Put events down as ``put`` does, in a transaction that does more than that."""
        state.execute(_TABLES)
        known = {
            row[0]
            for row in state.execute(
                "SELECT key FROM suggestion_outbox WHERE destination = $destination",
                {"destination": destination},
            ).fetchall()
        }
        row = state.execute("SELECT coalesce(max(position), 0) FROM suggestion_outbox").fetchone()
        assert row is not None
        fresh = {event.key: event for event in events if event.key not in known}
        rows = [
            (
                destination,
                event.key,
                position,
                event.subject,
                event.type,
                to_json(event).decode(),
                _naive(now),
                0,
                _naive(now),
            )
            for position, event in enumerate(fresh.values(), start=row[0] + 1)
        ]
        if rows:
            state.executemany(
                "INSERT INTO suggestion_outbox VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL)",
                rows,
            )
        return len(rows)

    def due(self, destination: str, *, now: datetime, most: int = 100) -> Sequence[OutboxEntry[E]]:
        """Return what a destination may be told now: of each subject the earliest event.

        Args:
            destination: Whom to tell.
            now: The present moment, UTC.
            most: Entries at once; ask again when they are told.
        """
        if not (self.data_dir / STATE_FILE).exists():
            return ()
        with open_state(self.data_dir) as state:
            state.execute(_TABLES)
            rows = state.execute(
                _DUE,
                {
                    "destination": destination,
                    "now": _naive(now),
                    "furthest": _naive(now + LONGEST_RETRY),
                    "most": most,
                },
            ).fetchall()
        return tuple(
            OutboxEntry(event=from_json(self.kind, payload), attempts=attempts)
            for payload, attempts in rows
        )

    def delivered(self, destination: str, key: str, *, now: datetime) -> None:
        """Mark an event as told; its payload is let go."""
        with open_state(self.data_dir) as state:
            state.execute(
                "UPDATE suggestion_outbox SET delivered_at = $now, attempts = attempts + 1, "
                "payload = NULL, last_error = NULL "
                "WHERE destination = $destination AND key = $key AND delivered_at IS NULL",
                {"destination": destination, "key": key, "now": _naive(now)},
            )

    def failed(self, destination: str, entry: OutboxEntry[E], error: str, *, now: datetime) -> None:
        """Keep an event that could not be told, for a later attempt."""
        wait = min(FIRST_RETRY * 2 ** min(entry.attempts, 20), LONGEST_RETRY)
        with open_state(self.data_dir) as state:
            state.execute(
                "UPDATE suggestion_outbox SET attempts = attempts + 1, due_at = $due, "
                "last_error = $error "
                "WHERE destination = $destination AND key = $key AND delivered_at IS NULL",
                {
                    "destination": destination,
                    "key": entry.event.key,
                    "due": _naive(now + wait),
                    "error": error[:_LONGEST_ERROR],
                },
            )

    def counts(self, destination: str) -> OutboxCounts:
        """Return how a destination stands."""
        if not (self.data_dir / STATE_FILE).exists():
            return OutboxCounts()
        with open_state(self.data_dir) as state:
            state.execute(_TABLES)
            row = state.execute(
                "SELECT count(delivered_at), count(*) - count(delivered_at), "
                "count(*) FILTER (delivered_at IS NULL AND attempts > 0), "
                "arg_max(last_error, due_at) FILTER (delivered_at IS NULL) "
                "FROM suggestion_outbox WHERE destination = $destination",
                {"destination": destination},
            ).fetchone()
        assert row is not None
        return OutboxCounts(delivered=row[0], waiting=row[1], failing=row[2], last_error=row[3])

    def lock_of(self, destination: str) -> Path:
        """Return the file that is locked by whoever tells a destination."""
        digits = sha256(destination.encode()).hexdigest()[:16]
        return self.data_dir / f"outbox-{digits}.lock"


def _naive(time: datetime) -> datetime:
    """Return a time as DuckDB's TIMESTAMP takes it: UTC, without a zone."""
    return time.astimezone(UTC).replace(tzinfo=None)
