"""The tables of experiments in SQL that DuckDB and PostgreSQL both speak.

Times are UTC, without a zone. JSON is kept as it was written, so that equal records stay equal bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import ValidationError

from evolution_lab.errors import CorruptFileError, EvolutionLabError, FormatVersionError
from evolution_lab.experiments.decisions import CountedOutcomes, Look, RolloutDecision
from evolution_lab.experiments.definition import ExperimentStatus, SpecExperiment
from evolution_lab.experiments.repository import (
    HistoryEntry,
    Lease,
    RegisteredExperiment,
    check_number,
)
from evolution_lab.experiments.sql_schema import FORMAT_VERSION, TABLES
from evolution_lab.records import from_json, to_json

Execute = Callable[[str, Mapping[str, Any]], Sequence[Sequence[Any]]]
"""Runs one statement with ``:name`` parameters, and returns its rows."""

_ONLY: Final = "controller"
_COLUMNS: Final = "CAST(definition AS VARCHAR), status, stage, created_at, updated_at, stage_since"


@dataclass(frozen=True)
class SqlExperimentTable:
    """Reads and writes the tables through one function that runs a statement.

    Attributes:
        execute: Runs a statement inside the open transaction.
    """

    execute: Execute

    def create(self) -> None:
        """Make the tables that are missing."""
        for statement in TABLES:
            self.execute(statement, {})

    def get(self, key: str, version: int) -> RegisteredExperiment | None:
        """Return the experiment of exactly this key and version."""
        found = self._read("WHERE key = :key AND version = :version", _own(key, version))
        return found[0] if found else None

    def select(self, status: ExperimentStatus | None = None) -> tuple[RegisteredExperiment, ...]:
        """Return the experiments of a state (all without), by key, then version."""
        if status is None:
            return self._read("", {})
        return self._read("WHERE status = :status", {"status": status})

    def save(self, experiment: RegisteredExperiment) -> None:
        """Insert an experiment, or replace the row of its key and version."""
        definition = experiment.definition
        since = experiment.stage_since
        self.execute(
            "INSERT INTO spec_experiments VALUES (:key, :version, :operation, :status, :stage, "
            "CAST(:definition AS JSON), :created_at, :updated_at, :stage_since, :format_version) "
            "ON CONFLICT (key, version) DO UPDATE SET operation = excluded.operation, "
            "status = excluded.status, stage = excluded.stage, definition = excluded.definition, "
            "updated_at = excluded.updated_at, stage_since = excluded.stage_since, "
            "format_version = excluded.format_version",
            {
                **_own(definition.key, definition.version),
                "operation": definition.operation,
                "status": experiment.status,
                "stage": experiment.stage,
                "definition": to_json(definition).decode(),
                "created_at": _naive(experiment.created_at),
                "updated_at": _naive(experiment.updated_at),
                "stage_since": None if since is None else _naive(since),
                "format_version": FORMAT_VERSION,
            },
        )

    def append(self, entry: HistoryEntry) -> HistoryEntry:
        """Add an entry after all of the same experiment; returns it with its ``sequence``."""
        own = _own(entry.key, entry.version)
        entry = replace(entry, sequence=self._last("history", "sequence", own) + 1)
        self.execute(
            "INSERT INTO spec_experiment_history VALUES (:key, :version, :sequence, :at, :actor, "
            ":action, :reason, CAST(:payload AS JSON), :format_version)",
            {
                **own,
                "sequence": entry.sequence,
                "at": _naive(entry.at),
                "actor": entry.actor,
                "action": entry.action,
                "reason": entry.reason,
                "payload": to_json(dict(entry.payload)).decode(),
                "format_version": FORMAT_VERSION,
            },
        )
        return entry

    def history(self, key: str, version: int) -> tuple[HistoryEntry, ...]:
        """Return what happened to an experiment, oldest first."""
        rows = self.execute(
            "SELECT sequence, happened_at, actor, action, reason, CAST(payload AS VARCHAR), format_version "
            "FROM spec_experiment_history WHERE key = :key AND version = :version "
            "ORDER BY sequence",
            _own(key, version),
        )
        return tuple(
            HistoryEntry(
                key=key, version=version, sequence=row[0], at=_aware(row[1]), actor=row[2],
                action=row[3], reason=row[4], payload=_json(dict, row[5], row[6]),
            )
            for row in rows
        )  # fmt: skip

    def put_counts(
        self, key: str, version: int, writer: str, sequence: int, outcomes: CountedOutcomes
    ) -> bool:
        """Put a writer's counts in the place of those it wrote before; an older one does nothing."""
        values = {**_own(key, version), "writer": writer, "sequence": sequence}
        newer = self.execute(
            "SELECT 1 FROM spec_experiment_metrics WHERE key = :key AND version = :version "
            "AND writer = :writer AND sequence >= :sequence",
            values,
        )
        if newer:
            return False
        self.execute(
            "INSERT INTO spec_experiment_metrics VALUES (:key, :version, :writer, :sequence, "
            "CAST(:payload AS JSON), :format_version) ON CONFLICT (key, version, writer) "
            "DO UPDATE SET sequence = excluded.sequence, payload = excluded.payload, "
            "format_version = excluded.format_version",
            {**values, "payload": to_json(outcomes).decode(), "format_version": FORMAT_VERSION},
        )
        return True

    def counts(self, key: str, version: int) -> Mapping[str, CountedOutcomes]:
        """Return what each writer counted, by writer."""
        rows = self.execute(
            "SELECT writer, CAST(payload AS VARCHAR), format_version FROM spec_experiment_metrics "
            "WHERE key = :key AND version = :version",
            _own(key, version),
        )
        return {
            writer: _json(CountedOutcomes, text, format_version)
            for writer, text, format_version in sorted(rows, key=lambda row: str(row[0]))
        }

    def append_look(self, look: Look, decision: RolloutDecision) -> None:
        """Keep a look and its decision; its ``number`` must be the one after the last."""
        key, version = decision.analysis.key, decision.analysis.version
        check_number(look, self.last_look(key, version))
        self.execute(
            "INSERT INTO spec_experiment_looks VALUES (:key, :version, :number, :looked_at, "
            "CAST(:look AS JSON), CAST(:decision AS JSON), :format_version)",
            {
                **_own(key, version),
                "number": look.number,
                "looked_at": _naive(look.at),
                "look": to_json(look).decode(),
                "decision": to_json(decision).decode(),
                "format_version": FORMAT_VERSION,
            },
        )

    def last_look(self, key: str, version: int) -> int:
        """Return the number of the last look, 0 before any."""
        return self._last("looks", "number", _own(key, version))

    def decision(self, key: str, version: int, number: int) -> RolloutDecision | None:
        """Return what was decided at a look."""
        rows = self.execute(
            "SELECT CAST(decision AS VARCHAR), format_version FROM spec_experiment_looks "
            "WHERE key = :key AND version = :version AND number = :number",
            {**_own(key, version), "number": number},
        )
        return _json(RolloutDecision, *rows[0]) if rows else None

    def looks(self, key: str, version: int, *, after: int = 0) -> tuple[Look, ...]:
        """Return the looks with numbers greater than ``after``, in order."""
        rows = self.execute(
            "SELECT CAST(look AS VARCHAR), format_version FROM spec_experiment_looks "
            "WHERE key = :key AND version = :version AND number > :after ORDER BY number",
            {**_own(key, version), "after": after},
        )
        return tuple(_json(Look, text, format_version) for text, format_version in rows)

    def take_lease(self, holder: str, *, now: datetime, until: datetime) -> Lease:
        """Take or renew the lease where it is free, has run out or is the holder's own."""
        rows = self.execute(
            "INSERT INTO spec_experiment_lease AS held VALUES (:name, :holder, :until) "
            "ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until "
            "WHERE held.holder = :holder OR held.until <= :now RETURNING holder, until",
            {"name": _ONLY, "holder": holder, "now": _naive(now), "until": _naive(until)},
        ) or self.execute(
            "SELECT holder, until FROM spec_experiment_lease WHERE name = :name", {"name": _ONLY}
        )
        return Lease(holder=rows[0][0], until=_aware(rows[0][1]))

    def release_lease(self, holder: str) -> None:
        """Give the lease back, where it is the holder's."""
        self.execute(
            "DELETE FROM spec_experiment_lease WHERE name = :name AND holder = :holder",
            {"name": _ONLY, "holder": holder},
        )

    def state(self) -> tuple[int, bytes] | None:
        """Return the revision and text of the state in force, None where none was published."""
        rows = self.execute(
            "SELECT revision, document FROM spec_experiment_state WHERE name = :name",
            {"name": _ONLY},
        )
        return (rows[0][0], rows[0][1].encode()) if rows else None

    def put_state(self, revision: int, text: bytes) -> None:
        """Put the state in force in the place of the one before."""
        self.execute(
            "INSERT INTO spec_experiment_state VALUES (:name, :revision, :document) "
            "ON CONFLICT (name) DO UPDATE SET revision = excluded.revision, "
            "document = excluded.document",
            {"name": _ONLY, "revision": revision, "document": text.decode()},
        )

    def _last(self, table: str, column: str, own: Mapping[str, Any]) -> int:
        rows = self.execute(
            f"SELECT coalesce(max({column}), 0) FROM spec_experiment_{table} "  # noqa: S608
            "WHERE key = :key AND version = :version",
            own,
        )
        return int(rows[0][0])

    def _read(self, where: str, values: Mapping[str, Any]) -> tuple[RegisteredExperiment, ...]:
        rows = self.execute(
            f"SELECT key, version, format_version, {_COLUMNS} "  # noqa: S608
            f"FROM spec_experiments {where}",
            values,
        )
        # Sorted here: the databases' collations differ.
        return tuple(
            RegisteredExperiment(
                definition=_json(SpecExperiment, row[3], row[2]),
                status=row[4],
                stage=row[5],
                created_at=_aware(row[6]),
                updated_at=_aware(row[7]),
                stage_since=None if row[8] is None else _aware(row[8]),
            )
            for row in sorted(rows, key=lambda row: (row[0], row[1]))
        )


def _own(key: str, version: int) -> dict[str, Any]:
    return {"key": key, "version": version}


def _json(record_type: type[Any], text: str, format_version: int) -> Any:
    if format_version != FORMAT_VERSION:
        raise FormatVersionError("an experiment's row", format_version, FORMAT_VERSION)
    try:
        return from_json(record_type, text)
    except (ValidationError, EvolutionLabError) as error:
        first_line = str(error).partition("\n")[0]
        raise CorruptFileError(f"an experiment's row cannot be read: {first_line}.") from None


def _naive(time: datetime) -> datetime:
    return time.astimezone(UTC).replace(tzinfo=None)


def _aware(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC)
