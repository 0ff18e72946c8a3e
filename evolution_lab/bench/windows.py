"""``bench windows``: what aggregation costs, beside the scan of its columns and beside its peers."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from math import log
from pathlib import Path
from typing import Final

import polars as pl

from evolution_lab.bench.interleaved import Timing, ratio, table, timed_in_turns
from evolution_lab.bench.targets import BenchReport, Peer, Target
from evolution_lab.bench.window_data import WINDOW, WINDOWS, landed_lake, write_source
from evolution_lab.bench.window_programs import COLUMNS, LOOP_ROWS
from evolution_lab.telemetry import Lake
from evolution_lab.windows.refreshing import refresh, stored_sums

Progress = Callable[[int, int], None]

ROWS: Final = 20_000_000
QUICK_ROWS: Final = 1_000_000
OPERATIONS: Final = 400
ROUNDS: Final = 3
SMALL_ROWS, LARGE_ROWS = 5_000_000, 100_000_000
FEW_OPERATIONS, MANY_OPERATIONS = 100, 10_000
_MODULE: Final = "evolution_lab.bench.window_programs"
_PROGRAMS: Final = (
    "scan", "projection", "entry", "samples", "duckdb_samples", "duckdb_projection", "chdb_samples",
    "polars_streaming", "pandas_samples", "python_loop",
)  # fmt: skip
_FASTER: Final = {
    "duckdb_samples": ("F2-duckdb", 5.0, "DuckDB's quantile_cont on the landed samples"),
    "chdb_samples": ("F2-chdb", 6.0, "ClickHouse's quantilesExactInclusive on the landed samples"),
    "duckdb_projection": ("F2-duckdb-sorted", 3.0, "DuckDB's quantile_cont on the projection"),
    "pandas_samples": ("F2-pandas", 30.0, "a pandas groupby on the landed samples"),
}
_REFRESHES: Final = ("refresh_all", "refresh_one")
_OURS_ALONE: Final = ("projection", "python_loop", *_REFRESHES)
_EXACT: Final = 1e-9
LEAST_ROWS: Final = 10_000_000
_NEED_ROWS: Final = ("F1-scan", "F2-pandas", "F5-refresh")
"""Targets that say nothing of fewer calls: a few milliseconds for each file outweigh the rest."""


def bench_windows(
    *,
    rows: int = ROWS,
    quick: bool = False,
    growth: bool = False,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> BenchReport:
    """Measure the aggregation of a generated lake, in turns with its peers.

    Args:
        rows: Calls of the lake.
        quick: A million calls at most.
        growth: Also from 5 to 100 million calls, and from 100 to 10,000 operations.
        folder: Where the lakes are made; a temporary one without it. About 60 bytes a call.
        progress: Called with the runs done and the runs in all.
    """
    rows = min(rows, QUICK_ROWS) if quick else rows
    with tempfile.TemporaryDirectory(dir=folder) as made:
        report = _peers(Path(made) / "lake", rows, progress)
        if growth:
            report += _growth(Path(made), progress)
    return report


def _peers(folder: Path, rows: int, progress: Progress | None) -> BenchReport:
    timings = _timed(folder, rows, OPERATIONS, _PROGRAMS, progress=progress)
    ours, scan = timings["projection"], timings["scan"]
    on = f"{rows:,} calls of {OPERATIONS} operations in {WINDOWS} windows"
    value, interval = ratio(ours, scan)
    targets = [
        Target(
            id="F1-scan",
            value=value,
            interval=interval,
            target=1.8,
            bound="at most",
            what=f"CPU of the query on the projection by that of reading its columns; {on}.",
        )
    ]
    for name, (key, target, what) in _FASTER.items():
        peer = timings[name]
        measured = ratio(peer, ours) if peer.cpu else None
        targets.append(
            Target(
                id=key,
                value=measured and measured[0],
                interval=measured and measured[1],
                target=target,
                bound="at least",
                what=f"CPU of {what} by that of our query on the projection; {on}."
                + (f" Not run: {peer.failure}" if peer.failure else ""),
            )
        )
    value, interval = ratio(timings["samples"], timings["duckdb_samples"])
    targets.append(
        Target(
            id="F4-cold",
            value=value,
            interval=interval,
            target=1.0,
            bound="at most",
            what=f"CPU of our query without a projection by DuckDB's on the same files; {on}.",
        )
    )
    targets.append(_agreement(folder, timings))
    # Only now: these land late rows, and all before is about one lake.
    timings |= timed_in_turns(_MODULE, _arguments(folder, _REFRESHES), rounds=ROUNDS)
    targets += _refreshed(folder, timings, on)
    if rows < LEAST_ROWS:
        targets = [target for target in targets if target.id not in _NEED_ROWS]
    loop = timings["python_loop"]
    peers = [
        Peer(name=name, what="times our CPU", value=ratio(timing, ours)[0])
        for name, timing in timings.items()
        if timing.cpu and name not in _OURS_ALONE
    ]
    share = rows / min(rows, LOOP_ROWS)
    peers.append(
        Peer(
            name="python_loop",
            what="times our CPU",
            value=ratio(loop, ours)[0] * share,
            note=f"measured on {min(rows, LOOP_ROWS):,} calls, times {share:g}",
        )
    )
    return BenchReport(tuple(targets), tuple(peers), {f"Windows of {on}": table(timings)})


def _refreshed(folder: Path, timings: Mapping[str, Timing], on: str) -> list[Target]:
    value, interval = ratio(timings["refresh_all"], timings["refresh_one"])
    lake = Lake(folder / "lab")
    step_by_step = stored_sums(lake, window=WINDOW)
    shutil.rmtree(lake.root / "windows")
    refresh(lake, window=WINDOW)
    return [
        Target(
            id="F5-refresh",
            value=value,
            interval=interval,
            target=50,
            bound="at least",
            what=f"CPU of making all windows by that of making the one that a late row changed; {on}.",
        ),
        Target(
            id="F5-equal",
            value=float(step_by_step.equals(stored_sums(lake, window=WINDOW))),
            target=1.0,
            bound="at least",
            what="Whether windows made step by step equal those made from scratch, to the last bit.",
        ),
    ]


def _growth(folder: Path, progress: Progress | None) -> BenchReport:
    small = _timed(
        folder / "small", SMALL_ROWS, OPERATIONS, ("scan", "projection"), progress=progress
    )
    large = _timed(
        folder / "large", LARGE_ROWS, OPERATIONS, ("scan", "projection"), progress=progress
    )
    exponent = log(large["projection"].least_cpu / small["projection"].least_cpu) / log(
        LARGE_ROWS / SMALL_ROWS
    )
    value, interval = ratio(large["projection"], large["scan"])
    few = _timed(
        folder / "few", SMALL_ROWS, FEW_OPERATIONS, ("projection", "entry"), progress=progress
    )
    many = _timed(
        folder / "many", SMALL_ROWS, MANY_OPERATIONS, ("projection", "entry"), progress=progress
    )
    wider = many["projection"].least_cpu / few["projection"].least_cpu
    targets = (
        Target(
            id="F1-scan-large",
            value=value,
            interval=interval,
            target=1.5,
            bound="at most",
            what=f"CPU of the query by that of reading its columns; {LARGE_ROWS:,} calls.",
        ),
        Target(
            id="F1-memory",
            value=max(large["projection"].rss_mb) / 1024,
            target=0.5,
            bound="at most",
            what=f"Peak memory of the query's process, GB; {LARGE_ROWS:,} calls.",
        ),
        Target(
            id="F7-growth",
            value=exponent,
            target=1.05,
            bound="at most",
            what=f"Exponent of CPU in calls, from {SMALL_ROWS:,} to {LARGE_ROWS:,}.",
        ),
    )
    peers = (
        Peer(
            name="projection",
            what=f"times the CPU from {FEW_OPERATIONS} to {MANY_OPERATIONS:,} operations",
            value=wider,
            note=f"{SMALL_ROWS:,} calls",
        ),
    )
    tables = {
        f"Windows of {SMALL_ROWS:,} calls": table(small),
        f"Windows of {LARGE_ROWS:,} calls": table(large),
        f"{FEW_OPERATIONS} operations": table(few),
        f"{MANY_OPERATIONS:,} operations": table(many),
    }
    return BenchReport(targets, peers, tables)


def _timed(
    folder: Path,
    rows: int,
    operations: int,
    programs: tuple[str, ...],
    *,
    progress: Progress | None,
) -> dict[str, Timing]:
    source = write_source(folder / "source", rows=rows, operations=operations)
    landed_lake(folder / "lab", source)
    for file in source.files:
        file.unlink()
    return timed_in_turns(_MODULE, _arguments(folder, programs), rounds=ROUNDS, progress=progress)


def _arguments(folder: Path, programs: tuple[str, ...]) -> dict[str, tuple[str, str, str]]:
    return {name: (name, str(folder / "lab"), str(folder / f"{name}.parquet")) for name in programs}


def _agreement(folder: Path, timings: Mapping[str, Timing]) -> Target:
    """Hold every answer against ours; a mean or quantile may differ in its last bits."""
    ours = pl.read_parquet(folder / "projection.parquet")
    worst = 0.0
    for name in timings:
        path = folder / f"{name}.parquet"
        if name == "projection" or not path.is_file():
            continue
        theirs = pl.read_parquet(path)
        if theirs.height != ours.height:
            worst = float("inf")
            continue
        for column in COLUMNS:
            mine, other = ours[column].cast(pl.Float64), theirs[column].cast(pl.Float64)
            away = ((mine - other).abs() / mine.abs().clip(lower_bound=1.0)).max()
            worst = max(worst, float(away or 0.0))  # type: ignore[arg-type]
    return Target(
        id="F-agree",
        value=worst,
        target=_EXACT,
        bound="at most",
        what="Largest relative difference of any number from any peer's.",
    )
