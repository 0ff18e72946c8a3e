"""The grid of windows: aligned to the epoch, without holes, closed at a moment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

import polars as pl

from evolution_lab.config import format_timedelta
from evolution_lab.errors import ConfigError
from evolution_lab.schemas import TIME

MICROSECOND: Final = timedelta(microseconds=1)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
DAY: Final = timedelta(days=1)


def window_us(window: timedelta) -> int:
    """Return the length of a window in microseconds.

    Raises:
        ConfigError: The length does not divide a day.
    """
    length = window // MICROSECOND
    if length <= 0 or (DAY // MICROSECOND) % length:
        raise ConfigError(f"window == {format_timedelta(window)}, must divide a day.")
    return length


def slot_of(timestamp: pl.Expr, window: timedelta) -> pl.Expr:
    """Return the number of a timestamp's window since the epoch; a start belongs to its window."""
    return timestamp.dt.epoch("us").floordiv(window_us(window))


def slot_of_moment(moment: datetime, window: timedelta) -> int:
    """Return the number of the window a moment lies in.

    Examples:
        >>> slot_of_moment(EPOCH + timedelta(minutes=31), timedelta(minutes=15))
        2
    """
    return int((moment - EPOCH) // MICROSECOND // window_us(window))


def window_floor(moment: datetime, window: timedelta) -> datetime:
    """Return the start of the window a moment lies in.

    Examples:
        >>> window_floor(EPOCH + timedelta(minutes=31), timedelta(minutes=15)).isoformat()
        '1970-01-01T00:30:00+00:00'
    """
    return EPOCH + slot_of_moment(moment, window) * window


def window_times(window: timedelta) -> dict[str, pl.Expr]:
    """Return ``window_start`` and ``window_end`` of the column ``slot``."""
    length = window_us(window)
    start = (pl.col("slot") * length).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return {
        "window_start": start.cast(TIME),
        "window_end": (start + window).cast(TIME),
    }
