"""The panel where people work: a real JupyterLab, a real kernel, a real browser, no network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from evolution_lab.approval import DuckDBSpecSuggestionRepository, SpecSuggestionOrchestrator
from evolution_lab.records import SpecSuggestion

TOKEN = "review-in-a-notebook"
CELL = """\
from evolution_lab.lab import Lab
Lab("data").review(reviewer="kim")
"""


@pytest.fixture
def jupyter(tmp_path: Path, suggestion: Callable[..., SpecSuggestion]) -> Iterator[str]:
    """Serve a folder with a lab and a notebook that shows its panel; give the server's address."""
    with DuckDBSpecSuggestionRepository(tmp_path / "data").transaction() as table:
        for number in (1, 2, 3):
            made = suggestion(number)
            table.save(made, at=made.created_at)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, tmp_path / "review.ipynb")
    runtime = tmp_path / "runtime"
    environment = os.environ | {
        "JUPYTER_RUNTIME_DIR": str(runtime),
        "JUPYTER_CONFIG_DIR": str(tmp_path / "config"),
        "JUPYTERLAB_SETTINGS_DIR": str(tmp_path / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(tmp_path / "workspaces"),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
        *("--ip=127.0.0.1", "--ServerApp.port=0", "--ServerApp.port_retries=0"),
        *(f"--IdentityProvider.token={TOKEN}", "--LabApp.news_url="),
        *("--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",),
    ]
    with (tmp_path / "server.log").open("wb") as log:
        server = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            yield _address(server, runtime, tmp_path / "server.log")
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _address(server: subprocess.Popen[bytes], runtime: Path, log: Path) -> str:
    until = time.monotonic() + 60
    while time.monotonic() < until and server.poll() is None:
        for file in runtime.glob("jpserver-*.json"):
            try:
                return str(json.loads(file.read_text())["url"])
            except (ValueError, KeyError):
                pass  # It is being written.
        time.sleep(0.1)
    raise AssertionError(f"JupyterLab did not start: {log.read_text()[-2000:]}")


def test_a_person_decides_in_a_notebook(jupyter: str, chromium: Any, tmp_path: Path) -> None:
    context = chromium.new_context()
    try:
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.goto(f"{jupyter}lab/tree/review.ipynb?token={TOKEN}")
        page.locator(".jp-NotebookPanel .jp-CodeCell").first.click()
        page.get_by_text("Python 3 (ipykernel) | Idle").first.wait_for(state="attached")
        page.keyboard.press("Shift+Enter")
        page.locator(".jp-OutputArea [data-id]").nth(2).wait_for()
        page.get_by_text("Limit items of op2", exact=True).first.click()
        page.get_by_role("heading", name="Limit items of op2").wait_for()
        page.get_by_role("button", name="Approve").click()
        page.get_by_role("alert").get_by_text("approved: Limit items of op2").wait_for()
    finally:
        context.close()
    kept = SpecSuggestionOrchestrator(DuckDBSpecSuggestionRepository(tmp_path / "data"))
    (approved,) = kept.list("approved")
    assert approved.proposal.summary == "Limit items of op2"
    assert [each.reviewer for each in approved.approvals] == ["kim"]
