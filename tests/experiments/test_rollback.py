"""End to end: a variant with a planted fault under load is rolled back, over HTTP, GraphQL, a queue.

Everything is real: servers on loopback, a Celery worker on a queue of files, the lab's database, a
controller that looks again and again beside them.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
import strawberry
from flask import Flask
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route
from strawberry.asgi import GraphQL
from werkzeug.serving import WSGIRequestHandler, make_server

from evolution_lab.contracts import HandlerContext
from evolution_lab.demo.shop import ServedApp, create_shop
from evolution_lab.demo.shop.calls import ShopError
from evolution_lab.demo.shop.watching import Watch
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
    current_variant,
    file_source,
    merged_counts,
    replay,
)
from evolution_lab.experiments.duckdb_repository import DuckDBExperimentRepository
from evolution_lab.experiments.graphql_extension import create_graphql_extension
from evolution_lab.experiments.stored_outcomes import stored_outcomes
from evolution_lab.telemetry import create_tracing_middleware

USERS = [f"acme.user-{k:03d}@example.com" for k in range(120)]
PATIENCE = 60.0


class Rollout:
    """One experiment at a quarter of the users, with a controller that looks beside the service."""

    def __init__(self, data: Path, operation: str) -> None:
        self.data, self.told = data, []
        self.experiment = SpecExperiment(
            key="try",
            operation=operation,
            control=Binding(operation=operation, version="1"),
            variant=Binding(operation=operation, version="2"),
            stages=(Stage(share=0.25), Stage(share=1.0)),
            interval=timedelta(seconds=10),
        )
        repository = DuckDBExperimentRepository(data)
        self.registry = SpecExperimentRegistry(repository, data / STATE_IN_FORCE)
        self.registry.register(self.experiment, actor="ada")
        self.registry.start("try", actor="ada")
        self.controller = SpecExperimentController(
            self.registry,
            stored_outcomes(repository, data),
            on_rollback=[lambda _, decision: self.told.append(decision)],
        )
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._look_on)

    def _look_on(self) -> None:
        while not self._stopped.wait(0.2):
            self.controller.look()

    def __enter__(self) -> Rollout:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    @property
    def rolled_back(self) -> bool:
        return bool(self.told)

    def has_variant(self, user: str) -> bool:
        return SpecExperimentRunner(self.experiment, 0).assign(user).arm == "variant"

    def check_history(self) -> None:
        """The history says why, and a replay of what was seen decides the same."""
        last = self.registry.history("try")[-1]
        assert (last.action, last.actor) == ("rollback", "controller")
        (decision,) = self.told
        assert (decision.action, decision.cause) == ("roll_back", "harm")
        assert replay(self.experiment, self.registry.looks("try"))[-1] == decision


def adapter_for(rollout: Rollout) -> SpecExperimentAdapter:
    return SpecExperimentAdapter(
        InForce(file_source(rollout.data / STATE_IN_FORCE), reread_seconds=0.1),
        rollout.data,
        context_of=lambda request: HandlerContext(user_id=request.header("x-user-id")),
        flush_seconds=0.2,
    )


def under_load(rollout: Rollout, adapter: SpecExperimentAdapter, ask) -> Counter[tuple[str, bool]]:
    """Have all users ask again and again until all know of the rollback; return what they got."""
    seen: Counter[tuple[str, bool]] = Counter()
    until = time.monotonic() + PATIENCE
    with ThreadPoolExecutor(4) as clients:
        while adapter.in_force.runners(rollout.experiment.operation):
            assert time.monotonic() < until, rollout.registry.looks("try")[-1]
            seen.update(zip(clients.map(ask, USERS), map(rollout.has_variant, USERS), strict=True))
    while not rollout.rolled_back:  # Those who serve are told before the hooks.
        assert time.monotonic() < until
        time.sleep(0.01)
    return seen


def check_counts(rollout: Rollout, adapter: SpecExperimentAdapter, n_failures: int) -> None:
    """Each failure that anybody saw was counted, once, to the variant; the control had none."""
    assert adapter.close()
    assert adapter.errors == {}
    first = merged_counts(rollout.data, rollout.experiment).counts.stages[0]
    assert first.variant.failed == n_failures > 0
    assert first.variant.requests >= n_failures
    assert first.control.failed == 0


async def broken(call):
    raise ShopError(500, "planted_fault", "the variant is broken", cause="PlantedFault")


def test_over_http_the_shop_is_rolled_back_and_serves_everybody(tmp_path):
    operation = "GET /shipments/{shipmentId}"
    with Rollout(tmp_path, operation) as rollout:
        adapter = adapter_for(rollout)
        watch = Watch(listeners=(adapter,))
        shop = create_shop(watch=watch, variants={operation: broken})
        with (
            ServedApp(shop) as server,
            httpx.Client(base_url=server.url, trust_env=False) as client,
        ):

            def ask(user):
                who = {"X-Tenant-Id": "acme", "X-User-Id": user}
                answer = client.get("/shipments/shipment-acme-0001", headers=who)
                return "ok" if answer.is_success else answer.json()["error"]["code"]

            seen = under_load(rollout, adapter, ask)
            # The next request of every user gets the control.
            assert {ask(user) for user in USERS} == {"ok"}
        # What failed was the variant, for those who had it: nothing failed on the way.
        assert {what for what, _ in seen} == {"ok", "planted_fault"}
        assert {has for what, has in seen.elements() if what == "planted_fault"} == {True}
        assert {one.hook_errors == {} for one in watch.close().values()} == {True}
        check_counts(rollout, adapter, seen["planted_fault", True])
        rollout.check_history()
        shop.tracing.shutdown()


@contextlib.contextmanager
def served_wsgi(app):
    """Give the address of a WSGI application on loopback, a thread for each request."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Quiet(WSGIRequestHandler):
    def log(self, *_: object) -> None:
        """Say nothing."""


