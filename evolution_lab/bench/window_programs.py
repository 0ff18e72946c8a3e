"""What ``bench windows`` runs, each in a process of its own: ours and its peers on the same lake.

    python -m evolution_lab.bench.window_programs PROGRAM LAB RESULT

prints CPU and wall seconds of the query alone (imports are done before) and the peak memory of the
process, and writes what it found to RESULT, so that answers can be compared.
"""

from __future__ import annotations

import importlib
import json
import shutil
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import polars as pl

from evolution_lab.bench.window_data import START, WINDOW
from evolution_lab.records import OperationRef, TelemetrySample
from evolution_lab.telemetry import Lake
from evolution_lab.telemetry.landing import land_samples
from evolution_lab.telemetry.projection.narrow import SLOT_MINUTES
from evolution_lab.telemetry.projection.states import day_states
from evolution_lab.windows.bins import bin_edges
from evolution_lab.windows.landed_windows import aggregate_landed, landed_sums
from evolution_lab.windows.refreshing import refresh

COLUMNS: Final = (
    "op_id", "slot", "calls", "errors", "client_errors", "mean_ns", "p50_ns", "p95_ns", "p99_ns",
    "max_ns",
)  # fmt: skip
"""What each program finds, in this order."""

LOOP_ROWS: Final = 500_000
_US: Final = WINDOW.days * 86_400_000_000 + WINDOW.seconds * 1_000_000
_MEASURES: Final = """
    count(*) AS calls,
    count(*) FILTER (NOT success) AS errors,
    count(*) FILTER (success AND status_code BETWEEN 400 AND 499) AS client_errors,
    avg(duration_ns) AS mean_ns,
    quantile_cont(duration_ns, 0.5) AS p50_ns,
    quantile_cont(duration_ns, 0.95) AS p95_ns,
    quantile_cont(duration_ns, 0.99) AS p99_ns,
    max(duration_ns) AS max_ns
"""


def scan(lake: Lake) -> None:
    """Read the projection's columns and do nothing with them."""
    for path in _projection(lake):
        pl.read_parquet(path, hive_partitioning=False, glob=False, parallel="columns")


def projection(lake: Lake) -> pl.DataFrame:
    """Ours, on the projection that landing left."""
    return landed_sums(lake, window=WINDOW).select(COLUMNS)


def entry(lake: Lake) -> None:
    """Ours, with all that ``Lab.windows`` adds: names, empty windows, top errors, checks."""
    aggregate_landed(lake, window=WINDOW)


def samples(lake: Lake) -> pl.DataFrame:
    """Ours, without a projection."""
    return landed_sums(lake, window=WINDOW, way="samples").select(COLUMNS)


def duckdb_samples(lake: Lake) -> pl.DataFrame:
    """DuckDB's exact quantiles on the landed samples, by integer key."""
    paths = [str(path) for path in lake.live_files("samples")]
    query = f"""
        SELECT op_id, epoch_us(timestamp) // {_US} AS slot, {_MEASURES}
        FROM read_parquet($paths) GROUP BY op_id, slot
    """  # noqa: S608 (our own numbers)
    return _duckdb(query, paths)


def duckdb_projection(lake: Lake) -> pl.DataFrame:
    """DuckDB's exact quantiles on our sorted projection."""
    found = []
    for day, state in day_states(lake).items():
        for run in state.runs:
            for file in run.files:
                query = f"""
                    SELECT operation, minute // {SLOT_MINUTES} AS slot,
                        count(*) AS calls, count(*) FILTER (outcome = 2) AS errors,
                        count(*) FILTER (outcome = 1) AS client_errors,
                        avg(duration_ns) AS mean_ns,
                        quantile_cont(duration_ns, 0.5) AS p50_ns,
                        quantile_cont(duration_ns, 0.95) AS p95_ns,
                        quantile_cont(duration_ns, 0.99) AS p99_ns,
                        max(duration_ns) AS max_ns
                    FROM read_parquet($paths) GROUP BY operation, slot
                """  # noqa: S608 (our own numbers)
                rows = _duckdb(query, [str(lake.root / file.path)])
                first = (day.toordinal() - 719_163) * 86_400_000_000 // _US
                op_ids = pl.Series(file.op_ids, dtype=pl.Int64)
                found.append(
                    rows.with_columns(
                        op_id=op_ids.gather(rows["operation"]), slot=pl.col("slot") + first
                    ).select(COLUMNS)
                )
    return pl.concat(found)


