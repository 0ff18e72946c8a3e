"""From what was seen of a request to its sample."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from evolution_lab.records import OperationRef, TelemetrySample
from evolution_lab.records.telemetry import Channel, NameSource
from evolution_lab.telemetry.exchange import Exchange
from evolution_lab.telemetry.otlp_names import operation_name

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST_NAME: Final = 300
_LONGEST_TEXT: Final = 1_000
_MOST_DERIVED: Final = 1_000
_MOST_REFS: Final = 5_000


@dataclass(eq=False)
class SampleMaker:
    """Names operations and judges answers.

    A server that answers 4xx did its work: that is a client error, kept apart, not a failure.

    Attributes:
        service: The service that answers.
        version: Its version.
        environment: ``production``, ``staging`` …
        tenant_header: Header that names the tenant; None for none.
        actor_header: Header that names who asks; None for none.
    """

    service: str | None = None
    version: str | None = None
    environment: str | None = None
    tenant_header: str | None = None
    actor_header: str | None = None
    _derived: set[str] = field(default_factory=set, init=False, repr=False)
    _refs: dict[str, OperationRef] = field(default_factory=dict, init=False, repr=False)

    def sample(
        self,
        exchange: Exchange,
        *,
        operation: OperationRef | str | None = None,
        tenant_id: str | None = None,
        actor_id: str | None = None,
    ) -> TelemetrySample:
        """Return the sample of an exchange.

        Args:
            exchange: What was seen.
            operation: What a resolver named it; method and route template for None.
            tenant_id: Whose request it was.
            actor_id: Who made it.

        Examples:
            >>> seen = Exchange(protocol="asgi", method="GET", path="/users/7", route=None,
            ...     started_ns=0, duration_ns=5, status_code=503, trace_id="0" * 32,
            ...     span_id="0" * 16, request={})
            >>> made = SampleMaker("accounts").sample(seen)
            >>> print(made.operation, made.success, made.error_code, made.name_source)
            accounts · GET /users/{id} False 503 derived
        """
        fields = self.fields(exchange, operation, tenant_id, actor_id)
        return TelemetrySample(**fields)

    def fields(
        self,
        exchange: Exchange,
        operation: OperationRef | str | None = None,
        tenant_id: str | None = None,
        actor_id: str | None = None,
    ) -> dict[str, Any]:
        """Return the fields of an exchange's sample: to be sent, they need not be a record first."""
        if self.tenant_header is not None and tenant_id is None:
            tenant_id = named(exchange.header(self.tenant_header))
        if self.actor_header is not None and actor_id is None:
            actor_id = named(exchange.header(self.actor_header))
        error, status = exchange.error, exchange.status_code
        success = exchange.success
        code = message = None
        if error is not None:
            code, message = type(error).__qualname__, _message(error)
        elif not exchange.completed:
            code = "incomplete-answer"
        elif status is not None and status >= 400:
            code = str(status)
        ref, name_source, channel = self._named(exchange)
        if operation:
            ref, name_source = self.operation(operation), "mapped"
        return {
            "operation": ref,
            "timestamp": _EPOCH + timedelta(microseconds=exchange.started_ns // 1_000),
            "duration_ns": exchange.duration_ns,
            "success": success,
            "kind": "server",
            "environment": self.environment,
            "status_code": status,
            "error_code": code,
            "error_message": message,
            "tenant_id": tenant_id,
            "actor_id": actor_id,
            "trace_id": exchange.trace_id,
            "span_id": exchange.span_id,
            "parent_span_id": exchange.parent_span_id,
            "channel": channel,
            "payload_bytes": exchange.request_bytes,
            "name_source": name_source,
            "variant_id": exchange.variant_id,
        }

    def operation_of(self, exchange: Exchange) -> OperationRef:
        """Return the operation of an exchange that no resolver named."""
        return self._named(exchange)[0]

    def _named(self, exchange: Exchange) -> tuple[OperationRef, NameSource, Channel]:
        key, source, channel = self._name(exchange)
        ref = self._refs.get(key)
        if ref is None:
            ref = OperationRef(key, self.service, self.version)
            if len(self._refs) < _MOST_REFS:
                self._refs[key] = ref
        return ref, source, channel

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
