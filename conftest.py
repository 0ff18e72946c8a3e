"""Where the examples of the README run: in an empty folder, as its reader's would."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _empty_folder_for_the_readme(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if isinstance(request.node, pytest.DoctestItem) and request.node.path.name == "README.md":
        monkeypatch.chdir(tmp_path)
