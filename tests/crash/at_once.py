"""What people and machines do to one lab at once: each part a process, run by ``test_concurrency``.

``python at_once.py ROLE LAB WORK SECONDS``. Whatever a user would be shown as an error ends the
process with a traceback; what it did is printed as one line of JSON.
"""

from __future__ import annotations

import http.client
import json
import random
import sys
import time
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from evolution_lab.experiments import (
    STATE_IN_FORCE,
    Binding,
    InForce,
    SpecExperiment,
    SpecExperimentAdapter,
    SpecExperimentController,
    SpecExperimentRegistry,
    SpecExperimentRunner,
    Stage,
    file_source,
)
from evolution_lab.experiments.duckdb_repository import DuckDBExperimentRepository
from evolution_lab.experiments.stored_outcomes import stored_outcomes
from evolution_lab.lab import Lab
from evolution_lab.review.server import ReviewServer
from evolution_lab.telemetry.compaction import compact
from evolution_lab.telemetry.lake import Lake

ROWS, AGAIN = 400, 40
START = datetime(2026, 1, 1, tzinfo=UTC)
OPERATIONS = 6
EXPERIMENT = SpecExperiment(
    key="try",
    operation="checkout",
    control=Binding(operation="checkout", version="1"),
    variant=Binding(operation="checkout", version="2"),
    unit="request",
    stages=(Stage(share=0.5), Stage(share=1.0)),
)
GRACE = timedelta(seconds=60)


def table(number: int) -> pl.DataFrame:
    """Rows 5 seconds apart, of which the first stand at the end of the table before."""
    numbers = [max(n, 0) for n in range(number * ROWS - AGAIN, (number + 1) * ROWS)]
    return pl.DataFrame(
        {
            "timestamp": [(START + timedelta(seconds=5 * n)).isoformat() for n in numbers],
            "operation": [f"op {n % OPERATIONS}" for n in numbers],
            "duration_ns": [50_000_000 + n * 7919 % 9_000_000 for n in numbers],
            "success": [n * 31 % 97 != 0 for n in numbers],
            "trace_id": [f"{n + 1:032x}" for n in numbers],
            "span_id": [f"{n + 1:016x}" for n in numbers],
        }
    ).unique(maintain_order=True)


def turns(seconds: float) -> Iterator[int]:
    """Count turns until the time is up."""
    until, number = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        yield number
        number += 1


def landing(data: Path, work: Path, seconds: float) -> dict[str, Any]:
    """Land one file after the other, as a job of every minute would."""
    landed = 0
    for number in turns(seconds):
        path = work / f"calls-{number:05d}.csv"
        table(number).write_csv(path)
        landed += Lab(data).land(path).rows_added
        time.sleep(0.2)
    return {"landed": landed}


def compacting(data: Path, _work: Path, seconds: float) -> dict[str, Any]:
    """Join files and delete the replaced ones."""
    joined = 0
    for _ in turns(seconds):
        joined += len(compact(Lake(data), grace=GRACE, joined_rows=20_000).folders)
        time.sleep(0.5)
    return {"joined": joined}


def detecting(data: Path, _work: Path, seconds: float) -> dict[str, Any]:
    """Detect as a nightly job does, each time from a new start, and suggest now and then."""
    looks = 0
    for number in turns(seconds):
        lab = Lab(data)
        lab.detect()
        if number % 3 == 0:
            lab.suggest()
        looks += 1
    return {"looks": looks}


def asking(data: Path, _work: Path, seconds: float) -> dict[str, Any]:
    """Ask in SQL: no row twice, none gone that was there, and the decisions beside them."""
    lab, most, decisions = Lab(data), 0, 0
    asked = 0
    for _ in turns(seconds):
        row = lab.sql("SELECT count(*) AS n, count(DISTINCT row_id) AS ids FROM samples").row(0)
        assert row[0] == row[1] >= most, (row, most)
        most = row[0]
        now = lab.sql("SELECT count(*) AS n FROM suggestion_decisions").item()
        assert now >= decisions
        decisions = now
        lab.sql("SELECT operation_key, sum(calls) AS calls FROM windows GROUP BY 1 ORDER BY 1")
        asked += 1
    return {"asked": asked, "rows": most}


