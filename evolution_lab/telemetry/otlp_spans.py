"""From an OpenTelemetry span to a raw row: which operation it is, and how it ended.

Names follow the semantic conventions, old spellings included, in the order in which they say more:
GraphQL before HTTP (else every query is ``POST /graphql``), then RPC, messaging, database, and the
span's own name. A raw path is never a name: without ``http.route`` it is templated and marked
``derived``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from evolution_lab.config import EvolutionConfig
from evolution_lab.telemetry.naming import template_path
from evolution_lab.telemetry.reading import RAW_SCHEMA
from evolution_lab.telemetry.sampling import weight_of

Attributes = Mapping[str, Any]

COLUMNS: Final = tuple(RAW_SCHEMA)
KINDS: Final = {1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}
STATUS_ERROR: Final = 2
_ANSWERS: Final = frozenset({None, "server", "consumer"})
_GRPC_SERVER_FAULTS: Final = frozenset({2, 4, 12, 13, 14, 15})
_LONGEST_NAME: Final = 300
_LONGEST_TEXT: Final = 1_000


@dataclass(frozen=True)
class Resource:
    """What a resource says of all its spans.

    Attributes:
        service: ``service.name``.
        version: ``service.version``.
        environment: ``deployment.environment.name``.
        attributes: All attributes, for tenant and actor.
    """

    service: str | None = None
    version: str | None = None
    environment: str | None = None
    attributes: Attributes = field(default_factory=dict)


def resource_of(attributes: Attributes, *, service: str | None) -> Resource:
    """Read a resource; ``service`` stands in where it names none."""
    return Resource(
        service=_text(attributes.get("service.name")) or service,
        version=_text(attributes.get("service.version")),
        environment=_text(
            attributes.get("deployment.environment.name", attributes.get("deployment.environment"))
        ),
        attributes=attributes,
    )


@dataclass(slots=True)
class Span:
    """The parts of a span that matter, whatever it was encoded in.

    ``start_ns`` and ``end_ns`` are nanoseconds since the epoch; ids are lower-case hexadecimal or
    None; ``events`` holds (name, attributes) pairs.
    """

    name: str
    kind: str | None
    start_ns: int
    end_ns: int
    status: int
    status_message: str | None
    attributes: Attributes
    events: list[tuple[str, Attributes]]
    trace_id: str | None
    span_id: str | None
    parent_span_id: str | None
    tracestate: str | None


def span_row(
    span: Span, resource: Resource, config: EvolutionConfig, *, line: int, line_hash: str | None
) -> tuple[Any, ...]:
    """Return the raw row of a span, in the order of ``COLUMNS``."""
    a = span.attributes
    key, name_source, channel = operation_name(span)
    http_status = _whole(a.get("http.response.status_code", a.get("http.status_code")))
    grpc_status = _whole(a.get("rpc.grpc.status_code", a.get("rpc.response.status_code")))
    success, client_error = _outcome(span, http_status, grpc_status)
    error_code, error_message = (
        _error(span, http_status, grpc_status) if not success or client_error else (None, None)
    )
    stored = {name: _plain(a[name]) for name in config.attributes if name in a}
    return (
        resource.service,
        key,
        resource.version,
        span.kind,
        resource.environment,
        span.start_ns // 1_000,
        span.end_ns - span.start_ns,
        success,
        http_status if http_status is not None else grpc_status,
        error_code,
        error_message,
        _first(config.tenant_attributes, a, resource.attributes),
        _first(config.actor_attributes, a, resource.attributes),
        _first(config.session_attributes, a, resource.attributes),
        span.trace_id,
        span.span_id,
        span.parent_span_id,
        channel,
        _variant(span),
        _size(a),
        weight_of(span.tracestate),
        json.dumps(stored, sort_keys=True, ensure_ascii=False) if stored else None,
        name_source,
        line,
        line_hash,
    )


def operation_name(span: Span) -> tuple[str, str, str | None]:
    """Return the operation key, where it came from, and the channel.

    Examples:
        >>> span = Span("x", "server", 0, 1, 0, None, {}, [], None, None, None, None)
        >>> span.attributes = {"http.request.method": "GET", "http.route": "/users/{id}"}
        >>> operation_name(span)
        ('GET /users/{id}', 'route', 'rest')
    """
    a = span.attributes
    if "graphql.operation.type" in a or "graphql.operation.name" in a:
        words = (a.get("graphql.operation.type"), a.get("graphql.operation.name"))
        return _named(" ".join(str(w) for w in words if w), "graphql", "graphql", span)
    method = a.get("http.request.method", a.get("http.method"))
    if method:
        return _http_name(span, "HTTP" if method == "_OTHER" else str(method))
    if "rpc.method" in a or "rpc.service" in a:
        words = (a.get("rpc.service"), a.get("rpc.method"))
        return _named("/".join(str(w) for w in words if w), "rpc", "rpc", span)
    destination = a.get("messaging.destination.template", a.get("messaging.destination.name"))
    if destination or "messaging.system" in a:
        operation = (
            a.get("messaging.operation.name")
            or a.get("messaging.operation.type")
            or a.get("messaging.operation")
        )
        words = (operation, destination or a.get("messaging.destination"))
        return _named(" ".join(str(w) for w in words if w), "messaging", "worker", span)
    operation = a.get("db.operation.name", a.get("db.operation"))
    if operation:
        words = (operation, a.get("db.collection.name", a.get("db.sql.table")))
        return _named(" ".join(str(w) for w in words if w), "db", None, span)
    return span.name[:_LONGEST_NAME], "span", None


def _http_name(span: Span, method: str) -> tuple[str, str, str | None]:
    a = span.attributes
    route = a.get("url.template") if span.kind == "client" else a.get("http.route")
    if route:
        return _named(f"{method} {route}", "route", "rest", span)
    path = a.get("url.path") or a.get("http.target") or a.get("url.full") or a.get("http.url")
    if path:
        return _named(f"{method} {template_path(str(path))}", "derived", "rest", span)
    return span.name[:_LONGEST_NAME] or method, "span", "rest"


def _named(key: str, source: str, channel: str | None, span: Span) -> tuple[str, str, str | None]:
    if not key:
        return span.name[:_LONGEST_NAME], "span", channel
    return key[:_LONGEST_NAME], source, channel


def _outcome(span: Span, http_status: int | None, grpc_status: int | None) -> tuple[bool, bool]:
    """Return whether a span succeeded, and whether it is a client error.

    A server that answers 4xx did its work: that is a client error, kept apart. A client that is
    answered 4xx failed. An unset status means that nothing went wrong.
    """
    refused = http_status is not None and 400 <= http_status < 500
    if refused and span.kind in _ANSWERS:
        return True, True
    if span.status == STATUS_ERROR or (http_status or 0) >= 500 or refused:
        return False, False
    if grpc_status:
        return span.kind in _ANSWERS and grpc_status not in _GRPC_SERVER_FAULTS, False
    return True, False


def _error(
    span: Span, http_status: int | None, grpc_status: int | None
) -> tuple[str | None, str | None]:
    """Return the error's code and message: ``error.type``, then a status, then the exception."""
    a = span.attributes
    thrown: Attributes = next((e for name, e in span.events if name == "exception"), {})
    code = a.get("error.type")
    if code is None and http_status is not None:
        code = http_status
    if code is None:
        code = grpc_status or thrown.get("exception.type")
    message = span.status_message or thrown.get("exception.message")
    return _text(code), _text(message, _LONGEST_TEXT)


def _variant(span: Span) -> str | None:
    """Return the variant of an evaluated feature flag, from the span or its events."""
    for attributes in (span.attributes, *(e for name, e in span.events if "feature_flag" in name)):
        for name in ("feature_flag.result.variant", "feature_flag.variant"):
            if name in attributes:
                return _text(attributes[name])
    return None


def _size(a: Attributes) -> int | None:
    for name in ("http.request.body.size", "http.request_content_length", "http.request.size"):
        if name in a:
            return _whole(a[name])
    return None


def _first(names: tuple[str, ...], *places: Attributes) -> str | None:
    for place in places:
        for name in names:
            if name in place:
                return _text(place[name])
    return None


@lru_cache(maxsize=4096)
def _short(text: str, limit: int) -> str | None:
    return text[:limit] or None


def _text(value: object, limit: int = _LONGEST_NAME) -> str | None:
    return None if value is None else _short(str(value), limit)


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)


def _whole(value: object) -> int | None:
    """Return a whole number that fits 32 bits, or None."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        number = int(value)  # type: ignore[call-overload]
    except (TypeError, ValueError, OverflowError):
        return None
    return number if -(1 << 31) <= number < 1 << 31 else None
