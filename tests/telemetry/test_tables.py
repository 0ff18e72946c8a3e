"""Cells and rows of tables: units, zones, outcomes; a bad cell rejects its own row alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolution_lab.config import EvolutionConfig
from evolution_lab.errors import MappingError, TimeZoneRequiredError
from evolution_lab.telemetry import cells
from evolution_lab.telemetry.mapping import ColumnMapping, RoleColumn
from evolution_lab.telemetry.reading import RAW_SCHEMA, ReadOptions
from evolution_lab.telemetry.tables import read_rows

BASE = {
    "t": ["2026-01-01T00:00:00Z"],
    "d": ["1.5"],
    "op": ["checkout"],
}
DAY = datetime.fromisoformat("2026-01-01")
ROLES = ["timestamp=t", "duration=d:ms", "operation=op"]


def read(columns, roles=(), *, tz=None, service=None):
    columns = {**{name: values * 100 for name, values in BASE.items()}, **columns}
    height = min(len(values) for values in columns.values())
    table = pl.DataFrame({name: values[:height] for name, values in columns.items()})
    lines = pl.int_range(1, height + 1, dtype=pl.Int64, eager=True)
    options = ReadOptions(config=EvolutionConfig(), tz=tz, service=service)
    chunk = read_rows(table, lines, ColumnMapping.parse([*ROLES, *roles]), options)
    assert chunk.rows.schema == pl.Schema(RAW_SCHEMA)
    return chunk


def column(name, columns, roles=(), **options):
    return read(columns, roles, **options).rows[name].to_list()


@given(st.integers(0, 2**62 - 1), st.sampled_from(["ns", "us", "ms", "s"]))
@settings(max_examples=50, deadline=None)
def test_whole_times_are_exact_in_every_unit(nanoseconds, unit):
    factor = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9}[unit]
    text = pl.Series("t", [str(nanoseconds // factor)])
    expected = nanoseconds // factor * factor
    target = RoleColumn("t", unit=unit)
    assert cells.times(text, target, None, "timestamp").to_list() == [expected]
    assert cells.times(text.cast(pl.Int64), target, None, "timestamp").to_list() == [expected]


@given(st.datetimes(DAY.replace(year=1990), DAY.replace(year=2200)), st.integers(-12 * 60, 12 * 60))
@settings(max_examples=50, deadline=None)
def test_iso_times_and_fractional_seconds_keep_their_microseconds(local, minutes):
    zone = timedelta(minutes=minutes)
    sign = "-" if minutes < 0 else "+"
    hours, rest = divmod(abs(minutes), 60)
    text = f"{local.isoformat(timespec='microseconds')}{sign}{hours:02d}:{rest:02d}"
    instant = (local - zone).replace(tzinfo=UTC)
    microseconds = (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    found = cells.times(pl.Series("t", [text]), RoleColumn("t"), None, "timestamp")
    assert found.to_list() == [microseconds * 1000]
    seconds = pl.Series("t", [f"{microseconds // 10**6}.{microseconds % 10**6:06d}"])
    found = cells.times(seconds, RoleColumn("t", unit="s"), None, "timestamp") // 1000
    assert found.to_list() == [microseconds]


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-06-01T12:00:00", "10:00:00"),
        ("2026-06-01 12:00", "10:00:00"),
        ("2026-06-01T12:00:00.25", "10:00:00.250000"),
        ("2026-06-01T12:00:00,25", "10:00:00.250000"),
        ("2026-06-01T12:00:00Z", "12:00:00"),
        ("2026-06-01 12:00:00 UTC", "12:00:00"),
        ("2026-06-01T12:00+0530", "06:30:00"),
        ("2026-06-01T12:00:00-03", "15:00:00"),
    ],
)
def test_forms_of_iso_text(text, utc):
    (time,) = column("timestamp", {"t": [text]}, tz="Europe/Berlin")
    assert time.time().isoformat() == utc


def test_a_time_without_a_zone_asks_for_one():
    with pytest.raises(TimeZoneRequiredError, match=r"'t'.*2026-01-01 00:00.*--tz"):
        read({"t": ["2026-01-01T00:00:00Z", "2026-01-01 00:00:00"]})
    with pytest.raises(TimeZoneRequiredError):
        read({"t": [DAY]})
    assert column("timestamp", {"t": [DAY]}, tz="UTC") == [datetime(2026, 1, 1, tzinfo=UTC)]


def test_plain_numbers_ask_for_a_unit():
    with pytest.raises(MappingError, match=r"write timestamp=t:ms if it is ms"):
        read({"t": ["1675079501299"]})
    with pytest.raises(MappingError, match=r"write timestamp=t:ns if it is ns"):
        read({"t": [1675079501299000000]})
    table = pl.DataFrame({"timestamp": [DAY.replace(tzinfo=UTC)], "d": [5], "op": ["a"]})
    mapping = ColumnMapping.parse(["timestamp=timestamp", "duration=d", "operation=op"])
    with pytest.raises(MappingError, match="write duration=d:ms"):
        read_rows(table, pl.Series([1]), mapping, ReadOptions(config=EvolutionConfig()))


def test_a_bad_cell_rejects_its_own_row_and_says_why():
    chunk = read({"d": ["1", "x", "nan", "", "-2", "3"]})
    assert chunk.rows["line"].to_list() == [1, 5, 6]
    assert chunk.rows["duration_ns"].to_list() == [1_000_000, -2_000_000, 3_000_000]
    assert [(r.line, r.reason) for r in chunk.rejects] == [
        (2, "The duration (column 'd') is not a number."),
        (3, "The duration (column 'd') is not a number."),
        (4, "The duration (column 'd') is missing."),
    ]
    assert "checkout" in chunk.rejects[0].excerpt


def test_an_end_gives_the_duration_to_the_nanosecond():
    end = ["2026-01-01T00:00:00.123456789Z"]
    table = pl.DataFrame({**BASE, "e": end})
    mapping = ColumnMapping.parse(["timestamp=t", "end=e", "operation=op"])
    chunk = read_rows(table, pl.Series([1]), mapping, ReadOptions(config=EvolutionConfig()))
    assert chunk.rows["duration_ns"].to_list() == [123_456_789]


def test_unknown_success_stays_unknown():
    assert column("success", {}) == [None] * 100
    assert column("success", {"s": ["OK", "ERR", "", None]}, ["success=s:OK"]) == [
        *(True, False, None, None),
    ]


def test_conditions_on_codes():
    chunk = read({"c": ["200", "404", "503", "", "x"]}, ["error=c:>=500"])
    assert chunk.rows["success"].to_list() == [True, True, False, None]
    assert chunk.rows["error_code"].to_list() == [None, None, "503", None]
    assert "could be compared with >=500" in chunk.rejects[0].reason


def test_a_plain_error_column_is_the_code_itself():
    chunk = read({"e": ["", "Timeout", None]}, ["error=e"])
    assert chunk.rows["success"].to_list() == [True, False, True]
    assert chunk.rows["error_code"].to_list() == [None, "Timeout", None]


def test_a_clients_error_is_no_failure():
    chunk = read({"s": ["200", "404", "500", "", "7"]}, ["status=s"])
    assert chunk.rows["success"].to_list() == [True, True, False, None, None]
    assert chunk.rows["error_code"].to_list() == [None, "404", "500", None, None]
    assert chunk.rows["status_code"].to_list() == [200, 404, 500, None, 7]


def test_booleans_of_all_spellings():
    chunk = read({"s": ["true", "F", "1", "No", "", "maybe"]}, ["success=s"])
    assert chunk.rows["success"].to_list() == [True, False, True, False, None]
    assert chunk.rejects[0].line == 6
    assert column("success", {"s": [True, False, None]}, ["success=s"]) == [True, False, None]


def test_kinds_channels_weights_and_sizes():
    chunk = read(
        {
            "k": ["SPAN_KIND_SERVER", "3", "", "alien", "server", "server"],
            "w": ["", "2.5", "1", "1", "0.5", "1"],
            "p": ["10", "", "7.0", "1", "1", "-"],
        },
        ["kind=k", "weight=w", "payload=p"],
    )
    assert chunk.rows["kind"].to_list() == ["server", "client", None]
    assert chunk.rows["weight"].to_list() == [1.0, 2.5, 1.0]
    assert chunk.rows["payload_bytes"].to_list() == [10, None, 7]
    assert [reject.line for reject in chunk.rejects] == [4, 5, 6]


def test_method_path_and_service():
    table = pl.DataFrame({**BASE, "m": ["get"], "p": ["/users/17?token=x"]})
    mapping = ColumnMapping.parse(["timestamp=t", "duration=d:ms", "path=p", "method=m"])
    options = ReadOptions(config=EvolutionConfig(), service="shop")
    rows = read_rows(table, pl.Series([1]), mapping, options).rows
    assert rows.select("operation_key", "name_source", "service").rows() == [
        ("GET /users/{id}", "derived", "shop")
    ]
    assert column("service", {"svc": ["a", ""]}, ["service=svc"], service="b") == ["a", "b"]


def test_only_rows_without_both_ids_carry_a_hash_of_their_line():
    chunk = read({"a": ["1", "1", ""], "b": ["2", "", ""]}, ["trace_id=a", "span_id=b"])
    hashes = chunk.rows["line_hash"].to_list()
    assert hashes[0] is None
    assert len({hashes[1], hashes[2]}) == 2
    assert all(len(value) == 32 for value in hashes[1:])
