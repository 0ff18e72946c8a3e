"""The guides' code runs as it stands there: arms are served, and every execution is counted."""

from __future__ import annotations

import asyncio
import re
import shlex
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import httpx
import pytest

from evolution_lab.cli import main
from evolution_lab.experiments import (
    STATE_IN_FORCE,
    Binding,
    ExperimentInForce,
    SpecExperiment,
    SpecExperimentRunner,
    StateInForce,
    merged_counts,
    write_state,
)
from evolution_lab.lab import Lab

GUIDES = Path(__file__).parents[2] / "evolution_lab" / "experiments" / "guides"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
USERS = [f"u-{k}" for k in range(20)]


def an_experiment(operation: str, handler: str | None = None) -> SpecExperiment:
    return SpecExperiment(
        key="try",
        operation=operation,
        control=Binding(operation=operation, version="1"),
        variant=Binding(operation=operation, version="2", handler=handler),
    )


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Call with a guide's name and operation: what its code defines, run beside a lab at 50 %."""
    monkeypatch.chdir(tmp_path)

    def run_guide(name: str, operation: str, handler: str | None = None) -> dict:
        write_state(
            Path("data") / STATE_IN_FORCE,
            StateInForce(
                revision=1,
                written_at=datetime.now(UTC),
                stale_after=timedelta(hours=1),
                experiments=(
                    ExperimentInForce(
                        experiment=an_experiment(operation, handler), status="running", stage=2
                    ),
                ),
            ),
        )
        text = (GUIDES / f"{name}.md").read_text(encoding="utf-8")
        module = ModuleType(f"guide_{name}")
        monkeypatch.setitem(sys.modules, module.__name__, module)
        defined = vars(module)
        for block in BLOCK.findall(text):
            exec(compile(block, f"{name}.md", "exec"), defined)
        return defined

    return run_guide


def counted(guide: dict, operation: str) -> dict[str, int]:
    """Return the requests of each arm, once all is written."""
    if "tracing" in guide:
        assert guide["tracing"].close().hook_errors == {}
    assert guide["adapter"].close()
    guide["adapter"].in_force.close()
    assert guide["adapter"].errors == {}
    stage = merged_counts(Path("data"), an_experiment(operation)).counts.stages[2]
    assert stage.variant.failed + stage.control.failed == 0
    return {"variant": stage.variant.requests, "control": stage.control.requests}


def test_every_guide_has_a_test():
    tested = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert {path.stem for path in GUIDES.glob("*.md")} <= tested


def test_fastapi(run):
    guide = run("fastapi", "billing.getInvoice")

    async def ask_all():
        transport = httpx.ASGITransport(app=guide["app"])
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            return [await client.get("/invoices/7", headers={"x-user": user}) for user in USERS]

    answers = asyncio.run(ask_all())
    arms = Counter("variant" if "EUR" in answer.text else "control" for answer in answers)
    assert min(arms.values()) > 3
    assert counted(guide, "billing.getInvoice") == arms


def test_flask(run):
    guide = run("flask", "billing.getInvoice")
    client = guide["app"].test_client()
    answers = [client.get("/invoices/7", headers={"x-user": user}) for user in USERS]
    arms = Counter("variant" if "EUR" in answer.text else "control" for answer in answers)
    assert min(arms.values()) > 3
    assert counted(guide, "billing.getInvoice") == arms


def test_graphql(run):
    guide = run("graphql", "billing.getInvoice")
    arms = Counter()
    for user in USERS:
        first = guide["schema"].execute_sync("{ invoice(id: 7) }", context_value={"user": user})
        second = guide["answer"]("{ invoice(id: 7) }", user)
        assert first.errors is None
        assert first.data == second.data
        arms["variant" if first.data["invoice"] == "INV-000007" else "control"] += 2
    assert min(arms.values()) > 3
    assert counted(guide, "billing.getInvoice") == arms


def test_runtime(run):
    guide = run("runtime", "billing.getInvoice", "with currency")
    answers = [guide["get_invoice"](7, user) for user in USERS]
    arms = Counter("variant" if "currency" in answer else "control" for answer in answers)
    assert min(arms.values()) > 3
    assert counted(guide, "billing.getInvoice") == arms


def test_celery(run):
    guide = run("celery", "billing.sendInvoice")
    arms = Counter()
    for user in USERS:
        result = guide["send_invoice"].apply(args=(7,), kwargs={"user": user}).get()
        arms["variant" if result == "INV-000007" else "control"] += 1
    assert min(arms.values()) > 3
    assert counted(guide, "billing.sendInvoice") == arms


def test_openfeature(run):
    guide = run("openfeature", "price")
    runner = SpecExperimentRunner(an_experiment("price"), 2)
    prices = {user: guide["price"](user) for user in USERS}
    guide["in_force"].close()
    new = {user for user in USERS if runner.assign(user).arm == "variant"}
    assert {user for user, price in prices.items() if price == "new price"} == new != set()


def test_rollout(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = (GUIDES / "rollout.md").read_text(encoding="utf-8")
    (definition,) = re.findall(r"^```toml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    Path("orders-2.toml").write_text(definition, encoding="utf-8")
    (block,) = BLOCK.findall(text)
    exec(compile(block, "rollout.md", "exec"), {})
    assert capsys.readouterr().out == "draft ['register']\n"
    commands = re.findall(r"^\$ evolution-lab (.*)$", text, re.MULTILINE)
    assert len(commands) == 8
    for command in commands:
        assert main(shlex.split(command)) == 0, command
    assert Lab("data").experiments.get("orders-2").status == "rolled_back"
