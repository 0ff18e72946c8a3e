from __future__ import annotations

import gzip
import os
import signal
from pathlib import Path

import orjson
import pytest

from evolution_lab.telemetry import reading_processes
from evolution_lab.telemetry.otlp_json import OtlpJsonReader
from evolution_lab.telemetry.reading import ReadOptions
from evolution_lab.telemetry.reading_processes import (
    LEAST_BYTES,
    ReadingProcesses,
    can_be_split,
    processes_for,
)


@pytest.fixture
def spans(tmp_path: Path) -> Path:
    lines = [_line(number) for number in range(300)]
    lines[7] = b"{broken"
    path = tmp_path / "spans.jsonl"
    path.write_bytes(b"\n".join(lines) + b"\n" + _line(300)[:40])
    return path


def _line(number: int) -> bytes:
    span = {
        "traceId": f"{number + 1:032x}",
        "spanId": f"{number + 1:016x}",
        "name": f"GET /things/{number % 3}",
        "kind": 2,
        "startTimeUnixNano": str(1795405740233260242 + number),
        "endTimeUnixNano": str(1795405740333260242 + number),
    }
    return orjson.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]})


def test_several_processes_read_what_one_reads(
    spans: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading_processes, "RANGE_BYTES", 9_000)
    options = ReadOptions()
    with spans.open("rb") as file:
        (alone,) = OtlpJsonReader().read(file, options)
    told: list[tuple[int, int]] = []
    size = spans.stat().st_size
    chunks = list(
        ReadingProcesses(options, 2).read(spans, size, lambda done, of: told.append((done, of)))
    )
    assert len(chunks) > 3
    rows = [row for chunk in chunks for row in chunk.rows.rows()]
    assert rows == alone.rows.rows()
    assert tuple(reject for chunk in chunks for reject in chunk.rejects) == alone.rejects
    assert sum(chunk.waiting_lines for chunk in chunks) == alone.waiting_lines == 1
    assert told[-1] == (size, size)


def test_a_process_that_dies_is_done_without(spans: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_processes, "RANGE_BYTES", 9_000)
    processes = ReadingProcesses(ReadOptions(), 1)
    found = 0
    for chunk in processes.read(spans, spans.stat().st_size):
        found += chunk.rows.height
        for running in processes._running:
            os.kill(running.pid, signal.SIGKILL)
    assert found == 299


def test_what_cannot_be_split_is_read_by_one(tmp_path: Path, spans: Path) -> None:
    pretty, packed = tmp_path / "pretty.json", tmp_path / "spans.jsonl.gz"
    pretty.write_text('{\n"resourceSpans": []\n}\n', encoding="utf-8")
    packed.write_bytes(gzip.compress(spans.read_bytes()))
    assert can_be_split(spans)
    assert not can_be_split(pretty)
    assert not can_be_split(packed)


def test_small_files_are_read_by_one_process_unless_asked_otherwise() -> None:
    assert processes_for(LEAST_BYTES - 1, None) == 1
    assert processes_for(10, 3) == 3
