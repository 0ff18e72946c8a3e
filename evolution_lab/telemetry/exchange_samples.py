"""From what was seen of a request to its sample."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from evolution_lab.records import OperationRef, TelemetrySample
from evolution_lab.records.telemetry import Channel, NameSource
from evolution_lab.telemetry.exchange import Exchange
from evolution_lab.telemetry.otlp_names import operation_name

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST_NAME: Final = 300
_LONGEST_TEXT: Final = 1_000
_MOST_DERIVED: Final = 1_000


@dataclass(eq=False)
class SampleMaker:
    """Names operations and judges answers.

    A server that answers 4xx did its work: that is a client error, kept apart, not a failure.

    Attributes:
        service: The service that answers.
        version: Its version.
        environment: ``production``, ``staging`` …
    """

    service: str | None = None
    version: str | None = None
    environment: str | None = None
    _derived: set[str] = field(default_factory=set, init=False, repr=False)

    def sample(self, exchange: Exchange) -> TelemetrySample:
        """Return the sample of an exchange.

        Examples:
            >>> seen = Exchange(protocol="asgi", method="GET", path="/users/7", route=None,
            ...     started_ns=0, duration_ns=5, status_code=503, trace_id="0" * 32,
            ...     span_id="0" * 16, request={})
            >>> made = SampleMaker("accounts").sample(seen)
            >>> print(made.operation, made.success, made.error_code, made.name_source)
            accounts · GET /users/{id} False 503 derived
        """
        error, status = exchange.error, exchange.status_code
        success = exchange.success
        code = message = None
        if error is not None:
            code, message = type(error).__qualname__, _message(error)
        elif not exchange.completed:
            code = "incomplete-answer"
        elif status is not None and status >= 400:
            code = str(status)
        key, name_source, channel = self._name(exchange)
        return TelemetrySample(
            operation=OperationRef(key, self.service, self.version),
            timestamp=_EPOCH + timedelta(microseconds=exchange.started_ns // 1_000),
            duration_ns=exchange.duration_ns,
            success=success,
            kind="server",
            environment=self.environment,
            status_code=status,
            error_code=code,
            error_message=message,
            trace_id=exchange.trace_id,
            span_id=exchange.span_id,
            parent_span_id=exchange.parent_span_id,
            channel=channel,
            payload_bytes=exchange.request_bytes,
            name_source=name_source,
            variant_id=exchange.variant_id,
        )

    def operation(self, answer: OperationRef | str) -> OperationRef:
        """Return the operation that a resolver named."""
        if isinstance(answer, OperationRef):
            return answer
        return OperationRef(str(answer)[:_LONGEST_NAME], self.service, self.version)

    def _name(self, exchange: Exchange) -> tuple[str, NameSource, Channel]:
        """Return key, source and channel, as spans of the same request would be named."""
        said = exchange.span_attributes
        if "graphql.operation.type" in said or "graphql.operation.name" in said:
            key, source, _ = operation_name("", "server", said)
            if source == "graphql":
                return key, "graphql", "graphql"
        key = exchange.operation_key[:_LONGEST_NAME]
        if exchange.route:
            return key, "route", "rest"
        if key not in self._derived:
            # Strangers choose paths: they must not make operations without end.
            if len(self._derived) >= _MOST_DERIVED:
                return f"{exchange.method} /…", "derived", "rest"
            self._derived.add(key)
        return key, "derived", "rest"


def named(answer: object) -> str | None:
    """Return what a resolver answered as a name, None for nothing.

    Examples:
        >>> named(42), named(""), named(None)
        ('42', None, None)
    """
    return None if answer is None else str(answer)[:_LONGEST_NAME] or None


def _message(error: BaseException) -> str | None:
    try:
        return str(error)[:_LONGEST_TEXT] or None
    except Exception:  # noqa: BLE001 - an exception's own text may raise
        return None
