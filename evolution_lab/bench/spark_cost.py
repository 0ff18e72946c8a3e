"""``bench spark``: what the windows of a lake cost on Spark, beside polars, and whether they are equal."""

from __future__ import annotations

import gc
import os
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import polars as pl

from evolution_lab.bench.targets import BenchReport, Target
from evolution_lab.bench.window_data import WINDOW, landed_lake, write_source
from evolution_lab.telemetry import Lake
from evolution_lab.windows import aggregate_landed, aggregate_on
from evolution_lab.windows.engines import PolarsEngine
from evolution_lab.windows.spark_engine import SparkEngine, spark_engine

Progress = Callable[[int, int], None]

ROWS: Final = 5_000_000
QUICK_ROWS: Final = 200_000
OPERATIONS: Final = 400
_STEPS: Final = 5
_TO_GB: Final = 1024**2


def bench_spark(
    *,
    rows: int = ROWS,
    master: str = "local[2]",
    quick: bool = False,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> BenchReport:
    """Measure the windows of a generated lake on Spark and on polars.

    Args:
        rows: Calls of the lake.
        master: Of Spark; CPU and memory are those of its driver, which is all of it for ``local[N]``.
        quick: 200,000 calls at most.
        folder: Where the lake is made; it must be a folder that all workers see.
        progress: Called with (steps done, steps in all).

    Raises:
        MissingExtraError: PySpark is not installed.
        EngineError: There is no Java, or no such cluster.
    """
    if quick:
        rows = min(rows, QUICK_ROWS)

    def done(step: int) -> None:
        if progress is not None:
            progress(step, _STEPS)

    with tempfile.TemporaryDirectory(dir=folder, ignore_cleanup_errors=True) as made:
        source = write_source(Path(made) / "source", rows=rows, operations=OPERATIONS)
        lake = landed_lake(Path(made) / "lab", source)
        done(1)
        table: list[dict[str, Any]] = []
        ours = _timed(
            table,
            "polars, from the projection",
            lambda: aggregate_landed(lake, window=WINDOW).frame,
        )
        same = _timed(table, "polars, the shared expressions", lambda: _on(PolarsEngine(), lake))
        done(2)
        started = time.perf_counter()
        with spark_engine(master) as spark:
            start = time.perf_counter() - started
            done(3)
            there = _timed(table, f"Spark {master}, first", lambda: _on(spark, lake), spark=spark)
            done(4)
            again = _timed(table, f"Spark {master}, second", lambda: _on(spark, lake), spark=spark)
            gigabytes = _peak_gb(spark)
        done(5)
    wrong = sum(not each.equals(ours) for each in (same, there, again))
    what = f"of {rows:,} calls of {OPERATIONS} operation-versions in {ours.height:,} windows"
    return BenchReport(
        (
            Target(
                id="F9-spark",
                value=float(wrong),
                target=0.0,
                bound="at most",
                what=f"Runs whose windows differ in a bit from those of the projection, {what}.",
            ),
        ),
        (),
        {
            f"Windows {what}": tuple(table),
            "Spark itself": (
                {"starts in (s)": round(start, 1), "peak memory (GB)": round(gigabytes, 2)},
            ),
        },
    )


def _on(engine: PolarsEngine | SparkEngine, lake: Lake) -> pl.DataFrame:
    return aggregate_on(engine, lake, window=WINDOW, allowed_lateness=timedelta(minutes=30))


def _timed(
    table: list[dict[str, Any]],
    name: str,
    run: Callable[[], pl.DataFrame],
    *,
    spark: SparkEngine | None = None,
) -> pl.DataFrame:
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time() + _java_cpu(spark)
    frame = run()
    cpu = time.process_time() + _java_cpu(spark) - cpu
    table.append(
        {"run": name, "CPU (s)": round(cpu, 2), "wall (s)": round(time.perf_counter() - wall, 2)}
    )
    return frame


def _proc(spark: SparkEngine, name: str) -> str:
    """Return what the system says of the Java process; nothing where it says nothing."""
    java: Any = spark.session.sparkContext._jvm
    path = Path(f"/proc/{java.java.lang.ProcessHandle.current().pid()}/{name}")
    return path.read_text() if path.is_file() else ""


def _java_cpu(spark: SparkEngine | None) -> float:
    """Return the CPU seconds of the Java process so far."""
    stat = "" if spark is None else _proc(spark, "stat")
    if not stat:
        return 0.0
    # The name in brackets may hold blanks; user and system time are the 12th and 13th after it.
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _peak_gb(spark: SparkEngine) -> float:
    """Return the most memory that the Java process held."""
    peaks = [line for line in _proc(spark, "status").splitlines() if line.startswith("VmHWM")]
    return int(peaks[0].split()[1]) / _TO_GB if peaks else 0.0
