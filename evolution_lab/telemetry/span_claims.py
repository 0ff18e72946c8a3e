"""Which OpenTelemetry spans stand for requests that a middleware watches: they count once."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Final

from evolution_lab.telemetry.trace_ids import TraceIds

_MOST: Final = 10_000


@dataclass(eq=False)
class SpanClaims:
    """Spans that are not told of again when they end, as the request's sample tells of them.

    Safe for threads. The oldest claims of spans that never end are given up: landing would find the
    two samples by their ids.

    Examples:
        >>> claims = SpanClaims()
        >>> claims.claim(TraceIds("0" * 31 + "1", "0" * 15 + "2", of_span=True))
        >>> claims.release("0" * 15 + "2"), claims.release("0" * 15 + "2")
        (True, False)
    """

    _span_ids: dict[str, None] = field(default_factory=dict, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def claim(self, ids: TraceIds) -> None:
        """Claim the span of a request."""
        if not ids.of_span:
            return
        with self._lock:
            self._span_ids[ids.span_id] = None
            if len(self._span_ids) > _MOST:
                del self._span_ids[next(iter(self._span_ids))]

    def release(self, span_id: str) -> bool:
        """Say whether a span that ends is claimed, and forget it."""
        with self._lock:
            return self._span_ids.pop(span_id, self) is None
