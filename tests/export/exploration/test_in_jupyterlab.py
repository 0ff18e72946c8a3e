"""Linked views where people work: JupyterLab as `evolution-lab notebook` opens it, a kernel, a click."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import nbformat
import pytest

from evolution_lab.datasets import NULL_START, null_samples, plant
from evolution_lab.lab import Lab

TOKEN = "explore-in-a-notebook"
FAULT = NULL_START + timedelta(hours=8)
SHOW = """\
from evolution_lab import Lab
views = Lab("../data").explore().linked()
views
"""
SELECTED = (
    "print('chosen', views.selected.height, views.selected['operation_key'].unique().to_list())"
)

pytestmark = [pytest.mark.slow, pytest.mark.browser]


@pytest.fixture
def jupyter(tmp_path: Path) -> Iterator[str]:
    """The server that `evolution-lab notebook` starts over a lab; its address."""
    samples = plant(
        null_samples(calls=60, windows=48, operations=2, seed=2),
        start=FAULT,
        end=FAULT + timedelta(hours=3),
        error_points=0.4,
    )
    Lab(tmp_path / "data").land(
        samples.select("operation_key", "timestamp", "duration_ns", "success"),
        mapping=["operation=operation_key", "timestamp=timestamp", "duration=duration_ns:ns"],
    )
    cells = [nbformat.v4.new_code_cell(text) for text in (SHOW, SELECTED)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    (tmp_path / "work").mkdir()
    nbformat.write(notebook, tmp_path / "work" / "linked.ipynb")
    config, runtime = tmp_path / "config", tmp_path / "runtime"
    config.mkdir()
    settings = {
        "ServerApp": {"ip": "127.0.0.1", "port": 0, "port_retries": 0, "allow_root": True},
        "IdentityProvider": {"token": TOKEN},
        "LabApp": {
            "news_url": None,
            "check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
        },
    }
    (config / "jupyter_server_config.json").write_text(json.dumps(settings))
    (config / "jupyter_lab_config.json").write_text(json.dumps(settings))
    environment = os.environ | {
        "JUPYTER_RUNTIME_DIR": str(runtime),
        "JUPYTER_CONFIG_DIR": str(config),
        "JUPYTERLAB_SETTINGS_DIR": str(tmp_path / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(tmp_path / "workspaces"),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    with (tmp_path / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "evolution_lab", "notebook", "work", "--no-browser"],
            cwd=tmp_path, env=environment, stdout=log, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        try:
            yield _address(server, runtime, tmp_path / "server.log")
        finally:
            os.killpg(server.pid, 15)
            server.wait(30)


def _address(server: subprocess.Popen[bytes], runtime: Path, log: Path) -> str:
    until = time.monotonic() + 90
    while time.monotonic() < until and server.poll() is None:
        for file in runtime.glob("jpserver-*.json"):
            try:
                return str(json.loads(file.read_text())["url"])
            except (ValueError, KeyError):
                pass  # It is being written.
        time.sleep(0.1)
    raise AssertionError(f"JupyterLab did not start: {log.read_text()[-2000:]}")


def test_a_click_on_the_map_gives_a_frame(jupyter: str, chromium: Any, tmp_path: Path):
    assert len(list((tmp_path / "work").glob("0*.ipynb"))) == 5
    context = chromium.new_context()
    try:
        page = context.new_page()
        page.set_default_timeout(90_000)
        page.goto(f"{jupyter}lab/tree/linked.ipynb?token={TOKEN}")
        page.locator(".jp-NotebookPanel .jp-CodeCell").first.click()
        page.get_by_text("Python 3 (ipykernel) | Idle").first.wait_for(state="attached")
        page.keyboard.press("Shift+Enter")
        area = page.locator(".jp-OutputArea .js-plotly-plot .nsewdrag").first
        area.wait_for(state="attached")
        page.locator(".jp-OutputArea .heatmaplayer image, .jp-OutputArea .hm image").first.wait_for(
            state="attached"
        )
        area.click()
        page.locator(".jp-OutputArea").get_by_text(" calls").first.wait_for()
        page.locator(".jp-NotebookPanel .jp-CodeCell").nth(1).click()
        page.keyboard.press("Shift+Enter")
        page.get_by_text("chosen 1 ['GET /null/").wait_for()
    finally:
        context.close()
