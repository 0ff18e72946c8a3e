"""Windows kept in the lake: what they were made from, and which of them are out of date.

    windows/<length>/date=YYYY-MM-DD/windows.json              replaced by one rename
    windows/<length>/date=YYYY-MM-DD/windows-<hash>.parquet    one row an operation and window with calls

Derived, and never the truth: a day whose file cannot be read is made again from the samples.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Final

import polars as pl
from pydantic import TypeAdapter, ValidationError

from evolution_lab.config import format_timedelta
from evolution_lab.errors import CorruptFileError, FormatVersionError
from evolution_lab.schemas import LATENCY_BINS, TOP_ERRORS
from evolution_lab.telemetry.batches import read_versioned_json
from evolution_lab.telemetry.lake import partition
from evolution_lab.telemetry.publishing import FORMAT_VERSION, publish_bytes, publish_parquet
from evolution_lab.windows.narrow_windows import SUMS

STORED: Final = {**SUMS, "latency_bins": LATENCY_BINS, "top_errors": TOP_ERRORS}
"""Columns of a day's file."""
_PARQUET: Final = b"PAR1"
_GRACE: Final = timedelta(minutes=15)


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """Windows that were made at one time.

    Attributes:
        path: Relative to the lake.
        rows: Rows in it.
        slots: The windows that it tells all of, and files before it nothing; None for the whole day.
    """

    path: str
    rows: int
    slots: tuple[int, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class StoredDay:
    """What ``windows.json`` says.

    Attributes:
        built_from: Paths of the sample files, as they were landed; see ``projection.states``.
        files: The windows: first those of the whole day, then what was made again since.
        format_version: Of this file and of the windows.
    """

    built_from: tuple[str, ...]
    files: tuple[StoredFile, ...]
    format_version: int = FORMAT_VERSION


_DAY: Final = TypeAdapter(StoredDay)


def folder_of_length(window: timedelta) -> str:
    """Return the folder of all windows of one length, relative to the lake."""
    return f"windows/{format_timedelta(window)}"


def folder_of(window: timedelta, day: date) -> str:
    """Return the folder of a day's windows, relative to the lake.

    Examples:
        >>> folder_of(timedelta(minutes=15), date(2026, 1, 31))
        'windows/15m/date=2026-01-31'
    """
    return f"{folder_of_length(window)}/{partition(day)}"


def read_record(root: Path, window: timedelta, day: date) -> StoredDay | None:
    """Return what is said of a day's stored windows, None where nothing can be read."""
    path = root / folder_of(window, day) / "windows.json"
    try:
        return _DAY.validate_python(read_versioned_json(path))
    except (CorruptFileError, FormatVersionError, OSError, ValidationError):
        return None


def read_stored(root: Path, stored: StoredDay) -> pl.DataFrame | None:
    """Return a day's stored windows, None where they cannot be read or are not what is said of them."""
    found: list[pl.DataFrame] = []
    for file in stored.files:
        try:
            frame = pl.read_parquet(root / file.path, hive_partitioning=False, glob=False)
            frame = frame.select(pl.col(name).cast(dtype) for name, dtype in STORED.items())
        except (OSError, pl.exceptions.PolarsError):
            return None
        if frame.height != file.rows:
            return None
        if file.slots is not None:
            gone = pl.Series(file.slots, dtype=pl.Int64).implode()
            found = [older.filter(~pl.col("slot").is_in(gone)) for older in found]
        found.append(frame)
    return pl.concat(found).sort("op_id", "slot") if found else pl.DataFrame(schema=STORED)


def is_whole(root: Path, stored: StoredDay) -> bool:
    """Say whether the files of a day are there and end as Parquet files do."""
    for file in stored.files:
        try:
            with (root / file.path).open("rb") as opened:
                opened.seek(-len(_PARQUET), 2)
                if opened.read() != _PARQUET:
                    return False
        except OSError:
            return False
    return True


def store(
    root: Path,
    window: timedelta,
    day: date,
    frame: pl.DataFrame,
    built_from: Collection[str],
    *,
    onto: StoredDay | None = None,
    slots: Sequence[int] = (),
) -> None:
    """Store a day's windows, or lay some of them over those that are stored.

    Args:
        root: The lake's folder.
        window: Their length.
        day: Whose windows they are.
        frame: With the columns of ``STORED``.
        built_from: The sample files whose rows they count.
        onto: What is stored, to keep all windows but ``slots`` of.
        slots: The windows that were made again.
    """
    leaves = tuple(sorted(built_from))
    folder = folder_of(window, day)
    named = "\n".join([*leaves, *map(str, slots if onto else ())])
    path = f"{folder}/windows-{blake2b(named.encode(), digest_size=12).hexdigest()}.parquet"
    publish_parquet(root / path, frame.select(list(STORED)).sort("op_id", "slot"))
    file = StoredFile(path=path, rows=frame.height, slots=tuple(slots) if onto else None)
    record = StoredDay(built_from=leaves, files=(*(onto.files if onto else ()), file))
    publish_bytes(root / folder / "windows.json", _DAY.dump_json(record) + b"\n")
    _sweep(root / folder, {Path(each.path).name for each in record.files})


def _sweep(folder: Path, named: Collection[str]) -> None:
    """Delete what no record names, once readers that listed it are done."""
    limit = time.time() - _GRACE.total_seconds()
    for old in folder.glob("*"):
        with suppress(FileNotFoundError):
            unnamed = old.name != "windows.json" and old.name not in named
            if unnamed and old.stat().st_mtime < limit:
                old.unlink()
