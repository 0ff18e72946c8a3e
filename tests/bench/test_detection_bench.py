"""The benchmark of detection: its arithmetic, and small runs of its sections."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from evolution_lab.bench.detection import SECTIONS, bench_detection
from evolution_lab.bench.events import score_events
from evolution_lab.bench.null_table import CELLS
from evolution_lab.bench.planted_effects import Effect, _measure
from evolution_lab.bench.targets import BenchReport, Peer, Target
from evolution_lab.cli import main
from evolution_lab.errors import PathNotFoundError, UnknownNameError

AT = datetime(2025, 3, 4, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def target(value: float | None, bound: str = "at most") -> Target:
    return Target(id="T", value=value, target=1.0, bound=bound, what="A thing.")


def test_a_target_is_reached_on_its_side_only():
    assert target(0.5).passed
    assert not target(1.5).passed
    assert target(1.5, "at least").passed
    assert not target(None).passed


def test_reports_add_up_and_say_whether_all_was_reached():
    good = BenchReport(targets=(target(0.0),), tables={"A": ({"x": 1},)})
    bad = BenchReport(targets=(target(2.0),), peers=(Peer(name="p", what="T", value=3.0),))
    both = good + bad
    assert (good.passed, bad.passed, both.passed) == (True, False, False)
    document = both.to_document()
    assert [entry["pass"] for entry in document["targets"]] == [True, False]
    assert document["peers"][0]["value"] == 3.0
    assert set(document) == {"targets", "peers", "tables", "machine"}


def test_events_are_matched_by_their_first_detection():
    faults = [AT, AT + 10 * MINUTE, AT + 20 * MINUTE]
    detected = [AT - MINUTE, AT + MINUTE, AT + 16 * MINUTE, AT + 25 * MINUTE]
    score = score_events(detected, faults)
    assert (score.hits, score.false, score.incidents) == (2, 1, 4)
    assert sorted(score.delays) == [-60.0, 300.0]
    assert score.f1 == pytest.approx(4 / 6)
    assert score_events([], faults).f1 == 0.0


def test_the_oracle_and_detection_both_find_what_is_plain_and_nothing_where_nothing_is():
    plain = _measure(20, Effect(latency_factor=3.0), 8, 4)
    assert (plain["power"], plain["oracle power"]) == (1.0, 1.0)
    assert plain["delay"] <= 4
    hardly = _measure(20, Effect(error_points=0.0001), 4, 4)
    assert hardly["power"] == 0.0


def test_every_shape_of_traffic_has_a_cell_at_three_levels():
    assert {(c.calls, c.shape) for c in CELLS} >= {
        (calls, shape)
        for calls in (3, 20, 200)
        for shape in ("flat", "seasonal", "overdispersed", "ar1")
    }


def test_an_unknown_section_names_the_nearest(tmp_path):
    with pytest.raises(UnknownNameError, match="null"):
        bench_detection(section="nul")
    with pytest.raises(PathNotFoundError):
        bench_detection(section="recording", dataset=tmp_path)


def test_the_command_prints_one_document(capsys, monkeypatch, tmp_path):
    monkeypatch.setitem(SECTIONS, "lab", lambda **_: BenchReport(targets=(target(2.0),)))
    assert main(["bench", "detection", "--quick", "--section", "lab", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["targets"][0]["value"] == 2.0
    monkeypatch.setitem(SECTIONS, "lab", lambda **_: BenchReport(targets=(target(0.0),)))
    assert main(["bench", "detection", "--section", "lab"]) == 0
    assert "at most 1" in capsys.readouterr().out
    page = tmp_path / "pages" / "detection.md"
    assert main(["bench", "detection", "--section", "lab", "--output", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# Measured: detection\n")
    assert "evolution-lab bench detection" in text


@pytest.mark.slow
def test_quick_sections_reach_what_is_promised_of_null_traffic():
    for section in ("null", "lab"):
        report = bench_detection(quick=True, section=section)
        assert report.passed, report
