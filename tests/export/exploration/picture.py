"""Takes the pictures of a notebook in JupyterLab, light and dark; `make picture`."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import nbformat
from jupyter_server_of_a_lab import jupyter_lab
from playwright.sync_api import Page, sync_playwright

from evolution_lab.datasets import sample_path
from evolution_lab.lab import Lab

TOKEN = "picture"
STORY = """# What changed, where, and beyond chance?
A map of surprise: a row an operation, a column a moment. A click on a cell draws the windows behind it."""
CODE = """from evolution_lab import Lab
views = Lab("../data", window="30s").explore().linked()
views"""


def take(target: Path, *, theme: str) -> None:
    """Open a notebook on the bundled sample, run it, click on the map, and photograph it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        Lab(folder / "data").land(sample_path() / "spans.jsonl.gz")
        (folder / "work").mkdir()
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_markdown_cell(STORY), nbformat.v4.new_code_cell(CODE)]
        )
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
        nbformat.write(notebook, folder / "work" / "explore.ipynb")
        with jupyter_lab(folder, token=TOKEN, theme=theme) as address, sync_playwright() as driver:
            browser = driver.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.set_default_timeout(90_000)
            page.goto(f"{address}lab/tree/explore.ipynb?token={TOKEN}")
            _run_and_click(page)
            page.screenshot(path=str(target))
            browser.close()


def _run_and_click(page: Page) -> None:
    page.locator(".jp-NotebookPanel .jp-CodeCell").first.click()
    page.get_by_text("Python 3 (ipykernel) | Idle").first.wait_for(state="attached")
    page.keyboard.press("Shift+Enter")
    drawn = page.locator(".jp-OutputArea .heatmaplayer image, .jp-OutputArea .hm image")
    drawn.first.wait_for(state="attached")
    page.locator(".jp-OutputArea .js-plotly-plot .nsewdrag").first.click()
    page.locator(".jp-OutputArea").get_by_text(" calls").first.wait_for()
    page.locator("text=Would you like to get notified").first.wait_for(state="attached")
    page.get_by_role("button", name="No", exact=True).click()
    page.mouse.move(10, 880)
    page.wait_for_timeout(1500)  # The windows behind the cell are drawn with a short movement.


if __name__ == "__main__":
    light, dark = (Path(argument).resolve() for argument in sys.argv[1:3])
    take(light, theme="JupyterLab Light")
    take(dark, theme="JupyterLab Dark")
