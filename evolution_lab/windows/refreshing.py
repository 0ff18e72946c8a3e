"""``refresh``: bring the stored windows of a lake up to date, recomputing only those that changed.

Files that were landed since mark the windows of their events dirty; these are made again from all
samples in them, exactly as all windows are. What lost files (taken back, erased, too old) is made
again by the day. Where spans tell of calls between operations, a parent that comes late can make its
child, in whatever window, no operation any more: such lakes are made again by the day, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar, Final

import polars as pl

from evolution_lab.display import ResultMixin
from evolution_lab.errors import ConfigError, LockedError
from evolution_lab.schemas import TOP_ERRORS
from evolution_lab.telemetry import Lake
from evolution_lab.telemetry.batches import BatchFile
from evolution_lab.telemetry.locks import file_lock
from evolution_lab.telemetry.projection.building import read_narrow
from evolution_lab.telemetry.projection.states import DayState, day_states
from evolution_lab.windows.finishing import GROUP
from evolution_lab.windows.grid import EPOCH, slot_of, window_us
from evolution_lab.windows.landed_days import LandedDays
from evolution_lab.windows.landed_windows import top_errors
from evolution_lab.windows.narrow_windows import MINUTE, SUMS, window_sums
from evolution_lab.windows.stored_windows import STORED, is_whole, read_record, read_stored, store

MOST_DIRTY: Final = 0.25
"""Share of a day's windows above which the whole day is made again from the projection."""
MOST_LAYERS: Final = 24
"""Times that windows of a day are laid over those stored before it is made as a whole again."""
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class RefreshedDay:
    """What became of one day.

    Attributes:
        day: UTC.
        dirty: Windows, of all operations together, that had to be made again.
        whole: Whether the day was made as a whole.
    """

    day: date
    dirty: int
    whole: bool


