from __future__ import annotations

from pathlib import Path

import pytest

from evolution_lab.config import load_config
from evolution_lab.datasets import bundled, sample_path
from evolution_lab.errors import PathNotFoundError


def test_the_settings_of_the_sample_ask_for_minutes() -> None:
    config = load_config(path=sample_path() / "evolution_lab.toml", environment={})
    assert config.window.total_seconds() == 60


def test_a_wheel_carries_the_files_and_wins_over_a_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "evolution_lab"
    monkeypatch.setattr(bundled, "_PACKAGE", package)
    with pytest.raises(PathNotFoundError, match="notebooks"):
        bundled.notebooks_path()
    (tmp_path / "notebooks").mkdir()
    assert bundled.notebooks_path() == tmp_path / "notebooks"
    (package / "_bundled" / "notebooks").mkdir(parents=True)
    assert bundled.notebooks_path() == package / "_bundled" / "notebooks"
