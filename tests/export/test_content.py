"""What a report says, and in which order."""

from __future__ import annotations

from dataclasses import replace

from evolution_lab.export.content import report_content
from evolution_lab.records import DetectionResult
from evolution_lab.schemas import WINDOWS, empty


def _content(scene, **changes):
    parts = {
        "detection": scene.detection,
        "windows": scene.windows,
        "suggestions": scene.suggestions,
        "provenance": scene.provenance,
    }
    return report_content(**(parts | changes))


def test_the_headline_counts_incidents_by_severity(scene):
    assert _content(scene).headline == (
        "5 incidents (3 high, 1 medium and 1 low severity; 1 still open) "
        "and 1 repeated workflow found."
    )


def test_pending_suggestions_come_first_then_by_priority(scene):
    content = _content(scene, suggestions=tuple(reversed(scene.suggestions)))
    assert content.suggestions == _content(scene).suggestions
    statuses = [s.status for s in content.suggestions]
    assert statuses == sorted(statuses, key=["pending", "approved", "rejected"].index)
    assert content.statuses == {"pending": 5, "approved": 1, "rejected": 1}


def test_every_signal_stands_once_and_outsiders_last(scene):
    outsider = replace(scene.detection.signals[0], id="lonely", incident_id=None)
    detection = replace(scene.detection, signals=(outsider, *scene.detection.signals))
    content = _content(scene, detection=detection)
    ids = [part.signal.id for part in content.signals]
    assert sorted(ids) == sorted(s.id for s in detection.signals)
    assert content.incidents[-1].incident is None
    assert ids[-1] == "lonely"


def test_signals_name_the_suggestions_that_answer_them(scene):
    answered = {i for s in scene.suggestions for i in s.signal_ids}
    for part in _content(scene).signals:
        assert bool(part.suggestion_ids) == (part.signal.id in answered)


def test_a_quiet_lab_says_so(scene):
    content = _content(scene, detection=DetectionResult(), suggestions=())
    assert content.headline == "Nothing changed beyond chance."
    assert content.incidents == ()
    assert _content(scene, windows=empty(WINDOWS)).looked_at.startswith("1,152 operation windows")


def test_progress_is_told_by_signal(scene):
    told = []
    _content(scene, progress=lambda done, total: told.append((done, total)))
    assert told == [(n, 6) for n in range(1, 7)]
