"""Suggestions and decisions in the lab's own database, ``evolution.duckdb``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import duckdb

from evolution_lab.approval.repository import SuggestionTable, target_fragment
from evolution_lab.records import (
    Decision,
    SpecSuggestion,
    SuggestionStatus,
    Target,
    from_json,
    to_json,
)
from evolution_lab.telemetry.state import open_state

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS spec_suggestions (
    id VARCHAR PRIMARY KEY,
    revision INTEGER NOT NULL,
    status VARCHAR NOT NULL,
    payload JSON NOT NULL,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL
);
CREATE TABLE IF NOT EXISTS suggestion_decisions (
    suggestion_id VARCHAR NOT NULL,
    sequence INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    reviewer VARCHAR NOT NULL,
    status VARCHAR NOT NULL,
    notes VARCHAR,
    decided_at TIMESTAMP NOT NULL,
    PRIMARY KEY (suggestion_id, sequence)
);
"""
"""Times are UTC. ``payload`` is the suggestion's JSON without its decisions, which are rows of
their own: they have one home. ``sequence`` counts a suggestion's decisions from 1."""

_SAVE: Final = """
INSERT INTO spec_suggestions VALUES ($id, $revision, $status, $payload, $created_at, $at)
ON CONFLICT (id) DO UPDATE SET
    revision = excluded.revision, status = excluded.status, payload = excluded.payload,
    updated_at = excluded.updated_at
"""

_APPEND: Final = """
INSERT INTO suggestion_decisions
SELECT $suggestion_id, count(*) + 1, $revision, $reviewer, $status, $notes, $decided_at
FROM suggestion_decisions WHERE suggestion_id = $suggestion_id
"""


@dataclass(frozen=True)
class _DuckDBTable:
    connection: duckdb.DuckDBPyConnection

    def get(self, suggestion_id: str) -> SpecSuggestion | None:
        found = self._read("WHERE id = $id", {"id": suggestion_id})
        return found[0] if found else None

    def ids(self, prefix: str = "") -> tuple[str, ...]:
        rows = self.connection.execute(
            "SELECT id FROM spec_suggestions WHERE starts_with(id, $prefix) ORDER BY id",
            {"prefix": prefix},
        ).fetchall()
        return tuple(row[0] for row in rows)

    def select(
        self, status: SuggestionStatus | None = None, *, target: Target | None = None
    ) -> tuple[SpecSuggestion, ...]:
        fragment = None if target is None else target_fragment(target)
        where = (
            "WHERE ($status IS NULL OR status = $status) "
            "AND ($fragment IS NULL OR contains(payload::VARCHAR, $fragment))"
        )
        return self._read(where, {"status": status, "fragment": fragment})

    def save(self, suggestion: SpecSuggestion, *, at: datetime) -> None:
        values = {
            "id": suggestion.id,
            "revision": suggestion.revision,
            "status": suggestion.status,
            "payload": to_json(replace(suggestion, approvals=())).decode(),
            "created_at": _naive(suggestion.created_at),
            "at": _naive(at),
        }
        self.connection.execute(_SAVE, values)

    def append(self, decision: Decision) -> None:
        values = {
            "suggestion_id": decision.suggestion_id,
            "revision": decision.revision,
            "reviewer": decision.reviewer,
            "status": decision.status,
            "notes": decision.notes,
            "decided_at": _naive(decision.decided_at),
        }
        self.connection.execute(_APPEND, values)

    def _read(self, where: str, values: dict[str, Any]) -> tuple[SpecSuggestion, ...]:
        rows = self.connection.execute(
            f"SELECT payload FROM spec_suggestions {where} ORDER BY created_at, id",  # noqa: S608
            values,
        ).fetchall()
        suggestions = [from_json(SpecSuggestion, row[0]) for row in rows]
        decisions = self._decisions([each.id for each in suggestions])
        return tuple(replace(s, approvals=tuple(decisions.get(s.id, ()))) for s in suggestions)

    def _decisions(self, ids: list[str]) -> dict[str, list[Decision]]:
        rows = self.connection.execute(
            "SELECT suggestion_id, revision, reviewer, status, notes, decided_at "
            "FROM suggestion_decisions WHERE list_contains($ids, suggestion_id) "
            "ORDER BY suggestion_id, sequence",
            {"ids": ids},
        ).fetchall()
        decisions: dict[str, list[Decision]] = {}
        for suggestion_id, revision, reviewer, status, notes, decided_at in rows:
            decision = Decision(
                suggestion_id=suggestion_id,
                revision=revision,
                reviewer=reviewer,
                status=status,
                notes=notes,
                decided_at=decided_at.replace(tzinfo=UTC),
            )
            decisions.setdefault(suggestion_id, []).append(decision)
        return decisions


def _naive(time: datetime) -> datetime:
    """Return a time as DuckDB's TIMESTAMP takes it: UTC, without a zone."""
    return time.astimezone(UTC).replace(tzinfo=None)


@dataclass(frozen=True)
class DuckDBSpecSuggestionRepository:
    """Keeps suggestions and decisions in ``<data_dir>/evolution.duckdb``.

    The database is open for the length of one transaction only, under the lab's file lock, so that
    any number of processes may use it at once.

    Attributes:
        data_dir: The lab directory; created when absent.
    """

    data_dir: Path

    @contextmanager
    def transaction(self) -> Iterator[SuggestionTable]:
        """Open a transaction.

        Raises:
            LockedError: Another process held the database for longer than the bounded wait.
            LakeError: The database cannot be read, or a newer version of the package wrote it.
        """
        with open_state(self.data_dir) as connection:
            connection.execute(_TABLES)
            yield _DuckDBTable(connection)
