"""The state database: one transaction at a time, and errors that say what to do."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading

import duckdb
import pytest

from evolution_lab.errors import CorruptFileError, FormatVersionError, LakeError, LockedError
from evolution_lab.telemetry.locks import file_lock, holder_pid
from evolution_lab.telemetry.state import STATE_FILE, STATE_FORMAT_VERSION, open_state


def _insert_then_fail(lab, statement: str) -> None:
    with open_state(lab) as state:
        state.execute("INSERT INTO notes VALUES ('lost')")
        state.execute(statement)
        raise RuntimeError("changed my mind")


def _notes(lab) -> list[str]:
    with open_state(lab) as state:
        return [
            text for (text,) in state.execute("SELECT text FROM notes ORDER BY text").fetchall()
        ]


@pytest.fixture
def lab(tmp_path):
    lab = tmp_path / "made" / "on demand"
    with open_state(lab) as state:
        state.execute("CREATE TABLE notes (text VARCHAR)")
    return lab


def test_a_transaction_is_kept_when_its_block_ends(lab):
    with open_state(lab) as state:
        state.execute("INSERT INTO notes VALUES ('kept')")
    assert _notes(lab) == ["kept"]


def test_a_transaction_is_undone_when_its_block_raises(lab):
    with pytest.raises(RuntimeError, match="changed my mind"):
        _insert_then_fail(lab, "SELECT 1")
    assert _notes(lab) == []


def test_a_failed_statement_undoes_the_ones_before_it(lab):
    with pytest.raises(duckdb.CatalogException):
        _insert_then_fail(lab, "SELECT * FROM nowhere")
    assert _notes(lab) == []


def test_the_database_carries_a_format_version(lab):
    with open_state(lab) as state:
        rows = state.execute("SELECT key, value FROM meta").fetchall()
    assert rows == [("format_version", str(STATE_FORMAT_VERSION))]


@pytest.mark.parametrize("found", ["2", "99", "newest", ""])
def test_an_unknown_format_version_is_refused(lab, found):
    with open_state(lab) as state:
        state.execute("UPDATE meta SET value = ? WHERE key = 'format_version'", [found])
    with pytest.raises(FormatVersionError, match="reads up to 1"), open_state(lab):
        pytest.fail("must not be reached")


def test_a_corrupt_file_is_named_with_a_way_out(lab):
    (lab / STATE_FILE).write_bytes(b"not a database" * 1000)
    with (
        pytest.raises(CorruptFileError, match=r"evolution\.duckdb.*backup") as caught,
        open_state(lab),
    ):
        pytest.fail("must not be reached")
    assert "telemetry is untouched" in str(caught.value)


def test_a_truncated_file_is_an_error_of_this_package(lab):
    path = lab / STATE_FILE
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(CorruptFileError), open_state(lab):
        pytest.fail("must not be reached")


def test_an_empty_file_left_by_a_crash_is_no_obstacle(tmp_path):
    (tmp_path / STATE_FILE).touch()
    with open_state(tmp_path) as state:
        assert state.execute("SELECT 1").fetchone() == (1,)


def test_a_file_where_the_lab_should_be_is_an_error(tmp_path):
    (tmp_path / "lab").touch()
    with pytest.raises(LakeError, match="cannot be a lab directory"), open_state(tmp_path / "lab"):
        pytest.fail("must not be reached")


def _hold_from_another_process(code: str, *arguments: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_another_process_is_named_after_a_bounded_wait(lab):
    code = """
        import sys
        from evolution_lab.telemetry.state import open_state
        with open_state(sys.argv[1]):
            print("held", flush=True)
            sys.stdin.read()
    """
    with _hold_from_another_process(code, str(lab)) as process:
        with pytest.raises(LockedError) as caught, open_state(lab, wait_seconds=0.1):
            pytest.fail("must not be reached")
        assert caught.value.holder_pid == process.pid
        assert str(process.pid) in str(caught.value)
        process.communicate()
    assert _notes(lab) == []


def test_a_program_that_ignores_the_lock_is_named_too(lab):
    code = """
        import sys, duckdb
        connection = duckdb.connect(sys.argv[1])
        print("held", flush=True)
        sys.stdin.read()
    """
    with _hold_from_another_process(code, str(lab / STATE_FILE)) as process:
        with pytest.raises(LockedError) as caught, open_state(lab, wait_seconds=0.1):
            pytest.fail("must not be reached")
        assert caught.value.holder_pid == process.pid
        process.communicate()


def test_a_killed_holder_leaves_nothing_behind(lab):
    code = """
        import sys
        from evolution_lab.telemetry.state import open_state
        with open_state(sys.argv[1]) as state:
            state.execute("INSERT INTO notes VALUES ('never committed')")
            print("held", flush=True)
            sys.stdin.read()
    """
    with _hold_from_another_process(code, str(lab)) as process:
        process.kill()
        process.wait()
    assert _notes(lab) == []


def test_threads_take_turns(lab):
    def note(text: str) -> None:
        for part in range(5):
            with open_state(lab) as state:
                state.execute("INSERT INTO notes VALUES (?)", [f"{text}{part}"])

    threads = [threading.Thread(target=note, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert _notes(lab) == sorted(f"{name}{part}" for name in "abc" for part in range(5))


def test_a_lock_file_holds_the_pid_of_its_last_holder(tmp_path):
    path = tmp_path / "some" / "day.lock"
    assert holder_pid(path) is None
    with file_lock(path):
        assert holder_pid(path) == os.getpid()
    path.write_text("scribble")
    assert holder_pid(path) is None
