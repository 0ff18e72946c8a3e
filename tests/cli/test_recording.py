"""``record``: imports, the schema of lines, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evolution_lab.cli import main

LINE = {
    "id": "n-1",
    "operation": "cart.add",
    "input": {"sku": 1},
    "output": {"added": 1},
    "success": True,
    "timestamp": "2026-03-01T10:00:00Z",
}


def test_imports_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text(json.dumps(LINE) + "\n")
    lab = str(tmp_path / "lab")
    assert main(["record", "--from", str(path), "--data", lab, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["added"], report["refused"]) == (1, {})
    assert main(["record", "--from", str(path), "--data", lab]) == 0
    assert "1" in capsys.readouterr().out


def test_publishes_the_schema_of_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["record", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "TrafficSnapshot"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "one of them"),
        (["--upstream", "http://x", "--listen", "nowhere"], "HOST:PORT"),
        (["--upstream", "http://x", "--sample-rate", "0.5"], "allow_more_than_5_percent"),
        (["--from", "no-such-file"], "does not exist"),
    ],
)
def test_refuses(
    arguments: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["record", *arguments, "--data", str(tmp_path)]) == 2
    assert says in capsys.readouterr().err