def exploring(data: Path, _work: Path, seconds: float) -> dict[str, Any]:
    """Look at the explorer in a notebook that stays open."""
    lab, looks = Lab(data), 0
    for _ in turns(seconds):
        lab.explore()
        looks += 1
    return {"looks": looks}


def watching(data: Path, _work: Path, seconds: float) -> dict[str, Any]:
    """Take windows again and again in a notebook that stays open: no call leaves them."""
    lab, most, looks = Lab(data), 0, 0
    for _ in turns(seconds):
        calls = lab.windows()["calls"].sum()
        assert calls >= most, (calls, most)
        most = calls
        looks += 1
    return {"looks": looks, "calls": most}


def reviewing(data: Path, _work: Path, seconds: float) -> dict[str, Any]:
    """Serve the review page, and decide on it over HTTP as its page does."""
    chance, decided, messages = random.Random(3), [], 0
    with ReviewServer(Lab(data).review_board(reviewer="ada")) as server:
        host, port = server.address.split(":")

        def ask(message: dict[str, Any]) -> dict[str, Any]:
            connection = http.client.HTTPConnection(host, int(port), timeout=120)
            connection.request(
                "POST",
                "/api",
                json.dumps(message),
                {"content-type": "application/json", "x-review-token": server.token},
            )
            answer = connection.getresponse()
            said: dict[str, Any] = json.loads(answer.read())
            connection.close()
            assert answer.status == 200, said
            assert said["kind"] != "error", (message, said)
            return said

        for _ in turns(seconds):
            rows = ask({"kind": "list"})["suggestions"]
            # Detection may add evidence to what it said itself: those could change while we read.
            pending = [r for r in rows if r["status"] == "pending" and r["id"].startswith("00")]
            messages += 1
            if not pending:
                time.sleep(0.5)
                continue
            row = chance.choice(pending)
            ask({"kind": "detail", "id": row["id"]})
            decision = chance.choice(["approve", "reject"])
            message = {"id": row["id"], "decision": decision, "revision": row["revision"]}
            ask({"kind": "decide", "notes": "as agreed", **message})
            decided.append([row["id"], decision])
            messages += 2
    return {"messages": messages, "decided": decided}


def trying(data: Path, _work: Path, seconds: float) -> dict[str, Any]:
    """Serve an experiment: count outcomes by arm, while its controller looks at them."""
    repository = DuckDBExperimentRepository(data)
    registry = SpecExperimentRegistry(repository, data / STATE_IN_FORCE)
    registry.register(EXPERIMENT, actor="ada")
    registry.start("try", actor="ada")
    controller = SpecExperimentController(registry, stored_outcomes(repository, data))
    in_force = InForce(file_source(data / STATE_IN_FORCE), background=False)
    adapter = SpecExperimentAdapter(in_force, data, flush_seconds=0.2)
    runner, counted, looks = SpecExperimentRunner(EXPERIMENT, 0), 0, 0
    for number in turns(seconds):
        for call in range(50):
            name = f"call-{number}-{call}"
            counted += adapter.track_outcome(
                EXPERIMENT,
                runner.assign(name),
                execution_id=name,
                duration_ns=40_000_000 + call * 100_000,
                success=call % 25 != 0,
            )
        if number % 5 == 0:
            controller.look()
            looks += 1
        time.sleep(0.1)
    assert adapter.close()
    assert adapter.errors == {}
    return {"counted": counted, "looks": looks}


ROLES = {
    role.__name__: role
    for role in (
        landing,
        compacting,
        detecting,
        asking,
        exploring,
        watching,
        reviewing,
        trying,
    )
}

if __name__ == "__main__":
    warnings.simplefilter("error")
    name, lab_dir, work_dir, duration = sys.argv[1:]
    print(json.dumps(ROLES[name](Path(lab_dir), Path(work_dir), float(duration))))
