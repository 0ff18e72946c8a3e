from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evolution_lab.contracts import DeclaredError, OperationSpec
from evolution_lab.errors import FrameContractError, InputError
from evolution_lab.records import (
    DetectionResult,
    EvidenceItem,
    Incident,
    OperationRef,
    SpecSuggestion,
    to_json,
)
from evolution_lab.suggestions import SpecGenerator, subject_of

QUARTER = timedelta(minutes=15)


def suggest(*signals, workflows=(), incidents=(), **options) -> tuple[SpecSuggestion, ...]:
    result = DetectionResult(
        signals=tuple(signals), workflows=tuple(workflows), incidents=tuple(incidents)
    )
    suggestions = SpecGenerator().generate(result, **options)
    for suggestion in suggestions:
        assert SpecGenerator().validate_suggestion(suggestion) == []
    return suggestions


def code(value: str, **more: str) -> dict[str, dict[str, object]]:
    named = {"errorCode": value} | more
    return {name: {"value": text, "carried": 0.9} for name, text in named.items()}


def test_an_error_callers_can_act_on_is_to_be_declared(signal):
    (found,) = suggest(signal(attribution=code("CARD_DECLINED")))
    assert found.proposal.change_type == "revision"
    assert found.target.path == "/errors/CARD_DECLINED"
    assert "CARD_DECLINED" in found.proposal.spec["errors"]
    assert found.priority == "high"


def test_a_transient_failure_of_a_query_may_be_repeated(signal, stock):
    (found,) = suggest(signal(operation=stock, attribution=code("503")))
    assert found.target.path == "/policy/retry"
    assert found.proposal.spec["policy"]["retry"]["on"] == ["503"]


def test_a_transient_failure_of_a_command_is_never_repeated(signal):
    (found,) = suggest(signal(attribution=code("503")))
    assert found.target.path == "/policy/circuitBreaker"


def test_a_command_declared_idempotent_may_be_repeated(signal, orders):
    spec = OperationSpec(
        key=orders.key, version="1", kind="command", goal="Order.", policy={"idempotent": True}
    )
    (found,) = suggest(signal(attribution=code("503")), specs=[spec])
    assert found.target.path == "/policy/retry"


def test_a_get_declared_a_command_is_not_repeated(signal, stock):
    spec = OperationSpec(key=stock.key, version="1", kind="command", goal="Reserve and read.")
    (found,) = suggest(signal(operation=stock, attribution=code("503")), specs=[spec])
    assert found.target.path == "/policy/circuitBreaker"


@pytest.mark.parametrize("failure", ["500", "NullPointerException", None])
def test_a_defect_is_not_promised_to_callers(signal, failure):
    attribution = None if failure is None else code(failure)
    (found,) = suggest(signal(attribution=attribution))
    assert found.target.path == "/policy/circuitBreaker"
    assert "errors" not in found.proposal.spec


@pytest.mark.parametrize(
    ("status", "change_type", "path"),
    [
        ("422", "schema-update", "/errors/422"),
        ("404", "schema-update", "/errors/404"),
        ("401", "policy-update", "/errors/401"),
        ("429", "policy-update", "/policy/rateLimit"),
        ("INVALID_VAT", "schema-update", "/errors/INVALID_VAT"),
    ],
)
def test_client_errors_ask_for_words_not_for_repairs(signal, status, change_type, path):
    (found,) = suggest(signal(error_class="client", severity="low", attribution=code(status)))
    assert (found.proposal.change_type, found.target.path) == (change_type, path)
    assert found.priority == "low"


def test_client_errors_of_unknown_code_are_still_answered(signal):
    (found,) = suggest(signal(error_class="client"))
    assert found.target.path == "/errors/4xx"


def test_a_bad_version_is_to_be_held_rather_than_wrapped_in_policies(signal, orders):
    bad = replace(orders, version="2.1.0")
    (found,) = suggest(signal(operation=bad, attribution=code("500", version="2.1.0")))
    assert found.target.path == "/rollout/hold"
    assert found.proposal.spec == {"rollout": {"hold": "2.1.0"}}
    assert found.target.operation == bad


