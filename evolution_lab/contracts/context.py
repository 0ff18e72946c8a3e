"""What a handler knows of its call, and who may put another version of an operation in its place."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from evolution_lab.contracts.operation_spec import OperationSpec
from evolution_lab.records.telemetry import Channel


@dataclass(frozen=True, kw_only=True)
class HandlerContext:
    """A call's surroundings; handed to resolver and handler as it came.

    Attributes:
        tenant_id: Whose data it is about.
        user_id: Who calls.
        session_id: Which of the caller's sessions it belongs to.
        trace_id: The trace it belongs to, 32 hexadecimal digits.
        span_id: The span that calls, 16 hexadecimal digits.
        channel: How the call came in.
        environment: ``production``, ``staging`` …
        metadata: Anything else that handlers and resolvers want to know.
        spec_variant_resolver: Says which variant of an operation this call gets; None for none.

    Examples:
        >>> HandlerContext(tenant_id="acme", user_id="u-7").tenant_id
        'acme'
    """

    tenant_id: str | None = None
    user_id: str | None = None
    session_id: str | None = None
    trace_id: str | None = None
    span_id: str | None = None
    channel: Channel | None = None
    environment: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    spec_variant_resolver: SpecVariantResolver | None = field(default=None, repr=False)


Handler = Callable[[Any, HandlerContext], Any]
"""Does the work: takes input and context, gives the output or something that awaits it."""


@dataclass(frozen=True, kw_only=True)
class SpecVariant:
    """Another version of an operation that a call gets in the registered one's place.

    Attributes:
        spec: What the variant promises; of the same key and kind as the registered one.
        handler: What runs it; the handler registered for the spec's key and version without one.
        variant_id: What its samples are labelled with; the spec's version without one.
        chosen_by: What the resolver wants to have back with the outcome, see ``ExecutedCall``; the
            runtime only hands it on.
    """

    spec: OperationSpec
    handler: Handler | None = None
    variant_id: str | None = None
    chosen_by: object = field(default=None, repr=False, compare=False)

    @property
    def label(self) -> str:
        """The label of its samples."""
        return self.variant_id or self.spec.version


class SpecVariantResolver(Protocol):
    """Chooses the variant a call gets: an experiment's assignment, a flag, a preview header."""

    def __call__(
        self, spec: OperationSpec, context: HandlerContext, /
    ) -> SpecVariant | OperationSpec | Awaitable[SpecVariant | OperationSpec | None] | None:
        """Return the variant of ``spec`` for this call, None for the registered operation itself."""
