"""What becomes of stored windows when rows leave the lake: they told of these rows, and go too."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import timedelta

from evolution_lab.errors import CorruptFileError, FormatVersionError
from evolution_lab.telemetry.batches import read_versioned_json
from evolution_lab.telemetry.lake import Lake
from evolution_lab.telemetry.projection.states import day_states
from evolution_lab.telemetry.rewriting import day_of

RECORD = "windows.json"
"""Names what the windows of a day were made from, as ``built_from``."""


def drop_windows_of_lost_rows(lake: Lake, *, grace: timedelta) -> int:
    """Delete stored windows of days that rows were taken out of; the next refresh makes them again.

    Args:
        lake: The lake, after rows were taken out of it.
        grace: How long the files stay for readers that listed them before.

    Returns:
        Days whose windows count no more.
    """
    records = sorted((lake.root / "windows").glob(f"*/date=*/{RECORD}"))
    if not records:
        return 0
    living = {
        day: frozenset[str]().union(*state.leaves.values())
        for day, state in day_states(lake).items()
    }
    limit = time.time() - grace.total_seconds()
    dropped = 0
    for record in records:
        day = day_of(record.parent.relative_to(lake.root / "windows").as_posix())
        try:
            built_from = frozenset(read_versioned_json(record).get("built_from", ()))
        except (CorruptFileError, FormatVersionError, OSError):
            built_from = frozenset({""})  # Nobody can say what it tells of.
        if day is not None and built_from <= living.get(day, frozenset()):
            continue
        dropped += 1
        record.unlink(missing_ok=True)
        for file in record.parent.iterdir():
            with suppress(FileNotFoundError):
                if file.stat().st_mtime <= limit:
                    file.unlink()
        with suppress(OSError):
            record.parent.rmdir()  # Only where nothing is left in it.
    return dropped