def test_a_finding_in_one_tenant_names_the_tenant(signal, orders):
    one = replace(orders, tenant_id="acme")
    (found,) = suggest(signal(operation=one, attribution=code("X", tenantId="acme")))
    assert found.target.operation.tenant_id == "acme"
    assert "one-tenant" in found.tags


def test_latency_asks_for_a_timeout_from_the_tail_before_it(signal, orders, window_rows):
    windows = pl.concat(
        [
            window_rows(orders, {"p99_ns": 1.3e8}, {"p99_ns": 1.4e8}, first=-2),
            window_rows(orders, {"p99_ns": 9e9}, {"p99_ns": 9e9}),
        ]
    )
    (found,) = suggest(signal(kind="latency-regression"), windows=windows)
    assert found.proposal.spec["policy"]["latency"] == {
        "onTimeout": "fail-fast",
        "p99Ms": 200,
        "timeoutMs": 500,
    }


def test_latency_without_windows_proposes_no_number(signal):
    (found,) = suggest(signal(kind="latency-regression"))
    assert found.proposal.spec["policy"]["latency"] == {"onTimeout": "fail-fast"}


def test_latency_that_began_elsewhere_names_the_dependency(
    signal, orders, stock, start, window_rows
):
    slow = {"kind": "latency-regression", "incident_id": "a"}
    incident = Incident(
        id="a",
        window_start=start,
        window_end=start + QUARTER,
        detected_at=start + QUARTER,
        state="open",
        severity="high",
        origin=stock,
        operations=(stock, orders),
        signal_ids=("a", "b"),
    )
    signals = (signal(id="a", operation=stock, **slow), signal(id="b", operation=orders, **slow))
    windows = pl.concat(
        [
            window_rows(stock, {"p99_ns": 3e7}, first=-1),
            window_rows(orders, {"p99_ns": 8e8}, first=-1),
        ]
    )
    found = {
        s.target.operation.key: s for s in suggest(*signals, incidents=[incident], windows=windows)
    }
    waiting = found[orders.key]
    assert waiting.target.path == "/policy/dependencies/warehouse · GET ~1stock~1{sku}"
    bound = waiting.proposal.spec["policy"]["dependencies"]["warehouse · GET /stock/{sku}"]
    assert bound["timeoutMs"] == 100
    assert found[stock.key].target.path == "/policy/latency"


def test_a_drop_asks_a_question_it_cannot_answer_itself(signal):
    (found,) = suggest(signal(kind="throughput-drop", severity="medium"))
    assert found.proposal.change_type == "revision"
    assert found.proposal.spec["lifecycle"]["decide"] == ["restore-routing", "deprecate"]
    assert found.priority == "medium"


def test_a_workflow_becomes_a_draft_with_its_steps(workflow, start):
    (found,) = suggest(workflows=[workflow()], as_of=start)
    draft = found.proposal.spec
    assert [step["key"] for step in draft["steps"]] == [
        "GET /stock/{sku}",
        "POST /cart",
        "POST /orders",
    ]
    assert found.proposal.change_type == "new-spec"
    assert found.proposal.kind == "command"
    assert found.target.operation is None
    assert found.created_at == start
    assert found.proposal.diff.startswith("--- /dev/null")
    assert subject_of(found) == OperationRef("GET /stock/{sku}", service="warehouse")


def test_a_workflow_of_reads_is_a_query(workflow, stock, start):
    steps = (stock, OperationRef("GET /a"), OperationRef("GET /b"))
    (found,) = suggest(workflows=[workflow(steps=steps)], as_of=start)
    assert found.proposal.kind == "query"


def test_the_same_steps_seen_by_trace_and_by_session_are_one_draft(workflow, start):
    both = [workflow(), workflow(id="workflow-2", basis="trace", support=40)]
    (found,) = suggest(workflows=both, as_of=start)
    assert set(found.signal_ids) == {"workflow-1", "workflow-2"}
    assert len(found.evidence) == 2


