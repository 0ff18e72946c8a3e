"""Four landings, a compaction and a refresh of windows, killed at random moments: nothing lost or doubled.

``kill -9`` of one process after the other, each restarted, while a reader looks on. In CI a few kills;
``make test-long`` makes 60. In the end the rows are those of the files, and the windows those of a lab
that was built from them without any kill.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from evolution_lab.lab import Lab
from evolution_lab.schemas import SAMPLES, check
from evolution_lab.telemetry.compaction import compact
from evolution_lab.telemetry.lake import Lake
from evolution_lab.telemetry.landing import land
from evolution_lab.telemetry.verifying import verify
from evolution_lab.windows.refreshing import refresh, stored_sums

LANDINGS = 4
QUARTER = timedelta(minutes=15)
ROWS, SHARED = 200, 20
LANDING = """
    import sys
    from datetime import UTC, datetime, timedelta
    from pathlib import Path

    import polars as pl

    from evolution_lab.telemetry import csv_tables, writing
    from evolution_lab.telemetry.lake import Lake
    from evolution_lab.telemetry.landing import land

    writing.BATCH_ROWS = 50
    csv_tables._BLOCK = 4_000
    data, files, worker = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    rows, shared = int(sys.argv[4]), int(sys.argv[5])
    start = datetime(2026, 1, 1, tzinfo=UTC)

    def table(number):
        # Every other row has no ids; the first ones with ids stand in the files of all workers.
        numbers = [(0 if n < shared else worker + 1) * 10**9 + number * rows + n for n in range(rows)]
        return pl.DataFrame(
            {
                "timestamp": [(start + timedelta(minutes=n * 7 % 4000)).isoformat() for n in numbers],
                "operation": [f"op {n % 3}" for n in numbers],
                "duration_ns": numbers,
                "trace_id": [f"{n + 1:032x}" if n % 2 or i < shared else None for i, n in enumerate(numbers)],
                "span_id": [f"{n + 1:016x}" if n % 2 or i < shared else None for i, n in enumerate(numbers)],
            }
        )

    number = 0
    while True:
        path = files / f"{worker}-{number}.csv"
        if not path.exists():
            draft = path.with_suffix(".draft")
            table(number).write_csv(draft)
            draft.rename(path)
        land(Lake(data), path)
        number += 1
"""
COMPACTING = """
    import sys
    from datetime import timedelta
    from pathlib import Path

    from evolution_lab.telemetry.compaction import compact
    from evolution_lab.telemetry.lake import Lake

    lake = Lake(Path(sys.argv[1]))
    while True:
        compact(lake, joined_rows=2_000, grace=timedelta(seconds=60))
"""
REFRESHING = """
    import sys
    from datetime import timedelta
    from pathlib import Path

    from evolution_lab.telemetry.lake import Lake
    from evolution_lab.windows.refreshing import refresh

    lake = Lake(Path(sys.argv[1]))
    while True:
        refresh(lake, window=timedelta(minutes=15))
"""
COMPACTION, REFRESH = LANDINGS, LANDINGS + 1
PROGRAMS = [*[LANDING] * LANDINGS, COMPACTING, REFRESHING]


@pytest.mark.parametrize("kills", [3, pytest.param(60, marks=pytest.mark.slow)])
def test_kills_lose_and_double_nothing(tmp_path: Path, kills: int):
    data, files = tmp_path / "lab", tmp_path / "files"
    files.mkdir()
    chance, seen, killed = random.Random(kills), 0, Counter[int]()
    with ExitStack() as stack:
        running = {worker: _started(stack, worker, data, files) for worker in range(len(PROGRAMS))}
        _wait_for_batches(Lake(data))
        for number in range(kills):
            time.sleep(chance.uniform(0.0, 0.6))
            # Landings, the compaction and the refresh in turns: the others are at work meanwhile.
            victim = (chance.randrange(LANDINGS), COMPACTION, REFRESH)[number % 3]
            running[victim].kill()
            assert running[victim].wait() == -signal.SIGKILL, "it had ended by itself"
            killed[victim] += 1
            running[victim] = _started(stack, victim, data, files)
            seen = _looked_at(Lake(data), at_least=seen)
        for process in running.values():
            process.kill()
            assert process.wait() == -signal.SIGKILL, "it had ended by itself"
    assert min(killed[COMPACTION], killed[REFRESH]) >= kills // 3
    lake = Lake(data)
    assert any(swap.reason == "compact" for swap in lake.swaps())
    _looked_at(lake, at_least=seen)
    # What was killed midway goes on where it was.
    paths = sorted(files.glob("*.csv"))
    land(lake, paths)
    assert land(lake, paths).rows_added == 0
    landed = check(lake.samples().collect(), SAMPLES)
    expected = pl.concat(pl.read_csv(path)["duration_ns"] for path in paths).unique()
    assert landed["row_id"].is_unique().all()
    assert sorted(landed["duration_ns"]) == sorted(expected)
    compact(lake, grace=timedelta(0))
    report = verify(lake)
    assert [finding for finding in report.findings if finding.harmful] == []
    fresh = Lab(tmp_path / "fresh")
    fresh.land(*paths)
    # How often late rows came is of the landings, not of the rows.
    assert Lab(data).windows().drop("revision").equals(fresh.windows().drop("revision"))
    for each in (lake, fresh.lake):
        refresh(each, window=QUARTER)
    stored = stored_sums(lake, window=QUARTER)
    assert stored["calls"].sum() == landed.height
    assert stored.equals(stored_sums(fresh.lake, window=QUARTER))


def _started(stack: ExitStack, worker: int, data: Path, files: Path) -> subprocess.Popen[bytes]:
    program = PROGRAMS[worker]
    arguments = [str(data), str(files), str(worker), str(ROWS), str(SHARED)]
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program), *arguments])
    stack.callback(process.wait)
    stack.callback(process.kill)
    return process


def _wait_for_batches(lake: Lake) -> None:
    deadline = time.monotonic() + 60
    while len(list(lake.root.glob("batches/*.json"))) < 20:
        assert time.monotonic() < deadline, "nothing is landed"
        time.sleep(0.02)


def _looked_at(lake: Lake, *, at_least: int) -> int:
    """Read as any reader does: no row twice, none gone that was there."""
    row_ids = lake.samples().select("row_id").collect().to_series()
    assert row_ids.is_unique().all()
    assert len(row_ids) >= at_least
    windows = stored_sums(lake, window=QUARTER).select("op_id", "slot")
    assert windows.is_unique().all()
    return len(row_ids)
