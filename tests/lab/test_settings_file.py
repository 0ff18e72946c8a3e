"""``init``: the file says every setting, and says its default."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from evolution_lab.config import SETTING_NAMES, EvolutionConfig, load_config
from evolution_lab.errors import InputError, LakeError
from evolution_lab.lab.settings_file import setting_meanings, settings_text, write_settings


def set_lines(text: str) -> str:
    """The file as it is once the ``#`` is taken from every line that sets something."""
    return re.sub(r"^# (?=\[operations|[a-z_0-9]+ = )", "", text, flags=re.MULTILINE)


def test_every_setting_has_its_meaning_and_stands_in_the_file():
    assert set(setting_meanings()) == set(SETTING_NAMES)
    document = tomllib.loads(set_lines(settings_text()))
    assert set(document) == set(SETTING_NAMES)


def test_what_is_written_changes_nothing(tmp_path: Path):
    written = write_settings(tmp_path)
    assert load_config(path=written, environment={}) == EvolutionConfig()


def test_every_value_shown_is_the_default_unless_it_says_that_none_is_set(tmp_path: Path):
    text = settings_text()
    kept = "\n".join(line for line in text.splitlines() if "# not set by default" not in line)
    kept = kept.partition("# [operations")[0]
    (tmp_path / "s.toml").write_text(set_lines(kept))
    assert load_config(path=tmp_path / "s.toml", environment={}) == EvolutionConfig()
    (tmp_path / "s.toml").write_text(set_lines(text))
    everything = load_config(path=tmp_path / "s.toml", environment={})
    assert everything.auto_approve_threshold == 0.1
    assert everything.for_operation("billing.pay") == everything


def test_a_file_that_is_there_stays(tmp_path: Path):
    first = write_settings(tmp_path / "made")
    first.write_text("window = '1m'\n")
    with pytest.raises(InputError, match="exists already"):
        write_settings(tmp_path / "made")
    assert first.read_text() == "window = '1m'\n"
    dangling = tmp_path / "evolution_lab.toml"
    dangling.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError):
        write_settings(tmp_path)
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LakeError, match="cannot be written"):
        write_settings(tmp_path / "file")
