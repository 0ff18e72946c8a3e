"""Experiments in the lab's own database, ``evolution.duckdb``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from evolution_lab.experiments.repository import ExperimentTable
from evolution_lab.experiments.sql_table import SqlExperimentTable
from evolution_lab.telemetry.state import open_state

_PARAMETER: Final = re.compile(r":([a-z_]+)")


@dataclass(frozen=True)
class DuckDBExperimentRepository:
    """Keeps experiments in ``<data_dir>/evolution.duckdb``.

    The database is open for the length of one transaction only, under the lab's file lock, so that
    any number of processes may use it at once.

    Attributes:
        data_dir: The lab directory; created when absent.
    """

    data_dir: Path

    @contextmanager
    def transaction(self) -> Iterator[ExperimentTable]:
        """Open a transaction.

        Raises:
            LockedError: Another process held the database for longer than the bounded wait.
            LakeError: The database cannot be read, or a newer version of the package wrote it.
        """
        with open_state(self.data_dir) as connection:

            def execute(statement: str, values: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
                named = _PARAMETER.sub(r"$\1", statement)
                return connection.execute(named, dict(values)).fetchall()

            table = SqlExperimentTable(execute)
            table.create()
            yield table