def test_a_workflow_without_any_time_is_refused(workflow):
    with pytest.raises(InputError, match="as_of"):
        suggest(workflows=[workflow()])


def test_signals_that_ask_the_same_are_one_suggestion_with_all_evidence(signal, start):
    later = {"window_start": start + 8 * QUARTER, "detected_at": start + 9 * QUARTER}
    fact = EvidenceItem(description="Most carry it.", data={"share": 0.9})
    first = signal(attribution=code("E1"), evidence=(fact,))
    second = signal(id="signal-2", attribution=code("E1"), effect=0.3, observed=0.304, **later)
    (found,) = suggest(first, second)
    assert found.signal_ids == ("signal-2", "signal-1")
    assert [item.data["signalId"] for item in found.evidence] == [
        "signal-2",
        "signal-1",
        "signal-1",
    ]
    assert found.created_at == start + QUARTER
    assert found.proposal.metadata["strength"] == 0.3


def test_every_kind_of_signal_of_one_operation_is_answered(signal):
    """The seed system never looked at latency or throughput after an error-rate anomaly."""
    found = suggest(
        signal(),
        signal(id="2", kind="latency-regression"),
        signal(id="3", kind="throughput-drop"),
    )
    assert {s.intent for s in found} == {"error-spike", "latency-regression", "throughput-drop"}


def test_confidence_is_not_made_up(signal):
    """The seed system called observed / threshold, cut at 1, a confidence; ours is the signal's."""
    (found,) = suggest(signal(confidence=0.7))
    assert found.confidence == 0.7
    (found,) = suggest(signal(confidence=None))
    assert found.confidence is None


@given(
    observed=st.floats(0.01, 1),
    p_value=st.floats(0, 1),
    n=st.integers(1, 10**9),
    minutes=st.integers(0, 500),
)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_was_measured_never_changes_the_id(signal, observed, p_value, n, minutes):
    for kind in ("error-spike", "latency-regression", "throughput-drop"):
        (before,) = suggest(signal(kind=kind))
        measured = signal(
            kind=kind,
            observed=observed,
            baseline=observed / 3,
            effect=observed,
            p_value=p_value,
            sample_size=n,
            window_end=signal().window_end + timedelta(minutes=minutes),
        )
        (after,) = suggest(measured)
        assert after.id == before.id
        assert after.evidence != before.evidence


def test_what_is_asked_changes_the_id(signal, orders, stock):
    asked = [
        signal(attribution=code("E1")),
        signal(attribution=code("E2")),
        signal(attribution=code("E1"), operation=stock),
        signal(attribution=code("E1"), operation=replace(orders, service="other")),
        signal(attribution=code("E1"), operation=replace(orders, tenant_id="acme")),
        signal(attribution=code("422"), error_class="client"),
    ]
    assert len({suggest(one)[0].id for one in asked}) == len(asked)


def test_order_of_signals_does_not_matter(signal, stock, workflow, start):
    signals = [
        signal(id=str(n), operation=op, attribution=code(failure))
        for n, (op, failure) in enumerate([(stock, "503"), (signal().operation, "E1")] * 3)
    ]
    forwards = suggest(*signals, workflows=[workflow()], as_of=start)
    backwards = suggest(*reversed(signals), workflows=[workflow()], as_of=start)
    assert [to_json(s) for s in forwards] == [to_json(s) for s in backwards]


