"""``doctor``: it says what is amiss, and says so only then."""

from __future__ import annotations

import json
import shutil
from importlib import metadata
from pathlib import Path

import pytest

from evolution_lab.cli import main
from evolution_lab.lab import Check, Lab, examine_installation, examine_lab
from evolution_lab.telemetry.locks import file_lock

ROW = "operation,timestamp,duration_ms,success\na,2026-03-02T00:00:00Z,1.5,true\n"


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("landed")
    (folder / "calls.csv").write_text(ROW)
    mapping = ["operation=operation", "timestamp=timestamp", "duration=duration_ms:ms"]
    Lab(folder / "data").land(folder / "calls.csv", mapping=mapping)
    return folder / "data"


@pytest.fixture
def lab(landed: Path, tmp_path: Path) -> Path:
    return shutil.copytree(landed, tmp_path / "data")


def check(folder: Path, name: str) -> Check:
    return next(c for c in examine_lab(folder).checks if c.name == name)


def installed(**versions: str):
    def version_of(name: str) -> str:
        if name not in versions:
            raise metadata.PackageNotFoundError(name)
        return versions[name]

    return version_of


def test_a_sound_lab_is_healthy(lab: Path):
    found = examine_lab(lab)
    assert found.healthy
    assert "1 samples landed" in check(lab, "lake").found
    assert check(lab, "key").outcome == "ok"


def test_an_empty_machine_is_healthy_and_nothing_is_made(tmp_path: Path):
    found = examine_lab(tmp_path / "none")
    assert found.healthy
    assert not (tmp_path / "none").exists()
    assert "land PATH" in found.checks[-1].advice


def test_examining_changes_nothing_in_a_lab(tmp_path: Path):
    examine_lab(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_key_that_others_can_read_fails(lab: Path):
    (lab / ".key").chmod(0o644)
    assert check(lab, "key").outcome == "failed"
    assert "chmod 600" in check(lab, "key").advice


def test_a_damaged_key_fails(lab: Path):
    (lab / ".key").write_text("nothing")
    assert check(lab, "key").outcome == "failed"


def test_a_key_from_the_environment(lab: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("EVOLUTION_LAB_KEY", "short")
    assert check(lab, "key").outcome == "failed"
    monkeypatch.setenv("EVOLUTION_LAB_KEY", "long enough for anybody")
    assert check(lab, "key").outcome == "ok"


def test_a_missing_file_of_the_lake_fails(lab: Path):
    next((lab / "lake" / "samples").rglob("*.parquet")).unlink()
    assert check(lab, "lake").outcome == "failed"


def test_decisions_that_are_locked_or_damaged_fail(lab: Path, monkeypatch: pytest.MonkeyPatch):
    Lab(lab).suggestions()
    (lab / "evolution.duckdb").write_bytes(b"x" * 5000)
    assert check(lab, "decisions").outcome == "failed"
    monkeypatch.setattr("evolution_lab.lab.examining._WAIT_SECONDS", 0.1)
    with file_lock(lab / "evolution.duckdb.lock"):
        assert "Wait for that process" in check(lab, "decisions").advice


def test_a_bad_setting_fails(lab: Path):
    (lab / "evolution_lab.toml").write_text("widnow = '1m'")
    assert "Did you mean 'window'" in check(lab, "settings").found


def test_a_file_is_no_lab_directory(tmp_path: Path):
    (tmp_path / "file").write_text("")
    assert check(tmp_path / "file", "lab directory").outcome == "failed"


def test_libraries_and_extras_are_held_against_what_is_declared():
    needed = ["a>=2", "b>=1; sys_platform == 'nowhere'", "c>=1; extra == 'more'"]
    found = {
        c.name: c
        for c in examine_installation(requirements=needed, version_of=installed(a="3")).checks
    }
    assert found["libraries"].outcome == "ok"
    assert found["extra more"].outcome == "note"
    assert "evolution-lab[more]" in found["extra more"].advice
    old = examine_installation(requirements=needed, version_of=installed(a="1", c="1"))
    assert not old.healthy
    assert "a is 1, must be >=2" in {c.name: c for c in old.checks}["libraries"].found


def test_command_exits_with_1_where_something_must_be_mended(
    lab: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["doctor", "--data", str(lab), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["healthy"] is True
    (lab / ".key").chmod(0o644)
    assert main(["doctor", "--data", str(lab)]) == 1
    assert "must be mended" in capsys.readouterr().out


def test_init_writes_where_it_is_told_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["init", str(tmp_path)]) == 0
    assert main(["init", str(tmp_path)]) == 2
    assert "exists already" in capsys.readouterr().err


def test_a_section_of_alerts_that_cannot_be_used_is_said(tmp_path: Path):
    settings = tmp_path / "evolution_lab.toml"
    settings.write_text('[alerts]\nwebhook_env = "NO_SUCH_VARIABLE_HERE"\n')
    found = {check.name: check for check in examine_lab(tmp_path).checks}
    assert found["settings"].outcome == "failed"
    assert "NO_SUCH_VARIABLE_HERE" in found["settings"].found
