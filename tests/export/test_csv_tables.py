"""CSV that a spreadsheet opens without obeying strangers, and the light page without scripts."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolution_lab.export import write_report
from evolution_lab.export.content import report_content
from evolution_lab.export.csv_tables import csv_text, safe_cell, signals_csv
from evolution_lab.export.html import render_html
from evolution_lab.records import OperationRef

FORMULAS = (
    '=cmd|"/C calc"!A0',
    "+1+1",
    "-2+3",
    "@SUM(1)",
    "\t=1",
    "\r=1",
    "\n=1",
    " =1",
    "\uff1d1",
    "%0A=1",
)


@pytest.mark.parametrize("text", FORMULAS)
def test_no_text_begins_as_a_formula(text: str):
    cell = safe_cell(text)
    assert cell.startswith("'")
    assert cell.isprintable()


@given(st.lists(st.text(max_size=40), min_size=1, max_size=5))
def test_what_is_read_back_is_what_was_written_and_never_a_formula(texts: list[str]):
    columns = [f"c{n}" for n in range(len(texts))]
    written = csv_text(columns, [dict(zip(columns, texts, strict=True))])
    _, row = csv.reader(io.StringIO(written, newline=""))
    assert row == [safe_cell(text) for text in texts]
    for cell in row:
        assert not cell.lstrip() or cell.lstrip()[0] not in "=+-@"


def test_numbers_stay_numbers():
    written = csv_text(["a", "b"], [{"a": -1.5, "b": 3}])
    assert [float(cell) for cell in list(csv.reader(io.StringIO(written)))[1]] == [-1.5, 3.0]


def test_report_tables_hold_every_signal_and_suggestion(scene, tmp_path):
    hostile = replace(
        scene.detection.signals[0], operation=OperationRef("=HYPERLINK(1)", service="@evil")
    )
    detection = replace(scene.detection, signals=(hostile, *scene.detection.signals[1:]))
    files = write_report(
        tmp_path, detection=detection, windows=scene.windows, suggestions=scene.suggestions,
        provenance=scene.provenance, tables=True,
    )  # fmt: skip
    signals, suggestions = (
        list(csv.DictReader(io.StringIO(path.read_bytes().decode(), newline="")))
        for path in files.tables
    )
    assert [row["id"] for row in signals] == [s.id for s in detection.signals]
    assert signals[0]["operation"] == "'=HYPERLINK(1)"
    assert signals[0]["service"] == "'@evil"
    assert len(suggestions) == len(scene.suggestions)
    assert {row["format"] for row in files.to_dicts()} == {"html", "markdown", "json", "csv"}
    assert signals_csv(()) == '"id"\r\n'


def test_the_light_page_has_all_numbers_no_script_and_little_size(scene):
    content = report_content(
        detection=scene.detection, windows=scene.windows, suggestions=scene.suggestions,
        provenance=replace(scene.provenance, suggestion_command="evolution-lab suggestions show {id} --data 'my lab'"),
    )  # fmt: skip
    light, whole = render_html(content, light=True), render_html(content)
    assert len(light.encode()) < 300_000 < len(whole.encode()) < 6_000_000
    assert "<script" not in light
    assert "script-src 'none'" in unescape(light)
    assert light.count("<svg") >= len(scene.detection.signals)
    for signal in scene.detection.signals:
        assert f'id="signal-{signal.id}"' in light
    assert "--data &#39;my lab&#39;" in light
