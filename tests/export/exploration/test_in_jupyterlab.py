"""Linked views where people work: JupyterLab as `evolution-lab notebook` opens it, a kernel, a click."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_server_of_a_lab import jupyter_lab

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
    with jupyter_lab(tmp_path, token=TOKEN) as address:
        yield address


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
