"""Suggestions and decisions in PostgreSQL, for a team on several machines; extra ``postgres``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from evolution_lab.approval.repository import SuggestionTable, target_fragment
from evolution_lab.records import (
    Decision,
    SpecSuggestion,
    SuggestionStatus,
    Target,
    from_json,
    to_json,
)
from evolution_lab.telemetry.postgres import PostgresPart

if TYPE_CHECKING:
    from sqlalchemy import Connection

MIGRATIONS: Final = (
    (
        """
        CREATE TABLE spec_suggestions (
            id TEXT PRIMARY KEY,
            revision INTEGER NOT NULL,
            status TEXT NOT NULL,
            payload TEXT NOT NULL,
            created_at TIMESTAMPTZ NOT NULL,
            updated_at TIMESTAMPTZ NOT NULL
        )
        """,
        """
        CREATE TABLE suggestion_decisions (
            suggestion_id TEXT NOT NULL,
            sequence INTEGER NOT NULL,
            revision INTEGER NOT NULL,
            reviewer TEXT NOT NULL,
            status TEXT NOT NULL,
            notes TEXT,
            decided_at TIMESTAMPTZ NOT NULL,
            PRIMARY KEY (suggestion_id, sequence)
        )
        """,
    ),
    ("CREATE INDEX spec_suggestions_by_status ON spec_suggestions (status, created_at, id)",),
)
"""``payload`` is the suggestion's JSON, kept as text: JSONB would refuse the escaped NUL that a
payload of strangers may carry."""


@dataclass(frozen=True)
class _PostgresTable:
    connection: Connection

    def get(self, suggestion_id: str) -> SpecSuggestion | None:
        found = self._read("WHERE id = :id", id=_text(suggestion_id))
        return found[0] if found else None

    def ids(self, prefix: str = "") -> tuple[str, ...]:
        rows = self._run(
            'SELECT id FROM spec_suggestions WHERE starts_with(id, :prefix) ORDER BY id COLLATE "C"',
            prefix=_text(prefix),
        )
        return tuple(row[0] for row in rows)

    def select(
        self, status: SuggestionStatus | None = None, *, target: Target | None = None
    ) -> tuple[SpecSuggestion, ...]:
        fragment = None if target is None else target_fragment(target)
        where = (
            "WHERE (CAST(:s AS TEXT) IS NULL OR status = :s) "
            "AND (CAST(:f AS TEXT) IS NULL OR strpos(payload, :f) > 0)"
        )
        return self._read(where, s=status, f=fragment)

    def save(self, suggestion: SpecSuggestion, *, at: datetime) -> None:
        self._run(
            "INSERT INTO spec_suggestions VALUES (:id, :revision, :status, :payload, :created, :at) "
            "ON CONFLICT (id) DO UPDATE SET revision = excluded.revision, "
            "status = excluded.status, payload = excluded.payload, updated_at = excluded.updated_at",
            id=suggestion.id,
            revision=suggestion.revision,
            status=suggestion.status,
            payload=to_json(replace(suggestion, approvals=())).decode(),
            created=suggestion.created_at,
            at=at,
        )

    def append(self, decision: Decision) -> None:
        self._run(
            "INSERT INTO suggestion_decisions SELECT :id, count(*) + 1, :revision, :reviewer, "
            ":status, :notes, :at FROM suggestion_decisions WHERE suggestion_id = :id",
            id=decision.suggestion_id,
            revision=decision.revision,
            reviewer=_text(decision.reviewer),
            status=decision.status,
            notes=None if decision.notes is None else _text(decision.notes),
            at=decision.decided_at,
        )

    def _read(self, where: str, **values: Any) -> tuple[SpecSuggestion, ...]:
        order = 'ORDER BY created_at, id COLLATE "C"'
        rows = self._run(f"SELECT payload FROM spec_suggestions {where} {order}", **values)  # noqa: S608
        suggestions = [from_json(SpecSuggestion, row[0]) for row in rows]
        decisions = self._decisions([each.id for each in suggestions])
        return tuple(replace(s, approvals=tuple(decisions.get(s.id, ()))) for s in suggestions)

    def _decisions(self, ids: list[str]) -> dict[str, list[Decision]]:
        rows = self._run(
            "SELECT suggestion_id, revision, reviewer, status, notes, decided_at "
            "FROM suggestion_decisions WHERE suggestion_id = ANY(:ids) "
            "ORDER BY suggestion_id, sequence",
            ids=ids,
        )
        decisions: dict[str, list[Decision]] = {}
        for suggestion_id, revision, reviewer, status, notes, decided_at in rows:
            decision = Decision(
                suggestion_id=suggestion_id,
                revision=revision,
                reviewer=reviewer,
                status=status,
                notes=notes,
                decided_at=decided_at.astimezone(UTC),
            )
            decisions.setdefault(suggestion_id, []).append(decision)
        return decisions

    def _run(self, statement: str, **values: Any) -> Any:
        from sqlalchemy import text

        return self.connection.execute(text(statement), values)


def _text(value: str) -> str:
    """Return text without NUL, which PostgreSQL cannot hold."""
    return value.replace("\0", "�")


@dataclass(frozen=True)
class PostgresSpecSuggestionRepository:
    """Keeps suggestions and decisions in PostgreSQL, for any number of machines at once.

    The tables are created by whoever comes first and brought up to date by newer versions of the
    package; an older version refuses tables that a newer one wrote.

    Attributes:
        url: ``postgresql://USER:PASSWORD@HOST/DATABASE``; shown nowhere.

    Raises:
        ConfigError: The address is none of a PostgreSQL database.
        MissingExtraError: The extra ``postgres`` is not installed.
    """

    url: str = field(repr=False)

    def __post_init__(self) -> None:
        part = PostgresPart(self.url, "suggestions", MIGRATIONS)
        object.__setattr__(self, "_part", part)

    @contextmanager
    def transaction(self) -> Iterator[SuggestionTable]:
        """Open a transaction.

        Raises:
            LockedError: Others held the tables for longer than the bounded wait.
            FormatVersionError: A newer version of the package wrote them.
            LakeError: The database cannot be reached.
        """
        part: PostgresPart = self._part  # type: ignore[attr-defined]
        with part.transaction() as connection:
            yield _PostgresTable(connection)
