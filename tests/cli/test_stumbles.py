"""What people stumbled over in their first hour, and stumble over no more."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from evolution_lab.cli import main
from evolution_lab.datasets import NULL_START, null_samples
from evolution_lab.lab import Lab

ROLES = ("operation=operation_key", "timestamp=timestamp", "duration=duration_ns:ns")


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("stumbles") / "my lab"
    samples = null_samples(calls=40, windows=60, seed=1)
    Lab(data).land(samples.select("operation_key", "timestamp", "duration_ns"), mapping=ROLES)
    return data


@pytest.fixture
def data(landed: Path, tmp_path: Path) -> Path:
    return shutil.copytree(landed, tmp_path / "my lab")


@pytest.mark.parametrize("name", ["wrong.csv", "wrong.bin", "empty folder"])
def test_a_landing_that_fails_leaves_nothing_behind(name: str, tmp_path: Path, capsys):
    if name == "empty folder":
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).write_bytes(b"a,b\n1,2\n" if name.endswith("csv") else b"\x00\x01\x02")
    assert main(["land", str(tmp_path / name), "--data", str(tmp_path / "data")]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("evolution-lab: ")
    assert printed.out == ""
    assert not (tmp_path / "data").exists()


def test_windows_are_among_the_tables(data: Path):
    tables = Lab(data).sql("SHOW TABLES")["name"].to_list()
    assert {"samples", "operations", "windows"} <= set(tables)
    described = Lab(data).sql("SELECT * FROM information_schema.tables")["table_name"].to_list()
    assert "windows" in described


def test_the_length_of_windows_is_remembered_until_another_is_asked_for(data: Path, capsys):
    def window(*arguments: str) -> str:
        assert main(["detect", "--data", str(data), "--json", *arguments]) == 0
        return json.loads(capsys.readouterr().out)["settings"]["window"]

    assert window() == "15m"
    assert window("--every", "5m") == "5m"
    assert window() == "5m"
    assert (
        main(
            ["windows", "--data", str(data), "--json", "--until", f"{NULL_START:%Y-%m-%dT%H}:05:00"]
        )
        == 0
    )
    printed = capsys.readouterr()
    assert "Windows of 5m, as was asked for last" in printed.err
    assert {row["window_end"][14:16] for row in json.loads(printed.out)} == {"05"}
    assert window("--every", "15m") == "15m"
    (data / "last_every.json").write_text('{"formatVersion": 1, "every": "; rm -rf"}')
    assert window() == "15m"
    (data / "last_every.json").write_text("nothing")
    assert window() == "15m"


def test_looking_at_a_lab_that_is_not_there_makes_none(tmp_path: Path, capsys):
    assert main(["detect", "--every", "1m", "--data", str(tmp_path / "none")]) == 2
    assert list(tmp_path.iterdir()) == []


def test_commands_in_a_report_name_the_lab(data: Path, tmp_path: Path, capsys):
    assert main(["report", "--data", str(data), "--output", str(tmp_path / "r")]) == 0
    said = json.loads((tmp_path / "r" / "suggestions.json").read_text())["provenance"]["command"]
    assert said == f"evolution-lab report --data '{data}' --every 15m"


def test_a_report_is_held_against_the_one_it_writes_over(data: Path, tmp_path: Path, capsys):
    out = ["--data", str(data), "--output", str(tmp_path / "r")]
    assert main(["report", *out]) == 0
    earlier = tmp_path / "r" / "suggestions.json"
    assert main(["report", *out, "--against", str(earlier), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["differences"] == []
    assert (tmp_path / "r" / "comparison.md").read_text().startswith("# Since the earlier report")
    assert main(["report", *out, "--against", str(tmp_path / "none.json")]) == 2
