"""A table whose columns do not say what they are for: guessed at, shown, and landed for a yes."""

from __future__ import annotations

import os
import shlex
import sys
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolution_lab.cli import main
from evolution_lab.lab import Lab
from evolution_lab.telemetry.guessing import needs_mapping, proposal
from evolution_lab.telemetry.mapping import TIME_UNITS, ColumnMapping

BEGUN = datetime(2026, 3, 1, 12, tzinfo=UTC)
TOOK_US = 2_500


def calls(rows: int = 40) -> pl.DataFrame:
    """As somebody's tracing writes them: no unit is said anywhere."""
    starts = [int((BEGUN + timedelta(seconds=n)).timestamp() * 1e6) for n in range(rows)]
    return pl.DataFrame(
        {
            "SpanName": ["checkout", "refund"] * (rows // 2),
            "Begin": starts,
            "EndTime": [start + TOOK_US for start in starts],
            "Elapsed": [TOOK_US * 1_000] * rows,
        }
    )


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "some calls.csv"
    calls().write_csv(path)
    return path


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch):
    """Call with what a person types at a real terminal."""
    opened = []

    def type_it(text: str) -> None:
        keyboard, terminal = os.openpty()
        os.write(keyboard, text.encode())
        stdin = os.fdopen(terminal, "r")
        opened.append((keyboard, stdin))
        monkeypatch.setattr(sys, "stdin", stdin)

    yield type_it
    for keyboard, stdin in opened:
        stdin.close()
        os.close(keyboard)


def test_without_a_terminal_it_refuses_with_the_line_that_lands_it(table: Path, capsys):
    assert main(["land", str(table), "--data", "my lab"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert not Path("my lab").exists()
    line = next(line for line in said.err.splitlines() if line.endswith("--yes"))
    words = shlex.split(line.partition(": ")[2])
    assert words[:3] == ["evolution-lab", "land", str(table)]
    assert main(words[1:]) == 0
    rows = Lab("my lab").samples().collect()
    assert rows["duration_ns"].unique().to_list() == [TOOK_US * 1_000]
    assert rows["timestamp"].min() == BEGUN
    kept = tomllib.loads(Path("my lab/evolution_lab.toml").read_text())["mappings"]
    assert kept[0]["duration"] == "Elapsed:ns"


def test_a_dry_run_shows_the_guess_and_writes_nothing(table: Path, capsys):
    assert main(["land", str(table), "--data", "my lab", "--dry-run"]) == 0
    said = capsys.readouterr()
    assert "checkout" in said.out
    assert said.err.splitlines()[-1].endswith("--yes") or "--yes" in said.err
    assert "--dry-run" not in said.err
    assert not Path("my lab").exists()
    assert main(["land", str(table), "--data", "my lab", "--dry-run", "--json"]) == 2


@pytest.mark.parametrize("answer", ["y", "n"])
def test_at_a_terminal_a_yes_lands_it_and_a_no_leaves_everything(
    answer: str, table: Path, typed, capsys
):
    typed(f"{answer}\n")
    assert main(["land", str(table), "--data", "my lab"]) == (0 if answer == "y" else 1)
    said = capsys.readouterr()
    assert "checkout" in said.out  # The first rows were shown before the question.
    assert "duration=Elapsed:ns" in said.err
    if answer == "n":
        assert "Nothing was landed" in said.err
        assert not Path("my lab").exists()
    else:
        assert Lab("my lab").samples().collect().height == 40
        assert main(["land", str(table), "--data", "my lab"]) == 0  # It was kept: no question.


def test_where_a_needed_column_is_missing_nothing_is_proposed(tmp_path: Path, typed, capsys):
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    typed("y\n")
    assert main(["land", str(tmp_path / "a.csv"), "--data", str(tmp_path / "data")]) == 2
    assert "--yes" not in capsys.readouterr().err


@pytest.mark.parametrize("unit", TIME_UNITS)
def test_the_unit_of_a_duration_is_measured_where_start_and_end_are_known(unit: str):
    gap_ns = [3_000_000_000 * n for n in range(1, 9)]
    start = 1_772_366_400_000_000_000
    rows = pl.DataFrame(
        {
            "start": [start // 1000] * 8,
            "end_time": [(start + gap) // 1000 for gap in gap_ns],
            "duration": [gap // TIME_UNITS[unit] for gap in gap_ns],
            "name": ["a"] * 8,
        }
    )
    items = proposal(rows.columns, rows)
    assert {"timestamp=start:us", f"duration=duration:{unit}"} <= set(items)


def test_a_raw_path_is_templated_and_texts_need_no_unit():
    rows = pl.DataFrame(
        {
            "date": ["2026-03-01T12:00:00Z"],
            "latency_ms": ["1.5"],
            "url": ["/a/7"],
            "method": ["GET"],
        }
    )
    items = proposal(rows.columns, rows)
    assert items == ("timestamp=date", "duration=latency_ms:ms", "path=url", "method=method")
    ColumnMapping.parse(items)


@given(
    st.lists(st.text(max_size=12), max_size=6, unique=True),
    st.sampled_from([None, "x", "1", "nan", "2026-03-01"]),
)
def test_any_table_is_refused_and_none_breaks_the_guess(columns: list[str], value: str | None):
    rows = pl.DataFrame({name: [value] * 3 for name in columns})
    error = needs_mapping(columns, lambda: rows)
    if error.proposal:
        ColumnMapping.parse(error.proposal)
