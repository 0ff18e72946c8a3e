"""Whether the lake holds what its records say, row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import polars as pl

from evolution_lab.display import ResultMixin
from evolution_lab.telemetry.batches import BatchFile
from evolution_lab.telemetry.lake import Lake
from evolution_lab.telemetry.rewriting import KINDS, Kind, day_of, folder_of

Progress = Callable[[int, int], None]
_ID: Final = {"samples": "row_id", "traffic": "id"}


@dataclass(frozen=True, kw_only=True)
class LakeFinding:
    """Something that is not as it must be.

    Attributes:
        path: Relative to the lake.
        problem: What, in a sentence.
        harmful: Whether rows are wrong or missing; files that no list names only take up room.
    """

    path: str
    problem: str
    harmful: bool


@dataclass(frozen=True, kw_only=True)
class VerifyReport(ResultMixin):
    """What was checked.

    Attributes:
        files: Live files read.
        rows: Rows in them.
        findings: What is not as it must be.
    """

    _title: ClassVar[str] = "Lake"

    files: int
    rows: int
    findings: tuple[LakeFinding, ...]

    @property
    def sound(self) -> bool:
        """Whether no row is wrong or missing."""
        return not any(finding.harmful for finding in self.findings)

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one row a finding."""
        return [{"path": f.path, "problem": f.problem, "harmful": f.harmful} for f in self.findings]


def verify(lake: Lake, *, progress: Progress | None = None) -> VerifyReport:
    """Read every live file: is it there, whole, as long as its record says, in its day, unique?

    Args:
        lake: The lake; nothing in it is changed.
        progress: Called with the folders done and the folders in all.

    Raises:
        CorruptFileError: A record cannot be read.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> verify(Lake(Path(tempfile.mkdtemp()))).sound
        True
    """
    findings: list[LakeFinding] = []
    live = {name: lake.live(name) for name in KINDS}
    folders: dict[tuple[str, str], list[BatchFile]] = {}
    for name, files in live.items():
        for file in files:
            folders.setdefault((name, folder_of(file)), []).append(file)
    for number, ((name, folder), files) in enumerate(sorted(folders.items())):
        findings += _of_folder(lake, KINDS[name], folder, files)
        if progress is not None:
            progress(number + 1, len(folders))
    findings += _unnamed(lake)
    every = [file for files in live.values() for file in files]
    return VerifyReport(
        files=len(every), rows=sum(file.rows for file in every), findings=tuple(findings)
    )


def _of_folder(
    lake: Lake, kind: Kind, folder: str, files: list[BatchFile]
) -> Iterator[LakeFinding]:
    day, ids = day_of(folder), []
    for file in files:
        problem, own = _problem(lake, kind, file)
        if problem is None and day is not None:
            low, high = file.min_timestamp, file.max_timestamp
            if (low and low.date() != day) or (high and high.date() != day):
                problem = f"It holds events of other days than {day}."
        if problem is not None:
            yield LakeFinding(path=file.path, problem=problem, harmful=True)
        elif own is not None:
            ids.append(own)
    if ids:
        together = pl.concat(ids)
        doubled = together.len() - together.n_unique()
        if doubled:
            yield LakeFinding(
                path=folder, problem=f"{doubled:,} rows are there twice.", harmful=True
            )


def _problem(lake: Lake, kind: Kind, file: BatchFile) -> tuple[str | None, pl.Series | None]:
    path = lake.root / file.path
    if not path.is_file():
        return "It is missing although its batch is published.", None
    name = _ID.get(kind.name)
    try:
        rows = pl.read_parquet(path, hive_partitioning=False)
        lacking = [column for column in kind.columns if column not in rows.columns]
    except (pl.exceptions.PolarsError, OSError) as error:
        return f"It cannot be read: {str(error).partition(chr(10))[0]}.", None
    if lacking:
        return f"It lacks the columns {', '.join(lacking)}.", None
    if rows.height != file.rows:
        return f"It holds {rows.height:,} rows, its record says {file.rows:,}.", None
    if "timestamp" in rows.columns and rows.height:
        found = rows["timestamp"].min(), rows["timestamp"].max()
        if found != (file.min_timestamp, file.max_timestamp):
            return "Its first or last event is not the one that its record names.", None
    return None, rows[name] if name else None


def _unnamed(lake: Lake) -> Iterator[LakeFinding]:
    known = lake.known_files()
    for name in KINDS:
        for path in sorted((lake.root / name).rglob("*")):
            if path.is_file() and path.name not in known:
                shown = path.relative_to(lake.root).as_posix()
                problem = "No list names it: a writer that died left it, or one is writing it now."
                yield LakeFinding(path=shown, problem=problem, harmful=False)
