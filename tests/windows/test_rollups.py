"""Roll-ups: any order and nesting of merges gives the same bits; quantiles are within 1 %."""

from __future__ import annotations

import math
import random
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolution_lab.errors import ConfigError, FrameContractError, InputError, PathNotFoundError
from evolution_lab.records import OperationRef, TelemetrySample
from evolution_lab.schemas import WINDOWS, check, polars_schema
from evolution_lab.windows import aggregate, roll_up, sample_frame
from evolution_lab.windows.grid import EPOCH
from evolution_lab.windows.rollups import read_rolled

MINUTE, QUARTER = timedelta(minutes=1), timedelta(minutes=15)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
START = EPOCH + timedelta(days=20_000, hours=22)

calls = st.lists(
    st.builds(
        TelemetrySample,
        operation=st.sampled_from((OperationRef("a"), OperationRef("b", service="s"))),
        timestamp=st.integers(0, 240).map(lambda minute: START + minute * MINUTE),
        duration_ns=st.one_of(st.integers(0, 3), st.integers(0, 2**48)),
        success=st.sampled_from((None, True, False)),
        status_code=st.sampled_from((None, 200, 404, 500)),
        error_code=st.sampled_from((None, "E1", "E2", "E3", "E4", "E5", "E6")),
        weight=st.sampled_from((1.0, 1.5, 20.0)),
    ),
    min_size=1,
    max_size=40,
)


def quarters(samples: list[TelemetrySample], **settings: object) -> pl.DataFrame:
    return aggregate(sample_frame(samples), window=QUARTER, latency_bins=True, **settings)


def parts(samples: list[TelemetrySample], chance: random.Random) -> list[pl.DataFrame]:
    """The quarters of up to four machines, each of which saw some of the calls."""
    machines: dict[int, list[TelemetrySample]] = {}
    for sample in samples:
        machines.setdefault(chance.randrange(4), []).append(sample)
    return [quarters(machine) for machine in machines.values()]


@settings(max_examples=2, deadline=None)
@given(samples=calls, seed=st.integers(0, 2**16))
def test_any_order_and_nesting_gives_the_same_bits(samples: list[TelemetrySample], seed: int):
    merge_in_any_order(samples, seed)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(samples=calls, seed=st.integers(0, 2**16))
def test_any_order_and_nesting_gives_the_same_bits_often(samples: list[TelemetrySample], seed: int):
    merge_in_any_order(samples, seed)


def merge_in_any_order(samples: list[TelemetrySample], seed: int) -> None:
    chance = random.Random(seed)
    machines = parts(samples, chance)
    direct = roll_up(machines, every=DAY)
    rows = pl.concat(machines).sample(fraction=1.0, shuffle=True, seed=seed)
    assert roll_up(rows, every=DAY).equals(direct)
    chance.shuffle(machines)
    assert roll_up([roll_up(each, every=HOUR) for each in machines], every=DAY).equals(direct)
    cut = chance.randrange(len(machines)) + 1
    nested = [roll_up(group, every=HOUR) for group in (machines[:cut], machines[cut:]) if group]
    assert roll_up(nested, every=DAY).equals(direct)


@settings(max_examples=4, deadline=None)
@given(samples=calls, seed=st.integers(0, 2**16))
def test_numbers_are_those_of_the_samples_and_quantiles_within_one_percent(
    samples: list[TelemetrySample], seed: int
):
    merged = roll_up(parts(samples, random.Random(seed)), every=HOUR)
    exact = aggregate(sample_frame(samples), window=HOUR)
    names = ["service", "operation_key", "window_start"]
    same = [
        "calls",
        "calls_adjusted",
        "outcomes",
        "errors",
        "client_errors",
        "error_rate",
        "max_ns",
    ]
    called = exact.filter(pl.col("calls") > 0).select(*names, *same, "mean_ns")
    assert merged.filter(pl.col("calls") > 0).select(called.columns).equals(called)
    for row in merged.filter(pl.col("calls") > 0).iter_rows(named=True):
        durations = sorted(
            sample.duration_ns
            for sample in samples
            if (sample.operation.service, sample.operation.key)
            == (row["service"], row["operation_key"])
            and row["window_start"] <= sample.timestamp < row["window_end"]
        )
        assert row["sum_ns"] == sum(durations)
        for name, level in (("p50_ns", 0.50), ("p95_ns", 0.95), ("p99_ns", 0.99)):
            statistic = durations[math.floor((len(durations) - 1) * level)]
            assert abs(row[name] - statistic) <= statistic * (0.01 + 1e-12)
            assert row[name] <= row["max_ns"]


