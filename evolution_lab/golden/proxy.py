"""A reverse proxy that records what passes through it, for services in any language.

It hands bytes on as they come, in both directions, and waits for nothing of ours. What is recorded of
them is chosen, sanitised and written as everywhere else.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from evolution_lab.errors import ConfigError, MissingExtraError
from evolution_lab.golden.recorder import TrafficRecorder
from evolution_lab.golden.recorder_counts import RecorderCounts
from evolution_lab.telemetry import Exchange, create_tracing_middleware
from evolution_lab.telemetry.asgi import Message, Receive, Scope, Send

if TYPE_CHECKING:
    import httpx

try:
    import httpx
    import uvicorn
except ImportError as error:  # pragma: no cover - the tests' environment has them
    raise MissingExtraError("demo", "the recording proxy") from error

_HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"expect",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Headers that concern one connection (RFC 9110, section 7.6.1), not the message."""
_UNANSWERED: Final = "evolution_lab.unanswered"
_CONNECT_SECONDS: Final = 10.0
_GRACE_SECONDS: Final = 5
_UNREADABLE: Final = frozenset({b"br", b"compress"})


@dataclass(eq=False)
class ReverseProxy:
    """An ASGI application that passes requests on to one other server.

    Web sockets are refused. Answers may come in any encoding that can be recorded, so that ``br`` is
    not asked for.

    Attributes:
        upstream: Address of the other server, ``http://host:port``, perhaps with a path.

    Raises:
        ConfigError: ``upstream`` is no such address.
    """

    upstream: str
    _base: httpx.URL = field(init=False, repr=False)
    _client: httpx.AsyncClient | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        try:
            self._base = httpx.URL(self.upstream)
        except httpx.InvalidURL as error:
            raise ConfigError(f"upstream == {self.upstream!r} is no URL: {error}.") from error
        if self._base.scheme not in {"http", "https"} or not self._base.host:
            raise ConfigError(f"upstream == {self.upstream!r}, must be like http://localhost:8000.")
        if self._base.userinfo or self._base.query:
            raise ConfigError("upstream must have neither a user nor a query.")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1011})

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            else:
                if self._client is not None:
                    await self._client.aclose()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        target = bytes(scope.get("raw_path") or b"")
        if not target.startswith(b"/"):
            await _say(send, 400, "the target must be a path")
            return
        if scope.get("query_string"):
            target += b"?" + scope["query_string"]
        request = httpx.Request(
            scope["method"],
            self._base.copy_with(raw_path=self._base.raw_path.rstrip(b"/") + target),
            headers=_forwarded(scope, self._base),
            content=_payload(receive) if _has_payload(scope) else None,
        )
        if self._client is None:
            self._client = httpx.AsyncClient(
                timeout=httpx.Timeout(None, connect=_CONNECT_SECONDS),
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=100),
                trust_env=False,
            )
        try:
            answer = await self._client.send(request, stream=True, follow_redirects=False)
        except httpx.TransportError as error:
            scope[_UNANSWERED] = True
            await _say(send, 502, f"the upstream did not answer ({type(error).__name__})")
            return
        try:
            await send(_start(answer))
            async for part in answer.aiter_raw():
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            await answer.aclose()


def recording_app(proxy: ReverseProxy, recorder: TrafficRecorder) -> Any:
    """Return the proxy, watched by a recorder: an ASGI application.

    Answers of the proxy itself (the upstream was not there) are no behaviour of the service and are
    not recorded.
    """

    def record(exchange: Exchange) -> None:
        if not exchange.request.get(_UNANSWERED):
            recorder(exchange)

    return create_tracing_middleware(listeners=[record], keep_bodies=recorder.keep_bodies).asgi(
        proxy
    )


def serve(
    proxy: ReverseProxy,
    recorder: TrafficRecorder,
    *,
    host: str,
    port: int,
    ready: Callable[[str], object] = lambda _: None,
) -> RecorderCounts:
    """Record until the process is told to end (Ctrl-C, SIGTERM), then return what was done.

    Args:
        proxy: Passes requests on.
        recorder: Records; closed at the end.
        host: Address to listen at.
        port: Port to listen at; 0 for any.
        ready: Told the address once requests can come.

    Raises:
        ConfigError: Nobody can listen there.
    """
    config = uvicorn.Config(
        recording_app(proxy, recorder),
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        lifespan="on",
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    server = _Server(config)
    server.ready = ready
    try:
        asyncio.run(_until_told(server))
    except SystemExit as error:
        raise ConfigError(f"cannot listen at {host}:{port}; is the port taken?") from error
    finally:
        counts = recorder.close()
    return counts


class _Server(uvicorn.Server):
    """Ends when told, without raising the signal again: what was recorded is still to be said."""

    ready: Callable[[str], object]

    def end(self) -> None:
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[Any] | None = None) -> None:
        await super().startup(sockets)
        for server in self.servers:
            for each in server.sockets:
                name = each.getsockname()
                self.ready(f"http://{name[0]}:{name[1]}")


async def _until_told(server: _Server) -> None:
    loop = asyncio.get_running_loop()
    with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):  # Not the main thread.
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, server.end)
    await server.serve()


def _forwarded(scope: Scope, base: httpx.URL) -> list[tuple[bytes, bytes]]:
    """Return the request's headers as they go on: without those of this connection."""
    given = [(bytes(name).lower(), bytes(value)) for name, value in scope["headers"]]
    named = {part.strip().lower() for n, v in given if n == b"connection" for part in v.split(b",")}
    dropped = _HOP_BY_HOP | named | {b"host"}
    kept = [
        (name, _readable(value) if name == b"accept-encoding" else value) for name, value in given
    ]
    client = (scope.get("client") or ("unknown",))[0]
    own_host = next((value for name, value in given if name == b"host"), b"")
    return [
        (b"host", base.netloc),
        *((name, value) for name, value in kept if name not in dropped),
        (b"x-forwarded-for", str(client).encode("latin-1", "replace")),
        (b"x-forwarded-host", own_host),
        (b"x-forwarded-proto", str(scope.get("scheme", "http")).encode()),
    ]


def _readable(encodings: bytes) -> bytes:
    kept = [e for e in encodings.split(b",") if e.split(b";")[0].strip().lower() not in _UNREADABLE]
    return b",".join(kept).strip() or b"identity"


def _has_payload(scope: Scope) -> bool:
    names = {bytes(name).lower() for name, _ in scope["headers"]}
    return bool(names & {b"content-length", b"transfer-encoding"})


async def _payload(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise httpx.ReadError("the client left")
        yield message.get("body") or b""
        more = bool(message.get("more_body", False))


def _start(answer: httpx.Response) -> Message:
    headers = [(n.lower(), v) for n, v in answer.headers.raw if n.lower() not in _HOP_BY_HOP]
    return {"type": "http.response.start", "status": answer.status_code, "headers": headers}


async def _say(send: Send, status: int, text: str) -> None:
    body = f"evolution-lab record: {text}\n".encode()
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