def test_over_wsgi_the_variant_is_rolled_back(tmp_path):
    with Rollout(tmp_path, "shipment") as rollout:
        adapter = adapter_for(rollout)
        tracing = create_tracing_middleware(listeners=[adapter])
        app = Flask("shop")
        app.logger.disabled = True

        @app.get("/shipment")
        def shipment():
            assigned = current_variant("shipment")
            if assigned is not None and assigned.arm == "variant":
                return "planted_fault", 500
            return "delivered"

        app.wsgi_app = tracing.wsgi(app.wsgi_app)
        with served_wsgi(app) as url, httpx.Client(base_url=url, trust_env=False) as client:

            def ask(user):
                return client.get("/shipment", headers={"X-User-Id": user}).text

            seen = under_load(rollout, adapter, ask)
            assert {ask(user) for user in USERS} == {"delivered"}
        assert {what for what, _ in seen} == {"delivered", "planted_fault"}
        assert {has for what, has in seen.elements() if what == "planted_fault"} == {True}
        assert tracing.close().hook_errors == {}
        check_counts(rollout, adapter, seen["planted_fault", True])
        rollout.check_history()


@strawberry.type
class Query:
    @strawberry.field
    def shipment(self) -> str:
        assigned = current_variant("shipment")
        if assigned is not None and assigned.arm == "variant":
            raise ValueError("planted_fault")
        return "delivered"


def test_over_graphql_the_variant_is_rolled_back(tmp_path, caplog):
    caplog.set_level(logging.CRITICAL, "strawberry.execution")
    with Rollout(tmp_path, "shipment") as rollout:
        adapter = adapter_for(rollout)
        tracing = create_tracing_middleware(listeners=[adapter])
        schema = strawberry.Schema(Query, extensions=[create_graphql_extension(adapter)])
        app = Starlette(
            routes=[Route("/graphql", GraphQL(schema, graphql_ide=None), methods=["POST"])],
            middleware=[Middleware(tracing.asgi)],
        )
        with (
            ServedApp(app) as server,
            httpx.Client(base_url=server.url, trust_env=False) as client,
        ):

            def ask(user):
                answer = client.post(
                    "/graphql", json={"query": "{ shipment }"}, headers={"X-User-Id": user}
                )
                assert answer.status_code == 200
                found = answer.json()
                if found.get("errors"):
                    return found["errors"][0]["message"]
                return found["data"]["shipment"]

            seen = under_load(rollout, adapter, ask)
            assert {ask(user) for user in USERS} == {"delivered"}
        assert {what for what, _ in seen} == {"delivered", "planted_fault"}
        assert {has for what, has in seen.elements() if what == "planted_fault"} == {True}
        assert tracing.close().hook_errors == {}
        check_counts(rollout, adapter, seen["planted_fault", True])
        rollout.check_history()


@pytest.mark.parametrize("pool", ["solo", pytest.param("prefork", marks=pytest.mark.slow)])
def test_on_a_worker_the_variant_is_rolled_back(tmp_path, celery_worker, pool):
    with (
        Rollout(tmp_path, "shop.sendInvoice") as rollout,
        celery_worker(tmp_path, f"--pool={pool}", "--concurrency=2") as worker,
    ):
        send_invoice = worker.tasks.send_invoice

        def send_to_all():
            sent = [(user, worker.send(send_invoice, user=user)) for user in USERS[:60]]
            found = {}
            for user, result in sent:
                result.get(timeout=PATIENCE, propagate=False, interval=0.02)
                found[user] = result.state, result.result
            return found

        n_failures, until = 0, time.monotonic() + PATIENCE
        while not rollout.rolled_back:
            assert time.monotonic() < until, worker.log()
            found = send_to_all()
            failed = {user for user, (state, _) in found.items() if state == "FAILURE"}
            assert all(rollout.has_variant(user) for user in failed)
            assert {type(found[user][1]).__name__ for user in failed} <= {"PlantedError"}
            n_failures += len(failed)
        time.sleep(0.5)  # Both processes of the pool re-read the state every 0.1 s.
        assert {state for state, _ in send_to_all().values()} == {"SUCCESS"}
        rollout.check_history()
    first = merged_counts(tmp_path, rollout.experiment).counts.stages[0]
    assert first.variant.failed == n_failures > 0
    assert first.control.failed == 0
    assert first.variant.units == len([u for u in USERS[:60] if rollout.has_variant(u)])
