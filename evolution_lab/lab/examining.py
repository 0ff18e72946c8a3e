"""What ``doctor`` says of a lab directory: settings, key, lake, decisions, room on the disk."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import Final

from evolution_lab.config import CONFIG_FILE, load_config
from evolution_lab.datasets import notebooks_path, sample_path
from evolution_lab.errors import EvolutionLabError, LockedError
from evolution_lab.lab.installation import Check, Examination
from evolution_lab.pipeline.alerts import AlertSettings
from evolution_lab.redaction.pseudonyms import KEY_FILE, KEY_VARIABLE, LabKey
from evolution_lab.telemetry import Lake
from evolution_lab.telemetry.state import STATE_FILE, open_state

LITTLE_ROOM: Final = 1 << 30
"""Bytes free below which a landing of an ordinary day may not fit."""
_WAIT_SECONDS: Final = 2.0


def examine_lab(data: str | Path, *, config: str | Path | None = None) -> Examination:
    """Look at a lab directory; nothing in it is made or changed.

    Args:
        data: The lab directory.
        config: A settings file; looked for as every command does otherwise.

    Examples:
        >>> import tempfile
        >>> examine_lab(tempfile.mkdtemp()).healthy
        True
    """
    folder = Path(data)
    checks = [_bundled(), _settings(folder, None if config is None else Path(config))]
    if folder.is_dir():
        checks += [_folder(folder), _key(folder), _lake(folder), _decisions(folder)]
    elif folder.exists():
        checks.append(
            Check(
                name="lab directory",
                outcome="failed",
                found=f"{folder} is a file",
                advice="Name a folder with --data.",
            )
        )
    else:
        checks.append(
            Check(
                name="lab directory",
                outcome="note",
                found=f"{folder} is not there yet",
                advice=f"The first landing makes it: evolution-lab land PATH --data {folder}",
            )
        )
    return Examination(tuple(checks))


def _bundled() -> Check:
    missing = [
        str(path)
        for path in (sample_path() / "spans.jsonl.gz", notebooks_path())
        if not path.exists()
    ]
    if missing:
        return Check(
            name="bundled files",
            outcome="failed",
            found=f"{', '.join(missing)} is missing",
            advice="Install the package anew.",
        )
    return Check(name="bundled files", outcome="ok", found="sample and notebooks")


def _settings(folder: Path, config: Path | None) -> Check:
    places = [config] if config else [folder / CONFIG_FILE, Path(CONFIG_FILE)]
    file = next((place for place in places if place.is_file()), None)
    try:
        settings = load_config(path=config, data_dir=folder)
        AlertSettings.of(settings.alerts).receivers()
    except EvolutionLabError as error:
        return Check(
            name="settings", outcome="failed", found=str(error), advice="Correct the setting."
        )
    if file is None:
        return Check(
            name="settings",
            outcome="ok",
            found="defaults",
            advice="evolution-lab init writes a file of all of them.",
        )
    return Check(name="settings", outcome="ok", found=str(file))


def _folder(folder: Path) -> Check:
    free = shutil.disk_usage(folder).free
    room = f"{folder}, {free / 1e9:,.1f} GB free"
    if not os.access(folder, os.W_OK | os.X_OK):
        return Check(
            name="lab directory",
            outcome="failed",
            found=f"{folder} cannot be written to",
            advice="Take its owner's account, or name another folder with --data.",
        )
    if free < LITTLE_ROOM:
        return Check(
            name="lab directory", outcome="note", found=room, advice="Make room before landing."
        )
    return Check(name="lab directory", outcome="ok", found=room)


def _key(folder: Path) -> Check:
    path = folder / KEY_FILE
    if os.environ.get(KEY_VARIABLE):
        try:
            LabKey.open(folder)
        except EvolutionLabError as error:
            return Check(
                name="key", outcome="failed", found=str(error), advice="Set a longer secret."
            )
        return Check(name="key", outcome="ok", found=f"from {KEY_VARIABLE}")
    if not path.exists():
        return Check(
            name="key",
            outcome="note" if (folder / "lake").is_dir() else "ok",
            found="none yet",
            advice=f"The next landing makes {path}; keep a copy of it somewhere safe.",
        )
    try:
        LabKey.open(folder)
    except (EvolutionLabError, OSError) as error:
        return Check(
            name="key", outcome="failed", found=str(error), advice=f"Restore {path} from a copy."
        )
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        return Check(
            name="key",
            outcome="failed",
            found=f"{path} can be read by others (mode {mode:04o})",
            advice=f"chmod 600 {path}",
        )
    return Check(name="key", outcome="ok", found=f"{path}, readable by its owner only")


def _lake(folder: Path) -> Check:
    lake = Lake(folder)
    try:
        batches = lake.batches()
        for kind in ("samples", "operations", "quarantine", "traffic"):
            lake.live_files(kind)
    except EvolutionLabError as error:
        return Check(name="lake", outcome="failed", found=str(error), advice="See the message.")
    rows = sum(file.rows for record in batches for file in record.files.get("samples", ()))
    if not rows:
        return Check(
            name="lake",
            outcome="note",
            found="no telemetry yet",
            advice=f"evolution-lab land PATH --data {folder}",
        )
    set_aside = sum(file.rows for r in batches for file in r.files.get("quarantine", ()))
    return Check(
        name="lake",
        outcome="ok",
        found=f"{rows:,} samples landed in {len(batches):,} batches, {set_aside:,} quarantined",
    )


def _decisions(folder: Path) -> Check:
    path = folder / STATE_FILE
    if not path.exists():
        return Check(name="decisions", outcome="ok", found="none yet")
    try:
        with open_state(folder, wait_seconds=_WAIT_SECONDS) as state:
            tables = len(state.execute("SHOW TABLES").fetchall())
    except LockedError as error:
        return Check(
            name="decisions",
            outcome="failed",
            found=str(error),
            advice="Wait for that process, or end it.",
        )
    except EvolutionLabError as error:
        return Check(name="decisions", outcome="failed", found=str(error), advice="See above.")
    return Check(name="decisions", outcome="ok", found=f"{path}, {tables} tables, not locked")
