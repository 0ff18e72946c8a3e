"""``bench landing``: what it costs to land tables and spans, beside what others do with the same input."""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import orjson

from evolution_lab.bench.interleaved import Timing, ratio, table, timed_in_turns
from evolution_lab.bench.targets import BenchReport, Peer, Target
from evolution_lab.bench.window_data import write_source
from evolution_lab.bench.windows import OPERATIONS
from evolution_lab.datasets import sample_path

Progress = Callable[[int, int], None]

ROWS: Final = 20_000_000
QUICK_ROWS: Final = 500_000
COPIES: Final = 8
QUICK_COPIES: Final = 2
ROUNDS: Final = 3
_MODULE: Final = "evolution_lab.bench.landing_programs"


def bench_landing(
    *,
    rows: int = ROWS,
    quick: bool = False,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> BenchReport:
    """Measure landing in turns with its peers.

    Args:
        rows: Calls of the generated table.
        quick: Half a million calls, and the demo's spans twice.
        folder: Where files are made; a temporary one without it.
        progress: Called with the runs done and the runs in all.
    """
    rows, copies = (min(rows, QUICK_ROWS), QUICK_COPIES) if quick else (rows, COPIES)
    with tempfile.TemporaryDirectory(dir=folder) as made:
        return _tables(Path(made), rows, progress) + _spans(Path(made), copies, progress)


def _tables(folder: Path, rows: int, progress: Progress | None) -> BenchReport:
    source = write_source(folder / "source", rows=rows, operations=OPERATIONS)
    names = ("table_and_query", "duckdb_write_and_query", "table")
    timings = timed_in_turns(
        _MODULE,
        {name: (name, str(source.folder), str(_made(folder / "out"))) for name in names},
        rounds=ROUNDS if rows <= QUICK_ROWS else 2,
        progress=progress,
    )
    value, interval = ratio(timings["table_and_query"], timings["duckdb_write_and_query"])
    what = f"{rows:,} calls in a table of twelve columns"
    return BenchReport(
        (
            Target(
                id="F3-first-query",
                value=value,
                interval=interval,
                target=1.0,
                bound="at most",
                what=f"CPU of landing and the first query by DuckDB's writing and its first; {what}.",
            ),
        ),
        (),
        {f"Landing {what}": table(timings)},
    )


def _spans(folder: Path, copies: int, progress: Progress | None) -> BenchReport:
    small, few = write_spans(folder / "spans.jsonl", copies=copies)
    large, many = write_spans(folder / "more-spans.jsonl", copies=4 * copies)
    out = str(_made(folder / "out"))
    timings = timed_in_turns(
        _MODULE,
        {
            "orjson_loads": ("orjson_loads", str(small), out),
            "spans": ("spans", str(small), out),
            "spans_by_two": ("spans_by_two", str(small), out),
            "spans, four times as many": ("spans", str(large), out),
        },
        rounds=ROUNDS,
        progress=progress,
    )
    ours = timings["spans"]
    value, interval = ratio(ours, timings["orjson_loads"])
    on = f"{few:,} spans of the demo in {small.stat().st_size >> 20} MB of OTLP JSON"
    grown = timings["spans, four times as many"]
    return BenchReport(
        (
            Target(
                id="F6-parse",
                value=value,
                interval=interval,
                target=3.0,
                bound="at most",
                what=f"CPU from file to lake by that of orjson.loads alone; {on}.",
            ),
            Target(
                id="F6-rate",
                value=few / ours.least_cpu,
                interval=_rates(few, ours),
                target=60_000,
                bound="at least",
                what=f"Spans a CPU second, from file to lake; {on}.",
            ),
            Target(
                id="F6-two",
                value=min(ours.wall) / min(timings["spans_by_two"].wall),
                target=1.8,
                bound="at least",
                what=f"Seconds with one process by those with two that parse; {on}.",
            ),
            Target(
                id="F6-memory",
                value=max(grown.rss_mb) / max(ours.rss_mb),
                target=1.3,
                bound="at most",
                what=f"Peak memory of landing {many:,} spans by that of {few:,}.",
            ),
        ),
        (Peer(name="orjson", what="seconds", value=timings["orjson_loads"].least_cpu),),
        {f"Landing {on}": table(timings)},
    )


def write_spans(path: Path, *, copies: int) -> tuple[Path, int]:
    """Write the spans of the bundled sample several times over, each time with other ids.

    Returns:
        The file, and how many spans are in it.
    """
    with gzip.open(sample_path() / "spans.jsonl.gz") as lines:
        requests = [orjson.loads(line) for line in lines]
    spans = 0
    with path.open("wb") as file:
        for copy in range(copies):
            for request in requests:
                spans += _renamed(request, f"{copy:04x}")
                file.write(orjson.dumps(request) + b"\n")
    return path, spans


def _renamed(request: dict[str, Any], prefix: str) -> int:
    found = [
        span
        for resource in request["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]
    for span in found:
        for name in ("traceId", "spanId", "parentSpanId"):
            if span.get(name):
                span[name] = prefix + span[name][len(prefix) :]
    return len(found)


def _rates(spans: int, timing: Timing) -> tuple[float, float]:
    return spans / max(timing.cpu), spans / min(timing.cpu)


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder
