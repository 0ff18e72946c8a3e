"""One observed execution of an operation."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from evolution_lab.records.json_form import CAMEL_CASE
from evolution_lab.records.operation import OperationRef

SpanKind = Literal["server", "client", "consumer", "producer", "internal"]
Channel = Literal["rest", "graphql", "rpc", "worker"]
NameSource = Literal["route", "graphql", "rpc", "messaging", "db", "span", "derived", "mapped"]


@dataclass(frozen=True, kw_only=True)
class TelemetrySample:
    """One execution of an operation, as the middleware emits it and the lake stores it.

    Attributes:
        operation: Service, key and version.
        timestamp: When the execution began, UTC.
        duration_ns: How long it took, integer nanoseconds, at least 0.
        success: Whether it succeeded; None where nothing recorded it (never counted as success).
            A server's 4xx is a client error: ``success`` is True and ``status_code`` tells.
        status_code: HTTP or RPC status, where there is one.
        error_code: A short code of the failure (``error.type``, a status, an exception class).
        error_message: Free text of the failure; redacted before it is stored.
        actor_id: Who called; replaced by a keyed pseudonym before it is stored.
        weight: How many executions this one stands for when upstream sampled (1.0 without).
        attributes: Values of allow-listed attribute names.
        name_source: Where the operation's name came from.
    """

    __pydantic_config__ = CAMEL_CASE

    operation: OperationRef
    timestamp: datetime
    duration_ns: int
    success: bool | None = None
    kind: SpanKind | None = None
    environment: str | None = None
    status_code: int | None = None
    error_code: str | None = None
    error_message: str | None = None
    tenant_id: str | None = None
    actor_id: str | None = None
    session_id: str | None = None
    trace_id: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None
    channel: Channel | None = None
    variant_id: str | None = None
    payload_bytes: int | None = None
    weight: float = 1.0
    attributes: dict[str, str] | None = None
    name_source: NameSource = "mapped"

    def __post_init__(self) -> None:
        if self.duration_ns < 0:
            raise ValueError(f"duration_ns == {self.duration_ns}, must be >= 0.")
        if self.timestamp.tzinfo is None:
            raise ValueError("timestamp has no time zone, must be timezone-aware.")
        if self.timestamp.utcoffset():
            object.__setattr__(self, "timestamp", self.timestamp.astimezone(UTC))
