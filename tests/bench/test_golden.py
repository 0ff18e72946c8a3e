"""Golden tests on public recordings: what is found, kept and noticed, beside the targets."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from evolution_lab.bench.golden_kill import kill
from evolution_lab.bench.golden_pact import agreement, misfit, tree_of
from evolution_lab.bench.golden_selection import selection
from evolution_lab.bench.golden_volatile import single_recording, two_recordings
from evolution_lab.cli import main
from evolution_lab.golden.comparison import compare
from evolution_lab.records import OperationRef
from evolution_lab.records.traffic import TrafficSnapshot

TRAFFIC = Path(__file__).parents[2].parent / "shared" / "data" / "traffic"
recorded = pytest.mark.skipif(
    not TRAFFIC.is_dir(), reason="shared/data/traffic is absent: not measured"
)


@recorded
def test_changing_values_are_told_from_steady_ones():
    report = single_recording(TRAFFIC)
    assert report.passed, report


@recorded
def test_comparison_judges_as_pact_does_where_the_question_is_the_same():
    report = agreement(TRAFFIC)
    assert report.passed, report
    listed = sum(row["cases"] for row in report.tables["Pact cases that do not fit"])
    assert listed < 275


@recorded
def test_wrong_answers_are_noticed():
    report = kill(TRAFFIC, quick=True)
    assert report.passed, report


@recorded
def test_selection_is_never_behind_schema_deduplication():
    report = selection(TRAFFIC, quick=True)
    missed = [t.id for t in report.targets if not t.passed]
    assert missed in ([], ["golden.selection.corpora-ahead"]), report


def service(seed: int) -> list[TrafficSnapshot]:
    """A service with a clock, a counter, random identifiers, a load and a set, recorded once."""
    draw = random.Random(seed)
    start = datetime(2026, 1, 5, tzinfo=UTC) + timedelta(days=seed, seconds=draw.randrange(3600))
    counter = draw.randrange(1000, 9000)
    made = []
    for number in range(60):
        now = start + timedelta(seconds=3 * number)
        identifier = f"{draw.getrandbits(128):032x}"
        tags = ["red", "green", "blue", "black"]
        draw.shuffle(tags)
        body = {
            "id": identifier,
            "links": {
                "self": f"/v1/things/{identifier}",
                "next": f"/v1/things?after={counter + number}",
            },
            "number": counter + number,
            "createdAt": now.isoformat(),
            "epoch": int(now.timestamp()),
            "load": draw.randrange(100),
            "score": draw.random(),
            "tags": tags,
            "name": f"thing {number}",
            "price": number / 4,
            "plan": {"code": "pro", "since": "2020-02-03T04:05:06Z", "key": "a1b2c3d4e5f60718"},
        }
        made.append(
            TrafficSnapshot(
                id=f"{seed}-{number}",
                operation=OperationRef("GET /things/{n}"),
                input={"path": f"/things/{number}"},
                output={"status": 200, "body": body},
                success=True,
                timestamp=now,
            )
        )
    return made


def test_two_recordings_tell_what_changes():
    report = two_recordings("simulated", [service(seed) for seed in range(8)])
    assert report.passed, report


def test_pact_cases_are_sorted_out_by_their_form():
    case = {
        "part": "body",
        "kind": "response",
        "expected": {"body": {"a": 1}},
        "actual": {"body": {"a": 1, "b": 2}},
    }
    assert "too many" in (misfit(case) or "")
    assert misfit({**case, "kind": "request"}) is None


def test_pact_rules_of_greatest_weight_win():
    tree = tree_of(
        {"a": [{"n": 1, "k": "x"}]},
        {
            "$.body.a": {"match": "type", "min": 1},
            "$.body.a[*].k": {"match": "regex", "regex": "x+"},
        },
    )
    assert compare({"a": [{"n": 5, "k": "xx"}, {"n": 1.5, "k": "x"}]}, tree) == []
    assert [d.path for d in compare({"a": [{"n": "5", "k": "y"}]}, tree)] == ["/a/0/n", "/a/0/k"]


@recorded
def test_command_says_targets_in_one_document(capsys):
    code = main(["bench", "golden", "--section", "pact", "--dataset", str(TRAFFIC), "--json"])
    document = json.loads(capsys.readouterr().out)
    assert code == 0
    assert [target["pass"] for target in document["targets"]] == [True]
    assert document["tables"]["Pact cases that do not fit"]


def test_unknown_section_is_named(capsys):
    assert main(["bench", "golden", "--section", "pakt"]) == 2
    assert "pact" in capsys.readouterr().err
