"""Public recordings land with the counts that their sources give."""

from __future__ import annotations

from pathlib import Path

import pytest

from evolution_lab.schemas import SAMPLES, check
from evolution_lab.telemetry.lake import Lake
from evolution_lab.telemetry.landing import land

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
MAPPING = [
    "operation=OperationName",
    "timestamp=StartTimeUnixNano:ns",
    "duration=Duration:us",
    "trace_id=TraceID",
    "span_id=SpanID",
    "parent=ParentID",
]


def recording(name: str) -> Path:
    folder = SHARED / name
    if not folder.exists():
        pytest.skip(f"shared/data/{name} is absent: its counts cannot be checked")
    return folder


def test_trainticket_lands_each_span_once(tmp_path):
    folder = recording("trainticket/raw")
    lake = Lake(tmp_path)
    report = land(lake, folder, mapping=MAPPING)
    assert report.rows_added == 178_156
    assert [Path(name).name for name in report.skipped] == ["2023-01-30-fault_list.json"]
    assert report.rows_quarantined == 0
    again = land(lake, folder, mapping=MAPPING)
    assert (again.rows_added, again.batches) == (0, ())
    landed = check(lake.samples().collect(), SAMPLES)
    assert landed.unique(["trace_id", "span_id"]).height == 178_156


def test_all_of_otlp_lands_or_is_quarantined_with_a_reason(tmp_path):
    folder = recording("otlp")
    lake = Lake(tmp_path)
    report = land(lake, folder)
    files = sorted(str(path) for path in folder.rglob("*") if path.is_file())
    assert sorted(source.source for source in report.sources) == files
    for source in report.sources:
        if source.status == "landed":
            assert source.rows_read == (
                source.rows_added + source.duplicates + sum(source.quarantined.values())
            )
            assert source.rows_read or source.waiting_lines, source.source
    assert report.rows_added > 0
    quarantine = lake.quarantine()
    assert quarantine.height == report.rows_quarantined
    assert quarantine["reason"].str.len_chars().min() > 10


def test_the_official_trace_keeps_its_ids(tmp_path):
    example = recording("otlp") / "examples" / "trace.json"
    lake = Lake(tmp_path)
    land(lake, example)
    (trace_id,) = lake.samples().collect()["trace_id"].unique().to_list()
    assert len(bytes.fromhex(trace_id)) == 16
    assert trace_id in example.read_text(encoding="utf-8").lower()