@dataclass(frozen=True, kw_only=True)
class RefreshReport(ResultMixin):
    """What a refresh did.

    Attributes:
        days: Those that had changed.
        unchanged: Days that were up to date.
    """

    _title: ClassVar[str] = "Refreshed windows"

    days: tuple[RefreshedDay, ...]
    unchanged: int

    @property
    def dirty(self) -> int:
        """Windows made again."""
        return sum(each.dirty for each in self.days)

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one row a day that had changed."""
        return [{"day": d.day, "windows": d.dirty, "whole day": d.whole} for d in self.days]


def refresh(lake: Lake, *, window: timedelta, wait_seconds: float = 30.0) -> RefreshReport:
    """Bring the stored windows up to date.

    A kill at any moment leaves what was there. Two that refresh at once do the same work.

    Args:
        lake: The lake.
        window: Whole minutes; divides a day.
        wait_seconds: How long to wait for another process that refreshes the same day.

    Raises:
        ConfigError: The window does not divide a day, or is no whole number of minutes.
        CorruptFileError: A sample file cannot be read.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> refresh(Lake(Path(tempfile.mkdtemp())), window=timedelta(minutes=15)).dirty
        0
    """
    window_us(window)
    if window % MINUTE:
        raise ConfigError(f"window == {window}, must be a whole number of minutes.")
    states = day_states(lake)
    days = LandedDays(lake, states, projected=True)
    done = []
    for day, state in states.items():
        record = read_record(lake.root, window, day)
        leaves = frozenset[str]().union(*state.leaves.values())
        if record is not None and leaves == frozenset(record.built_from) and not days.between:
            if is_whole(lake.root, record):
                continue
            record = None
        lock = lake.root / "locks" / f"windows-{day.isoformat()}.lock"
        with suppress(LockedError), file_lock(lock, wait_seconds=wait_seconds):
            refreshed = _refresh_day(days, day, window, leaves)
            if refreshed is not None:
                done.append(refreshed)
    return RefreshReport(days=tuple(done), unchanged=len(states) - len(done))


def stored_sums(lake: Lake, *, window: timedelta) -> pl.DataFrame:
    """Return the stored windows of all days that have samples, by day, operation and window."""
    found = [pl.DataFrame(schema=STORED)]
    for day in day_states(lake):
        record = read_record(lake.root, window, day)
        frame = None if record is None else read_stored(lake.root, record)
        if frame is not None:
            found.append(frame)
    return pl.concat(found)


def _refresh_day(
    days: LandedDays, day: date, window: timedelta, leaves: frozenset[str]
) -> RefreshedDay | None:
    lake, state = days.lake, days.states[day]
    record = read_record(lake.root, window, day)
    known = frozenset(record.built_from) if record is not None else frozenset[str]()
    readable = record is not None and is_whole(lake.root, record)
    if record is not None and readable and known <= leaves and not days.between:
        slots = _dirty(lake, state, known, window)
        if slots is not None and len(record.files) < MOST_LAYERS:
            made = (
                _renewed(lake, state, day, window, slots) if slots else pl.DataFrame(schema=STORED)
            )
            store(lake.root, window, day, made, leaves, onto=record, slots=slots)
            return RefreshedDay(day=day, dirty=len(slots), whole=False)
    frame = _whole_day(days, day, window)
    if record is not None and known == leaves:
        old = read_stored(lake.root, record)
        if old is not None and frame.equals(old):
            return None
    store(lake.root, window, day, frame, leaves)
    return RefreshedDay(day=day, dirty=frame["slot"].n_unique(), whole=True)


def _dirty(
    lake: Lake, state: DayState, known: frozenset[str], window: timedelta
) -> list[int] | None:
    """Return the windows that files brought rows to since; None where they are too many."""
    fresh = [file for file in state.files if not state.leaves[file.path] <= known]
    if not fresh:
        return []
    scan = pl.scan_parquet(
        [lake.root / file.path for file in fresh], hive_partitioning=False, glob=False
    )
    slots = scan.select(slot_of(pl.col("timestamp"), window).unique().sort()).collect()
    found: list[int] = slots.to_series().to_list()
    return found if len(found) <= max(MOST_DIRTY * (_DAY / window), 1) else None


def _renewed(
    lake: Lake, state: DayState, day: date, window: timedelta, slots: Sequence[int]
) -> pl.DataFrame:
    """Make some windows of a day from all samples in them."""
    spans = [(EPOCH + first * window, EPOCH + (last + 1) * window) for first, last in _runs(slots)]
    files = tuple(file for file in state.files if _overlaps(file, spans))
    narrow = read_narrow(lake, files, within=spans)
    made = window_sums(narrow.rows, day, window, latency_bins=True)
    errors = top_errors([(day, narrow.failures)], window)
    return _as_stored(made.join(errors, on=GROUP, how="left"))


def _whole_day(days: LandedDays, day: date, window: timedelta) -> pl.DataFrame:
    parts = days.each(day, lambda rows: window_sums(rows, day, window, latency_bins=True))
    parts = [part for part in parts if part.height]
    if not parts:
        return pl.DataFrame(schema=STORED)
    errors = top_errors([(day, frame) for frame in days.failures[day]], window)
    return _as_stored(pl.concat(parts).join(errors, on=GROUP, how="left")).sort(GROUP)


def _as_stored(frame: pl.DataFrame) -> pl.DataFrame:
    if frame.is_empty() and "latency_bins" not in frame.columns:
        return pl.DataFrame(schema=STORED)
    frame = frame.with_columns(pl.col("top_errors").cast(TOP_ERRORS))
    return frame.select([*SUMS, "latency_bins", "top_errors"])


def _runs(slots: Sequence[int]) -> list[tuple[int, int]]:
    """Join neighbouring windows.

    Examples:
        >>> _runs([3, 4, 5, 9])
        [(3, 5), (9, 9)]
    """
    found: list[tuple[int, int]] = []
    for slot in sorted(slots):
        if found and slot == found[-1][1] + 1:
            found[-1] = (found[-1][0], slot)
        else:
            found.append((slot, slot))
    return found


def _overlaps(file: BatchFile, spans: Sequence[tuple[datetime, datetime]]) -> bool:
    first, last = file.min_timestamp, file.max_timestamp
    if first is None or last is None:
        return True
    return any(
        first.astimezone(UTC) < end and last.astimezone(UTC) >= start for start, end in spans
    )
