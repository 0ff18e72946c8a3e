"""A public recording of microservices with labelled faults, landed and judged by two commands.

Measures, on defaults alone: no setting is chosen on this recording but the window's length, which its
three-minute faults need.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from evolution_lab.cli import main

TRAINTICKET = Path(__file__).parents[1].parent / "shared" / "data" / "trainticket"
MAPPING = (
    "operation=OperationName",
    "timestamp=StartTimeUnixNano:ns",
    "duration=Duration:us",
    "trace_id=TraceID",
    "span_id=SpanID",
    "parent=ParentID",
)

pytestmark = pytest.mark.skipif(
    not TRAINTICKET.is_dir(), reason="shared/data/trainticket is absent: not measured"
)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    data = str(tmp_path_factory.mktemp("trainticket"))
    mapping = [word for item in MAPPING for word in ("--map", item)]
    assert main(["land", str(TRAINTICKET / "continuous.parquet"), "--data", data, *mapping]) == 0
    capture = pytest.MonkeyPatch()
    lines: list[str] = []
    with capture.context() as patch:
        patch.setattr("sys.stdout.write", lines.append)
        assert main(["detect", "--every", "1m", "--json", "--data", data]) == 0
    return json.loads("".join(lines))


def matched(found: dict[str, Any]) -> tuple[set[str], list[str]]:
    """Return the faults found and the incidents that match none, each by its first detection."""
    faults = json.loads((TRAINTICKET / "faults.json").read_text(encoding="utf-8"))
    starts = {fault["inject_timestamp"]: moment(fault["inject_timestamp"]) for fault in faults}
    hits: set[str] = set()
    false = []
    for incident in found["incidents"]:
        delays = {name: moment(incident["detectedAt"]) - start for name, start in starts.items()}
        near = {n for n, d in delays.items() if timedelta(minutes=-1) <= d <= timedelta(minutes=5)}
        hits |= near
        if not near:
            false.append(incident["detectedAt"])
    return hits, false


def test_most_labelled_faults_are_found_and_few_others(found: dict[str, Any]):
    hits, false = matched(found)
    assert len(hits) >= 14
    assert len(false) <= 4


def test_the_quiet_stretch_is_nearly_quiet(found: dict[str, Any]):
    """14:15 to 15:29 carries no label; a signal there is an alarm of 1,000 judged windows."""
    quiet = [s for s in found["signals"] if s["detectedAt"] >= "2023-01-30T14:15"]
    assert len(quiet) <= 4


def test_no_status_is_no_success(found: dict[str, Any]):
    assert {s["kind"] for s in found["signals"]} <= {"latency-regression", "throughput-drop"}
    assert len(found["insufficient"]["error-rate"]) == 201
