"""``%%sql`` in a notebook: SQL over a lab, in a cell of its own.

Loaded with ``%load_ext evolution_lab.lab.sql_magic``. Where another extension (jupysql, ipython-sql)
has taken ``%%sql`` already it keeps it, and ``%%lab_sql`` is the name here.
"""

from __future__ import annotations

import argparse
import keyword
import shlex
from collections.abc import Mapping
from typing import Any, Final, NoReturn

import polars as pl
from IPython.core.error import UsageError

from evolution_lab.display import ResultMixin, format_value, strip_controls
from evolution_lab.errors import EvolutionLabError, did_you_mean
from evolution_lab.lab.querying import LabQueries

MOST_ROWS: Final = 100
"""Rows of an answer that are shown; its frame has them all."""
_NAMES: Final = ("lab_sql", "sql")
_OWN_NAME: Final = "lab"


class SqlAnswer(ResultMixin):
    """What a query answered: shown as a table, with the polars frame behind it.

    Attributes:
        frame: All rows.
    """

    def __init__(self, frame: pl.DataFrame) -> None:
        self.frame = frame
        if frame.height > MOST_ROWS:
            shown = f"The first {MOST_ROWS} of {frame.height:,} rows; .frame has all"
            self._title = shown  # type: ignore[misc]  # it depends on the answer here

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return all rows."""
        return self.frame.to_dicts()

    def to_polars(self) -> pl.DataFrame:
        """Return the frame itself."""
        return self.frame

    def __repr__(self) -> str:
        return str(self)

    def _table(self) -> tuple[list[str], list[list[str]]]:
        shown = self.frame.head(MOST_ROWS)
        cells = [[strip_controls(format_value(cell)) for cell in row] for row in shown.rows()]
        return [strip_controls(name) for name in shown.columns], cells


class _Arguments(argparse.ArgumentParser):
    """Says what is wrong as a notebook does, instead of ending the kernel."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; {self.format_usage().strip()}")


def run_sql(line: str, query: str, *, names: Mapping[str, Any]) -> tuple[SqlAnswer, str | None]:
    """Answer the query of a cell.

    Args:
        line: What stands behind ``%%sql``: ``[--lab NAME] [--into NAME]``.
        query: The cell.
        names: The notebook's variables.

    Returns:
        The answer, and the variable that its frame is to be kept in, if any.

    Raises:
        UsageError: There is no lab to ask, an option is wrong, or the query cannot be answered.
    """
    parser = _Arguments(prog="%%sql", add_help=False, exit_on_error=False)
    parser.add_argument("--lab", metavar="NAME", help="The lab's variable; 'lab' without it.")
    parser.add_argument("--into", metavar="NAME", help="Keep the frame in this variable.")
    try:
        asked = parser.parse_args(shlex.split(line))
    except (argparse.ArgumentError, ValueError) as error:
        raise UsageError(f"{error}; {parser.format_usage().strip()}") from None
    if asked.into is not None and (not asked.into.isidentifier() or keyword.iskeyword(asked.into)):
        raise UsageError(f"--into {asked.into!r} must be a name that a variable can have.")
    if not query.strip():
        raise UsageError("the cell holds no query; for example: SELECT count(*) FROM samples")
    try:
        return SqlAnswer(_lab(asked.lab, names).sql(query)), asked.into
    except EvolutionLabError as error:
        raise UsageError(str(error)) from None


def _lab(asked: str | None, names: Mapping[str, Any]) -> LabQueries:
    labs = {
        name: value
        for name, value in names.items()
        if isinstance(value, LabQueries) and not name.startswith("_")
    }
    name = asked or _OWN_NAME
    if name in labs:
        return labs[name]
    if asked is None and len({id(lab) for lab in labs.values()}) == 1:
        return next(iter(labs.values()))
    if not labs:
        raise UsageError(
            "there is no lab to ask yet: from evolution_lab import Lab; lab = Lab('data')"
        )
    known = ", ".join(sorted(labs))
    if asked is None:
        raise UsageError(f"there are several labs: say which, %%sql --lab NAME. Labs: {known}.")
    raise UsageError(f"{asked!r} is no lab.{did_you_mean(asked, labs)} Labs: {known}.")


def load_ipython_extension(shell: Any) -> None:
    """Register the magics; IPython calls this for ``%load_ext``.

    Args:
        shell: The running IPython.
    """

    def answer(line: str, cell: str) -> SqlAnswer | None:
        found, into = run_sql(line, cell, names=shell.user_ns)
        if into is None:
            return found
        shell.push({into: found.frame})
        return None

    taken = shell.magics_manager.magics["cell"]
    for name in _NAMES:
        if name == _NAMES[0] or name not in taken or taken[name].__module__ == __name__:
            shell.register_magic_function(answer, "cell", name)
