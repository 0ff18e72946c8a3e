"""Building the projection: at the end of a landing, and wherever sample files lack one."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

import polars as pl
import pyarrow.parquet as pq

from evolution_lab.errors import LockedError
from evolution_lab.telemetry.batches import BatchFile
from evolution_lab.telemetry.lake import Lake
from evolution_lab.telemetry.locks import file_lock
from evolution_lab.telemetry.projection.narrow import (
    ANSWERING,
    ERROR,
    NarrowRows,
    merged,
    minute_of,
    narrow_rows,
    ordered,
    outcome_of,
    unordered_rows,
)
from evolution_lab.telemetry.projection.runs import (
    FAILURES,
    Run,
    read_failures,
    read_file,
    write_run,
)
from evolution_lab.telemetry.projection.states import (
    DayState,
    Manifest,
    day_states,
    folder_of_day,
    projected_days,
    publish_manifest,
    read_manifest,
)

Progress = Callable[[int, int], None]

UNKNOWN_ERROR: Final = "unknown"
GRACE: Final = timedelta(minutes=15)
_READ_AT_ONCE: Final = 8
_GROWTH: Final = 2


@dataclass(frozen=True)
class NarrowDay:
    """Narrow rows as read from sample files.

    Attributes:
        rows: Sorted.
        failures: With the columns of ``FAILURES``.
        between: Rows left out: calls between operations, unless their parent is unknown.
    """

    rows: NarrowRows
    failures: pl.DataFrame
    between: int


def project(
    lake: Lake,
    *,
    days: Collection[date] | None = None,
    grace: timedelta = GRACE,
    wait_seconds: float = 30.0,
    progress: Progress | None = None,
) -> int:
    """Build what the projection of some days lacks.

    A kill at any moment leaves what was there; whoever reads meanwhile sees the old runs or the new.

    Args:
        lake: The lake.
        days: Only these.
        grace: How long replaced files stay for readers that listed them before.
        wait_seconds: How long to wait for another process that builds the same day; then its day is
            left to it.
        progress: Called with the days done and the days in all.

    Returns:
        How many rows were added to the projection.
    """
    states = day_states(lake, days)
    for day in projected_days(lake.root):
        if days is None or day in days:
            states.setdefault(day, DayState((), (), ()))
    lacking = [
        day
        for day, state in sorted(states.items())
        if state.uncovered or len(state.runs) != len(read_manifest(lake.root, day).runs)
    ]
    added = 0
    for number, day in enumerate(lacking):
        lock = lake.root / "locks" / f"latency-{day.isoformat()}.lock"
        with suppress(LockedError), file_lock(lock, wait_seconds=wait_seconds):
            added += _project_day(lake, day, grace)
        if progress is not None:
            progress(number + 1, len(lacking))
    return added


def read_narrow(
    lake: Lake,
    files: Sequence[BatchFile],
    *,
    with_failures: bool = True,
    within: Sequence[tuple[datetime, datetime]] = (),
) -> NarrowDay:
    """Read the narrow rows of sample files of one day.

    Args:
        lake: Their lake.
        files: Live files.
        with_failures: Whether to read error codes, too.
        within: Only rows in one of these spans of time, end excluded; all without any.
    """
    parts, failures, between = [], [pl.DataFrame(schema=FAILURES)], 0
    for at in range(0, len(files), _READ_AT_ONCE):
        paths = [lake.root / file.path for file in files[at : at + _READ_AT_ONCE]]
        facts = [_facts(path) for path in paths]
        scan = pl.scan_parquet(paths, hive_partitioning=False, glob=False)
        if within:
            began = pl.col("timestamp")
            spans = [(began >= first) & (began < end) for first, end in within]
            scan = scan.filter(pl.any_horizontal(spans))
        if not all(answering for answering, _ in facts):
            other = pl.col("kind").is_not_null() & ~pl.col("kind").is_in(ANSWERING)
            inner = other & pl.col("parent_span_id").is_not_null()
            between += int(scan.select(inner.sum()).collect().item())
            scan = scan.filter(~inner)
        weighted = not all(plain for _, plain in facts)
        rows, failed = _unordered(scan, weighted=weighted, failures=with_failures)
        parts.append(rows)
        failures.append(failed)
    rows = (
        merged(parts) if len(parts) > 1 else ordered(parts[0]) if parts else narrow_rows(_NO_ROWS)
    )
    return NarrowDay(rows, _added_up(pl.concat(failures)), between)


def narrow_day(samples: pl.DataFrame) -> NarrowDay:
    """Return the narrow rows of operations of one day.

    Args:
        samples: With the columns that narrow rows are made of.
    """
    rows, failures = _unordered(samples.lazy(), weighted=True)
    return NarrowDay(ordered(rows), failures, 0)


def _unordered(
    scan: pl.LazyFrame, *, weighted: bool, failures: bool = True
) -> tuple[NarrowRows, pl.DataFrame]:
    columns = ["op_id", "duration_ns", *(["weight"] if weighted else [])]
    columns += ["error_code"] if failures else []
    frame = scan.select(*columns, minute=minute_of(), outcome=outcome_of()).collect()
    if weighted and frame["weight"].eq(1.0).all():
        frame = frame.drop("weight")
    failed = pl.DataFrame(schema=FAILURES)
    if failures:
        failed = (
            frame.filter(pl.col("outcome") == ERROR)
            .group_by("op_id", "minute", pl.col("error_code").fill_null(UNKNOWN_ERROR))
            .agg(count=pl.len().cast(pl.Int64))
        )
    return unordered_rows(frame), failed


def all_answering(lake: Lake, file: BatchFile) -> bool:
    """Say whether no row of a file is a call between operations; False where that is not known."""
    return _facts(lake.root / file.path)[0]


_NO_ROWS: Final = pl.DataFrame(
    schema={
        "op_id": pl.Int64(),
        "duration_ns": pl.Int64(),
        "minute": pl.UInt16(),
        "outcome": pl.UInt8(),
    }
)


def _project_day(lake: Lake, day: date, grace: timedelta) -> int:
    state = day_states(lake, [day]).get(day, DayState((), (), ()))
    old = read_manifest(lake.root, day)
    runs = list(state.runs)
    if state.uncovered:
        runs = _with_new_run(lake, day, state)
    if tuple(runs) != old.runs:
        publish_manifest(lake.root, day, Manifest(runs=tuple(runs)))
    _sweep(lake, day, runs, grace)
    return sum(file.rows for file in state.uncovered)


def _with_new_run(lake: Lake, day: date, state: DayState) -> list[Run]:
    """Add a run of what lacks one; smaller runs are taken up in it, so that few are ever there."""
    new = read_narrow(lake, state.uncovered)
    size, taken = len(new.rows), []
    for run in sorted(state.runs, key=lambda run: run.rows):
        if run.rows > _GROWTH * size:
            break
        taken.append(run)
        size += run.rows
    parts = [read_file(lake.root, file) for run in taken for file in run.files]
    failures = pl.concat([new.failures, read_failures(lake.root, tuple(taken))])
    leaves = {leaf for file in state.uncovered for leaf in state.leaves[file.path]}
    run = write_run(
        lake.root,
        folder_of_day(day),
        merged([new.rows, *parts]),
        _added_up(failures),
        built_from=(*leaves, *(path for each in taken for path in each.built_from)),
        between=new.between + sum(each.between for each in taken),
    )
    return [*(each for each in state.runs if each not in taken), run]


def _sweep(lake: Lake, day: date, runs: Sequence[Run], grace: timedelta) -> None:
    """Delete files of the day that no run names, once readers that listed them are done."""
    named = {file.path.rpartition("/")[2] for run in runs for file in run.files}
    named |= {run.failures.rpartition("/")[2] for run in runs if run.failures}
    named.add("runs.json")
    limit = time.time() - grace.total_seconds()
    for path in (lake.root / folder_of_day(day)).iterdir():
        with suppress(FileNotFoundError):
            if path.name not in named and path.stat().st_mtime < limit:
                path.unlink()


def _added_up(failures: pl.DataFrame) -> pl.DataFrame:
    return failures.group_by("op_id", "minute", "error_code").agg(pl.col("count").sum())


def _facts(path: Any) -> tuple[bool, bool]:
    """Say whether all rows of a file answer somebody, and whether each weighs 1; by its statistics."""
    file = pq.ParquetFile(path)
    places = {name: at for at, name in enumerate(file.schema_arrow.names)}
    answering = plain = True
    for number in range(file.metadata.num_row_groups):
        group = file.metadata.row_group(number)
        kind, weight = group.column(places["kind"]), group.column(places["weight"])
        if kind.statistics is None or not (
            kind.statistics.null_count == group.num_rows
            or (
                kind.statistics.has_min_max
                and kind.statistics.min == kind.statistics.max
                and kind.statistics.min in ANSWERING
            )
        ):
            answering = False
        if weight.statistics is None or not (
            weight.statistics.has_min_max and weight.statistics.min == weight.statistics.max == 1.0
        ):
            plain = False
    return answering, plain
