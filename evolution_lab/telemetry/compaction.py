"""Many small files become few, without a reader ever seeing a row twice or not at all.

Day by day: the joined file is written, then one rename publishes what it replaces, and the old files
go after a grace period. A kill at any moment leaves either state whole.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final

from evolution_lab.display import ResultMixin
from evolution_lab.errors import InputError
from evolution_lab.telemetry.batches import BatchFile, record_path
from evolution_lab.telemetry.lake import Lake
from evolution_lab.telemetry.projection import project
from evolution_lab.telemetry.publishing import remove_leftovers
from evolution_lab.telemetry.rewriting import (
    KINDS,
    Kind,
    folder_of,
    maintaining,
    rows_of,
    write_joined,
    writing_to,
)
from evolution_lab.telemetry.swaps import Swap, fold_swaps, next_number, publish_swap

Progress = Callable[[int, int], None]

JOINED_ROWS: Final = 1_000_000
"""Rows that a joined file is filled up to; bounds the memory of compaction."""
FOLD_FROM: Final = 16
"""Records of swaps that are made one, once the grace of all of them has ended."""
GRACE: Final = timedelta(minutes=15)
"""How long replaced files stay for readers that listed them before."""


@dataclass(frozen=True, kw_only=True)
class CompactedFolder:
    """What became of one folder.

    Attributes:
        folder: Relative to the lake.
        before: Live files before.
        after: Live files after.
        rows: Rows in the files that were joined.
    """

    folder: str
    before: int
    after: int
    rows: int


@dataclass(frozen=True, kw_only=True)
class CompactionReport(ResultMixin):
    """What a compaction did.

    Attributes:
        folders: Those where files were joined.
        deleted: Files replaced earlier, whose grace period had ended, that were deleted now.
        waiting: Replaced files that are still there.
    """

    _title: ClassVar[str] = "Compaction"

    folders: tuple[CompactedFolder, ...]
    deleted: int
    waiting: int

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one row a folder."""
        return [
            {"folder": f.folder, "before": f.before, "after": f.after, "rows": f.rows}
            for f in self.folders
        ]


def compact(
    lake: Lake,
    *,
    grace: timedelta = GRACE,
    joined_rows: int = JOINED_ROWS,
    wait_seconds: float = 30.0,
    progress: Progress | None = None,
) -> CompactionReport:
    """Join the small files of each folder, and delete replaced ones whose grace has ended.

    Landings may go on meanwhile, in other processes, too.

    Args:
        lake: The lake.
        grace: How long replaced files stay.
        joined_rows: Rows that a joined file is filled up to; files of half as many are left alone.
        wait_seconds: How long to wait for another process.
        progress: Called with the folders done and the folders in all.

    Raises:
        LockedError: Another process holds a lock for longer than the wait.
        InputError: ``grace`` is negative.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> compact(Lake(Path(tempfile.mkdtemp()))).folders
        ()
    """
    if not lake.root.is_dir():
        return CompactionReport(folders=(), deleted=0, waiting=0)
    done: list[CompactedFolder] = []
    with maintaining(lake, wait_seconds=wait_seconds):
        already, _ = sweep(lake, grace=grace)
        _fold(lake, grace=grace)
        folders = [
            (kind, folder)
            for kind in KINDS.values()
            for folder in sorted({folder_of(file) for file in lake.live(kind.name)})
        ]
        for number, (kind, folder) in enumerate(folders):
            with writing_to(lake, [folder], wait_seconds=wait_seconds):
                joined = _compact_folder(lake, kind, folder, joined_rows)
            if joined is not None:
                done.append(joined)
            if progress is not None:
                progress(number + 1, len(folders))
        deleted, waiting = sweep(lake, grace=grace)
    project(lake, grace=grace, wait_seconds=wait_seconds)
    return CompactionReport(folders=tuple(done), deleted=already + deleted, waiting=waiting)


def sweep(lake: Lake, *, grace: timedelta) -> tuple[int, int]:
    """Delete replaced files and forgotten batches whose grace has ended; for the maintainer only.

    Returns:
        How many files were deleted, and how many are still waiting.

    Raises:
        InputError: ``grace`` is negative.
    """
    if grace < timedelta(0):
        raise InputError(f"grace == {grace}, must not be negative.")
    limit = time.time() - grace.total_seconds()
    of_forgotten: dict[str, list[str]] = {}
    for record in lake.records():
        of_forgotten[record.batch] = [f.path for own in record.files.values() for f in own]
    deleted = waiting = 0
    for path, whole in lake.swap_files():
        swaps = whole.folded or (whole,)
        forgets = [batch for swap in swaps for batch in swap.forgets]
        paths = [each for swap in swaps for each in swap.replaces]
        paths += [p for batch in forgets for p in of_forgotten.get(batch, ())]
        present = [lake.root / each for each in paths if (lake.root / each).is_file()]
        if path.stat().st_mtime > limit:
            waiting += len(present)
            continue
        for file in present:
            file.unlink(missing_ok=True)
        for batch in forgets:
            record_path(lake.root, batch).unlink(missing_ok=True)
        deleted += len(present)
    return deleted, waiting


def _fold(lake: Lake, *, grace: timedelta) -> None:
    """Make one file of the records of swaps that nobody waits for any more."""
    limit = time.time() - grace.total_seconds()
    files = lake.swap_files()
    if len(files) < FOLD_FROM or any(path.stat().st_mtime > limit for path, _ in files):
        return
    swaps = lake.swaps()
    present = any((lake.root / path).exists() for swap in swaps for path in swap.replaces)
    forgotten = any(
        record_path(lake.root, batch).exists() for swap in swaps for batch in swap.forgets
    )
    if not present and not forgotten:
        fold_swaps(lake.root, files)


def _compact_folder(
    lake: Lake, kind: Kind, folder: str, joined_rows: int
) -> CompactedFolder | None:
    files = [file for file in lake.live(kind.name) if folder_of(file) == folder]
    if kind.by_day:
        # What a killed compaction wrote and never published goes, as for any dead writer.
        remove_leftovers(lake.root / folder, keep=lake.known_files())
    bins = _bins(files, joined_rows)
    for group in bins:
        number = next_number(lake.root)
        joined = write_joined(lake, kind, folder, rows_of(lake, group, kind), number=number)
        swap = Swap(
            replaces=tuple(file.path for file in group),
            adds={kind.name: (joined,)} if joined else {},
            reason="compact",
            at=datetime.now(UTC),
        )
        publish_swap(lake.root, number, swap)
    if not bins:
        return None
    replaced = sum(len(group) for group in bins)
    return CompactedFolder(
        folder=folder,
        before=len(files),
        after=len(files) - replaced + len(bins),
        rows=sum(file.rows for group in bins for file in group),
    )


def _bins(files: list[BatchFile], joined_rows: int) -> list[list[BatchFile]]:
    """Group neighbouring small files up to a number of rows; single ones are left out."""
    always = datetime.min.replace(tzinfo=UTC)
    small = [file for file in files if file.rows < max(joined_rows // 2, 1)]
    groups: list[list[BatchFile]] = []
    rows = 0
    for file in sorted(small, key=lambda f: (f.min_timestamp or always, f.path)):
        if not groups or rows + file.rows > joined_rows:
            groups.append([])
            rows = 0
        groups[-1].append(file)
        rows += file.rows
    return [group for group in groups if len(group) > 1]
