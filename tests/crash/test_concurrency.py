"""Everything at once on one lab: nobody is shown an error, and afterwards nothing is lost or twice.

A minute in ``make test-long``; ``EVOLUTION_LAB_CONCURRENCY_SECONDS=600`` for ten. ``-s`` shows what
each part did.
"""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from evolution_lab.approval.duckdb_repository import DuckDBSpecSuggestionRepository
from evolution_lab.experiments import merged_counts
from evolution_lab.lab import Lab
from evolution_lab.records import OperationRef, Proposal, SpecSuggestion, Target
from evolution_lab.schemas import SAMPLES, check
from evolution_lab.telemetry.compaction import compact
from evolution_lab.telemetry.lake import Lake
from evolution_lab.telemetry.verifying import verify

SECONDS = float(os.environ.get("EVOLUTION_LAB_CONCURRENCY_SECONDS", "60"))
PROGRAM = Path(__file__).with_name("at_once.py")
AT_ONCE = runpy.run_path(str(PROGRAM))
SUGGESTIONS = 200
PATIENCE = 120.0


def suggestion(number: int) -> SpecSuggestion:
    return SpecSuggestion(
        id=f"00{number:014x}",
        intent="latency-regression",
        target=Target(operation=OperationRef(f"other {number}"), path="/policy/limits"),
        proposal=Proposal(
            summary=f"Limit items of {number}",
            rationale="Calls with many items are slow.",
            change_type="policy-update",
        ),
        confidence=0.9,
        risk=0.2,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        evidence=(),
        priority="medium",
    )


@pytest.mark.slow
def test_everything_at_once_shows_nobody_an_error_and_loses_nothing(tmp_path: Path):
    data, work = tmp_path / "lab", tmp_path / "files"
    work.mkdir()
    first = work / "calls-first.csv"
    AT_ONCE["table"](0).write_csv(first)
    Lab(data).land(first)
    made = [suggestion(number) for number in range(SUGGESTIONS)]
    with DuckDBSpecSuggestionRepository(data).transaction() as table:
        for each in made:
            table.save(each, at=each.created_at)
    did = _all_at_once(data, work)
    print(f"\n{SECONDS:.0f} s:", json.dumps({**did, "reviewing": did["reviewing"]["messages"]}))

    lake, paths = Lake(data), sorted(work.glob("*.csv"))
    landed = check(lake.samples().collect(), SAMPLES)
    expected = pl.concat(pl.read_csv(path)["trace_id"] for path in paths).unique()
    assert landed["row_id"].is_unique().all()
    assert sorted(landed["trace_id"]) == sorted(expected)
    assert [finding for finding in verify(lake).findings if finding.harmful] == []
    fresh = Lab(tmp_path / "fresh")
    fresh.land(*paths)
    assert Lab(data).windows().equals(fresh.windows())
    assert Lab(data).detect().signals == fresh.detect().signals

    decided = did["reviewing"]["decided"]
    assert decided
    verbs = {"approve": "approved", "reject": "rejected"}
    with DuckDBSpecSuggestionRepository(data).transaction() as table:
        kept = {each.id: each.status for each in table.select() if each.id.startswith("00")}
    assert kept == {
        **{each.id: "pending" for each in made},
        **{name: verbs[decision] for name, decision in decided},
    }
    stages = merged_counts(data, AT_ONCE["EXPERIMENT"]).counts.stages
    requests = sum(arm.requests for stage in stages for arm in (stage.control, stage.variant))
    assert requests == did["trying"]["counted"] > 0
    compact(lake)
    assert Lab(data).windows().equals(fresh.windows())


def _all_at_once(data: Path, work: Path) -> dict[str, dict[str, object]]:
    environment = {**os.environ, "POLARS_MAX_THREADS": "1"}
    with ExitStack() as stack:
        running = {}
        for role in AT_ONCE["ROLES"]:
            process = subprocess.Popen(
                [sys.executable, str(PROGRAM), role, str(data), str(work), str(SECONDS)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=environment,
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            running[role] = process
        said = {
            role: process.communicate(timeout=SECONDS + PATIENCE)
            for role, process in running.items()
        }
    errors = {role: err for role, (_, err) in said.items() if running[role].returncode or err}
    assert not errors, "\n".join(f"--- {role}\n{err}" for role, err in errors.items())
    return {role: json.loads(out) for role, (out, _) in said.items()}
