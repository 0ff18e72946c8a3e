"""What was derived from rows that are gone: findings withdrawn, subjects redacted, files named."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import duckdb

from evolution_lab.telemetry.state import STATE_FILE, open_state

TOMBSTONE: Final = "[erased]"
"""Stands where a subject was named."""

LARGEST_SEARCHED: Final = 256 << 20
"""Bytes of the largest exported file that is looked into."""
_SHORTEST: Final = 4
_SKIPPED: Final = frozenset({".git", ".venv", "node_modules", "__pycache__"})


def withdraw_findings(
    data: Path, operations: Iterable[tuple[str | None, str]], first: datetime, last: datetime
) -> tuple[str, ...]:
    """Delete what was said of some operations in a stretch of time; it rested on rows that are gone.

    What still holds of the rows that remain is found again by the next ``detect``.

    Args:
        data: The lab directory.
        operations: Services and operation keys.
        first: The earliest event that is gone.
        last: The latest one.

    Returns:
        Ids of the signals that were withdrawn.
    """
    named = set(operations)
    if not (data / STATE_FILE).is_file():
        return ()
    with open_state(data) as state:
        if not _has_table(state, "intent_snapshots"):
            return ()
        found = state.execute(
            "SELECT id, service, operation_name, payload FROM intent_snapshots"
        ).fetchall()
        gone = {
            signal
            for signal, service, key, payload in found
            if (service, key) in named and _overlaps(json.loads(payload), first, last)
        }
        for signal in sorted(gone):
            state.execute("DELETE FROM intent_snapshots WHERE id = ?", [signal])
    return tuple(sorted(gone))


def redact_state(data: Path, forms: Sequence[str]) -> dict[str, int]:
    """Put a tombstone into the place of a subject in every text of the state database.

    Args:
        data: The lab directory.
        forms: How the subject may be written; too short ones are left, they would hit others.

    Returns:
        Cells that were changed, by table.
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
            cells = _redact_column(state, _quoted(table), _quoted(column), pattern)
            if cells:
                changed[table] = changed.get(table, 0) + cells
    return changed


def files_naming(folders: Iterable[Path], forms: Sequence[str]) -> tuple[Path, ...]:
    """Return the files that name a subject, also within exported labs; they stay as they are.

    Args:
        folders: Files and folders to look into: reports, suites, what was exported.
        forms: How the subject may be written.
    """
    pattern = subject_pattern(forms)
    if pattern is None:
        return ()
    wanted = re.compile(pattern.encode())
    return tuple(path for path in _files(folders) if any(map(wanted.search, _contents(path))))


def subject_pattern(forms: Sequence[str]) -> str | None:
    r"""Return a pattern for RE2 and Python that finds a subject as a whole word, in JSON, too.

    Examples:
        >>> bool(re.search(subject_pattern(["acme"]), '{"tenant":"acme"}'))
        True
        >>> bool(re.search(subject_pattern(["acme"]), "acmeology"))
        False
    """
    written = {form for form in forms if len(form) >= _SHORTEST}
    written |= {json.dumps(form)[1:-1] for form in written}
    written |= {json.dumps(form, ensure_ascii=False)[1:-1] for form in written}
    if not written:
        return None
    either = "|".join(re.escape(form) for form in sorted(written, key=lambda f: (-len(f), f)))
    return rf"(^|[^A-Za-z0-9_])(?:{either})($|[^A-Za-z0-9_])"


def _redact_column(state: duckdb.DuckDBPyConnection, table: str, column: str, pattern: str) -> int:
    matches = f"regexp_matches(CAST({column} AS VARCHAR), ?)"
    counted = state.execute(f"SELECT count(*) FROM {table} WHERE {matches}", [pattern]).fetchone()  # noqa: S608 (names quoted)
    cells = counted[0] if counted else 0
    if cells:
        replaced = f"regexp_replace(CAST({column} AS VARCHAR), ?, ?, 'g')"
        # Twice: neighbours share the character between them.
        twice = f"regexp_replace({replaced}, ?, ?, 'g')"
        put = rf"\1{TOMBSTONE}\2"
        state.execute(
            f"UPDATE {table} SET {column} = {twice} WHERE {matches}",  # noqa: S608
            [pattern, put, pattern, put, pattern],
        )
    return int(cells)


def _overlaps(payload: dict[str, object], first: datetime, last: datetime) -> bool:
    try:
        start = datetime.fromisoformat(str(payload["windowStart"]))
        end = datetime.fromisoformat(str(payload["windowEnd"]))
    except (KeyError, ValueError):
        return True
    return start <= last and end >= first


def _has_table(state: duckdb.DuckDBPyConnection, name: str) -> bool:
    return name in {row[0] for row in state.execute("SHOW TABLES").fetchall()}


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _files(folders: Iterable[Path]) -> Iterator[Path]:
    for folder in folders:
        if folder.is_file():
            yield folder
        elif folder.is_dir():
            for path in sorted(folder.rglob("*")):
                inner = path.relative_to(folder).parts
                if path.is_file() and not _SKIPPED.intersection(inner):
                    yield path


def _contents(path: Path) -> Iterator[bytes]:
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for member in archive.infolist():
                    if member.file_size <= LARGEST_SEARCHED:
                        yield archive.read(member)
        elif path.stat().st_size <= LARGEST_SEARCHED:
            yield path.read_bytes()
    except (OSError, zipfile.BadZipFile):
        return
