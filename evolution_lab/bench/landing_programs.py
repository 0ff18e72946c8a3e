"""What ``bench landing`` runs, each in a process of its own: ours and its peers on the same input.

    python -m evolution_lab.bench.landing_programs PROGRAM INPUT… OUTPUT

prints CPU seconds (of child processes, too), wall seconds and peak memory; imports are done before.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import duckdb
import orjson
import polars as pl

from evolution_lab.bench.window_data import WINDOW
from evolution_lab.bench.window_programs import peak_mb
from evolution_lab.telemetry import Lake, land
from evolution_lab.windows.landed_windows import landed_sums

_US: Final = WINDOW.seconds * 1_000_000


def table(source: Path, output: Path) -> None:
    """Land a table; duplicates, redaction, checks and the projection included."""
    land(Lake(output), source)


def table_and_query(source: Path, output: Path) -> None:
    """Land a table and ask for all windows."""
    lake = Lake(output)
    land(lake, source)
    landed_sums(lake, window=WINDOW)


def duckdb_write_and_query(source: Path, output: Path) -> None:
    """Write the same columns with DuckDB, by day and time, and ask it for all windows.

    No duplicates are looked for, nothing is redacted and nothing checked.
    """
    files = sorted(str(path) for path in source.glob("*.parquet"))
    with duckdb.connect() as connection:
        connection.execute("SET enable_progress_bar = false")
        connection.execute(
            f"""
            COPY (
                SELECT hash(service || operation_key || operation_version) AS op_id, service,
                    operation_key, operation_version, kind, NULL::VARCHAR AS environment, timestamp,
                    duration_ns, success, status_code, error_code, NULL::VARCHAR AS error_message,
                    tenant_id, NULL::VARCHAR AS actor_id, NULL::VARCHAR AS session_id, trace_id,
                    span_id, NULL::VARCHAR AS parent_span_id, NULL::VARCHAR AS channel,
                    NULL::VARCHAR AS variant_id, NULL::BIGINT AS payload_bytes, 1.0 AS weight,
                    NULL::VARCHAR AS attributes, 'mapped' AS name_source,
                    trace_id || '/' || span_id AS row_id, timestamp::DATE AS date
                FROM read_parquet($files) ORDER BY timestamp
            ) TO '{output}' (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (date))
            """,  # noqa: S608 (our own paths)
            {"files": files},
        )
        connection.execute(
            f"""
            SELECT op_id, epoch_us(timestamp) // {_US} AS slot, count(*),
                count(*) FILTER (NOT success),
                count(*) FILTER (success AND status_code BETWEEN 400 AND 499), avg(duration_ns),
                quantile_cont(duration_ns, [0.5, 0.95, 0.99]), max(duration_ns)
            FROM read_parquet('{output}/*/*.parquet') GROUP BY op_id, slot
            """  # noqa: S608 (our own paths)
        ).fetchall()


def orjson_loads(source: Path, output: Path) -> None:
    """Parse a file of JSON lines and do nothing with it; garbage is not collected."""
    del output
    gc.disable()
    with source.open("rb") as lines:
        for line in lines:
            orjson.loads(line)


def spans(source: Path, output: Path) -> None:
    """Land a file of OTLP JSON: parsed, redacted, without duplicates, with its projection."""
    land(Lake(output), source, workers=1)


def spans_by_two(source: Path, output: Path) -> None:
    """The same with two processes that parse."""
    land(Lake(output), source, workers=2)


PROGRAMS: Final[dict[str, Callable[[Path, Path], None]]] = {
    each.__name__: each
    for each in (table, table_and_query, duckdb_write_and_query, orjson_loads, spans, spans_by_two)
}


def main(arguments: list[str]) -> None:
    """Run one program and print what it took."""
    name, source, output = arguments
    warm = Path(output).parent / f"warm-{os.getpid()}"
    if name in {"spans", "spans_by_two", "table", "table_and_query"}:
        # What is imported and compiled at first use is no cost of a row.
        land(
            Lake(warm),
            pl.DataFrame(
                {
                    "timestamp": ["2026-01-01T00:00:00Z"],
                    "operation": ["GET /users/{id}"],
                    "duration_ms": [1.5],
                }
            ),
        )
    wall, cpu = time.perf_counter(), _cpu()
    PROGRAMS[name](Path(source), Path(output) / f"{name}-{os.getpid()}")
    took = {
        "cpu": _cpu() - cpu,
        "wall": time.perf_counter() - wall,
        "rss_mb": peak_mb(),
    }
    sys.stdout.write(json.dumps(took) + "\n")


def _cpu() -> float:
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


if __name__ == "__main__":
    main(sys.argv[1:])
