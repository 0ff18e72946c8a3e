"""``experiment register|start|pause|resume|abort|list|show|export`` on a small lab."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from evolution_lab.approval import DuckDBSpecSuggestionRepository, SpecSuggestionOrchestrator
from evolution_lab.cli import main
from evolution_lab.contracts import OpenApiDocument
from evolution_lab.experiments import SpecExperimentRegistry, file_source, read_state
from evolution_lab.lab import Lab
from evolution_lab.records import EvidenceItem, OperationRef, Proposal, SpecSuggestion, Target
from evolution_lab.suggestions import suggestion_id
from evolution_lab.suggestions.document_change import change_document
from evolution_lab.suggestions.edits import DeclareError, Place, RequireField, ask_of

NOW = datetime(2026, 3, 9, tzinfo=UTC)
SPEC = {
    "openapi": "3.1.0",
    "info": {"title": "shop", "version": "1.4.0"},
    "paths": {
        "/orders": {
            "post": {
                "operationId": "order.place",
                "requestBody": {
                    "content": {
                        "application/json": {
                            "schema": {
                                "type": "object",
                                "properties": {"sku": {"type": "string"}},
                            }
                        }
                    }
                },
                "responses": {"201": {"description": "Placed."}},
            }
        }
    },
}
DEFINITION = """
key = "orders-2"
operation = "POST /orders"
stages = [0.05, 1.0]
control = { operation = "POST /orders", version = "1.4.0" }
variant = { operation = "POST /orders", version = "1.5.0" }
"""


def suggestion(*edits: Any) -> SpecSuggestion:
    """What the generator makes of edits on the shop's document."""
    document = OpenApiDocument.load(SPEC)
    operation = OperationRef("POST /orders", service="shop")
    target = Target(operation=operation, path="/request/body/sku")
    identity = suggestion_id(target, "schema-update", ask_of(edits))
    done = change_document(document, "POST /orders", edits, title="Require sku.")
    return SpecSuggestion(
        id=identity, intent="schema-mismatch", target=target, confidence=None, risk=0.2,
        created_at=NOW, priority="high", overlay=done.overlay,
        evidence=(EvidenceItem(description="Every call has it.", data={"signalId": "s"}),),
        proposal=Proposal(
            summary="Require sku.", rationale="Every call has it.", change_type="schema-update",
            spec={"request": {"body": {"sku": {"required": True}}}}, diff=done.diff,
            metadata={"ask": ask_of(edits)},
        ),
    )  # fmt: skip


