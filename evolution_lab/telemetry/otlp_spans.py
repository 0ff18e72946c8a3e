"""From an OpenTelemetry span to a raw row: who called what, and how it ended."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import orjson

from evolution_lab.config import EvolutionConfig
from evolution_lab.telemetry.naming import shortened
from evolution_lab.telemetry.otlp_names import LONGEST_NAME, Attributes, operation_name
from evolution_lab.telemetry.sampling import weight_of

KINDS: Final = {1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}
"""``SpanKind`` of OTLP; 0 and what is not known are no kind."""

STATUS_ERROR: Final = 2
_CALLERS: Final = frozenset({"client", "producer"})
_GRPC_NAMES: Final = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND",
    "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED",
    "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip
"""Each at the place that is its code."""

_GRPC_SERVER_FAULTS: Final = frozenset({2, 4, 12, 13, 14, 15})
"""Codes that make a server's span an error (semantic conventions for gRPC, "Server")."""

_NOT_ASSIGNED: Final = frozenset({"default", "disabled", "error", "stale", "static", "unknown"})
"""Reasons for which a flag gives a value that no split chose: no outcome of an arm."""
SIZES: Final = ("http.request.body.size", "http.request_content_length", "http.request.size")
"""Where the size of a payload is looked for, in order."""
_LONGEST_TEXT: Final = 1_000
_LARGEST_32: Final = (1 << 31) - 1
_LARGEST_64: Final = (1 << 63) - 1


@dataclass(frozen=True)
class Resource:
    """What a resource says of all its spans.

    Attributes:
        service: ``service.name``.
        version: ``service.version``.
        environment: ``deployment.environment.name``.
        tenant: Stands in for spans that name none; so do the next two.
        actor: Raw, as it was sent.
        session: Raw, as it was sent.
    """

    service: str | None = None
    version: str | None = None
    environment: str | None = None
    tenant: str | None = None
    actor: str | None = None
    session: str | None = None


def resource_of(
    attributes: Attributes, config: EvolutionConfig, *, service: str | None
) -> Resource:
    """Read a resource; ``service`` stands in where it names none.

    Examples:
        >>> resource_of({"service.version": "1.4"}, EvolutionConfig(), service="cart").service
        'cart'
    """
    return Resource(
        service=_first(("service.name",), attributes) or service,
        version=_first(("service.version",), attributes),
        environment=_first(("deployment.environment.name", "deployment.environment"), attributes),
        tenant=_first(config.tenant_attributes, attributes),
        actor=_first(config.actor_attributes, attributes),
        session=_first(config.session_attributes, attributes),
    )


@dataclass(slots=True)
class Span:
    """The parts of a span that matter, whatever it was encoded in.

    Attributes:
        name: Its own name.
        kind: One of ``KINDS``, or None.
        start_ns: Nanoseconds since the epoch.
        end_ns: Nanoseconds since the epoch.
        status: Code of its status; 2 means error.
        status_message: What was said about an error.
        attributes: Plain values by name.
        events: Names and attributes.
        trace_id: 32 lower-case hexadecimal digits, or None.
        span_id: 16 of them, or None.
        parent_span_id: 16 of them, or None.
        tracestate: As in W3C Trace Context.
    """

    name: str
    kind: str | None
    start_ns: int
    end_ns: int
    status: int = 0
    status_message: object = None
    attributes: Attributes = field(default_factory=dict)
    events: list[tuple[str, Attributes]] = field(default_factory=list)
    trace_id: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None
    tracestate: str | None = None


def span_row(
    span: Span, resource: Resource, config: EvolutionConfig, *, line: int, line_hash: str | None
) -> tuple[Any, ...]:
    """Return the raw row of a span, in the order of ``COLUMNS``; the time in microseconds.

    Raises:
        ValueError: The span lasts longer than 64 bits of nanoseconds.
    """
    a = span.attributes
    duration_ns = span.end_ns - span.start_ns
    if abs(duration_ns) > _LARGEST_64:
        raise ValueError(f"the duration is {duration_ns} ns, must fit 64 bits.")
    key, name_source, channel = operation_name(span.name, span.kind, a)
    http_status = whole_number(a.get("http.response.status_code", a.get("http.status_code")))
    rpc_status = a.get("rpc.response.status_code", a.get("rpc.grpc.status_code"))
    grpc_status = None if rpc_status is None else _grpc_code(rpc_status)
    success, client_error = outcome(span.kind, span.status, http_status, grpc_status)
    code = message = None
    if client_error or not success:
        code, message = _error(span, http_status, None if grpc_status == 0 else rpc_status)
    return (
        resource.service,
        key,
        resource.version,
        span.kind,
        resource.environment,
        span.start_ns // 1_000,
        duration_ns,
        success,
        grpc_status if http_status is None else http_status,
        code,
        message,
        _first(config.tenant_attributes, a) or resource.tenant,
        _first(config.actor_attributes, a) or resource.actor,
        _first(config.session_attributes, a) or resource.session,
        span.trace_id,
        span.span_id,
        span.parent_span_id,
        channel,
        _variant(span),
        _size(a),
        weight_of(span.tracestate),
        stored_attributes(config.attributes, a),
        name_source,
        line,
        line_hash,
    )


