"""One recorded call with its input and output: what golden tests are made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from evolution_lab.records.json_form import CAMEL_CASE
from evolution_lab.records.operation import OperationRef
from evolution_lab.records.telemetry import Channel


@dataclass(frozen=True, kw_only=True)
class RecordedError:
    """What a call failed with.

    Attributes:
        name: Class name of the error, None where nothing says it.
        message: Its text, sanitised before it is stored.
        code: Its code, None where it has none.
    """

    __pydantic_config__ = CAMEL_CASE

    name: str | None = None
    message: str | None = None
    code: str | None = None


@dataclass(frozen=True, kw_only=True)
class TrafficSnapshot:
    """One recorded call: what went in, and what came out or what it failed with.

    A snapshot of HTTP has as ``input`` the object ``{path, query, headers, body}`` and as ``output``
    ``{status, headers, body}``, whatever the status: a 404 is an answer, not an ``error``. ``query`` is
    an object of texts, of lists of texts where a name repeats; ``headers`` are those of an allow-list
    with names in lower case; ``body`` is the JSON value of a JSON payload, text of a text, None of none,
    and ``{"base64": …}`` of other bytes.

    Attributes:
        id: Names the snapshot; equal for the same call however often it is read.
        operation: Service, key and version.
        input: A JSON value.
        output: A JSON value; None where ``error`` says how the call ended.
        error: What the call failed with; None where it gave an output.
        success: Whether it succeeded; a server's 4xx is the client's error and a success.
        timestamp: When the call began, UTC.
        duration_ms: How long it took, milliseconds.
        tenant_id: Whose data it is about.
        user_id: Who called; a keyed pseudonym once it is stored. Never handed to runners.
        channel: How the call came in.
        metadata: Anything else, JSON values by name. ``traceId``, ``spanId`` and ``sessionId`` link
            snapshots of one trace or session; ``kept`` says why it was (``sampled``, ``error``,
            ``rare``); ``truncated`` lists the bodies that are cut.
        sample_rate: Share of the calls like this one that were recorded, fraction above 0.

    Examples:
        >>> from evolution_lab.records import from_json, to_json
        >>> snapshot = TrafficSnapshot(id="s1", operation=OperationRef("cart.add"), input={"sku": 1},
        ...     output={"added": 1}, success=True, timestamp=datetime(2026, 1, 1, tzinfo=UTC))
        >>> from_json(TrafficSnapshot, to_json(snapshot)) == snapshot
        True
    """

    __pydantic_config__ = CAMEL_CASE

    id: str
    operation: OperationRef
    input: Any
    output: Any = None
    error: RecordedError | None = None
    success: bool
    timestamp: datetime
    duration_ms: float | None = None
    tenant_id: str | None = None
    user_id: str | None = None
    channel: Channel | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    sample_rate: float = 1.0

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("id == '', must not be empty: stores find a snapshot by it.")
        if not 0 < self.sample_rate <= 1:
            raise ValueError(f"sample_rate == {self.sample_rate}, must be above 0 and at most 1.")
        if self.duration_ms is not None and not self.duration_ms >= 0:
            raise ValueError(f"duration_ms == {self.duration_ms}, must be >= 0.")
        if self.timestamp.tzinfo is None:
            raise ValueError("timestamp has no time zone, must be timezone-aware.")
        if self.timestamp.utcoffset():
            object.__setattr__(self, "timestamp", self.timestamp.astimezone(UTC))

    @property
    def trace_id(self) -> str | None:
        """The trace it belongs to, where one is known."""
        return _text(self.metadata.get("traceId"))

    @property
    def session_id(self) -> str | None:
        """The session it belongs to, where one is known."""
        return _text(self.metadata.get("sessionId"))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
