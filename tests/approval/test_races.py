"""Eight processes that decide at once: each decision is taken once, and nobody sees an error."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from evolution_lab.approval import (
    DuckDBSpecSuggestionRepository,
    PostgresSpecSuggestionRepository,
    SpecSuggestionOrchestrator,
    SpecSuggestionRepository,
)

PROCESSES = 8
DECIDE = """
import sys
from pathlib import Path
from evolution_lab.approval import *
from evolution_lab.errors import AlreadyDecidedError
place, who, shared, *own = sys.argv[1:]
repository = (PostgresSpecSuggestionRepository(place) if "://" in place
              else DuckDBSpecSuggestionRepository(Path(place)))
orchestrator = SpecSuggestionOrchestrator(repository)
won = 0
for number, suggestion in enumerate(own):
    if number % 2:
        orchestrator.reject(suggestion, reviewer=who, notes=who)
    else:
        orchestrator.approve(suggestion, reviewer=who)
    won += 1
try:
    orchestrator.approve(shared, reviewer=who)
    won += 1
except AlreadyDecidedError:
    pass
print(won)
"""


def decide_at_once(
    repository: SpecSuggestionRepository,
    place: str,
    suggestion,
    decisions: int,
    *,
    processes: int = PROCESSES,
) -> None:
    orchestrator = SpecSuggestionOrchestrator(repository)
    made = [suggestion(key=f"op-{n}") for n in range(processes * (decisions - 1) + 1)]
    orchestrator.submit_all(made)
    shared, *rest = [each.id for each in made]
    running = [
        subprocess.Popen(
            [sys.executable, "-c", DECIDE, place, f"p{n}", shared, *rest[n::processes]],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PYTHONPATH": str(Path(__file__).parents[2])},
        )
        for n in range(processes)
    ]
    told = [process.communicate() for process in running]
    assert [err.decode() for _, err in told] == [""] * processes
    assert [process.returncode for process in running] == [0] * processes
    # Each got all of its own; exactly one got the one that all wanted.
    assert sum(int(out) for out, _ in told) == len(made)
    kept = orchestrator.list()
    assert all(len(each.approvals) == 1 for each in kept)
    assert {each.status for each in kept} == {"approved", "rejected"}


@pytest.mark.slow
def test_few_decisions_on_a_file(tmp_path, suggestion):
    decide_at_once(
        DuckDBSpecSuggestionRepository(tmp_path), str(tmp_path), suggestion, 6, processes=3
    )


def test_few_decisions_on_a_server(postgres, suggestion):
    decide_at_once(PostgresSpecSuggestionRepository(postgres), postgres, suggestion, 6, processes=3)


@pytest.mark.slow
def test_eight_processes_take_200_decisions_each_on_one_file(tmp_path, suggestion):
    decide_at_once(DuckDBSpecSuggestionRepository(tmp_path), str(tmp_path), suggestion, 200)


@pytest.mark.slow
def test_eight_processes_take_200_decisions_each_on_a_server(postgres, suggestion):
    decide_at_once(PostgresSpecSuggestionRepository(postgres), postgres, suggestion, 200)
