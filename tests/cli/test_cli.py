"""The command line: exit codes, one JSON document, help with examples."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import typer

from evolution_lab import __version__
from evolution_lab.cli import main
from evolution_lab.cli.app import app
from evolution_lab.datasets import read_faults, sample_path
from evolution_lab.demo import score_suggestions
from evolution_lab.records import SpecSuggestion, from_json

READY = {
    "experiment abort",
    "experiment export",
    "experiment list",
    "experiment pause",
    "experiment register",
    "experiment resume",
    "experiment show",
    "experiment advance",
    "experiment evaluate",
    "experiment rollback",
    "experiment run",
    "experiment simulate",
    "experiment status",
    "experiment start",
    "bench suggestions",
    "bench detection",
    "bench golden",
    "bench rollout",
    "bench landing",
    "bench windows",
    "bench spark",
    "bench load",
    "test scan",
    "calibrate",
    "deploys add",
    "deploys list",
    "signals label",
    "signals list",
    "record",
    "demo",
    "init",
    "docs",
    "doctor",
    "notebook",
    "run",
    "watch",
    "mute",
    "unmute",
    "maintenance add",
    "maintenance list",
    "maintenance remove",
    "lab export",
    "suggestions reopen",
    "lab open",
    "lake batches",
    "lake compact",
    "lake erase",
    "lake forget",
    "lake retain",
    "lake verify",
    "land",
    "operations",
    "windows",
    "detect",
    "suggest",
    "review",
    "suggestions list",
    "suggestions show",
    "suggestions approve",
    "suggestions reject",
    "report",
    "test check",
    "test generate",
    "test generate-all",
    "test init-runner",
    "test run",
    "test update",
}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    arguments = ["--data", str(folder / "data"), "--output", str(folder / "reports")]
    assert main(["demo", *arguments]) == 0
    return folder


@pytest.fixture
def data(demo: Path, tmp_path: Path) -> str:
    shutil.copytree(demo / "data", tmp_path / "data")
    return str(tmp_path / "data")


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> object:
    """Run a command with --json; stdout must be one JSON document and nothing else."""
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_version(capsys: pytest.CaptureFixture[str]):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == __version__


def test_demo_finds_every_planted_fault(capsys: pytest.CaptureFixture[str], demo: Path):
    found = answer(capsys, "demo", "--data", str(demo / "data"), "--output", str(demo / "reports"))
    assert all(entry["found"] for entry in found["planted"])
    assert len(found["planted"]) == 7
    assert all(entry["added"] == 0 for entry in found["landing"] if "added" in entry)
    written = (demo / "reports" / "generated").iterdir()
    assert len({path.name.partition(".")[0] for path in written}) == 1


def test_demo_closes_every_planted_gap(capsys: pytest.CaptureFixture[str], demo: Path):
    pending = answer(capsys, "suggestions", "list", "--data", str(demo / "data"))
    faults = read_faults(sample_path())
    score = score_suggestions([from_json(SpecSuggestion, each) for each in pending], faults)
    assert all(ids for _, ids in score.closed)
    assert len(score.unexplained) <= 1
    asked = [
        edit for each in pending for edit in each["proposal"]["metadata"]["ask"].get("edits", [])
    ]
    named = {(edit["edit"], edit.get("code") or edit["place"][-1]) for edit in asked}
    assert named == {
        ("declare-field", "restockedOn"),
        ("declare-error", "sku_discontinued"),
        ("require-field", "poNumber"),
        ("set-limit", "items"),
    }
    draft = next(each["proposal"]["spec"] for each in pending if each["intent"] == "workflow")
    given = {link["to"]: link["from"] for step in draft["steps"] for link in step["given"]}
    assert given["/body/cartId"] == {"step": 0, "of": "output", "at": "/id"}
    assert given["/body/quoteId"] == {"step": 1, "of": "output", "at": "/quoteId"}
    assert set(draft["inputSchema"]["properties"]) == {"cartId", "customer", "poNumber"}


def test_detect_prints_one_document(capsys: pytest.CaptureFixture[str], data: str):
    document = answer(capsys, "detect", "--every", "30s", "--data", data)
    assert len(document["signals"]) == 7
    assert document["settings"]["window"] == "30s"
    since = answer(capsys, "detect", "--data", data, "--since", "2026-11-23T04:01:00")
    assert all(s["windowStart"] >= "2026-11-23T04:01" for s in since["signals"])


def test_windows_of_one_operation(capsys: pytest.CaptureFixture[str], data: str, tmp_path: Path):
    rows = answer(capsys, "windows", "--data", data, "--operation", "POST /quotes")
    assert {row["operation_key"] for row in rows} == {"POST /quotes"}
    named = answer(capsys, "windows", "--data", data, "--operation", "shipping.quote")
    assert named == rows
    assert main(["windows", "--data", data, "--operation", "POST /quots"]) == 2
    assert "Did you mean 'POST /quotes'" in capsys.readouterr().err
    for name in ("w.parquet", "w.csv"):
        assert main(["windows", "--data", data, "--output", str(tmp_path / name)]) == 0
        assert (tmp_path / name).stat().st_size > 0
    assert main(["windows", "--data", data, "--output", str(tmp_path / "w.xlsx")]) == 2


def test_deciding(capsys: pytest.CaptureFixture[str], data: str, tmp_path: Path):
    pending = answer(capsys, "suggestions", "list", "--status", "pending", "--data", data)
    first, second = pending[0]["id"], pending[1]["id"]
    decide = ["--data", data]
    assert main(["suggestions", "approve", first, *decide]) == 2
    assert "reviewer" in capsys.readouterr().err
    assert main(["suggestions", "reject", second, "--reviewer", "ada", *decide]) == 2
    assert "notes" in capsys.readouterr().err
    out = str(tmp_path / "out")
    approve = ["suggestions", "approve", first[:8], "--reviewer", "ada", "--output", out, *decide]
    assert answer(capsys, *approve)["status"] == "approved"
    assert len(list((tmp_path / "out").iterdir())) == 1
    assert main(approve) == 2
    capsys.readouterr()
    shown = answer(capsys, "suggestions", "show", first, *decide)
    assert shown["approvals"][0]["reviewer"] == "ada"
    reopen = ["suggestions", "reopen", first, "--reviewer", "ada", "--output", out, *decide]
    assert main(reopen) == 2
    assert "taken back" in capsys.readouterr().err
    again = answer(capsys, *reopen, "--why", "too early")
    assert [each["status"] for each in again["approvals"]] == ["approved", "withdrawn"]
    (envelope,) = (tmp_path / "out").glob("*.suggestion.json")
    assert json.loads(envelope.read_text())["status"] == "withdrawn"
    assert main(approve) == 0
    capsys.readouterr()
    assert main(["suggestions", "list", "--status", "pendin", *decide]) == 2
    assert "Did you mean 'pending'" in capsys.readouterr().err


def test_report_is_written(capsys: pytest.CaptureFixture[str], data: str, tmp_path: Path):
    files = answer(capsys, "report", "--data", data, "--output", str(tmp_path / "r"))
    assert [Path(file["path"]).name for file in files] == [
        "suggestions.html",
        "suggestions.md",
        "suggestions.json",
    ]


def test_landing_twice_lands_once(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    spans, data = str(sample_path() / "spans.jsonl.gz"), str(tmp_path / "data")
    assert main(["land", spans, "--data", data]) == 0
    assert "73,392 rows added" in capsys.readouterr().out
    assert main(["land", spans, "--data", data]) == 0
    assert capsys.readouterr().out.count("0 rows added") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["land", "no/such/file"], "does not exist"),
        (["detect"], "there is no telemetry"),
        (["detect", "--every", "soon"], "must be a number and one of"),
        (["detect", "--windows", "no/such.csv"], "does not exist"),
        (["report", "--config", "no.toml"], "does not exist"),
    ],
)
def test_what_cannot_run_says_why_and_exits_with_2(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    assert main([*arguments, "--data", str(tmp_path / "none")]) == 2
    printed = capsys.readouterr()
    assert words in printed.err
    assert printed.out == ""


def test_unknown_options_exit_with_2(capsys: pytest.CaptureFixture[str]):
    assert main(["detect", "--evry", "1m"]) == 2
    assert main(["detekt"]) == 2
    capsys.readouterr()


def commands() -> dict[str, str]:
    """Help of every command by its full name."""
    root = typer.main.get_command(app)
    found = {}
    for name, command in root.commands.items():
        inner = getattr(command, "commands", None)
        if inner is None:
            found[name] = command.help or ""
        else:
            found.update({f"{name} {sub}": c.help or "" for sub, c in inner.items()})
    return found


def test_every_command_of_the_design_is_there_and_every_ready_one_has_an_example():
    found = commands()
    assert set(found) >= READY
    for name, text in found.items():
        if name in READY:
            assert f"Example: evolution-lab {name}" in text, name
        else:
            assert "to come" in text.lower(), name
