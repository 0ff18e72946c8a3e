"""Landings listed, and one of them taken back with all its rows, so that it can be made again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import polars as pl

from evolution_lab.display import Progress, ResultMixin
from evolution_lab.errors import AmbiguousNameError, InputError, UnknownNameError
from evolution_lab.records.json_form import CAMEL_CASE
from evolution_lab.telemetry.batches import BatchFile, BatchRecord
from evolution_lab.telemetry.compaction import GRACE, sweep
from evolution_lab.telemetry.derived_windows import drop_windows_of_lost_rows
from evolution_lab.telemetry.lake import Lake
from evolution_lab.telemetry.projection import project
from evolution_lab.telemetry.rewriting import (
    KINDS,
    folder_of,
    maintaining,
    rows_of,
    write_joined,
    writing_to,
)
from evolution_lab.telemetry.swaps import Swap, next_number, publish_swap


@dataclass(frozen=True, kw_only=True)
class Landing:
    """One input as it was landed: all batches of the same content and settings.

    Attributes:
        batch: Id of its first batch; names the landing in commands.
        batches: Ids of all its batches.
        source: The input as the caller named it.
        reader: Name of the reader.
        landed_at: When, UTC.
        rows: Rows added.
        duplicates: Rows that were there already.
        duplicates_of: How many of them each other batch holds.
        quarantined: Rows refused.
        first: Earliest event added, UTC.
        last: Latest event added, UTC.
        complete: Whether the whole input was landed; a kill leaves only the first batches.
    """

    __pydantic_config__ = CAMEL_CASE

    batch: str
    batches: tuple[str, ...]
    source: str
    reader: str
    landed_at: datetime
    rows: int
    duplicates: int
    duplicates_of: dict[str, int]
    quarantined: int
    first: datetime | None
    last: datetime | None
    complete: bool


@dataclass(frozen=True, kw_only=True)
class LandingsList(ResultMixin):
    """The landings of a lake.

    Attributes:
        landings: In the order in which they were made.
    """

    _title: ClassVar[str] = "Landings"

    landings: tuple[Landing, ...]

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one row a landing."""
        return [
            {
                "batch": each.batch[:12],
                "source": each.source,
                "reader": each.reader,
                "landed": each.landed_at,
                "rows": each.rows,
                "duplicates": each.duplicates,
                "quarantined": each.quarantined,
                "first": each.first,
                "last": each.last,
                "complete": each.complete,
            }
            for each in self.landings
        ]


