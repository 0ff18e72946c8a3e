"""Two reports held against each other: what appeared, what is gone, what changed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from evolution_lab.errors import CorruptFileError, FormatVersionError, PathNotFoundError
from evolution_lab.export import compare_reports, write_report


@pytest.fixture(scope="module")
def reports(scene, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("two")
    first, second, *others = scene.detection.signals
    changed = replace(second, state="recovered" if second.state == "open" else "open")
    pending = next(s for s in scene.suggestions if s.status == "pending")
    decided = tuple(
        replace(s, status="adopted") if s.id == pending.id else s for s in scene.suggestions
    )
    files = []
    for name, signals, suggestions in (
        ("before", scene.detection.signals[1:], scene.suggestions),
        ("after", (first, changed, *others[1:]), decided),
    ):
        detection = replace(scene.detection, signals=signals, incidents=())
        files.append(
            write_report(
                folder / name, detection=detection, windows=scene.windows, suggestions=suggestions,
                provenance=replace(scene.provenance, data_digest=name), light=True,
            ).json
        )  # fmt: skip
    return files[0], files[1]


def test_each_difference_is_said_once(reports: tuple[Path, Path], scene):
    found = compare_reports(*reports)
    first, second, third, *_ = scene.detection.signals
    signals = {d.id: d.change for d in found.differences if d.kind == "signal"}
    assert signals.keys() == {first.id, second.id, third.id}
    assert (signals[first.id], signals[third.id]) == ("new", "gone")
    assert signals[second.id].startswith(f"state: {second.state} → ")
    assert [d.change for d in found.differences if d.kind == "suggestion"] == [
        "status: pending → adopted"
    ]
    assert (found.before, found.after) == ("before", "after")


def test_a_report_does_not_differ_from_itself(reports: tuple[Path, Path]):
    assert compare_reports(reports[0], reports[0]).differences == ()


def test_the_document_shows_no_markup_of_strangers(reports: tuple[Path, Path], scene):
    text = compare_reports(*reports).to_document()
    assert text.count("<") == text.count("\\<") > 0


def test_what_is_no_report_is_refused(reports: tuple[Path, Path], tmp_path: Path):
    with pytest.raises(PathNotFoundError):
        compare_reports(tmp_path / "none.json", reports[0])
    for text in ("[]", "{", '{"formatVersion": 1}', "1"):
        (tmp_path / "x.json").write_text(text)
        with pytest.raises(CorruptFileError, match="no report"):
            compare_reports(tmp_path / "x.json", reports[0])
    newer = json.loads(reports[0].read_text()) | {"formatVersion": 9}
    (tmp_path / "x.json").write_text(json.dumps(newer))
    with pytest.raises(FormatVersionError):
        compare_reports(tmp_path / "x.json", reports[0])
