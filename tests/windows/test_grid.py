from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolution_lab.errors import ConfigError
from evolution_lab.schemas import TIME
from evolution_lab.windows.grid import (
    EPOCH,
    slot_of,
    slot_of_moment,
    window_floor,
    window_times,
    window_us,
)

QUARTER = timedelta(minutes=15)


@given(us=st.integers(-(10**16), 10**16), seconds=st.sampled_from((1, 30, 60, 900, 86_400)))
def test_a_moment_lies_in_its_window(us, seconds):
    window, moment = timedelta(seconds=seconds), EPOCH + timedelta(microseconds=us)
    floor = window_floor(moment, window)
    assert floor <= moment < floor + window
    assert (floor - EPOCH) % window == timedelta(0)


@pytest.mark.parametrize("us", [-1, 0, 1, 900_000_000 - 1, 900_000_000])
def test_a_column_and_a_moment_agree(us):
    moment = EPOCH + timedelta(microseconds=us)
    frame = pl.DataFrame({"t": [moment]}, schema={"t": TIME})
    (slot,) = frame.select(slot=slot_of(pl.col("t"), QUARTER))["slot"]
    assert slot == slot_of_moment(moment, QUARTER)
    start, end = frame.select(slot=pl.lit(slot)).select(**window_times(QUARTER)).row(0)
    assert (start, end) == (window_floor(moment, QUARTER), window_floor(moment, QUARTER) + QUARTER)


@pytest.mark.parametrize(
    "window",
    [timedelta(0), -QUARTER, timedelta(minutes=7), timedelta(days=2), timedelta(microseconds=7)],
)
def test_lengths_that_do_not_divide_a_day_are_refused(window):
    with pytest.raises(ConfigError, match="must divide a day"):
        window_us(window)
