"""The expressions that run on Spark, run by polars: the windows of ``aggregate`` to the last bit."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import narwhals as nw
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolution_lab.errors import ConfigError, TimeZoneRequiredError
from evolution_lab.telemetry import Lake, land
from evolution_lab.windows import aggregate
from evolution_lab.windows.engine_windows import aggregate_on
from evolution_lab.windows.engines import PolarsEngine
from evolution_lab.windows.portable import statistics
from evolution_lab.windows.quantiles import QUANTILES

START = datetime(2026, 3, 4, 22, 59, 59, 999_999, tzinfo=UTC)
QUARTER = timedelta(minutes=15)


def spans(count: int, seed: int) -> pl.DataFrame:
    """Spans of two days: all kinds, known and unknown parents, statuses, errors and weights."""
    chance = random.Random(seed)
    kinds = (None, "server", "client", "consumer", "internal", "producer")
    rows = []
    for number in range(count):
        trace = chance.randrange(count // 4 + 1)
        parent = chance.choice((None, chance.randrange(count), number))
        rows.append(
            {
                "timestamp": START + timedelta(microseconds=chance.randrange(4 * 3600 * 10**6)),
                "operation": f"op {chance.randrange(5)}",
                "service": chance.choice((None, "shop", "bücher")),
                "duration_ns": chance.choice((0, 7, chance.randrange(2**53))),
                "success": chance.choice((None, True, True, False)),
                "status": chance.choice((None, 200, 404, 499, 500)),
                "error_code": chance.choice((None, "E1", "E2", "E3", "E4", "E5", "E6")),
                "weight": chance.choice((1.0, 20.0)),
                "kind": chance.choice(kinds),
                "trace_id": f"{trace + 1:032x}",
                "span_id": f"{number + 1:016x}",
                "parent": None if parent is None else f"{parent + 1:016x}",
            }
        )
    return pl.DataFrame(rows, infer_schema_length=None)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = Lake(tmp_path_factory.mktemp("lab [1] {x} %20 ä"))
    table = spans(1_500, seed=1)
    land(lake, table.head(900))
    land(lake, table.tail(600))
    return lake


def test_the_lake_of_these_tests_holds_all_that_matters(lake: Lake):
    rows = lake.samples().collect()
    assert rows["kind"].n_unique() == 6
    assert rows["weight"].n_unique() == 2
    assert rows["timestamp"].dt.date().n_unique() == 2
    assert len(lake.live_files("samples")) == 4


@pytest.mark.parametrize("window", [timedelta(minutes=1), QUARTER, timedelta(hours=24)])
@pytest.mark.parametrize("all_spans", [True, False])
def test_equals_the_aggregation_of_samples(lake: Lake, window: timedelta, all_spans: bool):
    windows = aggregate_on(PolarsEngine(), lake, window=window, all_spans=all_spans)
    assert windows.equals(aggregate(lake.samples(), window=window, all_spans=all_spans))
    assert windows["top_errors"].drop_nulls().len() > 3


def test_limits_and_exclusions_are_those_of_the_aggregation(lake: Lake):
    since, until = START + timedelta(hours=1), START + timedelta(hours=3, microseconds=5)
    as_of = START + timedelta(hours=2)
    limits = {"window": QUARTER, "as_of": as_of, "exclude": ["op [12]"]}
    windows = aggregate_on(PolarsEngine(), lake, since=since, until=until, **limits)
    assert windows.equals(aggregate(lake.samples(since, until), **limits))
    assert set(windows["closed"]) == {True, False}


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 2**53), st.integers(0, 2)), min_size=1, max_size=60))
def test_order_statistics_are_those_around_each_quantile(rows: list[tuple[int, int]]):
    frame = pl.LazyFrame(
        {"duration_ns": [row[0] for row in rows], "op_id": [row[1] for row in rows]},
    ).with_columns(
        start_us=pl.lit(0, dtype=pl.Int64),
        success=pl.lit(None, dtype=pl.Boolean),
        status_code=pl.lit(None, dtype=pl.Int32),
    )
    found = statistics(nw.from_native(frame)).to_native().collect()
    for row in found.iter_rows(named=True):
        durations = sorted(duration for duration, op_id in rows if op_id == row["op_id"])
        for name, level in QUANTILES.items():
            low = math.floor((len(durations) - 1) * level)
            high = min(low + 1, len(durations) - 1)
            assert row[f"{name}_below"] == durations[low]
            assert row[f"{name}_above"] == durations[high]


def test_an_empty_lake_has_no_windows(tmp_path: Path):
    assert aggregate_on(PolarsEngine(), Lake(tmp_path), window=QUARTER).is_empty()


def test_refuses_what_the_aggregation_refuses(lake: Lake):
    with pytest.raises(ConfigError, match="divide a day"):
        aggregate_on(PolarsEngine(), lake, window=timedelta(minutes=7))
    with pytest.raises(TimeZoneRequiredError, match="time zone"):
        aggregate_on(PolarsEngine(), lake, window=QUARTER, as_of=datetime(2026, 1, 1))  # noqa: DTZ001
