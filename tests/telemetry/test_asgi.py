"""What an ASGI application answers passes through as it is; what is said of it is true."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolution_lab.telemetry import Lake, create_tracing_middleware


def answering(*parts: bytes, status: int = 200, headers=(), then=None):
    """An application that answers in parts, then does something else."""

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": status, "headers": list(headers)})
        for number, part in enumerate(parts, start=1):
            await send(
                {"type": "http.response.body", "body": part, "more_body": number < len(parts)}
            )
        if then is not None:
            await then()

    return app


@pytest.fixture
def watch(get_asgi):
    """Call with an application: what a client got, and the one exchange that a listener was told."""

    def watched(app, path="/a", *, keep_bodies=0, **options):
        heard = []
        tracing = create_tracing_middleware(listeners=[heard.append], keep_bodies=keep_bodies)
        (answer,) = get_asgi(tracing.asgi(app), path, **options)
        counters = tracing.close()
        assert counters.hook_errors == {}
        assert counters.seen == len(heard) == 1
        return answer, heard[0]

    return watched


@settings(max_examples=25)
@given(
    parts=st.lists(st.binary(max_size=50), min_size=1, max_size=4),
    status=st.sampled_from([200, 204, 301, 404, 500]),
    headers=st.lists(st.tuples(st.binary(max_size=9), st.binary(max_size=9)), max_size=3),
)
def test_answers_pass_through_as_they_are(parts, status, headers):
    told = []

    async def send(message):
        told.append(dict(message))

    async def receive():
        return {"type": "http.request"}

    def served_by(app) -> list[dict]:
        told.clear()
        asyncio.run(app({"type": "http", "method": "GET", "path": "/"}, receive, send))
        return list(told)

    app = answering(*parts, status=status, headers=headers)
    tracing = create_tracing_middleware(listeners=[lambda _: None])
    assert served_by(tracing.asgi(app)) == served_by(app)
    assert tracing.close().seen == 1


def test_exchange_says_what_was_seen(watch):
    async def app(scope, receive, send):
        message = await receive()
        assert message["body"] == b"question"
        scope["route"] = type("Route", (), {"path": "/users/{id}"})()
        await answering(b"an", b"swer", status=201, headers=[(b"X-One", b"1")])(
            scope, receive, send
        )

    _, seen = watch(
        app,
        "/users/7",
        method="POST",
        body=b"question",
        headers={"X-Tenant": "acme"},
        keep_bodies=4,
    )
    assert (seen.method, seen.path, seen.route) == ("POST", "/users/7", "/users/{id}")
    assert seen.operation_key == "POST /users/{id}"
    assert (seen.status_code, seen.error, seen.completed) == (201, None, True)
    assert (seen.request_bytes, seen.response_bytes) == (8, 6)
    assert (seen.request_body, seen.response_body) == (b"ques", b"answ")
    assert seen.response_headers == (("x-one", "1"),)
    assert seen.request_headers == (("x-tenant", "acme"),)
    assert seen.header("x-tenant") == "acme"
    assert seen.header("x-other") is None


def test_bodies_are_not_kept_unless_asked_for(watch):
    _, seen = watch(answering(b"secret"))
    assert (seen.request_body, seen.response_body) == (None, None)


def test_application_that_raises_is_answered_500_by_its_server(watch):
    async def app(scope, receive, send):
        raise LookupError("no such user")

    answer, seen = watch(app)
    assert isinstance(answer.error, LookupError)
    assert (seen.status_code, seen.completed) == (500, False)
    assert seen.error is answer.error


def test_error_that_a_framework_answers_and_then_raises(watch):
    async def give_up():
        await asyncio.sleep(0)
        raise ZeroDivisionError

    _, seen = watch(answering(b"sorry", status=500, then=give_up))
    assert isinstance(seen.error, ZeroDivisionError)
    assert seen.completed


def test_background_tasks_are_not_part_of_the_request(watch):
    async def rest():
        await asyncio.sleep(0.05)
        raise ZeroDivisionError

    _, seen = watch(answering(b"done", then=rest))
    assert seen.error is None
    assert seen.duration_ns < 50_000_000


def test_answer_that_stops_halfway_is_not_completed(watch):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})

    _, seen = watch(app)
    assert not seen.completed
    assert seen.response_bytes == 4


def test_cancelled_request_has_no_known_outcome(get_asgi):
    async def app(scope, receive, send):
        raise asyncio.CancelledError

    samples = []
    tracing = create_tracing_middleware(on_sample=samples.append)
    with pytest.raises(asyncio.CancelledError):
        get_asgi(tracing.asgi(app), "/a")
    tracing.close()
    assert [(s.success, s.error_code, s.status_code) for s in samples] == [
        (None, "CancelledError", None)
    ]


@pytest.mark.parametrize(
    ("status", "success", "code"),
    [(200, True, None), (404, True, "404"), (500, False, "500"), (503, False, "503")],
)
def test_client_errors_are_no_failures_of_the_service(status, success, code, get_asgi):
    samples = []
    tracing = create_tracing_middleware(on_sample=samples.append)
    get_asgi(tracing.asgi(answering(b"", status=status)), "/a")
    tracing.close()
    assert [(s.success, s.error_code, s.status_code) for s in samples] == [(success, code, status)]


def test_clients_trace_is_continued_and_its_span_is_the_parent(watch):
    traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    _, seen = watch(answering(b""), headers={"traceparent": traceparent})
    assert seen.trace_id == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert seen.parent_span_id == "00f067aa0ba902b7"
    assert seen.span_id not in traceparent


@pytest.mark.parametrize(
    "odd", ["", "garbage", "00-" + "0" * 32 + "-00f067aa0ba902b7-01", "00-zz-zz-01", "\x00" * 99]
)
def test_odd_traces_are_no_traces(odd, watch):
    _, seen = watch(answering(b""), headers={"traceparent": odd})
    assert seen.parent_span_id is None
    assert len(seen.trace_id) == 32
    assert len(seen.span_id) == 16
    assert int(seen.trace_id, 16) > 0


def test_a_client_cannot_make_two_requests_look_like_one(tmp_path, get_asgi):
    tracing = create_tracing_middleware(data=tmp_path)
    traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    get_asgi(tracing.asgi(answering(b"")), "/a", "/a", headers={"traceparent": traceparent})
    assert tracing.close().written == 2


@pytest.mark.parametrize("size", ["9" * 40, "-1", "\u0661\u0662", "1e3", "", "\x00"])
def test_odd_content_lengths_are_not_known(size, watch):
    _, seen = watch(answering(b""), headers={"content-length": size})
    assert seen.request_bytes is None


def test_methods_are_not_invented_by_clients(watch):
    _, seen = watch(answering(b""), method="PWN'); DROP TABLE samples;--")
    assert seen.method == "HTTP"


def test_paths_do_not_make_operations_without_end(get_asgi):
    keys = set()
    tracing = create_tracing_middleware(on_sample=lambda sample: keys.add(sample.operation.key))
    app = tracing.asgi(answering(b"", status=404))
    letters = "abcdefghijklmnop"
    words = [a + b + c for a in letters for b in letters for c in letters][:1_200]
    get_asgi(app, *[f"/{word}" for word in words])
    counters = tracing.close()
    assert counters.seen == 1_200
    assert counters.dropped == 0
    assert len(keys) == 1_001
    assert "GET /…" in keys


def test_web_sockets_pass_unwatched():
    passed = []

    async def app(scope, receive, send):
        passed.append(scope["type"])

    tracing = create_tracing_middleware(listeners=[passed.append])
    asyncio.run(tracing.asgi(app)({"type": "websocket"}, None, None))
    assert passed == ["websocket"]
    assert tracing.close().seen == 0


def test_shutdown_lands_what_waits_before_it_is_complete(tmp_path, get_asgi):
    async def app(scope, receive, send):
        if scope["type"] == "http":
            await answering(b"")(scope, receive, send)
        else:
            await send({"type": "lifespan.shutdown.complete"})

    tracing = create_tracing_middleware(data=tmp_path)
    watched = tracing.asgi(app)
    get_asgi(watched, "/a")
    landed = []

    async def send(message):
        landed.append((message["type"], Lake(tmp_path).samples().collect().height))

    asyncio.run(watched({"type": "lifespan"}, None, send))
    assert landed == [("lifespan.shutdown.complete", 1)]


def test_awaited_hooks_run_where_the_services_connections_live(get_asgi):
    loops = []

    async def resolve_tenant(exchange):
        loops.append(asyncio.get_running_loop())
        return "acme"

    samples = []

    async def app(scope, receive, send):
        loops.append(asyncio.get_running_loop())
        await answering(b"")(scope, receive, send)
        while len(loops) < 2:  # The server stays while its requests do.
            await asyncio.sleep(0.001)

    tracing = create_tracing_middleware(resolve_tenant=resolve_tenant, on_sample=samples.append)
    get_asgi(tracing.asgi(app), "/a")
    tracing.close()
    assert loops[0] is loops[1]
    assert [sample.tenant_id for sample in samples] == ["acme"]
