"""The window length that a lab was last looked at with, so that the next command need not repeat it."""

from __future__ import annotations

import json
from pathlib import Path

from evolution_lab.cli.output import tell

_FILE = "last_every.json"
_FORMAT_VERSION = 1


def every_of(data: Path, every: str | None) -> str | None:
    """Return the length that is asked for, or the one that was asked for last; says so on stderr.

    Args:
        data: The lab directory.
        every: What ``--every`` says.
    """
    if every is not None:
        return every
    kept = _read(data / _FILE)
    if kept is not None:
        tell(f"Windows of {kept}, as was asked for last; --every takes another length.")
    return kept


def remember_every(data: Path, every: str | None) -> None:
    """Keep the length that was asked for, where it was and there is a lab; a lost one is no harm."""
    if every is None or not data.is_dir() or _read(data / _FILE) == every:
        return
    try:
        (data / _FILE).write_text(
            json.dumps({"formatVersion": _FORMAT_VERSION, "every": every}) + "\n", encoding="utf-8"
        )
    except OSError:
        tell(f"--every {every} could not be kept in {data}: repeat it with the next command.")


def _read(path: Path) -> str | None:
    from evolution_lab.config import parse_duration
    from evolution_lab.errors import ConfigError

    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        parse_duration(str(document["every"]))
    except (OSError, ValueError, KeyError, TypeError, ConfigError):
        return None
    known = document.get("formatVersion") == _FORMAT_VERSION
    return str(document["every"]) if known else None