def chdb_samples(lake: Lake) -> pl.DataFrame:
    """ClickHouse's exact quantiles, in this process, on the landed samples."""
    chdb: Any = importlib.import_module("chdb")
    # Its table function takes a glob: a freshly landed lake holds no files but the live ones.
    assert {*(lake.root / "samples").glob("*/*.parquet")} == {*lake.live_files("samples")}
    answer = chdb.query(
        f"""--sql
        SELECT op_id, intDiv(toUnixTimestamp64Micro(timestamp), {_US}) AS slot,
            toInt64(count()) AS calls, toInt64(countIf(NOT success)) AS errors,
            toInt64(countIf(success AND status_code BETWEEN 400 AND 499)) AS client_errors,
            avg(duration_ns) AS mean_ns,
            quantilesExactInclusive(0.5, 0.95, 0.99)(duration_ns) AS q, max(duration_ns) AS max_ns
        FROM file('{lake.root / "samples"}/*/*.parquet', Parquet) GROUP BY op_id, slot
        """,  # noqa: S608 (our own numbers)
        "Arrow",
    )
    frame = pl.read_ipc(answer.bytes())
    quantiles = {name: pl.col("q").list.get(at) for at, name in enumerate(COLUMNS[6:9])}
    return frame.with_columns(**quantiles).select(COLUMNS)


def polars_streaming(lake: Lake) -> pl.DataFrame:
    """A polars ``group_by`` on the landed samples, streaming engine, by integer key."""
    d, success, status = pl.col("duration_ns"), pl.col("success"), pl.col("status_code")
    levels = dict(zip(COLUMNS[6:9], (0.5, 0.95, 0.99), strict=True))
    return (
        pl.scan_parquet(lake.live_files("samples"), hive_partitioning=False, glob=False)
        .group_by("op_id", slot=pl.col("timestamp").dt.epoch("us").floordiv(_US))
        .agg(
            calls=pl.len().cast(pl.Int64),
            errors=success.not_().sum().cast(pl.Int64),
            client_errors=(success & status.is_between(400, 499)).sum().cast(pl.Int64),
            mean_ns=d.mean(),
            **{name: d.quantile(level, "linear") for name, level in levels.items()},
            max_ns=d.max(),
        )
        .select(COLUMNS)
        .collect(engine="streaming")
    )


def pandas_samples(lake: Lake) -> pl.DataFrame:
    """What a notebook without us does: a pandas ``groupby`` on the landed samples."""
    pandas: Any = importlib.import_module("pandas")
    columns = ["op_id", "timestamp", "duration_ns", "success", "status_code"]
    frame = pandas.concat(
        pandas.read_parquet(path, columns=columns, partitioning=None)
        for path in lake.live_files("samples")
    )
    frame["slot"] = frame["timestamp"].dt.floor("15min")
    frame["error"] = ~frame["success"].astype(bool)
    frame["client_error"] = frame["success"].astype(bool) & frame["status_code"].between(400, 499)
    groups = frame.groupby(["op_id", "slot"])
    d = groups["duration_ns"]
    found = pandas.DataFrame(
        {
            "calls": d.count(),
            "errors": groups["error"].sum(),
            "client_errors": groups["client_error"].sum(),
            "mean_ns": d.mean(),
            "p50_ns": d.quantile(0.5),
            "p95_ns": d.quantile(0.95),
            "p99_ns": d.quantile(0.99),
            "max_ns": d.max(),
        }
    ).reset_index()
    table = pl.from_pandas(found)
    slot = pl.col("slot").dt.epoch("us").floordiv(_US)
    return table.with_columns(slot=slot).select(COLUMNS)