@cache
def require_sku() -> SpecSuggestion:
    return suggestion(RequireField(place=Place(part="body", path=("sku",))))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lab whose operation fails in 2 % of calls and has a p99 of about 0.6 s."""
    folder = tmp_path_factory.mktemp("shop")
    random = np.random.default_rng(11)
    calls = 6_000
    table = pl.DataFrame(
        {
            "service": ["shop"] * calls,
            "operation": ["POST /orders"] * calls,
            "timestamp": [NOW + timedelta(seconds=60 * n) for n in range(calls)],
            "duration_ms": 200 * random.lognormal(0, 0.45, calls),
            "status_code": np.where(random.random(calls) < 0.02, 500, 201),
        }
    )
    table.write_csv(folder / "calls.csv", datetime_format="%Y-%m-%dT%H:%M:%SZ")
    (folder / "openapi.json").write_text(json.dumps(SPEC))
    (folder / "data").mkdir()
    settings = f'specs = ["shop={folder / "openapi.json"}"]\n'
    (folder / "data" / "evolution_lab.toml").write_text(settings)
    Lab(folder / "data").land(folder / "calls.csv")
    orchestrator = SpecSuggestionOrchestrator(DuckDBSpecSuggestionRepository(folder / "data"))
    orchestrator.submit(require_sku())
    orchestrator.submit(suggestion(DeclareError(code="409", status=409, when="Sold out.")))
    orchestrator.approve(require_sku().id, reviewer="mia")
    return folder


@pytest.fixture
def data(shop: Path, tmp_path: Path) -> str:
    shutil.copytree(shop / "data", tmp_path / "data")
    return str(tmp_path / "data")


@pytest.fixture
def definition(tmp_path: Path) -> str:
    path = tmp_path / "orders-2.toml"
    path.write_text(DEFINITION)
    return str(path)


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """Run a command with --json; stdout must be one JSON document and nothing else."""
    capsys.readouterr()
    assert main(["experiment", *arguments, "--json"]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert main(["experiment", *arguments]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    return shown.err


def test_an_experiment_from_file_to_its_end(
    data: str, definition: str, capsys: pytest.CaptureFixture[str]
) -> None:
    own = ["--data", data, "--by", "ada"]
    assert answer(capsys, "list", "--data", data) == []
    registered = answer(capsys, "register", definition, *own, "--why", "cheaper")
    assert (registered["status"], registered["definition"]["key"]) == ("draft", "orders-2")
    (entry,) = registered["history"]
    assert (entry["actor"], entry["reason"]) == ("ada", "cheaper")
    verdicts = {b["metric"]: b["verdict"] for b in entry["payload"]["boundaries"]}
    assert verdicts == {"error_rate": "kept", "latency_p99": "kept"}
    assert answer(capsys, "start", "orders-2", *own)["status"] == "running"
    state = read_state((Path(data) / "experiments-in-force.json").read_bytes())
    assert [(e.experiment.key, e.stage) for e in state.experiments] == [("orders-2", 0)]
    paused = answer(capsys, "pause", "orders-2", *own, "--why", "incident")
    assert paused["status"] == "paused"
    assert answer(capsys, "resume", "orders-2", *own)["status"] == "running"
    assert answer(capsys, "list", "--status", "running", "--data", data)[0]["stage"] == 0
    aborted = answer(capsys, "abort", "orders-2", *own, "--why", "not needed")
    assert aborted["status"] == "rolled_back"
    assert read_state(file_source(Path(data) / "experiments-in-force.json")()).experiments == ()
    shown = answer(capsys, "show", "orders-2", "--data", data)
    steps = [entry["action"] for entry in shown["history"]]
    assert steps == ["register", "start", "pause", "resume", "abort"]
    assert main(["experiment", "show", "orders-2", "--data", data]) == 0
    text = capsys.readouterr().out
    assert "orders-2 version 1: rolled_back" in text
    assert "not needed" in text
    assert main(["experiment", "list", "--data", data]) == 0
    assert "1 of 2 (0.05)" in capsys.readouterr().out


def test_steps_that_cannot_be_taken_say_why(
    data: str, definition: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    own = ["--data", data]
    assert "needs the name of who does it" in refusal(capsys, "register", definition, *own)
    assert "--from-suggestion ID" in refusal(capsys, "register", *own)
    assert "does not exist" in refusal(capsys, "register", str(tmp_path / "none.toml"), *own)
    answer(capsys, "register", definition, *own, "--by", "ada")
    assert Lab(data).sql("SELECT key, status FROM spec_experiments").rows() == [
        ("orders-2", "draft")
    ]
    close = tmp_path / "close.toml"
    close.write_text(
        DEFINITION.replace("orders-2", "close")
        + 'guardrails = [{ metric = "error_rate", boundary = 0.02 }]\n'
    )
    assert main(["experiment", "register", str(close), *own, "--by", "ada"]) == 0
    assert "is about where the control is" in capsys.readouterr().err
    assert "Did you mean 'orders-2'" in refusal(capsys, "start", "order-2", *own, "--by", "ada")
    assert "Did you mean 'running'" in refusal(capsys, "list", "--status", "runing", *own)
    assert "must be 1 to 2" in refusal(capsys, "export", "orders-2", "--stage", "3", *own)
    assert "Did you mean 'flagd'" in refusal(
        capsys, "export", "orders-2", "--format", "flagdd", *own
    )
    strict = tmp_path / "strict.toml"
    strict.write_text(
        DEFINITION.replace("orders-2", "strict")
        + 'guardrails = [{ metric = "error_rate", boundary = 0.01 }]\n'
    )
    told = refusal(capsys, "register", str(strict), *own, "--by", "ada")
    assert "which the control breaks" in told
    assert "would be accepted" in told
    offered = told.partition("%). ")[2].split()[0]
    strict.write_text(strict.read_text().replace("0.01", offered))
    assert answer(capsys, "register", str(strict), *own, "--by", "ada")["status"] == "draft"


def test_an_approved_suggestion_becomes_an_experiment(
    data: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    own = ["--data", data, "--by", "ada"]
    short = require_sku().id[:8]
    registered = answer(capsys, "register", "--from-suggestion", short, *own)
    drafted = registered["definition"]
    assert drafted["key"] == f"POST-orders-{short}"
    assert drafted["suggestionId"] == require_sku().id
    assert drafted["control"]["version"] == "1.4.0"
    assert drafted["variant"]["version"] == f"1.4.0+{short}"
    body = {arm: drafted[arm]["spec"]["inputSchema"]["properties"]["body"]
            for arm in ("control", "variant")}  # fmt: skip
    assert "required" not in body["control"]
    assert body["variant"]["required"] == ["sku"]
    p99 = next(g for g in drafted["guardrails"] if g["metric"] == "latency_p99")
    assert 400 < p99["reference"] < 700  # 200 ms · exp(0.45 · 2.33) = 570 ms
    assert registered["history"][0]["payload"]["suggestion"]["id"] == require_sku().id
    lab = Lab(data)
    linked = lab.suggestion(short).proposal.metadata["experiments"]
    assert linked == [f"{drafted['key']}@1"]
    again = answer(capsys, "register", "--from-suggestion", short, *own)
    assert len(again["history"]) == 1
    assert lab.suggestion(short).proposal.metadata["experiments"] == linked
    file = tmp_path / "more.toml"
    file.write_text('key = "sku"\nhold_out = 0.1\nstages = [0.2, 1.0]\n')
    merged = answer(capsys, "register", str(file), "--from-suggestion", short, *own)["definition"]
    assert (merged["key"], merged["holdOut"], len(merged["stages"])) == ("sku", 0.1, 2)
    assert merged["variant"] == drafted["variant"]
    assert len(lab.suggestion(short).proposal.metadata["experiments"]) == 2
    pending = next(s.id for s in lab.suggestions("pending"))
    told = refusal(capsys, "register", "--from-suggestion", pending[:8], *own)
    assert "is pending, must be approved" in told


def test_an_export_prints_the_document_and_tells_the_rest(
    data: str, definition: str, capsys: pytest.CaptureFixture[str]
) -> None:
    own = ["--data", data]
    answer(capsys, "register", definition, *own, "--by", "ada")
    assert main(["experiment", "export", "orders-2", *own]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out) == {"features": {"orders-2": {"defaultValue": "control"}}}
    assert "is draft: everybody gets the control" in shown.err
    SpecExperimentRegistry.in_lab(data).start("orders-2", actor="ada")
    exported = answer(capsys, "export", "orders-2", *own)
    assert exported["document"]["features"]["orders-2"]["rules"][0]["ranges"][1] == [0.0, 0.05]
    assert [stage["exact"] for stage in exported["stages"]] == [True, True]
    last = answer(capsys, "export", "orders-2", "--stage", "2", *own)
    assert last["document"]["features"]["orders-2"]["rules"][0]["ranges"][1] == [0.0, 1.0]
    assert "must be 'unleash'" in refusal(capsys, "export", "orders-2", "--format", "unleash", *own)
