"""Bars of progress: in a terminal, in a notebook, and nowhere else."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from evolution_lab.cli import main
from evolution_lab.datasets import NULL_START, null_samples
from evolution_lab.display import notebook_progress, part_of, progress_bar
from evolution_lab.lab import Lab


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], str]]:
    """A real terminal as stderr; call to get what was written to it."""
    reader, writer = os.openpty()
    stderr, before = os.fdopen(writer, "w"), sys.stderr
    monkeypatch.setenv("TERM", "xterm")
    for name in ("NO_COLOR", "TTY_COMPATIBLE", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    seen: list[bytes] = []

    def listen() -> None:
        try:
            while part := os.read(reader, 65536):
                seen.append(part)
        except OSError:  # The other end was closed.
            return

    listening = threading.Thread(target=listen, daemon=True)
    listening.start()

    def written() -> str:
        stderr.flush()
        stderr.close()
        listening.join(5)
        return b"".join(seen).decode()

    sys.stderr = stderr
    try:
        yield written
    finally:
        sys.stderr = before
        os.close(reader)


def test_a_terminal_shows_share_and_time_left(monkeypatch):
    with terminal(monkeypatch) as written:
        with progress_bar("landing\x1b[31m") as progress:
            for done in range(5):
                progress(done + 1, 10)
                time.sleep(0.12)
        said = written()
    assert "landing [31m" in said
    assert "50 %, 0:01 left" in said
    assert "so far" in said  # Before anything is known of the rest.


def test_short_work_shows_no_bar_unasked(monkeypatch):
    with terminal(monkeypatch) as written:
        with progress_bar("short", after=60.0) as progress:
            progress(1, 2)
        assert written() == ""


def test_nothing_is_shown_where_nobody_looks(capfd):
    with progress_bar("piped") as progress:
        progress(1, 2)
    with notebook_progress("not in a notebook", None) as none:
        assert none is None
    assert capfd.readouterr() == ("", "")


def test_parts_add_up_to_the_whole():
    said = []
    whole = lambda done, total: said.append(done / total)  # noqa: E731
    for step in range(4):
        for done in range(3):
            part_of(whole, first=step, of=4)(done + 1, 3)
    assert said == sorted(said)
    assert said[-1] == 1.0
    part_of(None, first=0, of=1)(1, 1)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    found = Lab(tmp_path_factory.mktemp("progress") / "data")
    found.land(
        null_samples(calls=20, windows=40, operations=2, seed=1, start=NULL_START).select(
            "operation_key", "timestamp", "duration_ns", "success"
        )
    )
    return found


@pytest.mark.parametrize("step", ["land", "windows", "detect", "suggest", "explore", "report"])
def test_every_long_step_tells_how_far_it_is_and_ends_at_the_whole(lab: Lab, step: str, tmp_path):
    said: list[float] = []

    def progress(done: int, total: int) -> None:
        said.append(done / total)

    other = Lab(lab.data)  # Nothing is kept from the step before.
    table = tmp_path / "more.csv"
    table.write_text("operation,timestamp,duration_ms\npay,2026-03-01T12:00:00Z,5\n")
    steps = {
        "land": lambda: other.land(table, dry_run=True, progress=progress),
        "windows": lambda: other.windows(every="2m", progress=progress),
        "detect": lambda: other.detect(progress=progress),
        "suggest": lambda: other.suggest(progress=progress),
        "explore": lambda: other.explore(progress=progress),
        "report": lambda: other.report(tmp_path / "r", light=True, progress=progress),
    }
    steps[step]()
    assert said
    assert said == sorted(said)
    assert said[-1] == pytest.approx(1.0)


def test_commands_show_a_bar_at_a_terminal(lab: Lab, monkeypatch, capsys):
    with terminal(monkeypatch) as written:
        assert main(["detect", "--data", str(lab.data), "--json"]) == 0
        assert "detect" in written()
    assert capsys.readouterr().out.startswith("{")


@pytest.mark.slow
def test_a_notebook_shows_a_bar_for_long_work_and_none_for_short():
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    cell = """
import time
from evolution_lab.display import notebook_progress
with notebook_progress("landing", None) as tell:
    for done in range({steps}):
        time.sleep(0.25)
        tell(done + 1, {steps})
"""
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell.format(steps=steps)) for steps in (1, 12)]
    )
    nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    short, long = (
        [o for o in c.outputs if o.output_type == "display_data"] for c in notebook.cells
    )
    assert not short
    assert long
