from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from evolution_lab.approval import DuckDBSpecSuggestionRepository, SpecSuggestionOrchestrator
from evolution_lab.errors import InvalidSuggestionError
from evolution_lab.records import OperationRef
from evolution_lab.telemetry.state import open_state

DECIDE = """
import sys
from pathlib import Path
from evolution_lab.approval import DuckDBSpecSuggestionRepository, SpecSuggestionOrchestrator
from evolution_lab.errors import AlreadyDecidedError
orchestrator = SpecSuggestionOrchestrator(DuckDBSpecSuggestionRepository(Path(sys.argv[1])))
won = 0
for suggestion in orchestrator.list("pending"):
    try:
        orchestrator.approve(suggestion.id, reviewer=sys.argv[2])
        won += 1
    except AlreadyDecidedError:
        pass
print(won)
"""


def test_another_orchestrator_on_the_same_directory_sees_the_same(tmp_path, suggestion):
    SpecSuggestionOrchestrator(DuckDBSpecSuggestionRepository(tmp_path)).submit(suggestion())
    other = SpecSuggestionOrchestrator(DuckDBSpecSuggestionRepository(tmp_path))
    assert other.list() == (suggestion(),)


def test_tables_are_the_published_ones(tmp_path, suggestion):
    orchestrator = SpecSuggestionOrchestrator(DuckDBSpecSuggestionRepository(tmp_path))
    orchestrator.submit(suggestion())
    orchestrator.reject(suggestion().id, reviewer="mia", notes="no")
    with open_state(tmp_path) as state:
        row = state.execute(
            "SELECT id, revision, status, payload->>'intent', created_at FROM spec_suggestions"
        ).fetchone()
        decisions = state.execute(
            "SELECT suggestion_id, sequence, revision, reviewer, status, notes "
            "FROM suggestion_decisions"
        ).fetchall()
    created = suggestion().created_at.replace(tzinfo=None)
    assert row == (suggestion().id, 1, "rejected", "error-spike", created)
    assert decisions == [(suggestion().id, 1, 1, "mia", "rejected", "no")]


@pytest.mark.parametrize("text", ["'; DROP TABLE spec_suggestions; --", "\x1b[31m\x00x", "名前 🎉"])
def test_hostile_text_comes_back_as_it_was(tmp_path, suggestion, text):
    orchestrator = SpecSuggestionOrchestrator(DuckDBSpecSuggestionRepository(tmp_path))
    made = suggestion(key=text)
    orchestrator.submit(made)
    orchestrator.reject(made.id, reviewer=text, notes=text)
    kept = orchestrator.get(made.id)
    assert kept.target.operation == OperationRef(text, service="shop")
    assert kept.approvals[0].notes == text.strip()


def test_processes_that_decide_at_once_lose_nothing(tmp_path, suggestion):
    orchestrator = SpecSuggestionOrchestrator(DuckDBSpecSuggestionRepository(tmp_path))
    orchestrator.submit_all(suggestion(key=f"op-{n}") for n in range(12))
    running = [
        subprocess.Popen(
            [sys.executable, "-c", DECIDE, str(tmp_path), name],
            stdout=subprocess.PIPE,
            env={"PYTHONPATH": str(Path(__file__).parents[2])},
        )
        for name in ("mia", "noa")
    ]
    won = [int(process.communicate()[0]) for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert sum(won) == 12
    assert all(len(s.approvals) == 1 for s in orchestrator.list("approved"))


def test_what_is_no_text_is_refused_in_names_and_replaced_in_notes(tmp_path, suggestion):
    """A terminal hands over bytes that are not UTF-8 as lone surrogates."""
    orchestrator = SpecSuggestionOrchestrator(DuckDBSpecSuggestionRepository(tmp_path))
    with pytest.raises(InvalidSuggestionError, match="Unicode"):
        orchestrator.submit(suggestion(key="a\udcff"))
    orchestrator.submit(suggestion())
    kept = orchestrator.reject(suggestion().id, reviewer="mia", notes="a\udcffb")
    assert kept.approvals[0].notes == "a?b"
    assert orchestrator.list() == (kept,)
