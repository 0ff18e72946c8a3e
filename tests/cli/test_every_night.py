"""``run``: once a night, idempotent, and it says what is new."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from evolution_lab.cli import main
from evolution_lab.datasets import NULL_START, null_samples, plant
from evolution_lab.errors import CorruptFileError, FormatVersionError
from evolution_lab.golden import LakeTrafficStore
from evolution_lab.golden.refreshing import refresh_suites
from evolution_lab.lab.last_run import read_last_run
from evolution_lab.records import OperationRef, TrafficSnapshot
from evolution_lab.telemetry.locks import file_lock

ROLES = {"operation_key": "", "timestamp": "", "duration_ns": ":ns", "success": ""}
MAP = [
    part
    for column, unit in ROLES.items()
    for part in ("--map", f"{column.removesuffix('_key').removesuffix('_ns')}={column}{unit}")
]
FAULT = NULL_START + timedelta(hours=14)
RUNNER = """\
def run_contract(sent, metadata):
    return {"total": 3 * sent["n"]}
"""


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two nights of one operation: a quiet one, and one in which it begins to fail."""
    folder = tmp_path_factory.mktemp("nights")
    samples = null_samples(calls=200, windows=80, seed=3)
    until = NULL_START + timedelta(hours=20)
    samples = plant(samples, start=FAULT, end=until, error_points=0.4, seed=4).select(*ROLES)
    samples.filter(pl.col("timestamp") < FAULT).write_parquet(folder / "first.parquet")
    samples.filter(pl.col("timestamp") >= FAULT).write_parquet(folder / "second.parquet")
    arguments = ["--data", str(folder / "data"), "--output", str(folder / "reports"), *MAP]
    assert main(["run", str(folder / "first.parquet"), *arguments, "--fail-on", "signal"]) == 0
    return folder


@pytest.fixture
def lab(nights: Path, tmp_path: Path) -> Path:
    shutil.copytree(nights / "data", tmp_path / "data")
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], lab: Path, *arguments: str) -> tuple[int, dict]:
    code = main(
        ["run", *arguments, "--data", str(lab / "data"), "--output", str(lab / "reports"), "--json"]
    )
    return code, json.loads(capsys.readouterr().out)


def test_a_signal_fails_the_run_it_is_new_in_and_no_other(
    capsys: pytest.CaptureFixture[str], nights: Path, lab: Path
):
    second = [str(nights / "second.parquet"), *MAP]
    code, said = run(capsys, lab, *second, "--fail-on", "signal")
    assert code == 1
    assert said["failed"]
    assert said["new"]["since"] is not None
    assert [s["kind"] for s in said["new"]["signals"]] == ["error-spike"]
    assert said["new"]["suggestions"]
    report = (lab / "reports" / "suggestions.html").read_bytes()
    code, said = run(capsys, lab, *second, "--fail-on", "signal")
    assert code == 0
    assert said["landing"]["rowsAdded"] == 0
    assert not any(said["new"][kind] for kind in ("signals", "suggestions", "workflows", "drift"))
    assert said["signals"] == 1
    assert (lab / "reports" / "suggestions.html").read_bytes() == report


def test_only_a_grave_signal_fails_on_high(
    capsys: pytest.CaptureFixture[str], nights: Path, lab: Path
):
    code, said = run(capsys, lab, str(nights / "second.parquet"), *MAP, "--fail-on", "high")
    assert code == int(any(s["severity"] == "high" for s in said["new"]["signals"])) == 1


def test_a_run_that_may_not_fail_exits_with_0(
    capsys: pytest.CaptureFixture[str], nights: Path, lab: Path
):
    arguments = [str(nights / "second.parquet"), *MAP, "--data", str(lab / "data")]
    assert main(["run", *arguments, "--output", str(lab / "reports")]) == 0
    printed = capsys.readouterr().out
    assert "New since" in printed
    assert "error-spike" in printed