def outcome(
    kind: str | None, status: int, http_status: int | None, grpc_status: int | None
) -> tuple[bool, bool]:
    """Return whether a span succeeded, and whether it is a client error.

    Who answers 4xx did its work: a client error, kept apart, whatever the status of its span. Who
    is answered 4xx failed. A status that is unset means that nothing went wrong. gRPC's codes part
    alike: those that blame the caller are the server's client errors.

    Examples:
        >>> outcome("server", 2, 404, None), outcome("client", 0, 404, None)
        ((True, True), (False, False))
        >>> outcome("server", 0, None, 14), outcome("server", 0, 200, None)
        ((False, False), (True, False))
    """
    refused = http_status is not None and 400 <= http_status < 500
    if refused and kind not in _CALLERS and (kind != "internal" or status != STATUS_ERROR):
        return True, True
    if refused or status == STATUS_ERROR or (http_status or 0) >= 500:
        return False, False
    if grpc_status:
        blamed = kind not in _CALLERS and grpc_status not in _GRPC_SERVER_FAULTS
        return blamed, blamed
    return True, False


def _error(
    span: Span, http_status: int | None, rpc_status: object
) -> tuple[str | None, str | None]:
    """Return the error's code and message: ``error.type``, then a status, then the exception."""
    thrown: Attributes = next((e for name, e in span.events if name == "exception"), {})
    candidates = (
        span.attributes.get("error.type"),
        http_status,
        rpc_status,
        thrown.get("exception.type"),
    )
    code = next((str(each) for each in candidates if each is not None and each != ""), None)
    message = span.status_message or thrown.get("exception.message")
    return (
        None if code is None else shortened(code, LONGEST_NAME),
        shortened(str(message), _LONGEST_TEXT) if message else None,
    )


def _variant(span: Span) -> str | None:
    """Return what an evaluated feature flag gave, from the span or its events: ``<flag>:<variant>``."""
    found = _flag(span.attributes)
    if found is None and span.events:
        variants = (_flag(e) for name, e in span.events if "feature_flag" in name)
        found = next((variant for variant in variants if variant), None)
    return found


def _flag(a: Attributes) -> str | None:
    variant = _first(("feature_flag.result.variant", "feature_flag.variant"), a)
    flag = _first(("feature_flag.key",), a)
    if variant is None or flag is None or variant.startswith((f"{flag}:", f"{flag}@")):
        return variant
    label = f"{flag}:{variant}"
    reason = _first(("feature_flag.result.reason", "feature_flag.evaluation.reason"), a)
    if reason is not None and reason.lower() in _NOT_ASSIGNED:
        label = f"{label}:{reason.lower()}"
    return shortened(label, LONGEST_NAME)


def _size(a: Attributes) -> int | None:
    for name in SIZES:
        if name in a:
            return whole_number(a[name], _LARGEST_64)
    return None


def _first(names: Iterable[str], attributes: Attributes) -> str | None:
    """Return the first attribute of these names that has a value."""
    for name in names:
        if name in attributes:
            value = attributes[name]
            if value is not None and value != "":
                return shortened(str(value), LONGEST_NAME)
    return None


def stored_attributes(names: Iterable[str], a: Attributes) -> str | None:
    """Return the attributes that are stored as canonical JSON, None where there are none."""
    items = [(name, _plain(a[name])) for name in names if name in a]
    return _object(tuple(items)) if items else None


@lru_cache(maxsize=4096)
def _object(items: tuple[tuple[str, str], ...]) -> str:
    document = {name: shortened(value, _LONGEST_TEXT) for name, value in items}
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS).decode()


def _plain(value: object) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)


@lru_cache(maxsize=256)
def _grpc_code_of_name(name: str) -> int | None:
    name = name.upper()
    return _GRPC_NAMES.index(name) if name in _GRPC_NAMES else whole_number(name)


def _grpc_code(value: object) -> int | None:
    return _grpc_code_of_name(value) if isinstance(value, str) else whole_number(value)


def whole_number(value: object, largest: int = _LARGEST_32) -> int | None:
    """Return a whole number that is not larger either way, or None."""
    if value is None or isinstance(value, bool):
        return None
    try:
        number = int(value)  # type: ignore[call-overload]
    except (TypeError, ValueError, OverflowError):
        return None
    return number if abs(number) <= largest else None
