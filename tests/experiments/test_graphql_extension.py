"""GraphQL operations count by their errors, whatever status carries them, in both libraries."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
import strawberry
from graphql import GraphQLError

from evolution_lab.contracts import HandlerContext
from evolution_lab.experiments import (
    Binding,
    ExperimentInForce,
    InForce,
    SpecExperiment,
    SpecExperimentAdapter,
    StateInForce,
    current_variant,
    merged_counts,
)
from evolution_lab.experiments.graphql_extension import create_graphql_extension
from evolution_lab.records.json_form import to_json
from evolution_lab.telemetry import create_tracing_middleware

EXPERIMENT = SpecExperiment(
    key="try",
    operation="invoice",
    control=Binding(operation="invoice", version="1"),
    variant=Binding(operation="invoice", version="2"),
    forced={},
)
USERS = [f"u-{k}" for k in range(20)]


@pytest.fixture
def adapter(tmp_path):
    state = StateInForce(
        revision=1,
        written_at=datetime.now(UTC),
        stale_after=timedelta(hours=1),
        experiments=(ExperimentInForce(experiment=EXPERIMENT, status="running", stage=2),),
    )
    in_force = InForce(lambda: to_json(state), background=False)
    in_force.refresh()
    made = SpecExperimentAdapter(
        in_force,
        tmp_path,
        context_of=lambda request: HandlerContext(user_id=request.header("x-user")),
        flush_seconds=60.0,
    )
    yield made
    made.close()


def counted(adapter):
    assert adapter.flush()
    return merged_counts(adapter.data, EXPERIMENT).counts.stages[2]


@strawberry.type
class Query:
    @strawberry.field
    def invoice(self, mine: bool = True) -> str:
        if not mine:
            current_variant("invoice")
            raise GraphQLError("not yours", extensions={"code": "FORBIDDEN"})
        if current_variant("invoice").arm == "variant":
            raise ZeroDivisionError
        return "INV-1"

    @strawberry.field
    async def slow_invoice(self) -> str:
        await asyncio.sleep(0)
        if current_variant("invoice").arm == "variant":
            raise ZeroDivisionError
        return "INV-1"

    @strawberry.field
    def product(self) -> str:
        return "P-1"


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def invoices(self) -> str:
        current_variant("invoice")
        yield "INV-1"


def a_schema(adapter, context_of=lambda context: HandlerContext(user_id=context)):
    return strawberry.Schema(
        Query,
        subscription=Subscription,
        extensions=[create_graphql_extension(adapter, context_of)],
    )


def test_errors_under_status_200_are_failures(adapter):
    schema = a_schema(adapter)
    results = [schema.execute_sync("{ invoice }", context_value=user) for user in USERS]
    n_failed = sum(bool(result.errors) for result in results)
    found = counted(adapter)
    assert 3 < n_failed < 17
    assert (found.variant.requests, found.variant.failed) == (n_failed, n_failed)
    assert (found.control.requests, found.control.failed) == (20 - n_failed, 0)
    assert found.variant.units == n_failed


def test_many_at_once_are_kept_apart(adapter):
    schema = a_schema(adapter)

    async def all_at_once():
        return await asyncio.gather(
            *(schema.execute("{ slowInvoice }", context_value=user) for user in USERS)
        )

    results = asyncio.run(all_at_once())
    n_failed = sum(bool(result.errors) for result in results)
    found = counted(adapter)
    assert (found.variant.requests, found.variant.failed) == (n_failed, n_failed)
    assert (found.control.requests, found.control.failed) == (20 - n_failed, 0)


def test_the_callers_errors_are_no_failures(adapter):
    schema = a_schema(adapter)
    for user in USERS:
        assert schema.execute_sync("{ invoice(mine: false) }", context_value=user).errors
    found = counted(adapter)
    assert found.variant.requests + found.control.requests == 20
    assert found.variant.failed + found.control.failed == 0


@pytest.mark.parametrize("document", ["{ product }", "{ nothing }", "{", "query A {product"])
def test_what_asks_for_nothing_is_not_counted(adapter, document):
    a_schema(adapter).execute_sync(document, context_value="u-1")
    found = counted(adapter)
    assert found.variant.requests + found.control.requests == 0


def test_subscriptions_are_not_counted(adapter):
    async def first():
        events = await a_schema(adapter).subscribe("subscription { invoices }", context_value="u-1")
        return await anext(events)  # Closed later, from another context.

    assert asyncio.run(first()).data == {"invoices": "INV-1"}
    found = counted(adapter)
    assert found.variant.requests + found.control.requests == 0


def test_a_hook_that_fails_serves_the_control(adapter):
    schema = a_schema(adapter, context_of=lambda context: context["no such"])
    assert schema.execute_sync("{ invoice }", context_value={}).data == {"invoice": "INV-1"}
    assert adapter.errors == {"context_of": 1}
    assert counted(adapter).control.requests == 0


def test_a_watched_request_is_counted_once_and_labelled(adapter):
    schema = a_schema(adapter, context_of=None)
    samples = []
    tracing = create_tracing_middleware(on_sample=samples.append, listeners=[adapter])
    n_failed = 0

    async def app(scope, receive, send):
        nonlocal n_failed
        result = await schema.execute("{ a: slowInvoice b: slowInvoice }")
        n_failed += bool(result.errors)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def nothing(*_):
        return {"type": "http.request"}

    for user in USERS:
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/graphql",
            "headers": [(b"x-user", user.encode())],
        }
        asyncio.run(tracing.asgi(app)(scope, nothing, nothing))
    assert tracing.close().hook_errors == {}
    found = counted(adapter)
    assert (found.variant.requests, found.variant.failed) == (n_failed, n_failed)
    assert (found.control.requests, found.control.failed) == (20 - n_failed, 0)
    assert {sample.variant_id for sample in samples} == {"try@1:variant", "try@1:control"}
