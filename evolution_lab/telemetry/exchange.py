"""What a middleware saw of one request: the one thing that all its listeners are told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from evolution_lab.records import OperationRef, TelemetrySample
from evolution_lab.telemetry.naming import template_path

OperationHook = Callable[
    ["Exchange"], "OperationRef | str | Awaitable[OperationRef | str | None] | None"
]
"""Names an exchange's operation; a plain function or a coroutine function, as all hooks may be."""

NameHook = Callable[["Exchange"], "str | Awaitable[str | None] | None"]
SampleHook = Callable[[TelemetrySample], "Awaitable[None] | None"]
ExchangeListener = Callable[["Exchange"], "Awaitable[None] | None"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One HTTP request and its answer, as they passed through the middleware.

    Nothing in it is redacted: it stays within the process that served the request.

    Attributes:
        protocol: Which interface the application speaks.
        method: ``GET``, ``POST`` …; ``HTTP`` for methods that are not registered.
        path: As the client asked for it, percent escapes decoded, without the query.
        route: The template the framework matched, as the framework spells it; None where it
            matched none or does not say.
        started_ns: When the request came, nanoseconds since the epoch.
        duration_ns: From then until the last part of the answer was handed to the server.
        status_code: HTTP status; 500 where the application raised before it answered; None where
            nobody was answered.
        error: What the application raised.
        completed: Whether the whole answer was handed to the server.
        trace_id: 32 hexadecimal digits: the trace of the active span, of the client's
            ``traceparent``, or a new one.
        span_id: 16 hexadecimal digits: the active server span's own, or a new one.
        parent_span_id: The span that called, None where nothing says so.
        request_bytes: Size of the request's payload, None where it is not known.
        response_bytes: Bytes of the answer's body handed to the server.
        raw_response_headers: As the application gave them, bytes or text.
        request_body: The payload's first bytes, where the middleware keeps bodies; else None.
        response_body: The same of the answer.
        request: The server's own view, as the application left it: the ASGI scope or the WSGI
            environment. Only to be read.
        span_attributes: Attributes of the OpenTelemetry span that stands for the request.
        notes: What listeners kept with the request while it was served.
        variant_id: The variant of the operation that served it.

    Examples:
        >>> seen = Exchange(protocol="asgi", method="GET", path="/users/7", route="/users/{id}",
        ...     started_ns=0, duration_ns=1, status_code=200, trace_id="", span_id="",
        ...     request={"headers": [(b"x-tenant", b"acme")], "query_string": b"full=1"})
        >>> seen.operation_key, seen.header("X-Tenant"), seen.query
        ('GET /users/{id}', 'acme', 'full=1')
    """

    protocol: Literal["asgi", "wsgi"]
    method: str
    path: str
    route: str | None
    started_ns: int
    duration_ns: int
    status_code: int | None
    trace_id: str
    span_id: str
    parent_span_id: str | None = None
    error: BaseException | None = None
    completed: bool = True
    request_bytes: int | None = None
    response_bytes: int = 0
    raw_response_headers: Iterable[tuple[Any, Any]] = ()
    request_body: bytes | None = None
    response_body: bytes | None = None
    request: Mapping[str, Any]
    span_attributes: Mapping[str, Any] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)
    variant_id: str | None = None

    @property
    def operation_key(self) -> str:
        """Method and route template; without a route, the path with its ids replaced."""
        return f"{self.method} {self.route or template_path(self.path)}"

    @property
    def success(self) -> bool | None:
        """Whether the server did its work; None where nobody waited for it to the end.

        A server that answers 4xx did its work: that is a client error, kept apart, not a failure.
        """
        if self.error is not None and not isinstance(self.error, Exception):
            return None  # Cancelled: the client left or the server stopped. Nobody knows.
        if self.error is not None or not self.completed or self.status_code is None:
            return False
        return self.status_code < 500

    @property
    def query(self) -> str:
        """The query string as the client sent it, without its question mark."""
        if self.protocol == "wsgi":
            return str(self.request.get("QUERY_STRING", ""))
        return bytes(self.request.get("query_string", b"")).decode("latin-1")

    @property
    def request_headers(self) -> tuple[tuple[str, str], ...]:
        """The request's headers, names in lower case; WSGI joins those that repeat."""
        if self.protocol == "asgi":
            headers = self.request.get("headers", ())
            return _texts(headers)
        found = [
            (name.removeprefix("HTTP_").replace("_", "-").lower(), str(value))
            for name, value in self.request.items()
            if name.startswith("HTTP_") or name in {"CONTENT_TYPE", "CONTENT_LENGTH"}
        ]
        return tuple((name, value) for name, value in found if value)

    @property
    def response_headers(self) -> tuple[tuple[str, str], ...]:
        """The answer's headers in the order they were sent, names in lower case."""
        return _texts(self.raw_response_headers)

    def header(self, name: str) -> str | None:
        """Return the first request header of a name, in any case of letters, or None."""
        return request_header(self.protocol, self.request, name)

    def response_header(self, name: str) -> str | None:
        """Return the answer's first header of a name, in any case of letters, or None."""
        wanted = name.lower()
        for key, value in self.raw_response_headers:
            if len(key) == len(wanted) and _text(key).lower() == wanted:
                return _text(value)
        return None


@runtime_checkable
class ChoosingListener(Protocol):
    """A listener that wants few exchanges, such as a recorder of a share of them.

    Which ones it is asked where the request is served, so it is quick; only those are handed over.
    """

    def chooses(self, exchange: Exchange, /) -> bool:
        """Say whether it wants to be told of an exchange."""

    def passed_by(self, exchange: Exchange, /) -> None:
        """Take note that one which it chose could not be handed over."""

    def __call__(self, exchange: Exchange, /) -> None:
        """Take an exchange that it chose."""


def _texts(headers: Iterable[tuple[Any, Any]]) -> tuple[tuple[str, str], ...]:
    return tuple((_text(name).lower(), _text(value)) for name, value in headers)


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def request_header(protocol: str, request: Mapping[str, Any], name: str) -> str | None:
    """Return the first header of a name from an ASGI scope or a WSGI environment, or None."""
    if protocol == "wsgi":
        key = name.upper().replace("-", "_")
        prefix = "" if key in {"CONTENT_TYPE", "CONTENT_LENGTH"} else "HTTP_"
        value = request.get(prefix + key)
        return None if value is None else str(value)
    wanted = name.lower().encode("latin-1", "replace")
    for key, raw in request.get("headers", ()):
        if key == wanted:  # Servers give names in lower case.
            return bytes(raw).decode("latin-1")
    return None
