"""Labels, deployments and calibration from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evolution_lab.cli import main
from evolution_lab.datasets import sample_path
from evolution_lab.lab import Lab


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("lab")
    settings = folder / "evolution_lab.toml"
    settings.write_text('window = "30s"\nallowed_lateness = "30s"\n', encoding="utf-8")
    lab = Lab(folder)
    lab.land(sample_path() / "spans.jsonl.gz")
    lab.detect()
    return str(folder)


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> object:
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_signals_are_listed_labelled_and_learnt_from(capsys, data: str):
    listed = answer(capsys, "signals", "list", "--data", data)
    assert len(listed) == 7
    assert all(0 < row["confidence"] <= 1 for row in listed)
    first = listed[0]["id"]
    label = ["signals", "label", first[:8], "false", "--why", "load test", "--data", data]
    assert answer(capsys, *label)["truth"] is False
    assert main(label) == 0
    assert main(["signals", "list", "--data", data]) == 0
    assert "load test" in capsys.readouterr().out
    assert main(["signals", "label", first, "maybe", "--data", data]) == 2
    assert "must be true or false" in capsys.readouterr().err
    assert main(["calibrate", "--data", data]) == 2
    assert "calibration needs 20" in capsys.readouterr().err


def test_a_rejection_that_says_not_real_is_a_label(capsys, data: str, tmp_path: Path):
    suggested = answer(capsys, "suggest", "--data", data)
    assert suggested
    pending = answer(capsys, "suggestions", "list", "--status", "pending", "--data", data)
    chosen = next(s for s in pending if s["intent"] == "throughput-drop")
    reject = ["suggestions", "reject", chosen["id"], "--reviewer", "ada", "--notes", "no", "--data"]
    assert main([*reject, data, "--reason", "because"]) == 2
    assert "not-real" in capsys.readouterr().err
    assert main([*reject, data, "--reason", "not-real"]) == 0
    capsys.readouterr()
    listed = answer(capsys, "signals", "list", "--data", data)
    labels = {row["id"]: row["label"] for row in listed}
    assert labels[chosen["signalIds"][0]] is False


def test_deployments_are_told_implied_and_judged(capsys, data: str):
    add = ["deploys", "add", "--at", "2026-11-23T04:10", "--service", "shop", "--version", "2.4.2"]
    assert answer(capsys, *add, "--data", data)["version"] == "2.4.2"
    assert main([*add, "--data", data]) == 0
    capsys.readouterr()
    listed = answer(capsys, "deploys", "list", "--data", data)
    verdicts = {row["version"]: row["verdict"] for row in listed}
    assert verdicts == {"2.4.2": "too-little", "2.5.0": "blamed"}
    assert main(["deploys", "list", "--data", data]) == 0
    assert "blamed" in capsys.readouterr().out


def test_an_empty_lab_has_no_signals(capsys, tmp_path: Path):
    assert main(["signals", "list", "--data", str(tmp_path)]) == 0
    assert "evolution-lab detect" in capsys.readouterr().out