def test_what_recovered_and_what_grew_worse_is_said(nights: Path, lab: Path, capsys):
    run(capsys, lab, str(nights / "second.parquet"), *MAP)
    path = lab / "data" / "last_run.json"
    kept = json.loads(path.read_text())
    kept["signals"] = {name: ["low", "open"] for name in kept["signals"]}
    path.write_text(json.dumps(kept))
    code, said = run(capsys, lab, "--fail-on", "high")
    assert code == 1
    assert said["landing"] is None
    assert len(said["new"]["worse"]) == 1
    assert said["new"]["signals"] == []


def test_a_word_that_is_no_condition_is_refused_before_anything_is_done(tmp_path: Path, capsys):
    assert main(["run", "--fail-on", "singal", "--data", str(tmp_path / "none")]) == 2
    assert "Did you mean 'signal'" in capsys.readouterr().err
    assert main(["run", "--fail-on", "drift", "--data", str(tmp_path / "none")]) == 2
    assert "--suites" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_a_second_run_at_once_is_refused(lab: Path, capsys, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("evolution_lab.lab.every_night.WAIT_SECONDS", 0.1)
    with file_lock(lab / "data" / "run.lock"):
        assert main(["run", "--data", str(lab / "data")]) == 2
    assert "run.lock" in capsys.readouterr().err


def test_a_damaged_or_newer_last_run_is_refused(lab: Path):
    path = lab / "data" / "last_run.json"
    path.write_text(path.read_text().replace('"formatVersion": 1', '"formatVersion": 2'))
    with pytest.raises(FormatVersionError):
        read_last_run(lab / "data")
    path.write_text("{")
    with pytest.raises(CorruptFileError, match="remove it"):
        read_last_run(lab / "data")


def snapshot(number: int) -> TrafficSnapshot:
    return TrafficSnapshot(
        id=f"s{number}",
        operation=OperationRef("cart.add"),
        input={"n": number},
        output={"total": 3 * number},
        success=True,
        timestamp=datetime(2026, 3, 2, tzinfo=UTC),
    )


@pytest.fixture
def suite(lab: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A written golden test of traffic in the lab, and the code that it tests."""
    monkeypatch.chdir(lab)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    LakeTrafficStore("data").add([snapshot(1), snapshot(2)])
    (lab / "tests").mkdir()
    (lab / "tests" / "run_operation.py").write_text(RUNNER)
    output = lab / "tests" / "test_cart.py"
    assert main(
        ["test", "generate", "--operation", "cart.add", "--output", str(output),
         "--runner-import", "./tests/run_operation", "--verify"]
    ) == 0  # fmt: skip
    return output


def test_written_golden_tests_are_run_as_they_are_and_then_made_anew(
    lab: Path, suite: Path, capsys
):
    capsys.readouterr()
    code, said = run(capsys, lab, "--suites", "tests", "--fail-on", "drift")
    assert code == 0
    assert said["golden"]["pass"] == 2
    assert [r["outcome"] for r in said["refreshed"]] == ["unchanged"]
    LakeTrafficStore("data").add([snapshot(7)])
    code, said = run(capsys, lab, "--suites", "tests", "--fail-on", "drift")
    assert (code, said["golden"]["pass"]) == (0, 2)
    assert [(r["outcome"], r["cases"]) for r in said["refreshed"]] == [("rewritten", 3)]
    (lab / "tests" / "run_operation.py").write_text(RUNNER.replace("3 *", "4 *"))
    code, said = run(capsys, lab, "--suites", "tests", "--fail-on", "drift")
    assert code == 1
    assert [group["path"] for group in said["new"]["drift"]] == ["/total"]


def test_a_suite_that_cannot_be_made_anew_is_left_with_the_reason(suite: Path):
    before = suite.read_bytes()
    left = refresh_suites([suite], [])
    assert [(r.outcome, r.note) for r in left] == [("left", "no recorded call of its operation")]
    suite.with_name("test_cart.meta.json").write_text("{}")
    assert refresh_suites([suite], [snapshot(1)])[0].outcome == "left"
    assert suite.read_bytes() == before


def test_golden_tests_that_are_not_there_are_refused(lab: Path, capsys):
    (lab / "empty").mkdir()
    arguments = ["--data", str(lab / "data"), "--suites", str(lab / "empty")]
    assert main(["run", *arguments]) == 2
    assert "no suite" in capsys.readouterr().err
