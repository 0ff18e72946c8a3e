"""What leaves the lake for good: days that are too old, and everything of one actor or tenant."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar, Final

import polars as pl

from evolution_lab.display import Progress, ResultMixin, part_of
from evolution_lab.errors import InputError
from evolution_lab.telemetry.batches import BatchFile
from evolution_lab.telemetry.compaction import GRACE, sweep
from evolution_lab.telemetry.derived_windows import drop_windows_of_lost_rows
from evolution_lab.telemetry.lake import Lake
from evolution_lab.telemetry.projection import project
from evolution_lab.telemetry.rewriting import (
    KINDS,
    Kind,
    day_of,
    folder_of,
    maintaining,
    rows_of,
    write_joined,
    writing_to,
)
from evolution_lab.telemetry.swaps import Swap, SwapReason, next_number, publish_swap

_SUBJECT_COLUMNS: Final = {
    "samples": {"actor": ("actor_id",), "tenant": ("tenant_id",)},
    "traffic": {"actor": ("user_id",), "tenant": ("tenant_id",)},
}
_TEXTS: Final = {
    "samples": ("error_message", "attributes"),
    "traffic": ("input", "output", "metadata", "error_message"),
    "quarantine": ("reason", "excerpt"),
    "operations": (),
}
"""Columns of free text, in which a subject may be named."""
_SHORTEST_IN_TEXT: Final = 4


@dataclass(frozen=True, kw_only=True)
class RemovedRows:
    """What was taken out of one folder.

    Attributes:
        folder: Relative to the lake.
        rows: Rows that are gone.
    """

    folder: str
    rows: int


@dataclass(frozen=True, kw_only=True)
class RemovalReport(ResultMixin):
    """What left the lake.

    Attributes:
        removed: By folder.
    """

    _title: ClassVar[str] = "Removed"

    removed: tuple[RemovedRows, ...]

    @property
    def rows(self) -> int:
        """Rows that are gone."""
        return sum(each.rows for each in self.removed)

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one row a folder."""
        return [{"folder": each.folder, "rows": each.rows} for each in self.removed]


def cutoff_of(days: int, as_of: datetime | None = None) -> date:
    """Return the first day that ``retain`` keeps.

    Raises:
        InputError: ``days`` is below 1.

    Examples:
        >>> cutoff_of(30, datetime(2026, 3, 31, 12, tzinfo=UTC))
        datetime.date(2026, 3, 1)
    """
    if days < 1:
        raise InputError(f"days == {days}, must be at least 1.")
    today = (as_of or datetime.now(UTC)).astimezone(UTC)
    return (today - timedelta(days=days)).date()


def retain(
    lake: Lake,
    *,
    days: int,
    as_of: datetime | None = None,
    grace: timedelta = GRACE,
    wait_seconds: float = 30.0,
    progress: Progress | None = None,
) -> RemovalReport:
    """Remove the days that ended more than some days ago, and what was quarantined before then.

    An input that was landed counts as landed still: landing it again brings nothing back.

    Args:
        lake: The lake.
        days: How many whole days to keep, today not counted; UTC.
        as_of: Today, aware; now unless given.
        grace: How long the files stay for readers that listed them before.
        wait_seconds: How long to wait for another process.
        progress: Called with (steps done, steps in all).

    Raises:
        InputError: ``days`` is below 1.
        LockedError: Another process holds a lock for longer than the wait.
    """
    cutoff = cutoff_of(days, as_of)
    old = {r.batch for r in lake.records() if r.landed_at.date() < cutoff}

    def kept(kind: Kind, folder: str, rows: pl.DataFrame) -> pl.DataFrame:
        day = day_of(folder)
        if day is not None:
            return rows.clear() if day < cutoff else rows
        if kind.name == "quarantine":
            return rows.filter(~pl.col("batch").is_in(sorted(old)).fill_null(value=False))
        return rows

    def concerned(kind: Kind, file: BatchFile) -> bool:
        day = day_of(folder_of(file))
        return day < cutoff if day is not None else kind.name == "quarantine"

    return _take_out(
        lake, "retain", concerned, kept, grace=grace, wait_seconds=wait_seconds, progress=progress
    )


