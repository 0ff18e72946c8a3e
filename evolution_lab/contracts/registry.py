"""``OperationRegistry``: runs operations as their specs promise, and tells what happened."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

from evolution_lab.contracts.context import Handler, HandlerContext, SpecVariant
from evolution_lab.contracts.execution import Execution, FallbackReason, Registered, Schemas
from evolution_lab.contracts.listeners import SampleListener, SampleListeners
from evolution_lab.contracts.operation_spec import OperationSpec
from evolution_lab.errors import InputError, UnknownNameError
from evolution_lab.records import TelemetrySample

MOST_VARIANT_SCHEMAS: Final = 256
_RESOLVER: Final = "spec_variant_resolver"


@dataclass(frozen=True, kw_only=True, eq=False)
class ExecutedCall:
    """One execution with what went in and came out, for listeners that record traffic.

    Nothing in it is redacted or copied: listeners must not change it.

    Attributes:
        spec: The spec it ran under: the variant's, where one was taken.
        input: What went in.
        output: What came out; None where it failed.
        error: What it failed with; None where it did not.
        context: The call's surroundings.
        started_ns: When it began, nanoseconds since the epoch.
        duration_ns: How long it took.
        success: Whether it did its work, see ``TelemetrySample``; None where nobody knows.
        variant: The variant that the call got, also where it fell back; None for none.
        fallback: Why the registered handler ran although there was a variant.
    """

    spec: OperationSpec
    input: Any
    output: Any
    error: BaseException | None
    context: HandlerContext
    started_ns: int
    duration_ns: int
    success: bool | None = None
    variant: SpecVariant | None = None
    fallback: FallbackReason | None = None


@dataclass(eq=False)
class OperationRegistry:
    """Operations with their handlers.

    A call runs exactly one handler, once. ``context.spec_variant_resolver`` may choose a variant of
    the spec; the registered handler takes its place only while the variant's handler has not
    started: the resolver failed, there is no handler, the schema is none or the input does not fit
    it. What a handler raises once it has started is the caller's to see, whichever handler it is; so
    is an output that does not fit the schema.

    Handlers and resolvers may be plain or async. ``execute`` is for plain code and ``await
    aexecute`` for async code; both run a plain handler in the thread of the call.

    Attributes:
        service: The service whose operations these are; samples carry it.

    Examples:
        >>> registry = OperationRegistry("shop")
        >>> spec = OperationSpec(key="cart.add", version="1.0.0", kind="command", goal="Add.",
        ...                      input_schema={"required": ["sku"]})
        >>> registry.register(spec, lambda value, context: {"added": value["sku"]})
        >>> samples = []
        >>> registry.on_sample(samples.append)
        >>> registry.execute("cart.add", "1.0.0", {"sku": "A-1"})
        {'added': 'A-1'}
        >>> [(str(sample.operation), sample.success) for sample in samples]
        [('shop · cart.add · 1.0.0', True)]
    """

    service: str | None = None
    _registered: dict[str, dict[str, Registered]] = field(
        default_factory=dict, init=False, repr=False
    )
    _schemas: OrderedDict[int, tuple[OperationSpec, Schemas]] = field(
        default_factory=OrderedDict, init=False, repr=False
    )
    _listeners: SampleListeners = field(default_factory=SampleListeners, init=False, repr=False)
    _call_listeners: tuple[Callable[[ExecutedCall], object], ...] = field(
        default=(), init=False, repr=False
    )
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def register(self, spec: OperationSpec, handler: Handler) -> None:
        """Take an operation in.

        Raises:
            InputError: The key has a handler of this version already.
            InvalidDocumentError: The input or output schema is none.
        """
        schemas = Schemas(spec)
        with self._lock:
            versions = self._registered.setdefault(spec.key, {})
            if spec.version in versions:
                raise InputError(
                    f"{spec.key!r} {spec.version} is registered already; a version has one handler."
                )
            versions[spec.version] = Registered(spec, handler, schemas)

    def spec(self, key: str, version: str | None = None) -> OperationSpec:
        """Return a registered spec; the one registered last without a version.

        Raises:
            UnknownNameError: There is no such operation, or not in this version.
        """
        return self._find(key, version).spec

    def specs(self) -> tuple[OperationSpec, ...]:
        """Return all registered specs, by key and in the order of their registration."""
        with self._lock:
            return tuple(
                registered.spec
                for _, versions in sorted(self._registered.items())
                for registered in versions.values()
            )

    def on_sample(self, listener: SampleListener) -> None:
        """Tell ``listener`` of each execution from now on; its failures never reach a caller."""
        self._listeners.add(listener)

    def on_call(self, listener: Callable[[ExecutedCall], object]) -> None:
        """Tell ``listener`` of each execution's input and output; its failures reach no caller.

        It is a plain function, called where the operation ran, such as ``TrafficRecorder.executed``.
        """
        with self._lock:
            self._call_listeners = (*self._call_listeners, listener)

    @property
    def hook_errors(self) -> Mapping[str, int]:
        """Failures of listeners and resolvers so far, by name."""
        return self._listeners.errors()

    def close(self, timeout: float = 10.0) -> None:
        """Wait for async listeners to end; the registry may be used again."""
        self._listeners.close(timeout)

    def execute(
        self,
        key: str,
        version: str | None,
        input: Any,  # noqa: A002 - what it is
        context: HandlerContext | None = None,
    ) -> Any:
        """Run an operation and return its output.

        What is async is run to its end meanwhile: on an event loop of its own, in another thread
        where this one runs a loop already.

        Args:
            key: The operation.
            version: Its version; the one registered last for None.
            input: Its input, a JSON value.
            context: The call's surroundings.

        Raises:
            UnknownNameError: There is no such operation, or not in this version.
            InvalidPayloadError: The input does not fit the schema, and nothing was started; or the
                output does not (``side`` says which), and the operation has run.
        """
        execution = self._execution(key, version, input, context)
        output: Any = None
        error: BaseException | None = None
        try:
            answer = None
            try:
                answer = _settled(execution.choice())
            except Exception as failure:  # noqa: BLE001 - a resolver never fails a call
                self._resolver_failed(execution, failure)
            handler = execution.take(answer)
            output = _settled(handler(input, execution.context))
            execution.check_output(output)
        except BaseException as raised:
            error = raised
            raise
        finally:
            self._tell(execution, output, error)
            error = None  # A traceback that holds its own frame is not freed soon.
        return output

    async def aexecute(
        self,
        key: str,
        version: str | None,
        input: Any,  # noqa: A002
        context: HandlerContext | None = None,
    ) -> Any:
        """Run an operation and return its output; see ``execute``.

        Raises:
            UnknownNameError: There is no such operation, or not in this version.
            InvalidPayloadError: The input does not fit the schema, and nothing was started; or the
                output does not (``side`` says which), and the operation has run.
        """
        execution = self._execution(key, version, input, context)
        output: Any = None
        error: BaseException | None = None
        try:
            answer = None
            try:
                answer = execution.choice()
                if inspect.isawaitable(answer):
                    answer = await answer
            except Exception as failure:  # noqa: BLE001
                self._resolver_failed(execution, failure)
                answer = None
            handler = execution.take(answer)
            output = handler(input, execution.context)
            if inspect.isawaitable(output):
                output, awaited = None, output
                output = await awaited
            execution.check_output(output)
        except BaseException as raised:
            error = raised
            raise
        finally:
            self._tell(execution, output, error)
            error = None
        return output

    def _execution(
        self, key: str, version: str | None, value: Any, context: HandlerContext | None
    ) -> Execution:
        return Execution(
            registered=self._find(key, version),
            value=value,
            context=context or HandlerContext(),
            handler_of=self._handler_of,
            schemas_of=self._schemas_of,
            service=self.service,
        )

    def _find(self, key: str, version: str | None) -> Registered:
        with self._lock:
            versions = self._registered.get(key)
            if versions is None:
                raise UnknownNameError("operation", key, self._registered)
            if version is None:
                return next(reversed(versions.values()))
            if version not in versions:
                raise UnknownNameError(f"version of {key!r}", version, versions)
            return versions[version]

    def _handler_of(self, spec: OperationSpec) -> Handler | None:
        with self._lock:
            registered = self._registered.get(spec.key, {}).get(spec.version)
        return None if registered is None else registered.handler

    def _schemas_of(self, spec: OperationSpec) -> Schemas:
        """Compile a variant's schemas once; the spec is kept, so that its id stays its own."""
        with self._lock:
            kept = self._schemas.get(id(spec))
            if kept is not None:
                self._schemas.move_to_end(id(spec))
                return kept[1]
        compiled = Schemas(spec)
        with self._lock:
            self._schemas[id(spec)] = (spec, compiled)
            while len(self._schemas) > MOST_VARIANT_SCHEMAS:
                self._schemas.popitem(last=False)
        return compiled

    def _resolver_failed(self, execution: Execution, error: Exception) -> None:
        execution.resolver_failed()
        self._listeners.failed(_RESOLVER, error)

    def _tell(self, execution: Execution, output: Any, error: BaseException | None) -> None:
        try:
            sample = execution.sample(error)
        except Exception as failure:  # noqa: BLE001 - a call that succeeded has succeeded
            self._listeners.failed("making a sample", failure)
        else:
            self._listeners.tell(sample)
            if self._call_listeners:
                self._tell_call(execution, output, error, sample)

    def _tell_call(
        self,
        execution: Execution,
        output: Any,
        error: BaseException | None,
        sample: TelemetrySample,
    ) -> None:
        call = ExecutedCall(
            spec=execution.spec,
            input=execution.value,
            output=output,
            error=error,
            context=execution.context,
            started_ns=execution.started_ns,
            duration_ns=sample.duration_ns,
            success=sample.success,
            variant=execution.variant,
            fallback=execution.fallback,
        )
        for listener in self._call_listeners:
            try:
                listener(call)
            except Exception as failure:  # noqa: BLE001 - whatever a stranger's code raises
                self._listeners.failed("call listener", failure)


def _settled(value: Any) -> Any:
    """Return a value, awaited to its end if it has to be."""
    if not inspect.isawaitable(value):
        return value
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(_awaited(value))
    variables = contextvars.copy_context()
    with ThreadPoolExecutor(1, thread_name_prefix="operation") as thread:
        return thread.submit(variables.run, asyncio.run, _awaited(value)).result()


async def _awaited(value: Awaitable[Any]) -> Any:
    return await value
