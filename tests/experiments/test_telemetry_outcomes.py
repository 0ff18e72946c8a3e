"""What telemetry tells of a rollout is what the adapter counted, each execution once."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from evolution_lab.contracts import HandlerContext
from evolution_lab.errors import InputError, InvalidExperimentError
from evolution_lab.experiments import (
    STATE_IN_FORCE,
    Binding,
    InForce,
    InMemoryExperimentRepository,
    SpecExperiment,
    SpecExperimentAdapter,
    SpecExperimentRegistry,
    Stage,
    current_variant,
    file_source,
    merged_counts,
)
from evolution_lab.experiments.arm_quantiles import arm_quantiles
from evolution_lab.experiments.telemetry_outcomes import (
    executions,
    outcomes_from_telemetry,
    stages_entered,
)
from evolution_lab.schemas import SAMPLES, empty
from evolution_lab.telemetry import Lake, create_tracing_middleware, land

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
ENTERED = {0: START, 1: START + timedelta(hours=1)}
ARM = {"operation": "checkout"}


def an_experiment(**changes) -> SpecExperiment:
    values = {
        "key": "try",
        "operation": "checkout",
        "control": Binding(version="1", **ARM),
        "variant": Binding(version="2", **ARM),
        "stages": (Stage(share=0.5), Stage(share=1.0)),
    }
    return SpecExperiment(**{**values, **changes})


def samples(*rows: dict) -> pl.LazyFrame:
    """Return landed samples; what a row does not say is usual."""
    usual = {
        "operation_key": "checkout",
        "op_id": 1,
        "kind": "server",
        "timestamp": START + timedelta(minutes=5),
        "duration_ns": 1_000_000,
        "success": True,
        "actor_id": "actor_1",
        "variant_id": "try@1:variant",
        "weight": 1.0,
        "name_source": "route",
    }
    whole = []
    for number, row in enumerate(rows):
        made = {"trace_id": f"{number:032x}", "span_id": f"{number:016x}", **usual, **row}
        made.setdefault("row_id", f"{made['trace_id']}/{made['span_id']}")
        whole.append(made)
    schema = empty(SAMPLES).schema
    return pl.DataFrame([{n: r.get(n) for n in schema} for r in whole], schema=schema).lazy()


def outcomes(frame, experiment=None, **options):
    return outcomes_from_telemetry(frame, experiment or an_experiment(), ENTERED, **options)


def test_arms_stages_and_marks_are_read():
    late = START + timedelta(hours=2)
    found = outcomes(
        samples(
            {"success": False},
            {"success": None, "duration_ns": 751_000_000},
            {"variant_id": "try:control", "actor_id": None, "tenant_id": "acme"},
            {"timestamp": late, "attributes": '{"variant.fallback":"no-handler"}'},
        )
    )
    first, second = found.counts.stages
    assert (first.variant.units, first.variant.requests) == (1, 2)
    assert (first.variant.failed, first.variant.slow, first.variant.request_squares) == (1, 1, 4)
    assert (first.control.units, first.control.requests) == (1, 1)
    assert (second.variant.requests, second.variant.fallbacks) == (1, 1)
    assert found.newest == late


@pytest.mark.parametrize(
    "row",
    [
        {"variant_id": None},
        {"variant_id": "try@2:variant"},
        {"variant_id": "other:variant"},
        {"variant_id": "try@1:variant:forced"},
        {"variant_id": "try:control:default"},
        {"timestamp": START - timedelta(seconds=1)},
        {"timestamp": START + timedelta(seconds=3)},
        {"timestamp": START + timedelta(hours=1, seconds=3)},
        {"timestamp": START + timedelta(hours=3)},
        {"actor_id": None},
        {"kind": "client"},
    ],
)
def test_what_is_of_no_arm_stage_or_unit_is_not_counted(row):
    found = outcomes(samples(row), until=START + timedelta(hours=3))
    assert found.newest is None
    assert all(s.variant.requests + s.control.requests == 0 for s in found.counts.stages)


def test_copies_and_parts_of_an_execution_are_one():
    trace, server, inner = "a" * 32, "b" * 16, "c" * 16
    whole = {"trace_id": trace, "span_id": server}
    part = {"trace_id": trace, "span_id": inner, "parent_span_id": server, "kind": "internal"}
    deep = {**part, "span_id": "d" * 16, "parent_span_id": "e" * 16}
    loose = {"trace_id": None, "span_id": None, "row_id": "x"}
    found = outcomes(samples(whole, whole, part, deep, loose, {**loose, "row_id": "y"}))
    assert found.counts.stages[0].variant.requests == 3


def test_parts_without_a_server_are_counted_from_outside():
    part = {"trace_id": "a" * 32, "kind": "internal"}
    found = outcomes(
        samples(
            {**part, "span_id": "1" * 16},
            {**part, "span_id": "2" * 16, "parent_span_id": "1" * 16},
            {**part, "span_id": "3" * 16, "parent_span_id": "2" * 16},
            {**part, "span_id": "4" * 16, "kind": None},
        )
    )
    assert found.counts.stages[0].variant.requests == 2


def test_requests_are_counted_plainly_where_they_are_the_units():
    found = outcomes(samples({}, {"actor_id": None}), an_experiment(sticky=False))
    assert found.counts.stages[0].variant.units == 2


def test_a_rollout_that_was_never_started_has_no_outcomes():
    with pytest.raises(InputError, match="never started"):
        outcomes_from_telemetry(samples({}), an_experiment(), {})
    with pytest.raises(InvalidExperimentError, match="stage == 7"):
        outcomes_from_telemetry(samples({}), an_experiment(), {7: START})


def test_flags_of_landed_spans_are_counted_once(tmp_path):
    def span(number, variant, **more):
        begun = int(START.timestamp()) + 300
        attributes = {
            "feature_flag.key": "try",
            "feature_flag.result.variant": variant,
            "user.id": f"u-{number % 4}",
        }
        return {
            "traceId": f"{number:032x}",
            "spanId": f"{number:016x}",
            "name": "checkout",
            "kind": 2,
            "startTimeUnixNano": f"{begun}000000000",
            "endTimeUnixNano": f"{begun}010000000",
            "attributes": [
                {"key": k, "value": {"stringValue": v}} for k, v in {**attributes, **more}.items()
            ],
        }

    spans = [span(n, "variant" if n % 2 else "control") for n in range(1, 21)]
    spans += [spans[0], span(30, "control", **{"feature_flag.result.reason": "default"})]
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]}
    document = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]}
    path = tmp_path / "spans.jsonl"
    path.write_text(json.dumps(document) + "\n")
    for name in ("spans.jsonl", "again.jsonl"):
        (tmp_path / name).write_text(path.read_text())
        land(Lake(tmp_path / "data"), tmp_path / name)
    found = outcomes(Lake(tmp_path / "data").samples()).counts.stages[0]
    assert (found.variant.requests, found.variant.units) == (10, 2)
    assert (found.control.requests, found.control.units) == (10, 2)


def test_telemetry_and_adapter_count_the_same(tmp_path):
    experiment = an_experiment()
    clock = [START]
    registry = SpecExperimentRegistry(
        InMemoryExperimentRepository(), tmp_path / STATE_IN_FORCE, clock=lambda: clock[0]
    )
    registry.register(experiment, actor="ada")
    clock[0] = datetime.now(UTC) - timedelta(minutes=1)
    registry.start("try", actor="ada")
    in_force = InForce(file_source(tmp_path / STATE_IN_FORCE), background=False)
    in_force.refresh()
    adapter = SpecExperimentAdapter(
        in_force,
        tmp_path,
        context_of=lambda request: HandlerContext(user_id=request.header("x-user")),
    )
    tracing = create_tracing_middleware(
        data=tmp_path,
        resolve_actor=lambda exchange: exchange.header("x-user"),
        listeners=[adapter],
    )

    async def app(scope, receive, send):
        assigned = current_variant("checkout")
        broken = assigned.arm == "variant" and scope["path"].endswith("7")
        status = 500 if broken else 200
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def nothing(*_):
        return {"type": "http.request"}

    async def ask_all():
        for number in range(60):
            headers = [(b"x-user", f"u-{number % 12}".encode())]
            scope = {"type": "http", "method": "GET", "path": f"/{number}", "headers": headers}
            await tracing.asgi(app)(scope, nothing, nothing)

    asyncio.run(ask_all())
    assert tracing.close().written == 60
    assert adapter.close()
    entered = stages_entered(registry.history("try"))
    told = outcomes_from_telemetry(Lake(tmp_path).samples(), experiment, entered)
    counted = merged_counts(tmp_path, experiment)
    assert told.counts == counted.counts
    assert told.counts.stages[0].variant.failed > 0


def test_durations_of_both_arms_have_their_sequences():
    rows = [
        {"variant_id": f"try@1:{arm}", "duration_ns": (n + extra) * 1_000_000, "actor_id": f"a{n}"}
        for arm, extra in (("control", 100), ("variant", 300))
        for n in range(400)
    ]
    found = arm_quantiles(executions(samples(*rows), an_experiment(), ENTERED))
    medians = {row.arm: row for row in found.rows if row.quantile == 0.5}
    assert medians["control"].estimate_ms == pytest.approx(299.5)
    assert medians["variant"].estimate_ms == pytest.approx(499.5)
    assert medians["control"].high_ms < 499.5
    assert medians["variant"].low_ms > 299.5
    (highest,) = (r for r in found.rows if r.arm == "variant" and r.quantile == 0.99)
    assert highest.high_ms is None  # Too few to bound it from above.
    assert "variant" in found.to_markdown()
