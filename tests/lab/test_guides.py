"""What the guide of nightly runs shows is well formed, and the commands in it are commands."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import pytest
import typer
import yaml

from evolution_lab.cli.app import app

GUIDE = Path(__file__).parents[2] / "evolution_lab" / "lab" / "guides" / "every_night.md"
TEXT = GUIDE.read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def accepted(arguments: list[str]) -> dict[str, object]:
    """Read a command line as the program would, without running it."""
    run = typer.main.get_command(app).commands[arguments[0]]
    return run.make_context(arguments[0], arguments[1:]).params


def command_lines(text: str) -> list[list[str]]:
    found = re.findall(r"evolution-lab (run [^\n\"]*)", text)
    return [shlex.split(line) for line in found]


def test_cron_line_is_five_times_and_a_command():
    (text,) = blocks("crontab")
    *_, line = text.strip().splitlines()
    *times, command = line.split(" ", 5)
    assert all(re.fullmatch(r"\*|[0-9]+", time) for time in times)
    (arguments,) = command_lines(command)
    assert accepted(arguments)["fail_on"] == "high"


def test_workflow_of_github_is_whole_and_runs_the_command():
    workflow = next(b for b in map(yaml.safe_load, blocks("yaml")) if "jobs" in b)
    assert (
        workflow[True]["schedule"][0]["cron"] == "20 3 * * *"
    )  # YAML 1.1 reads `on` as a boolean.
    steps = workflow["jobs"]["run"]["steps"]
    assert all("uses" in step or "run" in step for step in steps)
    (arguments,) = [a for step in steps for a in command_lines(step.get("run", ""))]
    assert accepted(arguments)["suites"] == [Path("tests/golden")]


def test_dag_of_airflow_compiles_and_does_not_retry():
    (text,) = blocks("python")
    tree = ast.parse(text)
    keywords = {node.arg: node.value for node in ast.walk(tree) if isinstance(node, ast.keyword)}
    assert ast.literal_eval(keywords["retries"]) == 0
    (arguments,) = command_lines(ast.literal_eval(keywords["bash_command"]))
    assert accepted(arguments)["data"] == Path("/srv/evolution/data")


def test_cron_job_of_kubernetes_runs_one_pod_and_does_not_retry():
    job = next(b for b in map(yaml.safe_load, blocks("yaml")) if b.get("kind") == "CronJob")
    spec = job["spec"]
    assert (job["apiVersion"], spec["concurrencyPolicy"]) == ("batch/v1", "Forbid")
    assert spec["jobTemplate"]["spec"]["backoffLimit"] == 0
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["restartPolicy"] == "Never"
    (container,) = pod["containers"]
    assert {m["name"] for m in container["volumeMounts"]} == {v["name"] for v in pod["volumes"]}
    assert accepted(container["args"])["paths"] == [Path("/telemetry")]


@pytest.mark.parametrize("word", ["none", "signal", "high", "drift"])
def test_every_condition_is_explained(word: str):
    assert f"`{word}`" in TEXT or f"--fail-on {word}`" in TEXT
