"""``%%sql`` in a real IPython."""

from __future__ import annotations

import polars as pl
import pytest
from IPython.core.interactiveshell import InteractiveShell

from evolution_lab import Lab

HOSTILE = "<img src=x onerror=alert(1)>\x1b[31m"


@pytest.fixture
def shell(tmp_path):
    """An IPython of its own, with the extension and nothing else."""
    InteractiveShell.clear_instance()
    found = InteractiveShell.instance()
    found.history_manager.enabled = False
    assert not found.run_cell("%load_ext evolution_lab.lab.sql_magic").error_in_exec
    yield found
    found.history_manager.end_session()
    InteractiveShell.clear_instance()


def cell(shell: InteractiveShell, text: str):
    done = shell.run_cell(text)
    assert done.success, done.error_in_exec
    return done.result


def test_a_cell_is_answered_and_shown_without_obeying_what_it_holds(shell, tmp_path):
    shell.push({"lab": Lab(tmp_path), "hostile": HOSTILE})
    answer = cell(shell, f"%%sql\nSELECT 7 AS n, '{HOSTILE}' AS \"<b>name\"")
    assert answer.frame.row(0) == (7, HOSTILE)
    html = answer._repr_html_()
    assert "<img" not in html
    assert "<b>" not in html
    assert "&lt;img" in html
    assert "\x1b" not in html + str(answer) + answer.to_markdown()


def test_braces_and_quotes_of_a_query_stay_as_they_are(shell, tmp_path):
    shell.push({"lab": Lab(tmp_path), "n": 5})
    assert cell(shell, "%%sql\nSELECT '{n} $n' AS said").frame.item() == "{n} $n"


def test_long_answers_are_cut_where_they_are_shown_and_whole_in_the_frame(shell, tmp_path):
    shell.push({"mine": Lab(tmp_path)})  # The only lab, whatever its name.
    answer = cell(shell, "%%sql\nSELECT * FROM range(2500)")
    assert answer.to_polars().height == 2500
    assert answer._repr_html_().count("<tr>") == 101
    assert "100 of 2,500" in answer._repr_html_()
    assert cell(shell, "%%sql --into kept\nSELECT * FROM range(3)") is None
    assert isinstance(shell.user_ns["kept"], pl.DataFrame)
    assert shell.user_ns["kept"].height == 3


@pytest.mark.parametrize(
    ("line", "query", "words"),
    [
        ("", "SELECT * FROM sampels", "cannot be answered"),
        ("", " ", "no query"),
        ("--into 'a b'", "SELECT 1", "must be a name"),
        ("--into class", "SELECT 1", "must be a name"),
        ("--inot x", "SELECT 1", "unrecognized arguments"),
        ("--into", "SELECT 1", "expected one argument"),
        ("--into 'x", "SELECT 1", "No closing quotation"),
        ("--lab firts", "SELECT 1", "Did you mean 'first'"),
        ("", "SELECT 1", "several labs"),
    ],
)
def test_what_cannot_be_answered_is_said_in_one_line(
    shell, tmp_path, capsys, line: str, query: str, words: str
):
    first = {"first": Lab(tmp_path)}
    shell.push(
        first | {"second": Lab(tmp_path)} if "several" in words or "--lab" in line else first
    )
    done = shell.run_cell(f"%%sql {line}\n{query}")
    assert not done.success
    said = capsys.readouterr()
    assert words in said.err + said.out
    assert "Traceback" not in said.err + said.out


def test_without_a_lab_it_says_how_to_make_one(shell, capsys):
    assert not shell.run_cell("%%sql\nSELECT 1").success
    assert "lab = Lab(" in capsys.readouterr().err


def test_another_extensions_sql_is_left_alone(tmp_path):
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance()
    shell.history_manager.enabled = False
    shell.register_magic_function(lambda *_: "theirs", "cell", "sql")
    shell.push({"lab": Lab(tmp_path)})
    cell(shell, "%load_ext evolution_lab.lab.sql_magic")
    assert cell(shell, "%%sql\nSELECT 1") == "theirs"
    assert cell(shell, "%%lab_sql\nSELECT 1 AS one").frame.item() == 1
    shell.history_manager.end_session()
    InteractiveShell.clear_instance()