@dataclass(frozen=True, kw_only=True)
class ForgottenReport(ResultMixin):
    """What was taken back.

    Attributes:
        landings: The landings that count no more.
        operations: Service and key of each operation that they held.
        land_again: Sources that also held rows of the landing asked for, and were taken back with it.
    """

    _title: ClassVar[str] = "Taken back"

    landings: tuple[Landing, ...]
    operations: tuple[tuple[str | None, str], ...]
    land_again: tuple[str, ...]

    @property
    def rows(self) -> int:
        """Rows that count no more."""
        return sum(each.rows for each in self.landings)

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one row a landing."""
        return LandingsList(landings=self.landings).to_dicts()


def landings(lake: Lake) -> LandingsList:
    """Return what was landed, in order.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> landings(Lake(Path(tempfile.mkdtemp()))).landings
        ()
    """
    by_key: dict[str, list[BatchRecord]] = {}
    for record in lake.batches():
        by_key.setdefault(record.source_key, []).append(record)
    return LandingsList(landings=tuple(_landing(records) for records in by_key.values()))


def forget(
    lake: Lake,
    batch: str,
    *,
    with_dependents: bool = False,
    grace: timedelta = GRACE,
    wait_seconds: float = 30.0,
    progress: Progress | None = None,
) -> ForgottenReport:
    """Take a landing back: its samples, operations, quarantine and recorded traffic.

    One step makes it count no more; files go after the grace period. Its input can then be landed
    again, with another mapping or the same.

    Args:
        lake: The lake.
        batch: The id of one of its batches, or an unambiguous beginning of it.
        with_dependents: Also take back landings that left rows out because this one holds them;
            their sources are then to be landed again.
        grace: How long the files stay for readers that listed them before.
        wait_seconds: How long to wait for another process.
        progress: Called with the days whose projection is made anew and those in all.

    Raises:
        UnknownNameError: No batch has this id.
        AmbiguousNameError: Several have it.
        InputError: Another landing left rows out that this one holds; it is named.
        LockedError: Another process holds a lock for longer than the wait.
    """
    with maintaining(lake, wait_seconds=wait_seconds):
        known = landings(lake).landings
        chosen = [landing_of(known, batch)]
        others = _dependents(known, chosen)
        if others and not with_dependents:
            raise InputError(_in_use(chosen[0], others[0]))
        while others:
            chosen += others
            others = _dependents(known, chosen)
        operations = _operations(lake, chosen)
        _forget_landings(lake, chosen, wait_seconds)
        sweep(lake, grace=grace)
    project(lake, grace=grace, wait_seconds=wait_seconds, progress=progress)
    drop_windows_of_lost_rows(lake, grace=grace)
    return ForgottenReport(
        landings=tuple(chosen),
        operations=operations,
        land_again=tuple(each.source for each in chosen[1:]),
    )


def landing_of(known: Sequence[Landing], batch: str) -> Landing:
    """Return the landing that a batch belongs to.

    Raises:
        UnknownNameError: No batch has this id.
        AmbiguousNameError: Several have it.
    """
    found = [each for each in known if any(name.startswith(batch) for name in each.batches)]
    exact = [landing for landing in found if batch in landing.batches]
    found = exact or found
    if not found:
        raise UnknownNameError("batch", batch, [name for each in known for name in each.batches])
    if len(found) > 1:
        raise AmbiguousNameError("batch", batch, [landing.batch for landing in found])
    return found[0]


def _operations(lake: Lake, chosen: Sequence[Landing]) -> tuple[tuple[str | None, str], ...]:
    names = [name for landing in chosen for name in landing.batches]
    rows = rows_of(lake, lake.live("operations"), KINDS["operations"])
    own = rows.filter(pl.col("batch").is_in(names)).select("service", "operation_key").unique()
    return tuple(sorted(own.rows(), key=lambda each: (each[0] or "", each[1])))


def _dependents(known: Sequence[Landing], chosen: Sequence[Landing]) -> list[Landing]:
    names = {name for landing in chosen for name in landing.batches}
    return [
        landing
        for landing in known
        if landing not in chosen and any(name in names for name in landing.duplicates_of)
    ]


def _in_use(chosen: Landing, other: Landing) -> str:
    rows = sum(n for name, n in other.duplicates_of.items() if name in chosen.batches)
    return (
        f"batch {chosen.batch!r} cannot be taken back alone: {other.source!r} (batch "
        f"{other.batch!r}) has {rows:,} of its rows, too, and left them out because they were there. "
        f"Forget {other.batch!r} first, or both with --with-dependents, then land "
        f"{other.source!r} again."
    )


def _forget_landings(lake: Lake, chosen: Sequence[Landing], wait_seconds: float) -> None:
    names = {name for landing in chosen for name in landing.batches}
    own = {
        file.path
        for record in lake.records()
        if record.batch in names
        for files in record.files.values()
        for file in files
    }
    live = {kind: lake.live(kind) for kind in KINDS}
    concerned = {
        kind: [f for f in files if f.path in own or names.intersection(f.batches)]
        for kind, files in live.items()
    }
    folders = {folder_of(file) for files in concerned.values() for file in files}
    with writing_to(lake, folders, wait_seconds=wait_seconds):
        # Nobody else writes these days now: what landed a moment ago is seen.
        others = _dependents(landings(lake).landings, chosen)
        if others:
            raise InputError(_in_use(chosen[0], others[0]))
        number = next_number(lake.root)
        adds: dict[str, list[BatchFile]] = {}
        for kind, files in concerned.items():
            for file in files:
                if file.path in own:
                    continue
                rows = rows_of(lake, [file], KINDS[kind])
                rest = rows.filter(~pl.col("batch").is_in(sorted(names)).fill_null(value=False))
                written = write_joined(lake, KINDS[kind], folder_of(file), rest, number=number)
                if written is not None:
                    adds.setdefault(kind, []).append(written)
        swap = Swap(
            replaces=tuple(sorted(f.path for files in concerned.values() for f in files)),
            adds={kind: tuple(files) for kind, files in adds.items()},
            forgets=tuple(sorted(names)),
            reason="forget",
            at=datetime.now(UTC),
        )
        publish_swap(lake.root, number, swap)


def _landing(records: Sequence[BatchRecord]) -> Landing:
    records = sorted(records, key=lambda record: record.chunk)
    names = {record.batch for record in records}
    held: dict[str, int] = {}
    for record in records:
        for name, rows in record.duplicates_of.items():
            if name not in names:
                held[name] = held.get(name, 0) + rows
    first = [r.min_timestamp for r in records if r.min_timestamp is not None]
    last = [r.max_timestamp for r in records if r.max_timestamp is not None]
    ends = [record.chunk for record in records if record.last]
    chunks = {record.chunk for record in records}
    return Landing(
        batch=records[0].batch,
        batches=tuple(record.batch for record in records),
        source=records[0].source,
        reader=records[0].reader,
        landed_at=records[0].landed_at,
        rows=sum(record.rows for record in records),
        duplicates=sum(record.duplicates for record in records),
        duplicates_of=dict(sorted(held.items())),
        quarantined=sum(sum(record.quarantined.values()) for record in records),
        first=min(first, default=None),
        last=max(last, default=None),
        complete=bool(ends) and chunks >= set(range(max(ends) + 1)),
    )
