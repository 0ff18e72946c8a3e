"""What changes from run to run: told from links and shapes, from repeats, from a second recording."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from evolution_lab.golden.comparison import compare
from evolution_lab.golden.generator import GoldenTestGenerator
from evolution_lab.golden.shapes import shape_of, token_pattern
from evolution_lab.golden.volatile import Exchange, KnownIds, find_changing
from evolution_lab.golden.volatile_pairs import Observed, find_changes, matcher_for
from evolution_lab.records import OperationRef
from evolution_lab.records.traffic import TrafficSnapshot

START = datetime(2026, 1, 5, 12, tzinfo=UTC)
UUID = "0b8f7d1e-3c55-4a4e-9d5e-0f3f5f1f2a3b"
OTHER = "5c1fe2ab-90f1-4d0c-8a5b-3b1c2d3e4f50"


def snapshot(number, sent, output, *, operation="op", session=None, **rest):
    return TrafficSnapshot(
        id=f"{operation}-{number}",
        operation=OperationRef(operation),
        input=sent,
        output=output,
        success=rest.pop("success", True),
        timestamp=START + timedelta(seconds=number),
        metadata={"sessionId": session} if session else {},
        **rest,
    )


@pytest.mark.parametrize(
    ("name", "value", "changes"),
    [
        ("id", UUID, True),
        ("anything", UUID, True),
        ("createdAt", "2026-01-05T12:00:00Z", True),
        ("due", "2026-03-01T00:00:00Z", False),
        ("due", "2026-03-01", False),
        ("day", "2026-01-05", True),
        ("birthday", "1990-01-05", False),
        ("ts", 1_767_614_400, True),
        ("amount", 1_767_614_400 + 10**8, False),
        ("etag", "W8f3a2b1c9d", True),
        ("name", "TrackedReturns48", False),
        ("model", "gpt-4o-2024-08-06", False),
        ("currency", "USD", False),
        ("id", 4, False),
        ("id", 515435515, True),
        ("status", "requires_payment_method", False),
        ("elapsed_ms", 12.5, True),
        ("email", "someone@example.com", False),
        ("zip", "94107-1670", False),
    ],
)
def test_shape_and_name(name, value, changes):
    shape = shape_of(name, value, near=START)
    assert (shape is not None and shape.changes) == changes


@pytest.mark.parametrize(
    "value",
    ["adr_d128ff74fac311efa7a7ac1f6bc539ae", "W8f3a2b1c9d", "a-B3x9Kq2LmZ", "x.y/z+1aB2cD3=="],
)
def test_a_token_passes_its_own_pattern(value):
    assert compare(value, token_pattern(value)) == []


def found(sent, output, **rest):
    return {
        path: finding
        for (_, path), finding in find_changing([Exchange(sent, output, START)], **rest).items()
    }


def test_what_repeats_the_input_stays():
    changing = found({"path": f"/orders/{UUID}"}, {"id": UUID, "url": f"https://x/orders/{UUID}"})
    assert {path: f.through_input for path, f in changing.items()} == {
        ("id",): True,
        ("url",): True,
    }


def test_text_built_from_an_identifier_goes_with_it():
    changing = found({}, {"id": 515435515, "url": "/o/515435515/lines", "note": "515435515th"})
    assert set(changing) == {("id",), ("url",)}
    assert changing["url",].link.bases == ("515435515",)


def test_identifier_of_another_answer_is_known_again():
    known = KnownIds([Exchange({}, {"id": UUID})])
    assert set(found({}, {"owner": UUID.upper(), "by": UUID}, known=known)) == {("owner",), ("by",)}


def test_structure_length_and_type_are_refused():
    changes = find_changes(
        Observed({}, {"a": 1, "list": [1], "t": 1, "n": None}),
        [Observed({}, {"list": [1, 2], "t": "1", "n": 5, "x": 1})],
    )
    assert {path[0]: reason for path, (reason, _) in changes.refused.items()} == {
        "a": "structural",
        "x": "structural",
        "list": "array-length",
        "t": "type-change",
    }
    assert set(changes.values) == {("n",)}


def test_order_without_meaning_is_seen_behind_changing_identifiers():
    first = [{"id": UUID, "k": "a"}, {"id": UUID, "k": "b"}]
    second = [{"id": OTHER, "k": "b"}, {"id": OTHER, "k": "a"}]
    changes = find_changes(Observed({}, {"rows": first}), [Observed({}, {"rows": second})])
    assert changes.unordered == {("rows",)}


def test_few_words_often_seen_are_listed():
    tree = matcher_for("status", ["paid", "open"] * 6, float_tolerance=0)
    assert compare("paid", tree) == []
    assert compare("gone", tree)


def test_rounding_is_forgiven_and_no_more():
    tree = matcher_for("total", [0.1 + 0.2, 0.3], float_tolerance=1e-9)
    assert compare(0.3, tree) == []
    assert compare(0.3001, tree)


def test_repeats_relax_with_a_check_that_remains_and_evidence():
    suite = GoldenTestGenerator().generate(
        [
            snapshot(1, {"q": 1}, {"n": 17, "kind": "a", "list": [2, 1]}),
            snapshot(2, {"q": 1}, {"n": 99, "kind": "a", "list": [1, 2]}),
        ]
    )
    (case,) = suite.cases
    assert case.snapshots == 2
    assert [(r.path, r.matcher, r.evidence) for r in case.relaxations] == [
        ("/list", "unordered", "replicates"),
        ("/n", "type:integer", "replicates"),
    ]
    expected = case.steps[0].output
    assert compare({"n": 3, "kind": "a", "list": [1, 2]}, expected) == []
    assert [d.path for d in compare({"n": "3", "kind": "b", "list": [1, 3]}, expected)] == [
        "/kind",
        "/list",
        "/n",
    ]


def test_another_state_is_no_noise():
    outputs = [{f"f{i}": f"{word} {i}" for i in range(6)} for word in ("old", "new")]
    suite = GoldenTestGenerator().generate(
        [snapshot(i, {"q": 1}, output) for i, output in enumerate(outputs)]
    )
    (case,) = suite.cases
    assert {r.reason for r in case.refusals} == {"over-broad"}
    assert case.relaxations == ()
    assert case.steps[0].output == outputs[0]


def test_a_bare_root_stays_checked():
    suite = GoldenTestGenerator().generate([snapshot(i, {"q": 1}, f"w{'x' * i}") for i in (1, 2)])
    assert [r.reason for r in suite.cases[0].refusals] == ["root-value"]
    assert suite.cases[0].steps[0].output == "wx"


def test_second_recording_overrules_shapes_and_finds_plain_values():
    first = snapshot(
        1, {"n": 1}, {"id": UUID, "plan": UUID, "shard": 3, "url": "/o/3", "day": "2026-01-05"}
    )
    second = snapshot(
        9, {"n": 1}, {"id": OTHER, "plan": UUID, "shard": 8, "url": "/o/8", "day": "2026-01-05"}
    )
    suite = GoldenTestGenerator().generate([first], recordings=[[second]])
    (case,) = suite.cases
    assert {r.path: r.evidence for r in case.relaxations} == {
        "/day": "shape",
        "/id": "recordings",
        "/shard": "recordings",
        "/url": "recordings",
    }
    assert case.steps[0].output["plan"] == UUID


def test_reruns_are_evidence_too():
    first = snapshot(1, {"n": 1}, {"seq": 1, "kind": "a"})
    generator = GoldenTestGenerator()
    (case,) = generator.generate([first]).cases
    assert case.relaxations == ()
    (case,) = generator.generate([first], reruns={case.id: [[{"seq": 2, "kind": "a"}]]}).cases
    assert [(r.path, r.evidence) for r in case.relaxations] == [("/seq", "reruns")]


def test_what_changes_in_one_case_changes_in_all_of_the_operation():
    suite = GoldenTestGenerator().generate(
        [
            snapshot(1, {"q": 1}, {"load": 17, "kind": "a"}),
            snapshot(2, {"q": 1}, {"load": 18, "kind": "a"}),
            snapshot(3, {"q": 2}, {"load": 19, "kind": "b"}),
        ]
    )
    assert all([r.path for r in case.relaxations] == ["/load"] for case in suite.cases)
