"""The one middleware lets handlers ask for their variant, and counts how requests ended."""

from __future__ import annotations

import asyncio
import gc
import weakref
from datetime import UTC, datetime, timedelta

import pytest

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
from evolution_lab.experiments.resolver import current_serving
from evolution_lab.records.json_form import to_json
from evolution_lab.telemetry import create_tracing_middleware

EXPERIMENT = SpecExperiment(
    key="try",
    operation="checkout",
    control=Binding(operation="checkout", version="1"),
    variant=Binding(operation="checkout", version="2"),
    forced={"tester": "variant"},
)


def in_force() -> InForce:
    state = StateInForce(
        revision=1,
        written_at=datetime.now(UTC),
        stale_after=timedelta(hours=1),
        experiments=(ExperimentInForce(experiment=EXPERIMENT, status="running", stage=2),),
    )
    known = InForce(lambda: to_json(state), background=False)
    known.refresh()
    return known


class Watched:
    """An application of both kinds under the middleware, and what was seen of it."""

    def __init__(self, data, context_of=None):
        self.samples = []
        self.adapter = SpecExperimentAdapter(
            in_force(),
            data,
            context_of=context_of or (lambda seen: HandlerContext(user_id=seen.header("x-user"))),
            flush_seconds=60.0,
        )
        self.tracing = create_tracing_middleware(
            on_sample=self.samples.append, listeners=[self.adapter]
        )

    def counted(self):
        counters = self.tracing.close()
        assert counters.hook_errors == {}
        assert self.adapter.close()
        return merged_counts(self.adapter.data, EXPERIMENT).counts.stages[2]


def answer() -> tuple[int, bytes]:
    """Do what the variant does: fail."""
    asked = current_variant("checkout")
    arm = "none" if asked is None else asked.arm
    return (500 if arm == "variant" else 200), arm.encode()


async def asgi_app(scope, receive, send):
    status, body = answer()
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": body})


async def asgi_app_in_thread(scope, receive, send):
    status, body = await asyncio.to_thread(answer)
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": body})


async def asgi_app_that_raises(scope, receive, send):
    if current_variant("checkout").arm == "variant":
        raise ZeroDivisionError
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def wsgi_app(environ, start_response):
    status, body = answer()
    start_response(f"{status} so", [])
    return [body]


def ask_asgi(app, user):
    sent = []
    headers = [(b"x-user", user.encode())] if user else []
    scope = {"type": "http", "method": "GET", "path": "/checkout", "headers": headers}

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "http.request"}

    try:
        asyncio.run(app(scope, receive, send))
    except ZeroDivisionError:
        return 500
    return sent[0]["status"]


def ask_wsgi(app, user):
    seen = []
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/checkout"}
    if user:
        environ["HTTP_X_USER"] = user
    b"".join(app(environ, lambda status, _: seen.append(int(status[:3]))))
    return seen[0]


@pytest.mark.parametrize("app", [asgi_app, asgi_app_in_thread, asgi_app_that_raises, wsgi_app])
def test_requests_count_to_their_arm(tmp_path, app):
    watched = Watched(tmp_path)
    if app is wsgi_app:
        ask, wrapped = ask_wsgi, watched.tracing.wsgi(app)
    else:
        ask, wrapped = ask_asgi, watched.tracing.asgi(app)
    statuses = [ask(wrapped, f"u-{k % 20}") for k in range(40)]
    found = watched.counted()
    n_failed = statuses.count(500)
    assert 0 < n_failed < 40
    assert (found.variant.requests, found.variant.failed) == (n_failed, n_failed)
    assert (found.control.requests, found.control.failed) == (40 - n_failed, 0)
    assert found.variant.units + found.control.units == 20
    labels = {sample.variant_id for sample in watched.samples}
    assert labels == {"try@1:variant", "try@1:control"}


def test_a_tester_is_labelled_and_not_counted(tmp_path):
    watched = Watched(tmp_path)
    assert ask_asgi(watched.tracing.asgi(asgi_app), "tester") == 500
    found = watched.counted()
    assert found.variant.requests == 0
    assert [sample.variant_id for sample in watched.samples] == ["try@1:variant:forced"]


def test_a_request_without_a_unit_gets_the_control_uncounted(tmp_path):
    watched = Watched(tmp_path)
    assert ask_asgi(watched.tracing.asgi(asgi_app), None) == 200
    found = watched.counted()
    assert found.control.requests == 0
    assert [sample.variant_id for sample in watched.samples] == [None]


def test_a_request_is_freed_when_it_has_ended(tmp_path):
    watched = Watched(tmp_path)
    seen = []

    async def app(scope, receive, send):
        await asgi_app(scope, receive, send)
        seen.append(weakref.ref(current_serving()))

    gc.disable()
    try:
        ask_asgi(watched.tracing.asgi(app), "u-1")
        watched.tracing.close()
        assert [each() for each in seen] == [None]
    finally:
        gc.enable()


def test_whoever_asks_for_nothing_is_asked_nothing(tmp_path):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def never(request):
        raise AssertionError

    watched = Watched(tmp_path, context_of=never)
    assert ask_asgi(watched.tracing.asgi(app), "u-1") == 200
    assert watched.adapter.errors == {}
    assert watched.counted().control.requests == 0


def test_a_hook_that_fails_serves_the_control(tmp_path):
    def fails(request):
        raise LookupError("no such session")

    watched = Watched(tmp_path, context_of=fails)
    assert {ask_asgi(watched.tracing.asgi(asgi_app), f"u-{k}") for k in range(20)} == {200}
    assert watched.adapter.errors == {"context_of": 20}
    assert watched.counted().control.requests == 0


def test_an_adapter_that_fails_fails_nobody(tmp_path, monkeypatch):
    watched = Watched(tmp_path)

    def fails(*_, **__):
        raise RuntimeError("broken")

    monkeypatch.setattr(watched.adapter, "track_outcome", fails)
    monkeypatch.setattr(watched.adapter, "request_begins", fails)
    assert ask_asgi(watched.tracing.asgi(asgi_app), "u-1") == 200
    assert watched.tracing.close().hook_errors == {"listener SpecExperimentAdapter": 1}
    assert len(watched.samples) == 1


def test_a_request_that_the_client_left_counts_as_not_failed(tmp_path):
    async def app(scope, receive, send):
        current_variant("checkout")
        raise asyncio.CancelledError

    watched = Watched(tmp_path)
    with pytest.raises(asyncio.CancelledError):
        ask_asgi(watched.tracing.asgi(app), "u-1")
    found = watched.counted()
    both = found.variant + found.control
    assert (both.requests, both.failed) == (1, 0)
