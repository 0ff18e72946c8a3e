"""A request under way: what is known of it so far, gathered where the application runs."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol, runtime_checkable

from evolution_lab.telemetry.exchange import Exchange, request_header
from evolution_lab.telemetry.hooks import Loop
from evolution_lab.telemetry.routes import matched_route
from evolution_lab.telemetry.trace_ids import TraceIds, active_server_span, ids_without_span

Protocols = Literal["asgi", "wsgi"]

_METHODS: Final = frozenset(
    {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"}
)
_MOST_DIGITS: Final = 15

under_way: ContextVar[Observation | None] = ContextVar("under_way", default=None)
"""The request that the running code serves; a span processor tells it the server span's ids."""


@dataclass(slots=True)
class Observation:
    """One request from its arrival to the end of its answer.

    Attributes:
        protocol: Which interface the application speaks.
        request: ASGI scope or WSGI environment.
        keep_bodies: Most bytes kept of each body.
        django: Whether Django's own handler serves it.
        ids: Place in a trace; None while no span is known to stand for the request.
        started_ns: Nanoseconds since the epoch.
        clock_ns: The same moment on the clock that durations are measured with.
        ended_ns: On that clock, when the whole answer had been handed over; None until then.
        notes: What listeners keep with the request, each under a name of its own.
        variant_id: The variant of the operation that serves it, as its sample will carry it.
    """

    protocol: Protocols
    request: Mapping[str, Any]
    keep_bodies: int = 0
    django: bool = False
    ids: TraceIds | None = None
    started_ns: int = field(default_factory=time.time_ns)
    clock_ns: int = field(default_factory=time.perf_counter_ns)
    ended_ns: int | None = None
    route: str | None = None
    status_code: int | None = None
    error: BaseException | None = None
    request_bytes: int = 0
    response_bytes: int = 0
    response_headers: Iterable[tuple[Any, Any]] = ()
    notes: dict[str, Any] = field(default_factory=dict)
    variant_id: str | None = None
    _request_body: list[bytes] = field(default_factory=list)
    _response_body: list[bytes] = field(default_factory=list)
    _kept_of_request: int = 0
    _kept_of_response: int = 0

    def answer_begins(self, status_code: int, headers: Iterable[tuple[Any, Any]]) -> None:
        """Take note of status and headers, and of what is known only further inside: route and span."""
        self.status_code = status_code
        self.response_headers = headers
        self.route = self._matched_route()
        if self.ids is None:
            self.ids = active_server_span()

    def request_part(self, body: bytes) -> None:
        """Take note of a part of the request's payload."""
        self.request_bytes += len(body)
        room = self.keep_bodies - self._kept_of_request
        if room > 0 and body:
            self._request_body.append(bytes(body[:room]))
            self._kept_of_request += min(room, len(body))

    def response_part(self, body: bytes) -> None:
        """Take note of a part of the answer."""
        self.response_bytes += len(body)
        room = self.keep_bodies - self._kept_of_response
        if room > 0 and body:
            self._response_body.append(bytes(body[:room]))
            self._kept_of_response += min(room, len(body))

    def answer_ends(self) -> None:
        """Take note that the whole answer has been handed to the server."""
        self.ended_ns = time.perf_counter_ns()

    def exchange(self) -> Exchange:
        """Return what was seen, at the end of the answer or when nothing more will come."""
        duration = (self.ended_ns or time.perf_counter_ns()) - self.clock_ns
        ids = self.ids or ids_without_span(self.header("traceparent"))
        status = self.status_code
        if status is None and isinstance(self.error, Exception):
            status = 500
        kept = self.keep_bodies > 0
        return Exchange(
            protocol=self.protocol,
            method=self._method(),
            path=self._path(),
            route=self._route(ids),
            started_ns=self.started_ns,
            duration_ns=duration,
            status_code=status,
            trace_id=ids.trace_id,
            span_id=ids.span_id,
            parent_span_id=ids.parent_span_id,
            error=self.error,
            completed=self.ended_ns is not None,
            request_bytes=self._request_size(),
            response_bytes=self.response_bytes,
            raw_response_headers=self.response_headers,
            request_body=b"".join(self._request_body) if kept else None,
            response_body=b"".join(self._response_body) if kept else None,
            request=self.request,
            span_attributes=ids.span_attributes,
            notes=self.notes,
            variant_id=self.variant_id,
        )

    def _route(self, ids: TraceIds) -> str | None:
        # Flask forgets the route when the answer is complete; others may learn it late.
        route = self.route or self._matched_route()
        return route or ids.span_attributes.get("http.route")

    def _matched_route(self) -> str | None:
        return matched_route(self.protocol, self.request, django=self.django)

    def header(self, name: str) -> str | None:
        """Return the first request header of a name, in any case of letters, or None."""
        return request_header(self.protocol, self.request, name)

    def _method(self) -> str:
        method = str(self.request.get("REQUEST_METHOD" if self.protocol == "wsgi" else "method"))
        return method if method in _METHODS else "HTTP"

    def _path(self) -> str:
        if self.protocol == "asgi":
            return str(self.request.get("path", "/"))
        parts = (self.request.get("SCRIPT_NAME", ""), self.request.get("PATH_INFO", ""))
        # PEP 3333: bytes, decoded as Latin-1 whatever they are.
        return "".join(parts).encode("latin-1", "replace").decode("utf-8", "replace")

    def _request_size(self) -> int | None:
        if self.request_bytes:
            return self.request_bytes
        stated = self.header("content-length")
        if not stated:
            return None
        known = stated.isascii() and stated.isdecimal() and len(stated) <= _MOST_DIGITS
        return int(stated) if known else None


@runtime_checkable
class RequestListener(Protocol):
    """A listener that takes part in serving: called where the request is served, so it is quick."""

    def request_begins(self, request: Observation, /) -> None:
        """Take note of a request before the application sees it."""

    def request_ended(self, exchange: Exchange, /) -> None:
        """Take note of how it ended."""


class Watcher(Protocol):
    """What the wrappers of applications report to."""

    @property
    def keep_bodies(self) -> int:
        """Most bytes kept of each body."""

    def begun(
        self, protocol: Protocols, request: Mapping[str, Any], *, django: bool
    ) -> Observation:
        """Begin to watch a request; never raises, never waits."""

    def finished(self, observation: Observation, loop: Loop | None = None) -> None:
        """Hand on a request whose answer has ended; never raises, never waits."""

    def failed(self, name: str, error: BaseException) -> None:
        """Count a failure of our own while a request was watched."""

    def close(self, timeout: float = 10.0) -> object:
        """Land what waits."""
