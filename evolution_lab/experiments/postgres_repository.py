"""Experiments in PostgreSQL, for services on several machines; extra ``postgres``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from evolution_lab.experiments.repository import ExperimentTable
from evolution_lab.experiments.sql_schema import TABLES
from evolution_lab.experiments.sql_table import SqlExperimentTable
from evolution_lab.telemetry.postgres import PostgresPart

MIGRATIONS: Final = (TABLES,)


@dataclass(frozen=True)
class PostgresExperimentRepository:
    """Keeps experiments in PostgreSQL, for any number of machines at once.

    The tables are created by whoever comes first and brought up to date by newer versions of the
    package; an older version refuses tables that a newer one wrote.

    Attributes:
        url: ``postgresql://USER:PASSWORD@HOST/DATABASE``; shown nowhere.

    Raises:
        ConfigError: The address is none of a PostgreSQL database.
        MissingExtraError: The extra ``postgres`` is not installed.
    """

    url: str = field(repr=False)
    _part: PostgresPart = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_part", PostgresPart(self.url, "experiments", MIGRATIONS))

    @contextmanager
    def transaction(self) -> Iterator[ExperimentTable]:
        """Open a transaction; one runs at a time, on whatever machine.

        Raises:
            LockedError: Others held the tables for longer than the bounded wait.
            LakeError: The database cannot be reached, or a newer version of the package wrote it.
        """
        with self._part.transaction() as connection:
            from sqlalchemy import text

            def execute(statement: str, values: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
                known = {name: _kept(value) for name, value in values.items()}
                result = connection.execute(text(statement), known)
                return [tuple(row) for row in result] if result.returns_rows else []

            yield SqlExperimentTable(execute)


def _kept(value: Any) -> Any:
    """Return text without NUL, which PostgreSQL cannot hold."""
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value
