"""What holds for every test: the same examples each time, and the README's in an empty folder."""

from __future__ import annotations

from pathlib import Path

import hypothesis
import pytest

# A slow machine is no counterexample, and a failure must come back for whoever looks into it.
# `pytest --hypothesis-profile default` searches for new examples instead.
hypothesis.settings.register_profile("repeatable", deadline=None, derandomize=True)
hypothesis.settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def _empty_folder_for_the_readme(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run the README's examples where its reader would, so that they leave nothing behind here."""
    if isinstance(request.node, pytest.DoctestItem) and request.node.path.name == "README.md":
        monkeypatch.chdir(tmp_path)
