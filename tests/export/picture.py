"""Takes the README's picture: the top of the demo's report, in Chromium; `make picture`."""

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from evolution_lab.demo import walk_through

WIDTH, HEIGHT = 1180, 880
FLAGS = ("--no-sandbox", "--headless=new", "--disable-gpu", "--disable-background-networking")


def take(target: Path) -> None:
    """Walk the demo in a temporary folder and photograph its report."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        walk = walk_through(Path(folder) / "data" / "demo", Path(folder) / "reports")
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=[*FLAGS])
        page = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}).new_page()
        page.goto(walk.report.html.resolve().as_uri())
        page.wait_for_selector(".js-plotly-plot .main-svg")
        page.screenshot(path=str(target))
        browser.close()


if __name__ == "__main__":
    take(Path(sys.argv[1]))
