"""Which trace and span a request belongs to, so that OpenTelemetry and we count it once."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

_otel: Any
_SERVER: Any
try:
    from opentelemetry import trace as _otel

    _SERVER = _otel.SpanKind.SERVER
except ImportError:  # OpenTelemetry's API is not needed to watch requests.
    _otel = _SERVER = None

_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?")
_random = random.Random()  # noqa: S311 - unique, not secret
"""Not the one that services seed: two runs must not give the same ids."""
os.register_at_fork(after_in_child=_random.seed)

_NO_TRACE: Final = "0" * 32
_NO_SPAN: Final = "0" * 16


@dataclass(frozen=True, slots=True)
class TraceIds:
    """A request's place in its trace.

    Attributes:
        trace_id: 32 hexadecimal digits.
        span_id: 16 hexadecimal digits.
        parent_span_id: The span that called, None where nothing says so.
        of_span: Whether the ids are those of an OpenTelemetry span that stands for this request.
        span: That span, where it could be got hold of.
    """

    trace_id: str
    span_id: str
    parent_span_id: str | None = None
    of_span: bool = False
    span: Any = field(default=None, repr=False, compare=False)

    @property
    def span_attributes(self) -> Mapping[str, Any]:
        """What the span says of the request so far; empty without one, or if it is not recorded."""
        return getattr(self.span, "attributes", None) or {}


def active_server_span() -> TraceIds | None:
    """Return the ids of the OpenTelemetry span that stands for the request at hand, or None.

    That is the active span if it is a server's. Spans that the ASGI instrumentation opens for
    single messages (they carry ``asgi.event.type``) point to the server's span as their parent.
    A local span that is not recorded does not say its kind and is taken for the server's.
    """
    if _otel is None:
        return None
    span = _otel.get_current_span()
    context = span.get_span_context()
    if not context.is_valid or context.is_remote:
        return None
    kind = getattr(span, "kind", None)
    if kind is None or kind is _SERVER:
        return span_ids(span)
    parent = getattr(span, "parent", None)
    if parent is not None and "asgi.event.type" in (getattr(span, "attributes", None) or ()):
        return TraceIds(f"{context.trace_id:032x}", f"{parent.span_id:016x}", None, of_span=True)
    return None


def span_ids(span: Any) -> TraceIds:
    """Return the ids of an OpenTelemetry span."""
    context, parent = span.get_span_context(), getattr(span, "parent", None)
    return TraceIds(
        f"{context.trace_id:032x}",
        f"{context.span_id:016x}",
        None if parent is None else f"{parent.span_id:016x}",
        of_span=True,
        span=span,
    )


def ids_without_span(traceparent: str | None) -> TraceIds:
    """Return a new span of the active trace, else of the client's ``traceparent``, else a new trace.

    A client chooses its trace and its own span, never the id of ours: it cannot make two requests
    look like one.

    Examples:
        >>> ids = ids_without_span("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        >>> ids.trace_id, ids.parent_span_id, ids.of_span
        ('4bf92f3577b34da6a3ce929d0e0e4736', '00f067aa0ba902b7', False)
    """
    new = f"{_random.getrandbits(192):048x}"
    if _otel is not None:
        context = _otel.get_current_span().get_span_context()
        if context.is_valid:
            return TraceIds(f"{context.trace_id:032x}", new[32:], f"{context.span_id:016x}")
    match = _TRACEPARENT.fullmatch(traceparent.strip()) if traceparent else None
    if match is None or match[1] == _NO_TRACE or match[2] == _NO_SPAN:
        return TraceIds(new[:32], new[32:])
    return TraceIds(match[1], new[32:], match[2])
