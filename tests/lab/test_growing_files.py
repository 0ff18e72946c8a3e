"""Files that grow: only what is new is read, nothing is lost or landed twice, whatever rotates."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evolution_lab.errors import PathNotFoundError
from evolution_lab.lab import Lab
from evolution_lab.lab.every_night import TelemetryToLand
from evolution_lab.lab.growing_files import GrowingFiles


def line(number: int) -> str:
    span = {
        "traceId": f"{number + 1:032x}", "spanId": f"{number + 1:016x}", "name": "GET /x", "kind": 2,
        "startTimeUnixNano": str(1_777_881_600_000_000_000 + number * 1_000_000),
        "endTimeUnixNano": str(1_777_881_600_001_000_000 + number * 1_000_000),
    }  # fmt: skip
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}) + "\n"


def lines(begin: int, end: int) -> str:
    return "".join(line(number) for number in range(begin, end))


def rows(lab: Lab) -> int:
    ids = lab.samples().collect()["span_id"]
    assert ids.n_unique() == len(ids)
    return len(ids)


def test_only_the_new_lines_of_a_file_are_read(tmp_path: Path):
    lab, source = Lab(tmp_path / "lab"), tmp_path / "spans.jsonl"
    files = GrowingFiles(TelemetryToLand(paths=(source,)))
    half = line(150)
    source.write_text(lines(0, 100) + half[:80])
    assert files.land(lab) is not None
    assert rows(lab) == 100
    with source.open("a") as file:
        file.write(half[80:] + lines(100, 140) + line(160)[:10])
    report = files.land(lab)
    assert report is not None
    assert (report.rows_added, report.duplicates, report.rows_quarantined) == (41, 0, 0)
    assert [Path(each.source).name for each in report.sources] == ["spans.jsonl"]
    assert files.land(lab) is None
    with source.open("a") as file:
        file.write(line(160)[10:])
    report = files.land(lab)
    assert report is not None
    assert report.rows_added == 1
    assert rows(lab) == 142
    assert list((tmp_path / "lab" / "spool").iterdir()) == []


def test_a_file_that_is_rotated_loses_nothing(tmp_path: Path):
    lab, folder = Lab(tmp_path / "lab"), tmp_path / "collector"
    folder.mkdir()
    source = folder / "spans.jsonl"
    files = GrowingFiles(TelemetryToLand(paths=(folder,)))
    source.write_text(lines(0, 50))
    files.land(lab)
    with source.open("a") as file:
        file.write(lines(50, 60))
    source.rename(folder / "spans-1.jsonl")
    source.write_text(lines(60, 65))
    files.land(lab)
    assert rows(lab) == 65
    with source.open("a") as file:
        file.write(lines(65, 70))
    files.land(lab)
    (folder / "spans-1.jsonl").unlink()
    assert files.land(lab) is None
    source.write_text(lines(70, 73))  # Truncated and begun anew, under the same inode.
    files.land(lab)
    assert rows(lab) == 73


def test_other_files_are_read_whole_and_landed_once(tmp_path: Path):
    lab, source = Lab(tmp_path / "lab"), tmp_path / "calls.csv"
    files = GrowingFiles(TelemetryToLand(paths=(source,)))
    with pytest.raises(PathNotFoundError):
        files.land(lab)
    source.write_text("timestamp,operation,duration_ms\n2026-05-04T08:00:00Z,GET /x,1\n")
    files.land(lab)
    with source.open("a") as file:
        file.write("2026-05-04T08:00:01Z,GET /x,2\n")
    report = files.land(lab)
    assert report is not None
    assert report.rows_added == 1
    assert lab.samples().collect().height == 2
