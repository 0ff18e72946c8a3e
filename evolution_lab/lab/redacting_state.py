"""Subjects leave the state: each cell that names one gets a tombstone, in DuckDB and PostgreSQL.

A cell of JSON stays JSON: strings and names lose the subject, a number that is its id becomes the
tombstone. What is freed is not left in the file: DuckDB's is written anew, PostgreSQL's tables too
(``VACUUM FULL``; its write-ahead log and backups are the server's).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from evolution_lab.approval import postgres_repository as suggestions
from evolution_lab.experiments import postgres_repository as experiments
from evolution_lab.intents import silence_store as silences
from evolution_lab.telemetry.postgres import PostgresPart
from evolution_lab.telemetry.state import STATE_FILE, open_state, rewrite_state

TOMBSTONE: Final = "[erased]"
"""Stands where a subject was named."""
_SHORTEST: Final = 4
_PARTS: Final = {
    "suggestions": suggestions.MIGRATIONS,
    "experiments": experiments.MIGRATIONS,
    "silences": silences.MIGRATIONS,
}
_TABLE: Final = re.compile(r"CREATE TABLE (?:IF NOT EXISTS )?(\w+)")


@dataclass(frozen=True)
class SubjectPattern:
    """How a subject may be written.

    Attributes:
        forms: As telemetry names it, and its pseudonyms; those too short to be told from others
            are left out.
    """

    forms: tuple[str, ...]

    @property
    def regex(self) -> str:
        """A pattern for RE2, PostgreSQL and Python that finds the subject as a whole word."""
        written = set(self.forms)
        written |= {json.dumps(form)[1:-1] for form in self.forms}
        written |= {json.dumps(form, ensure_ascii=False)[1:-1] for form in self.forms}
        either = "|".join(re.escape(form) for form in sorted(written, key=lambda f: (-len(f), f)))
        return rf"(^|[^A-Za-z0-9_])(?:{either})($|[^A-Za-z0-9_])"

    def redacted(self, cell: str) -> str:
        """Return the text of a cell with tombstones; JSON stays JSON."""
        try:
            document = json.loads(cell)
        except ValueError:
            return self._text(cell)
        if not isinstance(document, dict | list):
            return self._text(cell)
        changed = self._value(document)
        return json.dumps(changed, ensure_ascii=False, separators=(",", ":"))

    def _value(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {self._text(name): self._value(each) for name, each in value.items()}
        if isinstance(value, list):
            return [self._value(each) for each in value]
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return TOMBSTONE if json.dumps(value) in self.forms else value
        return value

    def _text(self, text: str) -> str:
        # Twice: neighbours share the character between them.
        for _ in range(2):
            text = re.sub(self.regex, rf"\g<1>{TOMBSTONE}\g<2>", text)
        return text


def subject_pattern(forms: Sequence[str]) -> SubjectPattern | None:
    r"""Return what finds a subject; None where all its forms are too short to be told from others.

    Examples:
        >>> pattern = subject_pattern(["acme"])
        >>> pattern.redacted('{"tenant":"acme","other":"acmeology"}')
        '{"tenant":"[erased]","other":"acmeology"}'
        >>> subject_pattern(["ab"]) is None
        True
    """
    long = tuple(form for form in forms if len(form) >= _SHORTEST)
    return SubjectPattern(long) if long else None


def redact_duckdb(data: Path, forms: Sequence[str]) -> dict[str, int]:
    """Put tombstones into ``evolution.duckdb``, and write the file anew where there were any.

    Args:
        data: The lab directory.
        forms: How the subject may be written.

    Returns:
        Cells that were changed, by table.

    Raises:
        LockedError: Another process holds the database for too long.
    """
    pattern = subject_pattern(forms)
    if pattern is None or not (data / STATE_FILE).is_file():
        return {}
    changed: dict[str, int] = {}
    with open_state(data) as state:
        columns = state.execute(
            "SELECT table_name, column_name FROM information_schema.columns "
            "WHERE table_schema = 'main' AND data_type IN ('VARCHAR', 'JSON') "
            "ORDER BY table_name, ordinal_position"
        ).fetchall()
        for table, column in columns:
            name, cell = _quoted(table), _quoted(column)
            found = state.execute(
                f"SELECT rowid, CAST({cell} AS VARCHAR) FROM {name} "  # noqa: S608 (names quoted)
                f"WHERE regexp_matches(CAST({cell} AS VARCHAR), ?)",
                [pattern.regex],
            ).fetchall()
            for row, text in found:
                update = f"UPDATE {name} SET {cell} = ? WHERE rowid = ?"  # noqa: S608
                state.execute(update, [pattern.redacted(text), row])
            if found:
                changed[table] = changed.get(table, 0) + len(found)
    if changed:
        rewrite_state(data)
    return changed


def redact_postgres(url: str, forms: Sequence[str]) -> dict[str, int]:
    """Put tombstones into this package's tables of a shared database, and write those anew.

    Args:
        url: The setting ``state_url``.
        forms: How the subject may be written.

    Returns:
        Cells that were changed, by table.

    Raises:
        LakeError: The database cannot be used, or others held it for too long.
        MissingExtraError: The extra ``postgres`` is not installed.
    """
    pattern = subject_pattern(forms)
    if pattern is None:
        return {}
    changed: dict[str, int] = {}
    for name, migrations in _PARTS.items():
        tables = [t for step in migrations for sql in step for t in _TABLE.findall(sql)]
        part = PostgresPart(url, name, migrations)
        with part.transaction() as connection:
            run = connection.exec_driver_sql
            for table in tables:
                cells = _redact_table(run, table, pattern)
                if cells:
                    changed[table] = cells
        part.rewrite([table for table in tables if table in changed])
    return changed


def _redact_table(run: Callable[..., Any], table: str, pattern: SubjectPattern) -> int:
    columns = run(
        "SELECT column_name, data_type FROM information_schema.columns "
        "WHERE table_schema = current_schema() AND table_name = %s "
        "AND data_type IN ('text', 'character varying', 'json', 'jsonb')",
        (table,),
    ).fetchall()
    cells = 0
    for column, kind in columns:
        cell = _quoted(column)
        found = run(
            f"SELECT DISTINCT {cell}::text FROM {_quoted(table)} "  # noqa: S608 (names quoted)
            f"WHERE {cell}::text ~ %s",
            (pattern.regex,),
        ).fetchall()
        for (text,) in found:
            done = run(
                f"UPDATE {_quoted(table)} SET {cell} = %s::{kind} WHERE {cell}::text = %s",  # noqa: S608
                (pattern.redacted(text), text),
            )
            cells += done.rowcount
    return cells


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
