"""The recording proxy: what passes through it is unchanged, and what is recorded is the service's."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from evolution_lab.errors import ConfigError
from evolution_lab.golden import InMemoryTrafficStore, LakeTrafficStore, TrafficRecorder
from evolution_lab.golden.proxy import ReverseProxy, recording_app

ROOT = Path(__file__).parents[2]


async def echo(request: Request) -> Response:
    body = await request.body()
    return JSONResponse(
        {
            "path": request.scope["raw_path"].decode(),
            "query": request.url.query,
            "size": len(body),
            "body": body[:80].decode("latin-1"),
            "headers": dict(request.headers),
        },
        201,
        {"x-own": "kept", "location": "/made"},
    )


async def slow(_: Request) -> Response:
    async def parts() -> Any:
        yield b"first\n"
        await asyncio.sleep(1.0)
        yield b"second\n"

    return StreamingResponse(parts(), media_type="text/plain")


async def broken(_: Request) -> Response:
    async def parts() -> Any:
        yield b"first\n"
        raise ConnectionResetError

    return StreamingResponse(parts(), media_type="text/plain")


UPSTREAM = Starlette(
    routes=[
        Route("/slow", slow),
        Route("/broken", broken),
        Route("/{rest:path}", echo, methods=["GET", "POST", "PUT", "DELETE", "HEAD"]),
    ]
)


@contextmanager
def served(app: Any) -> Iterator[str]:
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, log_level="critical", timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        for _ in range(1_000):
            if server.started:
                break
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    with served(UPSTREAM) as url:
        yield url


Proxied = Callable[[str], Any]


@pytest.fixture
def recorded(upstream: str) -> Iterator[tuple[str, TrafficRecorder, InMemoryTrafficStore]]:
    store = InMemoryTrafficStore()
    recorder = TrafficRecorder(store=store, sample_rate=1.0, allow_more_than_5_percent="a test")
    with served(recording_app(ReverseProxy(upstream), recorder)) as url:
        yield url, recorder, store


def test_bytes_pass_through_as_they_are(recorded: Any) -> None:
    url, recorder, store = recorded
    payload = b"\x00\xff" * 400_000
    with httpx.Client(base_url=url) as client:
        one = client.post("/a%20b/%2Fc?x=1&x=%26", json={"mail": "jane@example.org"})
        two = client.put("/upload", content=payload, headers={"content-type": "image/png"})
        head = client.head("/a")
        encodings = client.get("/e", headers={"accept-encoding": "br, gzip;q=0.5"}).json()
    seen = one.json()
    assert (one.status_code, one.headers["x-own"], one.headers["location"]) == (
        201,
        "kept",
        "/made",
    )
    assert (seen["path"], seen["query"]) == ("/a%20b/%2Fc", "x=1&x=%26")
    assert seen["headers"]["x-forwarded-for"] == "127.0.0.1"
    assert two.json()["size"] == len(payload)
    assert (head.status_code, head.content) == (201, b"")
    assert encodings["headers"]["accept-encoding"] == "gzip;q=0.5"
    time.sleep(0.3)
    counts = recorder.close()
    assert counts.seen == 4
    assert counts.dropped == {"large": 1}
    made = next(s for s in store.snapshots() if s.metadata["method"] == "POST")
    assert made.input["path"] == "/a b//c"
    assert made.input["query"] == {"x": ["1", "&"]}
    assert "jane@example.org" not in str(made)


def test_answers_stream(recorded: Any) -> None:
    url, _, _ = recorded
    began = time.monotonic()
    with httpx.stream("GET", f"{url}/slow") as answer:
        parts = answer.iter_raw()
        assert next(parts) == b"first\n"
        assert time.monotonic() - began < 0.9
        assert b"".join(parts) == b"second\n"


def test_an_answer_that_breaks_off_breaks_off_here_too(recorded: Any) -> None:
    url, recorder, store = recorded
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"{url}/broken")
    time.sleep(0.3)
    counts = recorder.close()
    assert counts.dropped == {"incomplete": 1}
    assert len(store) == 0


def test_what_the_proxy_says_itself_is_not_recorded() -> None:
    store = InMemoryTrafficStore()
    recorder = TrafficRecorder(store=store, sample_rate=1.0, allow_more_than_5_percent="a test")
    with served(recording_app(ReverseProxy("http://127.0.0.1:9"), recorder)) as url:
        answer = httpx.get(f"{url}/x")
    assert answer.status_code == 502
    assert "did not answer" in answer.text
    assert recorder.close().seen == 0


@pytest.mark.parametrize(
    "upstream", ["localhost:8000", "ftp://x", "http://", "http://u:p@x", "http://x/?a=1"]
)
def test_refuses_what_is_no_upstream(upstream: str) -> None:
    with pytest.raises(ConfigError, match="upstream"):
        ReverseProxy(upstream)


def test_the_command_records_until_told_to_end(upstream: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "evolution_lab", "record", "--upstream", upstream]
    command += ["--listen", "127.0.0.1:0", "--data", str(tmp_path), "--service", "shop", "--json"]
    command += ["--sample-rate", "1", "--allow-more-than-5-percent", "a test"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stderr is not None
    line = process.stderr.readline()
    assert "recording 100.0%" in line
    url = line.split(" at ")[1].split(";")[0]
    with httpx.Client(base_url=url) as client:
        for number in range(5):
            client.get(f"/users/{number + 1000}")
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    counts = json.loads(out)
    assert (counts["seen"], counts["written"], counts["waiting"]) == (5, 5, 0)
    (found,) = LakeTrafficStore(tmp_path).operations()
    assert (str(found.operation), found.snapshots) == ("shop · GET /users/{id}", 5)
