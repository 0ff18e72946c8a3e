"""What a WSGI application answers passes through as it is; what is said of it is true."""

from __future__ import annotations

import io
import sys
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

import pytest

from evolution_lab.telemetry import create_tracing_middleware


def plain(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"an", b"swer"]


def lazy(environ, start_response):
    start_response("201 Created", [("Content-Type", "text/plain")])
    yield b"an"
    yield b"swer"


def written(environ, start_response):
    write = start_response("202 Accepted", [("Content-Type", "text/plain")])
    write(b"an")
    return [b"swer"]


@pytest.fixture
def watch(get_wsgi):
    """Call with an application: what a client got, and the one exchange that a listener was told."""

    def watched(app, path="/a", *, keep_bodies=0, **options):
        heard = []
        tracing = create_tracing_middleware(listeners=[heard.append], keep_bodies=keep_bodies)
        (answer,) = get_wsgi(tracing.wsgi(app), path, **options)
        counters = tracing.close()
        assert counters.hook_errors == {}
        assert counters.seen == len(heard) == 1
        return answer, heard[0]

    return watched


@pytest.mark.parametrize("app", [plain, lazy, written])
def test_answers_pass_through_as_they_are(app, watch, get_wsgi):
    answer, seen = watch(app, keep_bodies=100)
    assert answer == get_wsgi(app, "/a")[0]
    assert answer.body == seen.response_body == b"answer"
    assert seen.status_code == answer.status
    assert seen.completed


@pytest.mark.parametrize("app", [plain, lazy, written])
def test_the_interface_is_kept_on_both_sides(app, watch):
    """wsgiref's validator raises at whatever PEP 3333 forbids, to the server and to the application."""
    heard = []
    tracing = create_tracing_middleware(listeners=[heard.append])
    served = validator(tracing.wsgi(validator(app)))
    environ = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        "SERVER_NAME": "shop",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }

    def start_response(status, headers, exc_info=None):
        return io.BytesIO().write

    parts = served(environ, start_response)
    assert b"swer" in b"".join(parts)
    parts.close()
    tracing.close()
    assert len(heard) == 1


def test_exchange_says_what_was_seen(watch):
    def app(environ, start_response):
        assert environ["wsgi.input"].read(4) == b"ques"
        assert environ["wsgi.input"].readline() == b"tion"
        return plain(environ, start_response)

    _, seen = watch(
        app, "/u/ä", method="PUT", body=b"question", headers={"X-Tenant": "acme"}, keep_bodies=6
    )
    assert (seen.method, seen.path, seen.query) == ("PUT", "/u/ä", "")
    assert (seen.request_bytes, seen.response_bytes) == (8, 6)
    assert seen.request_body == b"questi"
    assert seen.header("x-tenant") == "acme"
    assert ("x-tenant", "acme") in seen.request_headers
    assert seen.response_headers == (("content-type", "text/plain"),)


def test_lists_and_files_reach_the_server_as_what_they_are():
    """Servers add a length to a list of one part and send files without reading them."""
    answers = [[b"one"], FileWrapper(io.BytesIO(b"file"))]
    tracing = create_tracing_middleware()

    def app(environ, start_response):
        return environ["answer"]

    for answer in answers:
        environ = {"answer": answer, "wsgi.file_wrapper": FileWrapper}
        assert tracing.wsgi(app)(environ, None) is answer
    assert tracing.close().seen == 2


def test_application_that_raises_is_answered_500_by_its_server(watch):
    def app(environ, start_response):
        raise LookupError("no such user")

    answer, seen = watch(app)
    assert seen.error is answer.error
    assert (seen.status_code, seen.completed) == (500, False)


def test_application_that_raises_halfway(watch):
    def app(environ, start_response):
        start_response("200 OK", [])
        yield b"half"
        raise LookupError("lost it")

    answer, seen = watch(app)
    assert answer.body == b"half"
    assert seen.error is answer.error
    assert (seen.status_code, seen.response_bytes, seen.completed) == (200, 4, False)


def test_error_that_the_application_answers_itself(watch):
    def app(environ, start_response):
        try:
            raise LookupError("no such user")
        except LookupError:
            start_response("500 Oh", [], sys.exc_info())
        return [b"sorry"]

    answer, seen = watch(app)
    assert (answer.status, answer.body) == (500, b"sorry")
    assert isinstance(seen.error, LookupError)


def test_client_that_leaves_closes_the_answer():
    closed, heard = [], []

    class Answer:
        def __iter__(self):
            yield b"half"
            yield b"other half"

        def close(self):
            closed.append(True)

    tracing = create_tracing_middleware(listeners=[heard.append])

    def app(environ, start_response):
        start_response("200 OK", [])
        return Answer()

    parts = tracing.wsgi(app)({}, lambda *_: None)
    assert next(iter(parts)) == b"half"
    parts.close()
    tracing.close()
    assert closed == [True]
    assert [(seen.completed, seen.response_bytes) for seen in heard] == [(False, 4)]


def test_a_status_that_is_none_is_the_applications_affair(watch, get_wsgi):
    heard = []
    tracing = create_tracing_middleware(listeners=[heard.append])

    def app(environ, start_response):
        start_response("OK?", [])
        return [b""]

    def start_response(status, headers):
        assert status == "OK?"

    assert tracing.wsgi(app)({}, start_response) == [b""]
    assert tracing.close().hook_errors == {"watching": 1}
    assert [seen.status_code for seen in heard] == [None]


def test_awaited_hooks_run_without_a_server_loop(get_wsgi):
    async def resolve_actor(exchange):
        return exchange.header("x-user")

    samples = []
    tracing = create_tracing_middleware(resolve_actor=resolve_actor, on_sample=samples.append)
    get_wsgi(tracing.wsgi(plain), "/a", headers={"X-User": "ann"})
    tracing.close()
    assert [sample.actor_id for sample in samples] == ["ann"]
