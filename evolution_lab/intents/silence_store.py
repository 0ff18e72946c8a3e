"""Where mutes and maintenance windows are kept: ``evolution.duckdb``, or a team's PostgreSQL."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

from evolution_lab.errors import InputError, UnknownNameError
from evolution_lab.intents.silences import Silence, SilenceKind, Silences, new_silence
from evolution_lab.records import from_json, to_json
from evolution_lab.telemetry.postgres import PostgresPart
from evolution_lab.telemetry.state import STATE_FILE, open_state

_TABLE: Final = """
CREATE TABLE {there} silences (
    id TEXT PRIMARY KEY,
    format_version INTEGER NOT NULL,
    payload TEXT NOT NULL
)
"""
MIGRATIONS: Final = ((_TABLE.format(there=""),),)
FORMAT_VERSION: Final = 1


class _Execute(Protocol):
    def __call__(self, statement: str, **values: Any) -> Sequence[Sequence[Any]]: ...


@dataclass(frozen=True)
class SilenceStore:
    """Mutes and maintenance windows of a lab; any number of processes may use it at once.

    Attributes:
        data_dir: The lab directory.
        state_url: The team's PostgreSQL, where that keeps the lab's state.

    Examples:
        >>> import tempfile
        >>> store, now = SilenceStore(Path(tempfile.mkdtemp())), datetime(2026, 5, 4, tzinfo=UTC)
        >>> mute = store.add("GET /users", kind="mute", begins_at=now, ends_at=now.replace(day=5),
        ...                  why="a known fault", by="ada", now=now)
        >>> [silence.why for silence in store.all().silences]
        ['a known fault']
    """

    data_dir: Path
    state_url: str | None = None

    def add(
        self,
        operations: str,
        *,
        kind: SilenceKind,
        begins_at: datetime,
        ends_at: datetime,
        why: str,
        by: str,
        now: datetime | None = None,
    ) -> Silence:
        """Set a mute or a maintenance window.

        Raises:
            InputError: It breaks a rule; the message says which.
            TimeZoneRequiredError: A time carries no zone.
        """
        silence = new_silence(
            secrets.token_hex(4),
            operations,
            kind=kind,
            begins_at=begins_at,
            ends_at=ends_at,
            why=why,
            by=by,
            now=now or datetime.now(UTC),
        )
        with self._open() as execute:
            execute(
                "INSERT INTO silences VALUES (:id, :version, :payload)",
                id=silence.id,
                version=FORMAT_VERSION,
                payload=_payload(silence),
            )
        return silence

    def lift(
        self, name: str, *, kind: SilenceKind, by: str, now: datetime | None = None
    ) -> tuple[Silence, ...]:
        """End what is in force or to come, by its id or its operations.

        Returns:
            Those that were ended.

        Raises:
            UnknownNameError: None is called so.
        """
        moment = now or datetime.now(UTC)
        with self._open() as execute:
            found = [s for s in _read(execute).at(moment).silences if s.kind == kind]
            wanted = [s for s in found if name in {s.id, s.operations}]
            if not wanted:
                raise UnknownNameError(kind, name, [n for s in found for n in (s.operations, s.id)])
            lifted = tuple(replace(s, lifted_at=moment, lifted_by=by) for s in wanted)
            for silence in lifted:
                execute(
                    "UPDATE silences SET payload = :payload WHERE id = :id",
                    payload=_payload(silence),
                    id=silence.id,
                )
        return lifted

    def all(self) -> Silences:
        """Return all that were ever set, those that end last first."""
        if self.state_url is None and not (self.data_dir / STATE_FILE).exists():
            return Silences()
        with self._open() as execute:
            return _read(execute)

    @contextmanager
    def _open(self) -> Iterator[_Execute]:
        if self.state_url is not None:
            part = PostgresPart(self.state_url, "silences", MIGRATIONS)
            with part.transaction() as connection:
                from sqlalchemy import text

                def ask(statement: str, **values: Any) -> Sequence[Sequence[Any]]:
                    result = connection.execute(text(statement), values)
                    return [tuple(row) for row in result] if result.returns_rows else []

                yield ask
            return
        with open_state(self.data_dir) as state:
            state.execute(_TABLE.format(there="IF NOT EXISTS"))

            def execute(statement: str, **values: Any) -> Sequence[Sequence[Any]]:
                return state.execute(statement.replace(":", "$"), _given(values)).fetchall()

            yield execute


def _given(values: Mapping[str, Any]) -> dict[str, Any] | None:
    return dict(values) or None


def _payload(silence: Silence) -> str:
    payload = to_json(silence).decode()
    if "\\u0000" in payload:
        raise InputError("a mute holds a NUL character, must be text.")
    return payload


def _read(execute: _Execute) -> Silences:
    rows = execute("SELECT payload FROM silences")
    found = [from_json(Silence, row[0]) for row in rows]
    return Silences(tuple(sorted(found, key=lambda s: (s.until, s.id), reverse=True)))
