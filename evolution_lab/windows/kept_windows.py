"""``kept_windows``: windows of a lake from those that are stored, brought up to date before."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import polars as pl

from evolution_lab.errors import TimeZoneRequiredError
from evolution_lab.telemetry import Lake
from evolution_lab.telemetry.projection.states import day_states
from evolution_lab.windows.finishing import finished, without_rows
from evolution_lab.windows.grid import slot_of_moment
from evolution_lab.windows.landed_windows import newest_sample
from evolution_lab.windows.operations import excluded_keys
from evolution_lab.windows.refreshing import refresh
from evolution_lab.windows.stored_windows import STORED, read_record, read_stored


def kept_windows(
    lake: Lake,
    *,
    window: timedelta,
    as_of: datetime | None = None,
    allowed_lateness: timedelta = timedelta(minutes=30),
    latency_bins: bool = False,
    exclude: Sequence[str] = (),
    wait_seconds: float = 5.0,
) -> pl.DataFrame | None:
    """Refresh the stored windows and return them; None where others hold the lake meanwhile.

    The frame is that of ``aggregate_landed``, to the last bit; but with ``as_of`` a window that is
    not closed by then has no calls.

    Args:
        lake: The lake.
        window: Whole minutes; divides a day.
        as_of: Windows that end later are not closed. None closes all of them for good, as at the end
            of a finished recording.
        allowed_lateness: A closed window is final when it ended this long before ``as_of``.
        latency_bins: Keep the column ``latency_bins``.
        exclude: Globs of operation keys to leave out.
        wait_seconds: How long to wait for another refresh.

    Raises:
        ConfigError: The window does not divide a day, or is no whole number of minutes.
        TimeZoneRequiredError: ``as_of`` carries no time zone.
        LakeError: The lake cannot be written.
        CorruptFileError: A sample file cannot be read.
    """
    if as_of is not None and as_of.tzinfo is None:
        raise TimeZoneRequiredError(f"as_of == {as_of}, must carry a time zone.")
    refresh(lake, window=window, wait_seconds=wait_seconds)
    rows = _up_to_date(lake, window)
    newest = newest_sample(lake)
    if rows is None:
        return None
    nothing = without_rows(latency_bins=latency_bins)
    if newest is None:
        return nothing
    last = slot_of_moment(as_of or newest, window)
    if as_of is not None:
        rows = rows.filter(pl.col("slot") < last)
    names = lake.operations()
    gone = set(excluded_keys(names["operation_key"], exclude)) if exclude else set()
    names = names.filter(~pl.col("operation_key").is_in(gone)) if gone else names
    rows = rows.join(names.select("op_id"), on="op_id", how="semi")
    if rows.is_empty():
        return nothing
    return finished(
        rows if latency_bins else rows.drop("latency_bins"),
        names,
        last,
        window,
        as_of=as_of,
        allowed_lateness=allowed_lateness,
        latency_bins=latency_bins,
    )


def _up_to_date(lake: Lake, window: timedelta) -> pl.DataFrame | None:
    """Return the stored rows, None where a day is not what its sample files say."""
    found = [pl.DataFrame(schema=STORED)]
    for day, state in day_states(lake).items():
        record = read_record(lake.root, window, day)
        leaves = frozenset[str]().union(*state.leaves.values())
        if record is None or frozenset(record.built_from) != leaves:
            return None
        rows = read_stored(lake.root, record)
        if rows is None:
            return None
        found.append(rows)
    return pl.concat(found)
