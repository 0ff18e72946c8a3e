"""The lab's key: one per lab, private, the same for all who open it at once."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolution_lab.errors import ConfigError, CorruptFileError
from evolution_lab.redaction import LabKey

KEY = LabKey(bytes(range(32)))
NO_VARIABLE: dict[str, str] = {}


def test_a_new_lab_gets_a_private_key_that_stays(tmp_path):
    lab = tmp_path / "new" / "lab"
    first = LabKey.open(lab, environment=NO_VARIABLE)
    assert stat.S_IMODE((lab / ".key").stat().st_mode) == 0o600
    assert [path.name for path in lab.iterdir()] == [".key"]
    assert LabKey.open(lab, environment=NO_VARIABLE) == first
    assert LabKey.open(tmp_path / "other", environment=NO_VARIABLE) != first


def test_all_who_open_a_new_lab_at_once_get_one_key(tmp_path):
    with ThreadPoolExecutor(16) as pool:
        keys = list(pool.map(lambda _: LabKey.open(tmp_path, environment=NO_VARIABLE), range(64)))
    assert len({key.secret for key in keys}) == 1
    assert [path.name for path in tmp_path.iterdir()] == [".key"]


def test_a_file_system_without_hard_links_gets_a_key_too(tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise PermissionError("no hard links here")

    monkeypatch.setattr("pathlib.Path.hardlink_to", refuse)
    first = LabKey.open(tmp_path, environment=NO_VARIABLE)
    assert LabKey.open(tmp_path, environment=NO_VARIABLE) == first
    assert stat.S_IMODE((tmp_path / ".key").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [".key"]


def test_the_environment_wins_and_leaves_no_file(tmp_path):
    environment = {"EVOLUTION_LAB_KEY": "a passphrase of a team"}
    key = LabKey.open(tmp_path / "lab", environment=environment)
    assert not (tmp_path / "lab").exists()
    LabKey.open(tmp_path / "lab", environment=NO_VARIABLE)
    assert LabKey.open(tmp_path / "lab", environment=environment) == key


def test_a_short_passphrase_is_refused_without_showing_it(tmp_path):
    with pytest.raises(ConfigError, match="15 characters, must have at least 16") as caught:
        LabKey.open(tmp_path, environment={"EVOLUTION_LAB_KEY": "hunter2-hunter2"})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"abcd\n", b"zz" * 32, b"\xff" * 64, b"ab" * 33])
def test_a_damaged_key_file_is_refused_and_not_replaced(tmp_path, content):
    (tmp_path / ".key").write_bytes(content)
    with pytest.raises(CorruptFileError, match="64 hex digits"):
        LabKey.open(tmp_path, environment=NO_VARIABLE)
    assert (tmp_path / ".key").read_bytes() == content


def test_a_key_never_shows_itself():
    assert KEY.secret.hex() not in repr(KEY)
    assert repr(KEY.secret) not in repr(KEY)
    with pytest.raises(ConfigError, match="31 bytes"):
        LabKey(b"x" * 31)


def test_pseudonyms_are_those_of_earlier_releases():
    # Written down: a change would cut every actor's history in two.
    assert KEY.pseudonym("actor", "u-1") == "actor_d3816e5e1610a7f63ca8857c"


def test_pseudonyms_are_the_same_in_every_process():
    code = (
        "from evolution_lab.redaction import LabKey;"
        "print(LabKey(bytes(range(32))).pseudonym('actor', 'u-1'))"
    )
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        assert done.stdout.strip() == KEY.pseudonym("actor", "u-1")


@settings(max_examples=50, deadline=None)
@given(st.text(), st.text(), st.sampled_from(["actor", "session"]))
def test_pseudonyms_keep_equality_and_nothing_else(one, other, kind):
    assert (KEY.pseudonym(kind, one) == KEY.pseudonym(kind, other)) == (one == other)
    assert KEY.pseudonym("actor", one) != KEY.pseudonym("session", one).replace("session", "actor")
    assert KEY.pseudonym(kind, one) != LabKey(b"k" * 32).pseudonym(kind, one)
    assert len(KEY.pseudonym(kind, one)) == len(kind) + 25


def test_values_that_are_no_valid_unicode_have_pseudonyms():
    assert KEY.pseudonym("actor", "\ud800") != KEY.pseudonym("actor", "\udfff")


@pytest.mark.parametrize("kind", ["", "Actor", "a b", "a\x1fb", "é", "x" * 33])
def test_kinds_are_words(kind):
    with pytest.raises(ValueError, match="must be a lower-case word"):
        KEY.pseudonym(kind, "u-1")
