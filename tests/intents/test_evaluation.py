"""Detection held against labels in a file, and detectors that others bring."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from evolution_lab.datasets import sample_path
from evolution_lab.errors import FrameContractError, InputError, PathNotFoundError
from evolution_lab.intents import ErrorSpikeDetector, IntentDetector, detection_view
from evolution_lab.intents.evaluation import Evaluation, Label, read_event_labels
from evolution_lab.lab import Lab


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    lab = Lab(tmp_path_factory.mktemp("lab"), config=sample_path() / "evolution_lab.toml")
    lab.land(sample_path() / "spans.jsonl.gz")
    return lab


def test_the_sample_is_found_and_nothing_else(lab: Lab):
    found = lab.evaluate(sample_path())
    assert (found.found, found.labels, found.false) == (6, 6, 0)
    assert found.alarms_outside == 0
    assert found.quiet_operation_windows > 300
    assert found.f1 == 1.0
    assert "labels found" in str(found)


def test_labels_that_nothing_explains_are_misses_and_incidents_without_labels_false(
    lab: Lab, tmp_path: Path
):
    (tmp_path / "labels.csv").write_text(
        "start,end,operation\n2026-11-23T03:50:00Z,2026-11-23T03:52:00Z,\n"
        "2026-11-23 04:09,2026-11-23 04:12,GET /products\n",
        encoding="utf-8",
    )
    found = lab.evaluate(tmp_path)
    assert (found.found, found.labels) == (1, 2)
    assert found.false == found.incidents - 1
    assert found.recall == 0.5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("start\n2026-11-23\n", "'end'"),
        ("start,end\nsoon,2026-11-23\n", "line 2: 'soon'"),
        ("start,end\n2026-11-24,2026-11-23\n", "before start"),
    ],
)
def test_labels_that_cannot_be_read_name_their_line(tmp_path: Path, text: str, words: str):
    (tmp_path / "labels.csv").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=words):
        read_event_labels(tmp_path)


def test_no_labels_are_no_evaluation(tmp_path: Path):
    with pytest.raises(PathNotFoundError):
        read_event_labels(tmp_path)


def test_a_function_is_a_detector(lab: Lab):
    def only_errors(view):
        return ErrorSpikeDetector()(view)

    found = lab.detect(detectors=[only_errors])
    assert {signal.kind for signal in found.signals} == {"error-spike"}


def test_a_bad_frame_is_refused_by_the_detectors_name(lab: Lab):
    def careless(view):
        return pl.DataFrame({"operation": ["a"]})

    with pytest.raises(FrameContractError, match="'careless'"):
        lab.detect(detectors=[careless])
    with pytest.raises(FrameContractError, match="'<lambda>' gave int"):
        lab.detect(detectors=[lambda _: 7])
    with pytest.raises(InputError, match="no detector"):
        lab.detect(detectors=[7])


def test_an_installed_package_registers_its_detector(tmp_path: Path):
    (tmp_path / "careful.py").write_text(
        textwrap.dedent(
            """
            from evolution_lab.schemas import EVIDENCE, empty

            def detect(view):
                print("asked", len(view.operations))
                return empty(EVIDENCE)
            """
        ),
        encoding="utf-8",
    )
    info = tmp_path / "careful-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: careful\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[evolution_lab.detectors]\ncareful = careful:detect\n")
    code = (
        "from evolution_lab.datasets import null_windows\n"
        "from evolution_lab.intents import IntentDetector\n"
        "IntentDetector().detect(null_windows(calls=20, windows=40, operations=2))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2]}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "asked 2\n"


def test_evidence_of_a_view_without_windows_is_empty():
    from evolution_lab.schemas import WINDOWS, empty

    assert IntentDetector().evidence(detection_view(empty(WINDOWS))).is_empty()


def test_intervals_hold_the_figures_and_narrow_with_labels(lab: Lab):
    figures = {row["what"]: row for row in lab.evaluate(sample_path()).to_dicts()}
    assert all(row["low"] <= row["value"] <= row["high"] for row in figures.values())

    def width(n: int) -> float:
        known = Evaluation(10 * n, 8 * n, n, 9 * n, tuple(map(float, range(8 * n))), 0, 1_000)
        row = next(row for row in known.to_dicts() if row["what"] == "F1 over events")
        return row["high"] - row["low"]

    assert width(1) > width(10) > width(100) > 0


def test_what_was_said_before_a_label_began_is_false(lab: Lab):
    first = min(incident.detected_at for incident in lab.detect().incidents)

    def found(after: timedelta) -> int:
        label = Label(start=first + after, end=first + after + timedelta(seconds=30))
        return lab.evaluate([label]).found

    assert found(timedelta(0)) == 1
    assert found(timedelta(minutes=1, seconds=1)) == 0
