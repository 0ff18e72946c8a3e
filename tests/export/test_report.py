"""Three files, whole or not at all, the same bytes for the same state."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from evolution_lab.errors import FrameContractError
from evolution_lab.export import report_document, write_report
from evolution_lab.records import DetectionResult, OperationRef, from_json
from evolution_lab.schemas import WINDOWS, empty


def _write(folder, scene, **changes):
    parts = {
        "detection": scene.detection,
        "windows": scene.windows,
        "suggestions": scene.suggestions,
        "provenance": scene.provenance,
    }
    return write_report(folder, **(parts | changes))


def _bytes(files):
    return [path.read_bytes() for path in (files.html, files.markdown, files.json)]


def test_three_files_and_nothing_else(tmp_path, scene):
    files = _write(tmp_path / "new" / "reports", scene)
    assert sorted(path.name for path in files.html.parent.iterdir()) == [
        "suggestions.html",
        "suggestions.json",
        "suggestions.md",
    ]
    assert files.html.stat().st_size < 6_000_000
    assert [row["format"] for row in files.to_dicts()] == ["html", "markdown", "json"]


def test_row_order_and_order_of_suggestions_change_no_byte(tmp_path, scene):
    first = _write(tmp_path / "a", scene)
    second = _write(
        tmp_path / "b",
        scene,
        windows=scene.windows.sort("calls", "p95_ns"),
        suggestions=tuple(reversed(scene.suggestions)),
    )
    assert _bytes(first) == _bytes(second)


def test_another_process_and_hash_seed_change_no_byte(tmp_path, scene):
    script = Path(__file__).with_name("write_scene.py")
    subprocess.run(
        [sys.executable, script, tmp_path / "other"],
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "4242"},
    )
    here = _bytes(_write(tmp_path / "here", scene))
    there = [
        (tmp_path / "other" / f"suggestions.{kind}").read_bytes() for kind in ("html", "md", "json")
    ]
    assert here == there


def test_the_json_can_be_read_back(tmp_path, scene):
    document = json.loads(_write(tmp_path, scene).json.read_text())
    assert list(document) == [
        "formatVersion",
        "provenance",
        "detection",
        "suggestions",
        "rollouts",
        "silences",
    ]
    assert document["provenance"]["dataDigest"] == scene.provenance.data_digest
    assert from_json(DetectionResult, document["detection"]).signals == scene.detection.signals


def test_what_json_cannot_say_is_null(scene):
    infinite = replace(scene.detection.workflows[0], lift=float("inf"))
    document = report_document(
        detection=replace(scene.detection, workflows=(infinite,)),
        suggestions=(),
        provenance=scene.provenance,
    )
    assert document["detection"]["workflows"][0]["lift"] is None


def test_a_lab_without_anything_gets_a_report(tmp_path, scene):
    files = _write(
        tmp_path, scene, detection=DetectionResult(), windows=empty(WINDOWS), suggestions=()
    )
    assert "Nothing changed beyond chance." in files.html.read_text()


def test_names_that_no_encoding_can_say_are_written(tmp_path, scene):
    odd = OperationRef("GET /\ud800\x00\u202e" + "x" * 20_000)
    signal = replace(scene.detection.signals[0], operation=odd)
    detection = replace(scene.detection, signals=(signal,))
    files = _write(tmp_path, scene, detection=detection, suggestions=())
    assert "\x00" not in files.html.read_text(encoding="utf-8")
    assert "\u202e" not in files.markdown.read_text(encoding="utf-8")


def test_a_frame_that_breaks_its_contract_is_refused(tmp_path, scene):
    bad = scene.windows.with_columns(error_rate=pl.lit(1.5))
    with pytest.raises(FrameContractError, match="error_rate"):
        _write(tmp_path, scene, windows=bad)
    assert list(tmp_path.iterdir()) == []


def test_progress_ends_at_its_total(tmp_path, scene):
    told = []
    _write(tmp_path, scene, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (7, 7)
