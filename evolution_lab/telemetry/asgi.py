"""Watches the HTTP requests of an ASGI application."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Final

from evolution_lab.telemetry.hooks import Loop
from evolution_lab.telemetry.observation import Observation, Watcher, under_way
from evolution_lab.telemetry.routes import is_django_handler

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_SERVER_ERROR: Final = 500
"""Frameworks answer so before they raise: such a request ends with the application's call."""


@dataclass(frozen=True, eq=False)
class AsgiMiddleware:
    """An ASGI application around another; passes everything on as it comes.

    Web sockets are not watched. The request ends when the last part of its answer has been handed to
    the server: background tasks that follow are not part of it.

    Attributes:
        app: The application.
        watcher: Who is told.
    """

    app: AsgiApp
    watcher: Watcher
    _django: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_django", is_django_handler(self.app))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, self._closing(send))
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = _Request(
            self.watcher.begun("asgi", scope, django=self._django), self.watcher, receive, send
        )
        token = under_way.set(request.seen)
        try:
            await self.app(scope, request.receive_and_see, request.send_and_see)
        except BaseException as error:
            request.seen.error = request.seen.error or error
            raise
        finally:
            under_way.reset(token)
            request.end()

    def _closing(self, send: Send) -> Send:
        """Land what waits before the server hears that the shutdown is complete."""

        async def send_after_closing(message: Message) -> None:
            if message["type"] in {"lifespan.shutdown.complete", "lifespan.shutdown.failed"}:
                await asyncio.to_thread(self.watcher.close)
            await send(message)

        return send_after_closing


@dataclass(slots=True, eq=False)
class _Request:
    seen: Observation
    watcher: Watcher
    receive: Receive
    send: Send
    ended: bool = False

    # What is noted is noted here and not in a function of its own: each call of one is a share of
    # what being watched costs.

    async def receive_and_see(self) -> Message:
        message = await self.receive()
        if message["type"] == "http.request":
            try:
                self.seen.request_part(message.get("body") or b"")
            except Exception as error:  # noqa: BLE001 - the answer matters more than our notes
                self.watcher.failed("watching", error)
        return message

    async def send_and_see(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.body":
            await self.send(message)
            try:
                self.seen.response_part(message.get("body") or b"")
            except Exception as error:  # noqa: BLE001
                self.watcher.failed("watching", error)
            if not message.get("more_body", False):
                self._answered()
            return
        if kind == "http.response.start":
            try:
                self.seen.answer_begins(message["status"], message.get("headers") or ())
            except Exception as error:  # noqa: BLE001
                self.watcher.failed("watching", error)
        await self.send(message)
        if kind == "http.response.pathsend":
            self._answered()

    def _answered(self) -> None:
        self.seen.answer_ends()
        if (self.seen.status_code or 0) < _SERVER_ERROR:
            self.end()

    def end(self) -> None:
        if not self.ended:
            self.ended = True
            self.watcher.finished(self.seen, _running_loop())


def _running_loop() -> Loop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:  # Trio serves the application.
        return None
