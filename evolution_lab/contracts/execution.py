"""One execution of an operation: which handler runs, and what is told of it afterwards."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from evolution_lab.contracts.context import Handler, HandlerContext, SpecVariant
from evolution_lab.contracts.input_schema import InputSchema
from evolution_lab.contracts.operation_spec import OperationSpec
from evolution_lab.errors import InvalidDocumentError, InvalidPayloadError
from evolution_lab.records import OperationRef, TelemetrySample

FallbackReason = Literal[
    "resolver-failed",
    "not-a-variant",
    "other-operation",
    "no-handler",
    "invalid-schema",
    "invalid-input",
]
FALLBACK: Final = "variant.fallback"
"""Attribute of a sample: why the registered handler ran although there was a variant."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST_TEXT: Final = 1_000
_REFUSED: Final = 400
"""Status of an input that was refused: a client error, whatever the channel."""


@dataclass(frozen=True, eq=False)
class Schemas:
    """What an operation's input and output are checked by.

    Raises:
        InvalidDocumentError: One of the schemas is none.
    """

    spec: OperationSpec
    input: InputSchema = field(init=False)
    output: InputSchema = field(init=False)

    def __post_init__(self) -> None:
        spec = self.spec
        object.__setattr__(self, "input", InputSchema(spec.key, spec.input_schema))
        object.__setattr__(self, "output", InputSchema(spec.key, spec.output_schema, "output"))


@dataclass(frozen=True, eq=False)
class Registered:
    """A spec with what runs it and what its input and output are checked by."""

    spec: OperationSpec
    handler: Handler
    schemas: Schemas


@dataclass(eq=False)
class Execution:
    """The steps of one execution, in the order in which ``OperationRegistry`` takes them.

    What may send a call back to the registered handler all lies in ``take``, which starts no
    handler; what starts the handler comes after it and knows no way back.

    Attributes:
        registered: What was asked for.
        value: The input.
        context: The call's surroundings.
        handler_of: Finds the handler registered for a spec's key and version, None without one.
        schemas_of: Compiles a variant's schemas, or remembers them.
        service: The service that runs it, for the sample.
    """

    registered: Registered
    value: Any
    context: HandlerContext
    handler_of: Callable[[OperationSpec], Handler | None]
    schemas_of: Callable[[OperationSpec], Schemas]
    service: str | None
    started_ns: int = field(default_factory=time.time_ns, init=False)
    _clock_ns: int = field(default_factory=time.perf_counter_ns, init=False)
    _spec: OperationSpec = field(init=False)
    _schemas: Schemas = field(init=False)
    _variant: SpecVariant | None = field(default=None, init=False)
    _fallback: FallbackReason | None = field(default=None, init=False)
    _refused: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._spec = self.registered.spec
        self._schemas = self.registered.schemas

    @property
    def spec(self) -> OperationSpec:
        """The spec that the call runs under."""
        return self._spec

    @property
    def variant(self) -> SpecVariant | None:
        """The variant that the call got, None for none."""
        return self._variant

    @property
    def fallback(self) -> FallbackReason | None:
        """Why the registered handler runs although there was a variant."""
        return self._fallback

    def choice(self) -> Any:
        """Ask the resolver; what it answers may have to be awaited."""
        resolver = self.context.spec_variant_resolver
        return None if resolver is None else resolver(self.registered.spec, self.context)

    def resolver_failed(self) -> None:
        """Go on without a variant: whom this call was assigned to is not known."""
        self._fallback = "resolver-failed"

    def take(self, answer: object) -> Handler:
        """Return the handler that will run: the variant's, or the registered one.

        Raises:
            InvalidPayloadError: The input does not fit the registered spec either.
        """
        if answer is not None and answer is not self.registered.spec:
            taken = self._taken(answer)
            if not isinstance(taken, str):
                return taken
            self._fallback = taken
        self._refused = True
        self.registered.schemas.input.check(self.value)
        self._refused = False
        return self.registered.handler

    def check_output(self, output: object) -> None:
        """Do nothing where an output fits the spec that the call ran under.

        Raises:
            InvalidPayloadError: It does not; the handler has run, and runs no second time.
        """
        if self._spec.output_schema:  # Without one, an output need not even be JSON.
            self._schemas.output.check(output)

    def sample(self, error: BaseException | None) -> TelemetrySample:
        """Return what is told of the execution, once it has ended."""
        duration = time.perf_counter_ns() - self._clock_ns
        status, success, code = self._outcome(error)
        context = self.context
        return TelemetrySample(
            operation=OperationRef(self._spec.key, self.service, self._spec.version),
            timestamp=_EPOCH + timedelta(microseconds=self.started_ns // 1_000),
            duration_ns=duration,
            success=success,
            # Inside a request that is watched itself this is a part of it, alone it is the whole.
            kind="internal",
            environment=context.environment,
            status_code=status,
            error_code=code,
            error_message=None if error is None else _message(error),
            tenant_id=context.tenant_id,
            actor_id=context.user_id,
            session_id=context.session_id,
            trace_id=context.trace_id,
            span_id=secrets.token_hex(8) if context.trace_id else None,
            parent_span_id=context.span_id if context.trace_id else None,
            channel=context.channel,
            variant_id=None if self._variant is None else self._variant.label,
            attributes=None if self._fallback is None else {FALLBACK: self._fallback},
        )

    def _taken(self, answer: object) -> Handler | FallbackReason:
        variant = SpecVariant(spec=answer) if isinstance(answer, OperationSpec) else answer
        if not isinstance(variant, SpecVariant):
            return "not-a-variant"
        self._variant = variant  # The call stays with its arm even where it falls back.
        spec, own = variant.spec, self.registered.spec
        if spec.key != own.key or spec.kind != own.kind:
            return "other-operation"
        handler = variant.handler or self.handler_of(spec)
        if handler is None:
            return "no-handler"
        try:
            schemas = self.schemas_of(spec)
            schemas.input.check(self.value)
        except InvalidDocumentError:
            return "invalid-schema"
        except InvalidPayloadError:
            return "invalid-input"
        self._spec, self._schemas = spec, schemas
        return handler

    def _outcome(self, error: BaseException | None) -> tuple[int | None, bool | None, str | None]:
        """Return status, success and error code; a declared 4xx is a client error, no failure."""
        if error is None:
            return None, True, None
        if self._refused:
            return _REFUSED, True, "invalid-input"
        if not isinstance(error, Exception):
            return None, None, type(error).__qualname__  # Cancelled or stopped: nobody knows.
        if isinstance(error, InvalidPayloadError) and error.side == "output":
            return None, False, "invalid-output"
        stated = getattr(error, "code", None)
        code = stated if isinstance(stated, str) and stated else type(error).__qualname__
        declared = self._spec.errors.get(code)
        http = declared.http if declared is not None else None
        return http, http is not None and 400 <= http < 500, code


def _message(error: BaseException) -> str | None:
    try:
        return str(error)[:_LONGEST_TEXT] or None
    except Exception:  # noqa: BLE001 - an exception's own text may raise
        return None