def erase_rows(
    lake: Lake,
    forms: Sequence[str],
    subject: str,
    *,
    grace: timedelta = timedelta(0),
    wait_seconds: float = 30.0,
    progress: Progress | None = None,
) -> RemovalReport:
    """Remove every row of one actor or tenant, and rows whose free text names them.

    Args:
        lake: The lake.
        forms: How the subject may be written: as it is, and its pseudonyms.
        subject: ``actor`` or ``tenant``.
        grace: How long the files stay for readers that listed them before; at once without it.
        wait_seconds: How long to wait for another process.
        progress: Called with (steps done, steps in all).

    Raises:
        LockedError: Another process holds a lock for longer than the wait.
    """
    named = [
        rf"(^|[^A-Za-z0-9_]){re.escape(form)}($|[^A-Za-z0-9_])"
        for form in forms
        if len(form) >= _SHORTEST_IN_TEXT
    ]

    def is_theirs(kind: Kind) -> pl.Expr:
        columns = _SUBJECT_COLUMNS.get(kind.name, {}).get(subject, ())
        tests = [pl.col(column).is_in(list(forms)) for column in columns]
        tests += [
            pl.col(column).str.contains(pattern)
            for column in _TEXTS[kind.name]
            for pattern in named
        ]
        return pl.any_horizontal(test.fill_null(value=False) for test in tests)

    def concerned(kind: Kind, file: BatchFile) -> bool:
        if kind.name == "operations":
            return False
        rows = lake.with_batch([file], kind.columns).filter(is_theirs(kind))
        return bool(rows.select(pl.len()).collect().item())

    def kept(kind: Kind, folder: str, rows: pl.DataFrame) -> pl.DataFrame:
        del folder
        return rows.filter(~is_theirs(kind))

    return _take_out(
        lake, "erase", concerned, kept, grace=grace, wait_seconds=wait_seconds, progress=progress
    )


def _take_out(
    lake: Lake,
    reason: SwapReason,
    concerned: Callable[[Kind, BatchFile], bool],
    kept: Callable[[Kind, str, pl.DataFrame], pl.DataFrame],
    *,
    grace: timedelta,
    wait_seconds: float,
    progress: Progress | None,
) -> RemovalReport:
    """Rewrite the files that are concerned without some of their rows, folder by folder."""
    removed: list[RemovedRows] = []
    if not lake.root.is_dir():
        return RemovalReport(removed=())
    with maintaining(lake, wait_seconds=wait_seconds):
        for done, kind in enumerate(KINDS.values()):
            looking = part_of(progress, first=2 * done, of=2 * len(KINDS))
            writing = part_of(progress, first=2 * done + 1, of=2 * len(KINDS))
            folders = set()
            files = lake.live(kind.name)
            for number, file in enumerate(files):
                if concerned(kind, file):
                    folders.add(folder_of(file))
                looking(number + 1, len(files))
            for number, folder in enumerate(sorted(folders)):
                with writing_to(lake, [folder], wait_seconds=wait_seconds):
                    rows = _rewrite(lake, kind, folder, reason, concerned, kept)
                if rows:
                    removed.append(RemovedRows(folder=folder, rows=rows))
                writing(number + 1, len(folders))
            writing(1, 1)
        sweep(lake, grace=grace)
    project(lake, grace=grace, wait_seconds=wait_seconds)
    drop_windows_of_lost_rows(lake, grace=grace)
    return RemovalReport(removed=tuple(removed))


def _rewrite(
    lake: Lake,
    kind: Kind,
    folder: str,
    reason: SwapReason,
    concerned: Callable[[Kind, BatchFile], bool],
    kept: Callable[[Kind, str, pl.DataFrame], pl.DataFrame],
) -> int:
    number = next_number(lake.root)
    replaced: list[str] = []
    added: list[BatchFile] = []
    rows_gone = 0
    for file in lake.live(kind.name):
        if folder_of(file) != folder or not concerned(kind, file):
            continue
        rows = rows_of(lake, [file], kind)
        rest = kept(kind, folder, rows)
        if rest.height == rows.height:
            continue
        rows_gone += rows.height - rest.height
        replaced.append(file.path)
        written = write_joined(lake, kind, folder, rest, number=number)
        if written is not None:
            added.append(written)
    if replaced:
        swap = Swap(
            replaces=tuple(replaced),
            adds={kind.name: tuple(added)},
            reason=reason,
            at=datetime.now(UTC),
        )
        publish_swap(lake.root, number, swap)
    return rows_gone