def python_loop(lake: Lake) -> None:
    """A dictionary of lists, on a share of the landed samples."""
    columns = ["op_id", "timestamp", "duration_ns", "success", "status_code"]
    scan = pl.scan_parquet(lake.live_files("samples"), hive_partitioning=False, glob=False)
    scan = scan.select(columns).with_columns(pl.col("timestamp").dt.epoch("us"))
    groups: dict[tuple[int, int], list[Any]] = {}
    for op_id, at, duration, success, status in scan.head(LOOP_ROWS).collect().iter_rows():
        found = groups.setdefault((op_id, at // _US), [0, 0, []])
        found[0] += not success
        found[1] += success and 400 <= status < 500
        found[2].append(duration)
    for _, _, durations in groups.values():
        durations.sort()
        np.quantile(durations, [0.5, 0.95, 0.99])


def refresh_all(lake: Lake) -> None:
    """Make all stored windows, from the projection."""
    refresh(lake, window=WINDOW)


def refresh_one(lake: Lake) -> None:
    """Bring the stored windows up to date after a row came late to one of them."""
    report = refresh(lake, window=WINDOW)
    assert report.dirty == 1


def _nothing_stored(lake: Lake) -> None:
    shutil.rmtree(lake.root / "windows", ignore_errors=True)


def _one_late_row(lake: Lake) -> None:
    refresh(lake, window=WINDOW)
    late = TelemetrySample(
        operation=OperationRef("GET /r1/{id}", service="shop", version="1.0"),
        timestamp=START + WINDOW * 200 + timedelta(seconds=7),
        duration_ns=time.time_ns() % 1_000_000_000,
        success=True,
        kind="server",
    )
    land_samples(lake, [late], source=f"late {late.duration_ns}")


PREPARATIONS: Final[dict[str, Callable[[Lake], None]]] = {
    "refresh_all": _nothing_stored,
    "refresh_one": _one_late_row,
}
"""What is done before the clock runs."""

PROGRAMS: Final[dict[str, Callable[[Lake], pl.DataFrame | None]]] = {
    each.__name__: each
    for each in (
        scan, projection, entry, samples, duckdb_samples, duckdb_projection, chdb_samples,
        polars_streaming, pandas_samples, python_loop, refresh_all, refresh_one,
    )
}  # fmt: skip


def _duckdb(query: str, paths: list[str]) -> pl.DataFrame:
    with duckdb.connect() as connection:
        connection.execute("SET enable_progress_bar = false")
        found: pl.DataFrame = connection.sql(query, params={"paths": paths}).pl()
    return found if "operation" in found.columns else found.select(COLUMNS)


def _projection(lake: Lake) -> list[Path]:
    return [
        lake.root / file.path
        for state in day_states(lake).values()
        for run in state.runs
        for file in run.files
    ]


def peak_mb() -> float:
    """Return the most memory that this program has held, MB; that of its parent does not count."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main(arguments: list[str]) -> None:
    """Run one program and print what it took."""
    name, data_dir, result = arguments
    lake = Lake(Path(data_dir))
    bin_edges()  # Worked out once a process, as modules are imported once.
    prepare = PREPARATIONS.get(name)
    if prepare is not None:
        prepare(lake)
    wall, cpu = time.perf_counter(), time.process_time()
    frame = PROGRAMS[name](lake)
    took = {
        "cpu": time.process_time() - cpu,
        "wall": time.perf_counter() - wall,
        "rss_mb": peak_mb(),
    }
    if frame is not None:
        frame.sort("op_id", "slot").write_parquet(result)
    sys.stdout.write(json.dumps(took) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
