"""What was derived from rows that are gone: findings withdrawn or too old, files named."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import duckdb

from evolution_lab.lab.redacting_state import subject_pattern
from evolution_lab.telemetry.state import STATE_FILE, open_state

LARGEST_SEARCHED: Final = 256 << 20
"""Bytes of the largest exported file that is looked into."""
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


def trim_findings(data: Path, before: datetime) -> int:
    """Delete what was said of windows that all ended before a moment.

    Args:
        data: The lab directory.
        before: Aware. An episode that lasted until then, or longer, stays.

    Returns:
        Rows of ``intent_snapshots`` that are gone.
    """
    if not (data / STATE_FILE).is_file():
        return 0
    with open_state(data) as state:
        if not _has_table(state, "intent_snapshots"):
            return 0
        # As numbers: times with a zone would need a package more.
        old = state.execute(
            "SELECT id FROM intent_snapshots GROUP BY id HAVING epoch_us(max(coalesce("
            "try_cast(payload ->> '$.windowEnd' AS TIMESTAMPTZ), detected_at))) < ?",
            [int(before.timestamp()) * 1_000_000],
        ).fetchall()
        gone = state.execute(
            "DELETE FROM intent_snapshots WHERE id IN (SELECT unnest(?::VARCHAR[]))",
            [[row[0] for row in old]],
        ).fetchone()
    return int(gone[0]) if gone else 0


def files_naming(folders: Iterable[Path], forms: Sequence[str]) -> tuple[Path, ...]:
    """Return the files that name a subject, also within exported labs; they stay as they are.

    Args:
        folders: Files and folders to look into: reports, suites, what was exported.
        forms: How the subject may be written.
    """
    pattern = subject_pattern(forms)
    if pattern is None:
        return ()
    wanted = re.compile(pattern.regex.encode())
    return tuple(path for path in _files(folders) if any(map(wanted.search, _contents(path))))


def _overlaps(payload: dict[str, object], first: datetime, last: datetime) -> bool:
    try:
        start = datetime.fromisoformat(str(payload["windowStart"]))
        end = datetime.fromisoformat(str(payload["windowEnd"]))
    except (KeyError, ValueError):
        return True
    return start <= last and end >= first


def _has_table(state: duckdb.DuckDBPyConnection, name: str) -> bool:
    return name in {row[0] for row in state.execute("SHOW TABLES").fetchall()}


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
