"""``aggregate_landed``: windows of a lake by the cheapest way that is exact, and which one it was.

Three ways, the same bytes:

- ``projection``: slices of the narrow rows that landing left, day by day. Sample files that have no
  projection yet are read themselves, and their rows merged in.
- ``samples``: the narrow rows are made of the samples, day by day; for lakes without a projection.
- ``frame``: all samples as one frame; for what narrow rows do not tell: windows or limits that are no
  whole minutes, all spans, and limits where spans may lose their parents.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Literal

import polars as pl

from evolution_lab.display import Progress
from evolution_lab.errors import ConfigError, TimeZoneRequiredError
from evolution_lab.schemas import TOP_ERRORS
from evolution_lab.telemetry import Lake
from evolution_lab.telemetry.projection.narrow import NarrowRows
from evolution_lab.telemetry.projection.runs import FAILURES
from evolution_lab.telemetry.projection.states import day_states
from evolution_lab.windows.aggregation import MOST_TOP_ERRORS, aggregate
from evolution_lab.windows.finishing import GROUP, finished, without_rows
from evolution_lab.windows.grid import EPOCH, slot_of_moment, window_us
from evolution_lab.windows.landed_days import LandedDays
from evolution_lab.windows.narrow_windows import (
    MINUTE,
    SUMS,
    WHOLE_DAY,
    minutes_within,
    window_sums,
    within,
)
from evolution_lab.windows.operations import excluded_keys

Way = Literal["projection", "samples", "frame"]


@dataclass(frozen=True, eq=False)
class LandedWindows:
    """Windows of a lake.

    Attributes:
        frame: A ``WINDOWS`` frame.
        way: How it was made.
        why: Why this way, in a sentence.
    """

    frame: pl.DataFrame
    way: Way
    why: str


def aggregate_landed(  # noqa: PLR0913 - the keywords of ``aggregate``, and the limits
    lake: Lake,
    *,
    window: timedelta,
    since: datetime | None = None,
    until: datetime | None = None,
    as_of: datetime | None = None,
    allowed_lateness: timedelta = timedelta(minutes=30),
    latency_bins: bool = False,
    all_spans: bool = False,
    exclude: Sequence[str] = (),
    way: Way | None = None,
    progress: Progress | None = None,
) -> LandedWindows:
    """Aggregate what was landed into windows.

    The frame is that of ``aggregate(lake.samples(since, until), …)``, to the last bit.

    Args:
        lake: The lake.
        window: Length of a window; divides a day.
        since: Events at or after this time; aware.
        until: Events before this time; aware.
        as_of: Rows later than this are ignored; see ``aggregate``.
        allowed_lateness: A closed window is final when it ended this long before ``as_of``.
        latency_bins: Add the column ``latency_bins``; see ``bins``.
        all_spans: Take every span for an operation.
        exclude: Globs of operation keys to leave out.
        way: One to take instead of the cheapest.
        progress: Called with the days done and the days in all.

    Raises:
        ConfigError: The window does not divide a day, or the way that was asked for is not exact.
        TimeZoneRequiredError: ``as_of`` carries no time zone.
        CorruptFileError: A file of the lake cannot be read.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> landed = aggregate_landed(Lake(Path(tempfile.mkdtemp())), window=timedelta(minutes=15))
        >>> landed.frame.height, landed.way
        (0, 'projection')
    """
    window_us(window)
    if as_of is not None and as_of.tzinfo is None:
        raise TimeZoneRequiredError(f"as_of == {as_of}, must carry a time zone.")
    states = {
        day: state
        for day, state in day_states(lake).items()
        if minutes_within(day, since, until) is not None
    }
    days = LandedDays(lake, states, projected=way != "samples")
    newest = newest_sample(lake, since, until)
    obstacle = _obstacle(days, window, since, until, as_of, newest, all_spans=all_spans)
    if way == "frame" or obstacle is not None:
        if way not in (None, "frame"):
            raise ConfigError(f"way == {way!r}, must be 'frame': {obstacle}.")
        frame = aggregate(
            lake.samples(since, until),
            window=window,
            as_of=as_of,
            allowed_lateness=allowed_lateness,
            latency_bins=latency_bins,
            all_spans=all_spans,
            exclude=exclude,
        )
        return LandedWindows(frame, "frame", obstacle or "it was asked for")
    sums = _sums(days, window, since, until, latency_bins=latency_bins, progress=progress)
    read_itself = sum(len(state.uncovered) for state in states.values())
    every = sum(len(state.leaves) for state in states.values())
    projected = days.projected and (read_itself < every or not every)
    frame = without_rows(latency_bins=latency_bins)
    if sums.height and newest is not None:
        last = slot_of_moment(as_of or newest, window)
        names = lake.operations()
        gone = set(excluded_keys(names["operation_key"], exclude)) if exclude else set()
        names = names.filter(~pl.col("operation_key").is_in(gone)) if gone else names
        columns = sums.join(names.select("op_id"), on="op_id", how="semi")
        if columns.height:
            frame = finished(
                columns.join(top_errors(days.failed(), window, since, until), on=GROUP, how="left"),
                names,
                last,
                window,
                as_of=as_of,
                allowed_lateness=allowed_lateness,
                latency_bins=latency_bins,
            )
    why = f"{every - read_itself} of {every} sample files are in the projection"
    return LandedWindows(frame, "projection" if projected else "samples", why)


def landed_sums(
    lake: Lake, *, window: timedelta, way: Literal["projection", "samples"] = "projection"
) -> pl.DataFrame:
    """Return calls, errors and exact latency quantiles per operation and window that has calls.

    The bare numbers of ``aggregate_landed``: no names, no windows without calls, no top errors.

    Args:
        lake: The lake.
        window: Whole minutes; divides a day.
        way: ``samples`` passes the projection over.

    Returns:
        The columns of ``narrow_windows.SUMS``, by day, operation and window.

    Raises:
        ConfigError: The window does not divide a day, or is no whole number of minutes.
        CorruptFileError: A file of the lake cannot be read.
    """
    window_us(window)
    if window % MINUTE:
        raise ConfigError(f"window == {window}, must be a whole number of minutes.")
    days = LandedDays(lake, day_states(lake), projected=way != "samples", with_failures=False)
    return _sums(days, window, None, None, latency_bins=False)


def _sums(
    days: LandedDays,
    window: timedelta,
    since: datetime | None,
    until: datetime | None,
    *,
    latency_bins: bool,
    progress: Progress | None = None,
) -> pl.DataFrame:
    found = []
    for done, day in enumerate(days.states):
        if progress is not None:
            progress(done, len(days.states))
        limits = minutes_within(day, since, until) or WHOLE_DAY
        make = partial(_day_sums, day=day, window=window, limits=limits, latency_bins=latency_bins)
        found += [frame for frame in days.each(day, make) if frame.height]
    if progress is not None:
        progress(1, 1)
    return pl.concat(found) if found else pl.DataFrame(schema=SUMS)


def _day_sums(
    rows: NarrowRows, *, day: date, window: timedelta, limits: tuple[int, int], latency_bins: bool
) -> pl.DataFrame:
    kept = rows if limits == WHOLE_DAY else within(rows, *limits)
    return window_sums(kept, day, window, latency_bins=latency_bins)


def newest_sample(
    lake: Lake, since: datetime | None = None, until: datetime | None = None
) -> datetime | None:
    """Return the time of the newest sample between two moments, None where there is none.

    Args:
        lake: The lake; files that end before ``until`` are not opened.
        since: At or after this time; aware.
        until: Before this time; aware.
    """
    found: list[datetime] = []
    torn = []
    for file in lake.live("samples"):
        first, last = file.min_timestamp, file.max_timestamp
        if first is None or last is None or (since is not None and last < since):
            continue
        if until is None or last < until:
            found.append(last)
        elif first < until:
            torn.append(lake.root / file.path)
    if torn and until is not None:
        scan = pl.scan_parquet(torn, hive_partitioning=False, glob=False)
        limit = pl.lit(until.astimezone(UTC))
        kept = scan.filter(pl.col("timestamp") < limit).select(pl.col("timestamp").max()).collect()
        newest = kept.item()
        if isinstance(newest, datetime) and (since is None or newest >= since):
            found.append(newest)
    return max(found, default=None)


def _obstacle(
    days: LandedDays,
    window: timedelta,
    since: datetime | None,
    until: datetime | None,
    as_of: datetime | None,
    newest: datetime | None,
    *,
    all_spans: bool,
) -> str | None:
    """Say why narrow rows do not tell what is asked for, None where they do."""
    if all_spans:
        return "calls between operations are asked for, too"
    if window % MINUTE:
        return "the window is no whole number of minutes"
    if any(limit is not None and (limit - EPOCH) % MINUTE for limit in (since, until)):
        return "a limit is no whole minute"
    if as_of is not None and newest is not None and as_of < newest:
        return "later samples are to be ignored"
    if (since is not None or until is not None) and days.between:
        return "the limits may part spans from their parents"
    return None


def top_errors(
    failures: Iterable[tuple[date, pl.DataFrame]],
    window: timedelta,
    since: datetime | None = None,
    until: datetime | None = None,
) -> pl.DataFrame:
    """Return the most frequent errors of each operation and window, as ``top_errors``.

    Args:
        failures: Days and their failed rows, with the columns of ``runs.FAILURES``.
        window: Whole minutes; divides a day.
        since: Whole minute; rows at or after it.
        until: Whole minute; rows before it.
    """
    frames = [pl.LazyFrame(schema={**FAILURES, "slot": pl.Int64()})]
    for day, frame in failures:
        first, end = minutes_within(day, since, until) or WHOLE_DAY
        first_slot = slot_of_moment(EPOCH + (day - EPOCH.date()), window)
        minute = pl.col("minute").cast(pl.Int64)
        frames.append(
            frame.lazy()
            .filter((pl.col("minute") >= first) & (pl.col("minute") < end))
            .with_columns(slot=first_slot + minute // (window // MINUTE))
        )
    counts = (
        pl.concat(frames)
        .group_by(*GROUP, "error_code")
        .agg(pl.col("count").sum())
        .sort(*GROUP, pl.col("count").neg(), "error_code")
    )
    return (
        counts.group_by(GROUP, maintain_order=True)
        .agg(top_errors=pl.struct("error_code", "count").head(MOST_TOP_ERRORS))
        .with_columns(pl.col("top_errors").cast(TOP_ERRORS))
        .collect()
    )
