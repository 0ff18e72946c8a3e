"""Plain clients of ASGI and WSGI applications, without a server between."""

from __future__ import annotations

import asyncio
import io
from dataclasses import dataclass, field
from typing import Any

import pytest


@dataclass
class Answer:
    """What a client got: None and nothing where nobody answered."""

    status: int | None = None
    headers: list[Any] = field(default_factory=list)
    body: bytes = b""
    error: BaseException | None = None


def asgi_scope(path: str, method: str = "GET", headers: dict[str, str] | None = None) -> dict:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(n.lower().encode(), v.encode()) for n, v in (headers or {}).items()],
        "server": ("shop", 80),
        "client": ("127.0.0.1", 1),
    }


async def ask(app, path: str, method: str = "GET", body: bytes = b"", headers=None) -> Answer:
    """Send one request to an ASGI application; what it raises is part of the answer."""
    answer = Answer()
    parts = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive():
        if not parts:
            await asyncio.Event().wait()  # The client stays until it has its answer.
        return parts.pop(0)

    async def send(message):
        if message["type"] == "http.response.start":
            answer.status, answer.headers = message["status"], list(message.get("headers", []))
        elif message["type"] == "http.response.body":
            answer.body += message.get("body", b"")

    try:
        await app(asgi_scope(path, method, headers), receive, send)
    except Exception as error:  # noqa: BLE001 - a server would answer 500
        answer.error = error
    return answer


@pytest.fixture
def get_asgi():
    """Call with an ASGI application and paths: the answers, asked for one after the other."""

    def get(app, *paths: str, **options) -> list[Answer]:
        async def all_of_them() -> list[Answer]:
            return [await ask(app, path, **options) for path in paths]

        return asyncio.run(all_of_them())

    return get


@pytest.fixture
def get_wsgi():
    """Call with a WSGI application and paths: the answers, asked for one after the other."""

    def get(app, *paths: str, **options) -> list[Answer]:
        return [_ask_wsgi(app, path, **options) for path in paths]

    return get


def _ask_wsgi(app, path: str, method: str = "GET", body: bytes = b"", headers=None) -> Answer:
    answer = Answer()

    def start_response(status, sent, exc_info=None):
        answer.status, answer.headers = int(status[:3]), list(sent)

        def write(part):
            answer.body += part

        return write

    environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path.encode().decode("latin-1"),
        "QUERY_STRING": "",
        "SERVER_NAME": "shop",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        **{f"HTTP_{n.upper().replace('-', '_')}": v for n, v in (headers or {}).items()},
    }
    parts = None
    try:
        parts = app(environ, start_response)
        for part in parts:
            answer.body += part
    except Exception as error:  # noqa: BLE001 - a server would answer 500
        answer.error = error
    finally:
        if hasattr(parts, "close"):
            parts.close()
    return answer
