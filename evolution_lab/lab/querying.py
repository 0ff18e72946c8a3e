"""SQL over a lab, in memory: nobody is blocked and nothing can be changed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import duckdb
import polars as pl

from evolution_lab.errors import InputError
from evolution_lab.lab.deciding import LabDecisions
from evolution_lab.schemas import SAMPLES, TRAFFIC, polars_schema
from evolution_lab.telemetry.state import STATE_FILE, open_state

_WINDOWS: Final = re.compile(
    r"\b(windows|show|describe|summarize|information_schema|pragma_\w+|duckdb_\w+)\b", re.IGNORECASE
)
"""Queries that name the windows, or ask which tables there are: others need not wait for them."""
_STATE_TABLES: Final = (
    "intent_snapshots",
    "spec_experiment_history",
    "spec_experiment_looks",
    "spec_experiment_metrics",
    "spec_experiments",
    "spec_suggestions",
    "suggestion_decisions",
    "signal_labels",
    "deployments",
)

if TYPE_CHECKING:
    from pandera.polars import DataFrameSchema


class LabQueries(LabDecisions):
    """SQL over a lab; see ``Lab``."""

    def sql(self, query: str) -> pl.DataFrame:
        """Answer SQL over the lab, in memory: nobody is blocked and nothing can be changed.

        Tables: ``samples``, ``operations``, ``windows`` (at the setting's length), ``traffic``
        (recorded calls; ``input`` and ``output`` are JSON texts), and copies of
        ``intent_snapshots``, ``spec_suggestions``, ``suggestion_decisions``, ``spec_experiments``
        and its ``…_history``, ``…_looks`` and ``…_metrics``. Times are UTC.

        Raises:
            InputError: The query is not valid; DuckDB's words are passed on.
        """
        connection = duckdb.connect()
        connection.execute("SET autoinstall_known_extensions = false; SET TimeZone = 'UTC'")
        files = [str(path) for path in self.lake.live_files("samples")]
        if files:
            listed = ", ".join(f"'{file.replace(chr(39), chr(39) * 2)}'" for file in files)
            connection.execute(
                f"CREATE VIEW samples AS SELECT {_columns(SAMPLES)} FROM read_parquet([{listed}], union_by_name=true)"  # noqa: S608 (file names of our own, quoted)
            )
            connection.register("operations", self.lake.operations().to_arrow())
            if _WINDOWS.search(query):
                connection.register("windows", self.windows().to_arrow())
        traffic = [str(path) for path in self.lake.live_files("traffic")]
        if traffic:
            listed = ", ".join(f"'{file.replace(chr(39), chr(39) * 2)}'" for file in traffic)
            connection.execute(
                f"CREATE VIEW traffic AS SELECT {_columns(TRAFFIC)} FROM read_parquet([{listed}], union_by_name=true)"  # noqa: S608 (file names of our own, quoted)
            )
        for name, table in self._state_tables().items():
            connection.register(name, table)
        try:
            return pl.DataFrame(connection.sql(query).to_arrow_table())
        except duckdb.Error as error:
            raise InputError(f"the query cannot be answered: {error}") from None
        finally:
            connection.close()

    def _state_tables(self) -> dict[str, Any]:
        if not (self.data / STATE_FILE).exists():
            return {}
        with open_state(self.data) as state:
            present = {row[0] for row in state.execute("SHOW TABLES").fetchall()}
            return {
                name: state.sql(f"SELECT * FROM {name}").to_arrow_table()  # noqa: S608 (fixed names)
                for name in _STATE_TABLES
                if name in present
            }


def _columns(contract: DataFrameSchema) -> str:
    """Return a contract's columns for SQL; files of several batches hold one more."""
    return ", ".join(f'"{name}"' for name in polars_schema(contract))