def test_hash_seed_does_not_matter(tmp_path):
    script = Path(__file__).with_name("print_suggestions.py")
    outputs = {
        subprocess.run(
            [sys.executable, str(script)],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
    assert b"/errors/E1" in outputs.pop()


def test_the_code_that_rose_is_read_from_the_windows_before_detection(signal, orders, window_rows):
    def errors(**counts: int) -> dict[str, object]:
        return {
            "errors": sum(counts.values()),
            "top_errors": [{"error_code": c, "count": n} for c, n in counts.items()],
        }

    version = replace(orders, version="1.0")
    windows = pl.concat(
        [
            window_rows(version, errors(OLD=30), first=-1),
            window_rows(version, errors(OLD=30, NEW=25), errors(LATER=90)),
        ]
    )
    (found,) = suggest(signal(), windows=windows)
    assert found.target.path == "/errors/NEW"


def test_a_diff_is_given_against_the_declared_spec(signal, orders):
    spec = OperationSpec(
        key=orders.key,
        version="1.0.0",
        kind="command",
        goal="Order.",
        errors={"OTHER": DeclaredError(http=409)},
    )
    (found,) = suggest(signal(attribution=code("E1")), specs=[spec])
    added = [line for line in found.proposal.diff.splitlines() if line.startswith("+ ")]
    removed = [line for line in found.proposal.diff.splitlines() if line.startswith("- ")]
    assert any('"E1"' in line for line in added)
    assert removed == []


def test_a_code_that_is_declared_already_is_not_declared_again(signal, orders):
    spec = OperationSpec(
        key=orders.key, version="1", kind="command", goal="x", errors={"E1": DeclaredError()}
    )
    (found,) = suggest(signal(attribution=code("E1")), specs=[spec])
    assert found.target.path == "/policy/circuitBreaker"


def test_risk_grows_with_the_share_of_calls_it_reaches(signal, orders, stock, window_rows):
    windows = pl.concat([window_rows(orders, {"calls": 25}), window_rows(stock, {"calls": 75})])
    (found,) = suggest(signal(attribution=code("E1")), windows=windows)
    assert found.risk == pytest.approx(0.2 + 0.4 * 0.25 + 0.1 + 0.1 * 0.5)
    assert found.proposal.metadata["risk"]["blastRadius"] == 0.25
    (unknown,) = suggest(signal(attribution=code("E1")))
    assert unknown.risk > found.risk


def test_windows_that_break_their_contract_are_refused(signal, orders, window_rows):
    broken = window_rows(orders, {"calls": 10}).with_columns(calls=pl.lit(-1, pl.Int64))
    with pytest.raises(FrameContractError, match="calls"):
        suggest(signal(), windows=broken)


def test_kinds_that_need_specs_and_traffic_give_nothing_yet(signal):
    assert suggest(signal(kind="schema-mismatch")) == ()


HOSTILE = [
    "x" * 10_000,
    "a\x1b[31m\nb\x00c",
    "<img src=x onerror=alert(1)>",
    "'; DROP TABLE spec_suggestions; --",
    "../../../etc/passwd",
    "\u202egnp.exe",
    "~1/~0",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_give_valid_suggestions_and_quiet_words(signal, workflow, start, name):
    op = OperationRef(name, service=name)
    found = suggest(
        signal(operation=op, attribution=code(name)),
        signal(id="2", operation=op, kind="latency-regression"),
        signal(
            id="3", operation=op, kind="error-spike", error_class="client", attribution=code(name)
        ),
        workflows=[workflow(steps=(op, op, op))],
        as_of=start,
    )
    assert len(found) == 4
    for suggestion in found:
        words = suggestion.proposal.summary + suggestion.proposal.rationale
        assert all(c.isprintable() for c in words)


def test_numbers_json_cannot_say_do_not_spoil_a_suggestion(signal):
    odd = EvidenceItem(description="odd", data={"x": math.nan, "y": (1, math.inf)})
    (found,) = suggest(
        signal(kind="latency-regression", effect=math.inf, observed=math.nan, evidence=(odd,))
    )
    assert found.evidence[1].data["x"] is None
    assert found.evidence[1].data["y"] == [1, None]


def test_a_suggestion_says_whose_operation_it_is_about(
    signal, workflow, orders, stock, window_rows
):
    specs = [
        OperationSpec(
            key=each.key,
            version="1",
            kind="command",
            goal="…",
            policy={"owner": who, "tags": ["t"]},
        )
        for each, who in ((orders, "billing"), (stock, "warehouse"))
    ]
    windows = window_rows(orders, {})
    for found in suggest(signal(), workflows=[workflow()], windows=windows, specs=specs):
        owner = "warehouse" if found.target.operation is None else "billing"
        metadata = found.proposal.metadata
        assert (metadata["owner"], metadata["specTags"]) == (owner, ["t"])
