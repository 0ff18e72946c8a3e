"""A real Spark of this machine: the windows of polars, to the last bit.

Needs Java 17 or newer and the extra ``spark``; a minute of starting and shuffling, so in the long run.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from evolution_lab.errors import EngineError
from evolution_lab.telemetry import Lake, land
from evolution_lab.telemetry.compaction import compact
from evolution_lab.windows import aggregate
from evolution_lab.windows.engine_windows import aggregate_on
from evolution_lab.windows.engines import PolarsEngine

from .test_engine_windows import QUARTER, START, spans

if TYPE_CHECKING:
    from evolution_lab.windows.spark_engine import SparkEngine

    from ..conftest import RequireOrSkip

TRAINTICKET = Path(__file__).parents[2].parent / "shared" / "data" / "trainticket"
MAPPING = (
    "operation=OperationName",
    "timestamp=StartTimeUnixNano:ns",
    "duration=Duration:us",
    "trace_id=TraceID",
    "span_id=SpanID",
    "parent=ParentID",
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def spark(require_or_skip: RequireOrSkip) -> Iterator[SparkEngine]:
    if shutil.which("java") is None:
        require_or_skip("java", "java is not on the PATH")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # It minds pandas 3, host names, and sockets left open.
        try:
            import pyspark  # noqa: F401
        except ImportError:
            require_or_skip("java", "PySpark is not installed: make spark")
        from evolution_lab.windows.spark_engine import spark_engine

        with spark_engine("local[2]") as engine:
            yield engine


def generated(rows: int) -> pl.DataFrame:
    """Calls of 40 operation-versions over two days, durations log-normal, 3 % failed."""
    random = np.random.default_rng(20_260_304)
    operation = random.zipf(1.3, rows) % 40
    failed = random.random(rows) < 0.03
    return (
        pl.DataFrame(
            {
                "timestamp": random.integers(0, 2 * 86_400_000_000, rows) + 1_772_582_400_000_000,
                "operation": operation,
                "duration_ns": random.lognormal(17, 1, rows).astype(np.int64),
                "success": ~failed,
                "code": random.integers(0, 9, rows),
            }
        )
        .with_columns(
            operation=pl.format("op {}", "operation"),
            error_code=pl.when(~pl.col("success")).then(pl.format("E{}", "code")),
        )
        .drop("code")
    )


def test_equals_polars_on_every_kind_of_row(spark: SparkEngine, tmp_path: Path):
    lake = Lake(tmp_path / "lab [1] {x} %20 ä")
    table = spans(1_500, seed=1)
    land(lake, table.head(900))
    land(lake, table.tail(600))
    limits = {"window": QUARTER, "exclude": ["op 1"], "as_of": START + timedelta(hours=3)}
    for all_spans in (True, False):
        there = aggregate_on(spark, lake, all_spans=all_spans, **limits)
        assert there.equals(aggregate(lake.samples(), all_spans=all_spans, **limits))
    compact(lake, grace=timedelta(0))
    land(lake, spans(50, seed=2))
    windows = aggregate_on(spark, lake, window=timedelta(minutes=1))
    assert windows.equals(aggregate(lake.samples(), window=timedelta(minutes=1)))


@pytest.mark.parametrize("window", [timedelta(minutes=1), QUARTER])
@pytest.mark.skipif(not TRAINTICKET.is_dir(), reason="shared/data/trainticket is absent")
def test_equals_polars_on_trainticket(spark: SparkEngine, tmp_path: Path, window: timedelta):
    lake = Lake(tmp_path)
    land(lake, TRAINTICKET / "continuous.parquet", mapping=MAPPING)
    there = aggregate_on(spark, lake, window=window)
    assert there.height > 100
    assert there.equals(aggregate(lake.samples(), window=window))


def test_equals_polars_on_five_million_rows(spark: SparkEngine, tmp_path: Path):
    lake = Lake(tmp_path / "lab")
    generated(5_000_000).write_parquet(tmp_path / "rows.parquet")
    mapping = ("operation=operation", "timestamp=timestamp:us", "duration=duration_ns:ns")
    assert land(lake, tmp_path / "rows.parquet", mapping=mapping).rows_added == 5_000_000
    there = aggregate_on(spark, lake, window=QUARTER)
    assert there["calls"].sum() == 5_000_000
    assert there.equals(aggregate(lake.samples(), window=QUARTER))
    assert there.equals(aggregate_on(PolarsEngine(), lake, window=QUARTER))


def test_says_in_a_line_what_failed(spark: SparkEngine, tmp_path: Path):
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 torn")
    with pytest.raises(EngineError, match=r"^Spark failed: [^\n]+$"):
        spark.collect(spark.scan([tmp_path / "torn.parquet"]))