def test_a_window_is_closed_where_all_that_was_merged_is(call):
    samples = [call("a", seconds) for seconds in (0, 1_000, 6_000)]
    moment = samples[0].timestamp + timedelta(seconds=6_000)
    windows = quarters(samples, as_of=moment)
    assert windows["closed"].to_list() == [True] * 6 + [False]
    merged = roll_up(windows, every=HOUR)
    assert merged["closed"].to_list() == [True, False]
    assert merged["final"].to_list() == [True, False]


def test_every_revision_of_a_window_raises_that_of_its_roll_up(call):
    windows = quarters([call("a"), call("a", 1_000)])
    later = windows.with_columns(revision=pl.Series([0, 3], dtype=pl.Int32))
    assert roll_up(windows, every=HOUR)["revision"].to_list() == [0]
    assert roll_up(later, every=HOUR)["revision"].to_list() == [3]


def test_windows_without_calls_stay_windows_without_calls(call):
    windows = quarters([call("a"), call("a", 3 * 3600)])
    merged = roll_up(windows, every=HOUR)
    assert merged["calls"].to_list() == [1, 0, 0, 1]
    row = merged.row(1, named=True)
    assert (row["outcomes"], row["errors"], row["error_rate"], row["p50_ns"]) == (0, 0, None, None)


def test_a_day_of_years_of_latency_keeps_its_last_nanosecond(call):
    """A mean has 53 bits; the sum that hours hand on has all of them."""
    long = [call("a", hour * 3600, duration_ns=2**60 + hour) for hour in range(4)]
    hours = roll_up(quarters(long), every=HOUR)
    assert check(hours, WINDOWS)["sum_ns"].to_list()[0] == 2**60
    assert roll_up(hours, every=DAY)["sum_ns"].sum() == sum(hours["sum_ns"])


@pytest.mark.parametrize(
    ("bins", "rule"),
    [
        ([{"bin": 3, "count": 2}], "hold each of its 1 calls once"),
        ([{"bin": 3, "count": 2}, {"bin": 4, "count": -1}], "hold each of its 1 calls once"),
        ([{"bin": -2, "count": 1}], "in bins -1 to"),
        ([{"bin": 9_999, "count": 1}], "in bins -1 to"),
        (None, "hold each of its 1 calls once"),
    ],
)
def test_refuses_histograms_that_cannot_be(call, bins, rule):
    forged = quarters([call("a")]).with_columns(
        latency_bins=pl.Series([bins], dtype=WINDOWS.columns["latency_bins"].dtype.type)
    )
    with pytest.raises(FrameContractError, match=rule):
        roll_up(forged, every=HOUR)


def test_refuses_what_cannot_be_merged(call):
    windows = quarters([call("a")])
    with pytest.raises(FrameContractError, match="no latency_bins"):
        roll_up(windows.drop("latency_bins"), every=HOUR)
    with pytest.raises(InputError, match=r"a window of 15m .* one window of 10m"):
        roll_up(windows, every=timedelta(minutes=10))
    with pytest.raises(ConfigError, match="divide a day"):
        roll_up(windows, every=timedelta(hours=7))
    other = windows.with_columns(operation_key=pl.lit("b"))
    with pytest.raises(FrameContractError, match="must name one operation"):
        roll_up([windows, other], every=HOUR)


def test_reads_files_of_other_machines_each_once(call, tmp_path: Path):
    first, again = tmp_path / "a.parquet", tmp_path / "b.parquet"
    quarters([call("a")]).write_parquet(first)
    again.write_bytes(first.read_bytes())
    assert [frame.height for frame in read_rolled([first])] == [1]
    with pytest.raises(InputError, match="would count twice"):
        read_rolled([first, again])
    with pytest.raises(PathNotFoundError):
        read_rolled([tmp_path / "none.parquet"])
    again.write_bytes(b"no Parquet")
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        read_rolled([again])


def test_no_windows_are_no_windows(call):
    nothing = quarters([call("a")]).clear()
    assert roll_up(nothing, every=HOUR).is_empty()
    assert set(polars_schema(WINDOWS)) < set(roll_up(nothing, every=HOUR).columns)
