"""Draws the picture of the review panel in the README: `make picture`."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from evolution_lab.demo.walkthrough import walk_through
from evolution_lab.lab import Lab
from evolution_lab.review import ReviewServer


def main(output: Path) -> None:
    """Run the demo in a folder of its own and photograph its panel."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        walk_through(data, Path(folder) / "reports")
        board = Lab(data).review_board(reviewer="you", every="30s")
        chromium = shutil.which("chromium")
        with ReviewServer(board) as server, sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1280, "height": 760})
            page.goto(server.url)
            page.locator(".er-detail h2").wait_for()
            page.locator(".er-detail .er-chart").first.wait_for(timeout=60_000)
            page.screenshot(path=str(output))
            browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
