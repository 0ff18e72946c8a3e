from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from evolution_lab.errors import (
    FrameContractError,
    InputError,
    MappingError,
    PathNotFoundError,
    TimeZoneRequiredError,
    UnknownFormatError,
)
from evolution_lab.records import OperationRef
from evolution_lab.schemas import WINDOWS, check
from evolution_lab.windows import aggregate, read_windows

START = datetime(2025, 3, 4, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def table(**columns: object) -> pl.DataFrame:
    base = {
        "start": [START, START + MINUTE, START + 2 * MINUTE],
        "operation": ["GET /a"] * 3,
        "calls": [100, 200, 0],
    }
    return pl.DataFrame({**base, **columns})


def test_only_calls_leaves_the_rest_null():
    windows = check(read_windows(table()), WINDOWS)
    row = windows.row(1, named=True)
    assert row["op_id"] == OperationRef("GET /a").op_id
    assert (row["calls"], row["calls_adjusted"]) == (200, 200.0)
    assert row["window_end"] - row["window_start"] == MINUTE
    lacking = ("outcomes", "errors", "client_errors", "error_rate", "mean_ns", "p99_ns", "max_ns")
    assert all(row[name] is None for name in lacking)
    assert row["closed"]
    assert row["final"]


@pytest.mark.parametrize(
    ("column", "values", "item"),
    [
        ("errors", [3, 4, 0], None),
        ("error_rate", [0.03, 0.02, 0.0], None),
        ("pct", [3.0, 2.0, float("nan")], "error_rate=pct:percent"),
        ("availability", [0.97, 0.98, 1.0], None),
        ("up", [97.0, 98.0, 100.0], "availability=up:percent"),
    ],
)
def test_errors_come_from_a_count_a_rate_or_an_availability(column, values, item):
    windows = read_windows(table(**{column: values}), [item] if item else ())
    assert windows["errors"].to_list()[:2] == [3, 4]
    assert windows["outcomes"].to_list()[:2] == [100, 200]
    assert windows["error_rate"].to_list() == [0.03, 0.02, None]


@pytest.mark.parametrize(("unit", "factor"), [("", 1), ("us", 10**3), ("ms", 10**6), ("s", 10**9)])
def test_durations_have_units(unit, factor):
    item = f"p99=slow:{unit}" if unit else "p99=slow"
    windows = read_windows(table(slow=[1.5, 2.0, float("nan")]), [item, "max=slow:s"])
    assert windows["p99_ns"].to_list() == [1.5 * factor, 2.0 * factor, None]
    assert windows["max_ns"].to_list() == [1_500_000_000, 2_000_000_000, None]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_in_numbers_have_units(unit):
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    seconds = [int((START + n * MINUTE).timestamp()) for n in range(3)]
    numbers = [second * per_second for second in seconds]
    windows = read_windows(table(start=numbers), {"start": f"start:{unit}"})
    assert windows["window_start"].to_list() == [START, START + MINUTE, START + 2 * MINUTE]
    small = table(start=pl.Series(seconds, dtype=pl.Int32))
    assert read_windows(small, ["start=start:s"])["window_start"][0] == START


def test_times_of_another_zone_become_utc():
    texts = [f"2025-03-04T1{n}:00:00+01:00" for n in range(3)]
    windows = read_windows(table(start=texts))
    assert windows["window_start"][0] == START
    assert windows["window_end"][0] == START + timedelta(hours=1)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_files_say_what_frames_say(tmp_path, suffix):
    path = tmp_path / f"windows[1]{suffix}"
    frame = table(errors=[1, 2, 0], p99=[1.0, 2.0, 3.0])
    if suffix == ".parquet":
        frame.write_parquet(path)
    else:
        text = frame.with_columns(pl.col("start").dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
        text.write_csv(path, separator="\t" if suffix == ".tsv" else ",")
    expected = read_windows(frame, ["p99=p99:ms"])
    assert read_windows(path, ["p99=p99:ms"]).equals(expected)
    assert read_windows(str(path), {"p99": "p99:ms"}).equals(expected)


def test_windows_of_ours_come_back_as_they_were(call, frame):
    samples = frame(
        *(call(f"GET /{n % 2}", n, service="shop", success=n % 5 > 0) for n in range(0, 400, 3))
    )
    ours = aggregate(samples, window=MINUTE)
    back = read_windows(ours.sample(fraction=1.0, shuffle=True, seed=1))
    assert back.drop("top_errors").equals(ours.drop("top_errors"))


def test_the_order_of_rows_does_not_matter():
    frame = table(service=[None, "b", "a"], version=["1", None, "2"])
    expected = read_windows(frame, window=MINUTE)
    assert read_windows(frame.reverse(), window=MINUTE).equals(expected)
    assert expected["service"].to_list() == [None, "a", "b"]


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (["p98=calls"], "Did you mean 'p95'|Did you mean 'p99'"),
        (["p99=call"], "there is no column 'call'. Did you mean 'calls'"),
        (["p99=calls:m"], "unit 'm' is unknown; units of 'p99' are ns, us, ms, s"),
        (["calls=calls:s"], "this role has no unit"),
        (["error_rate=calls:percnt"], "Did you mean 'percent'"),
        (["nonsense"], "is no ROLE=COLUMN"),
    ],
)
def test_a_mapping_that_fits_nothing_is_refused(items, message):
    with pytest.raises(MappingError, match=message):
        read_windows(table(), items)


@pytest.mark.parametrize("role", ["start", "operation", "calls"])
def test_what_every_window_needs_must_be_there(role):
    with pytest.raises(MappingError, match=f"no column is mapped to '{role}'"):
        read_windows(table().drop(role))


def test_times_without_a_zone_or_a_unit_are_refused():
    naive = table().with_columns(pl.col("start").dt.replace_time_zone(None))
    with pytest.raises(TimeZoneRequiredError, match="must be a time with a zone"):
        read_windows(naive)
    with pytest.raises(TimeZoneRequiredError, match="without a zone"):
        read_windows(table(start=["2025-03-04T09:00:00"] * 3))
    with pytest.raises(MappingError, match="say their unit"):
        read_windows(table(start=[1, 2, 3]))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"errors": [101, 0, 0]}, "error_rate"),
        ({"calls": [-1, 0, 0]}, "calls"),
        ({"calls": [1, None, 0]}, "calls == null in 1 windows"),
        ({"p99_ns": [-1.0, 0.0, 0.0]}, "p99_ns"),
        ({"operation": ["", "a", "a"]}, "operation_key"),
        ({"start": [START, START, START + MINUTE]}, "two windows that cover"),
        ({"end": [START, START, START]}, "must be after window_start"),
    ],
)
def test_a_planted_value_is_refused_at_the_boundary(columns, message):
    with pytest.raises(FrameContractError, match=message):
        read_windows(table(**columns))


def test_values_that_are_no_numbers_are_refused():
    with pytest.raises(InputError, match="cannot be read"):
        read_windows(table(calls=["many", "few", "none"]))


def test_one_window_does_not_say_its_length():
    with pytest.raises(InputError, match="map an end"):
        read_windows(table()[:1])
    assert read_windows(table()[:1], window=MINUTE)["window_end"][0] == START + MINUTE


def test_files_that_are_no_tables_are_refused(tmp_path):
    with pytest.raises(PathNotFoundError, match="does not exist"):
        read_windows(tmp_path / "nothing.csv")
    page = tmp_path / "page.html"
    page.write_text("<html>")
    with pytest.raises(UnknownFormatError, match="is no table"):
        read_windows(page)
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 and then nothing")
    with pytest.raises(InputError, match="cannot be read"):
        read_windows(broken)
