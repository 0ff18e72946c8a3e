"""How often late rows changed a window that was final: told by the records of what was landed when."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import groupby

import polars as pl

from evolution_lab.telemetry import Lake
from evolution_lab.telemetry.batches import BatchRecord
from evolution_lab.windows.finishing import GROUP
from evolution_lab.windows.grid import EPOCH, MICROSECOND, slot_of, window_us


def watermarks(
    records: tuple[BatchRecord, ...], allowed_lateness: timedelta
) -> Iterator[tuple[datetime | None, tuple[BatchRecord, ...]]]:
    """Yield each landing with the watermark before it: up to there windows were final.

    The watermark is the newest event so far less the lateness that is allowed. An event from after
    its own landing counts as of that moment: a wrong clock somewhere makes nothing final.

    Args:
        records: Batches in the order in which they were landed; those of one moment are one landing.
        allowed_lateness: How much later than other rows one may come.
    """
    newest: datetime | None = None
    for landed_at, group in groupby(records, key=lambda record: record.landed_at):
        landing = tuple(group)
        yield None if newest is None else newest - allowed_lateness, landing
        events = [r.max_timestamp for r in landing if r.max_timestamp is not None]
        seen = [newest, *(min(event, landed_at) for event in events)]
        newest = max((moment for moment in seen if moment is not None), default=None)


def revisions(lake: Lake, *, window: timedelta, allowed_lateness: timedelta) -> pl.DataFrame:
    """Return the windows that late rows changed when they were final already.

    Only files that reach back behind a watermark are read.

    Args:
        lake: The lake.
        window: Divides a day.
        allowed_lateness: How much later than other rows one may come.

    Returns:
        Columns ``op_id``, ``slot`` and ``revision``: in how many landings rows came too late.
    """
    late: dict[str, int] = {}
    moments: dict[str, datetime] = {}
    for watermark, landing in watermarks(lake.batches(), allowed_lateness):
        for record in landing:
            first = record.min_timestamp
            if watermark is not None and first is not None and first < watermark:
                late[record.batch] = (watermark - EPOCH) // MICROSECOND
                moments[record.batch] = record.landed_at
    nothing = pl.DataFrame(schema={"op_id": pl.Int64(), "slot": pl.Int64(), "revision": pl.Int32()})
    if not late:
        return nothing
    behind = EPOCH + max(late.values()) * MICROSECOND
    owners = {
        file.path: record.batch
        for record in lake.records()
        for file in record.files.get("samples", ())
    }
    files = [
        file
        for file in lake.live("samples")
        if (file.min_timestamp is None or file.min_timestamp.astimezone(UTC) < behind)
        and (set(file.batches) | {owners.get(file.path, "")}) & late.keys()
    ]
    known = pl.LazyFrame(
        {"batch": list(late), "watermark": list(late.values()), "landed": list(moments.values())}
    )
    end = (slot_of(pl.col("timestamp"), window) + 1) * window_us(window)
    if not files:
        return nothing
    return (
        lake.with_batch(files, ["op_id", "timestamp"])
        .filter(pl.col("timestamp") < behind)
        .join(known, on="batch")
        .filter(end <= pl.col("watermark"))
        .select("op_id", "landed", slot=slot_of(pl.col("timestamp"), window))
        .unique()
        .group_by(GROUP)
        .agg(revision=pl.len().cast(pl.Int32))
        .sort(GROUP)
        .collect()
    )


def with_revisions(
    frame: pl.DataFrame, lake: Lake, *, window: timedelta, allowed_lateness: timedelta
) -> pl.DataFrame:
    """Return a ``WINDOWS`` frame of a lake with its column ``revision`` filled.

    Args:
        frame: Windows of the lake, of one length.
        lake: The lake.
        window: That length.
        allowed_lateness: How much later than other rows one may come.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from evolution_lab.schemas import WINDOWS, empty
        >>> lake, quarter = Lake(Path(tempfile.mkdtemp())), timedelta(minutes=15)
        >>> with_revisions(empty(WINDOWS), lake, window=quarter, allowed_lateness=quarter).height
        0
    """
    found = revisions(lake, window=window, allowed_lateness=allowed_lateness)
    if found.is_empty() or frame.is_empty():
        return frame
    order = frame.columns
    return (
        frame.with_columns(slot=slot_of(pl.col("window_start"), window))
        .join(found.rename({"revision": "late"}), on=GROUP, how="left", maintain_order="left")
        .with_columns(revision=pl.col("late").fill_null(0))
        .select(order)
    )
