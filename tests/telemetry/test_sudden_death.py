"""A landing that is killed loses nothing, leaves nothing half, and doubles nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time
from datetime import UTC, datetime, timedelta

import polars as pl

from evolution_lab.schemas import SAMPLES, check
from evolution_lab.telemetry.lake import Lake
from evolution_lab.telemetry.landing import land

ROWS = 4_000
PROGRAM = """
    import sys
    from pathlib import Path
    from evolution_lab.telemetry import csv_tables, writing
    from evolution_lab.telemetry.lake import Lake
    from evolution_lab.telemetry.landing import land

    writing.BATCH_ROWS = 100
    csv_tables._BLOCK = 6_000
    land(Lake(Path(sys.argv[1])), sys.argv[2])
"""


def test_killed_landings_lose_and_double_nothing(tmp_path):
    start = datetime(2026, 1, 1, tzinfo=UTC)
    path = tmp_path / "spans.csv"
    pl.DataFrame(
        {
            "timestamp": [(start + timedelta(minutes=n)).isoformat() for n in range(ROWS)],
            "operation": ["GET /a"] * ROWS,
            "duration_ms": [float(n) for n in range(ROWS)],
            # Every other row has no ids, so that both ways of telling rows apart are at stake.
            "trace_id": [f"{n:032x}" if n % 2 else None for n in range(ROWS)],
            "span_id": [f"{n:016x}" if n % 2 else None for n in range(ROWS)],
        }
    ).write_csv(path)
    lake = Lake(tmp_path / "lab")
    found = []
    for batches, pause in ((3, 0.0), (8, 0.004), (15, 0.009)):
        program = [sys.executable, "-c", textwrap.dedent(PROGRAM), str(lake.data_dir), str(path)]
        with subprocess.Popen(program) as process:
            while len(list(lake.root.glob("batches/*.json"))) < batches and process.poll() is None:
                time.sleep(0.001)
            time.sleep(pause)
            process.kill()
            assert process.wait() == -signal.SIGKILL
        landed = check(lake.samples().collect(), SAMPLES)
        assert landed["row_id"].is_unique().all()
        found.append(landed.height)
    assert found == sorted(found)
    assert 0 < found[-1] < ROWS, f"no landing was killed midway: {found}"
    land(lake, path)
    landed = check(lake.samples().collect(), SAMPLES)
    assert landed["row_id"].is_unique().all()
    assert sorted(landed["duration_ns"]) == [n * 1_000_000 for n in range(ROWS)]
    assert land(lake, path).rows_added == 0
