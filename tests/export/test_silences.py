from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from evolution_lab.datasets import null_samples
from evolution_lab.lab import Lab

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("silences")
    lab = Lab(folder / "data", reports=folder / "reports")
    lab.land(null_samples(calls=2, windows=4, start=datetime(2026, 11, 1, tzinfo=UTC)))
    lab.mute("GET /null/0", until=NOW + timedelta(hours=2), why="<b>known</b>", by="ada")
    lab.add_maintenance(
        begins_at=NOW + timedelta(days=1),
        ends_at=NOW + timedelta(days=2),
        why="new disks",
    )
    lab.report(light=True)
    return folder


@pytest.mark.parametrize("name", ["suggestions.html", "suggestions.md"])
def test_a_report_says_what_is_silenced_by_whom_and_why(folder: Path, name: str) -> None:
    text = (folder / "reports" / name).read_text(encoding="utf-8")
    assert "Mutes and maintenance" in text
    assert "GET /null/0" in text
    assert "ada" in text
    assert "<b>known</b>" not in text
    assert "new disks" in text


def test_machines_read_it_too(folder: Path) -> None:
    document = json.loads((folder / "reports" / "suggestions.json").read_text(encoding="utf-8"))
    assert [(s["kind"], s["operations"], s["why"]) for s in document["silences"]] == [
        ("maintenance", "*", "new disks"),
        ("mute", "GET /null/0", "<b>known</b>"),
    ]
