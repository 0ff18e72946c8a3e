"""``SpecExperimentAdapter``: what a service hangs in once, so that every execution is counted."""

from __future__ import annotations

import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

from evolution_lab.contracts import HandlerContext
from evolution_lab.contracts.registry import ExecutedCall
from evolution_lab.experiments.assignment import Assignment
from evolution_lab.experiments.definition import SpecExperiment
from evolution_lab.experiments.in_force import InForce
from evolution_lab.experiments.outcome_counting import FLUSH_SECONDS, OutcomeCounter
from evolution_lab.experiments.resolver import (
    SERVING_NOTE,
    AttributesOf,
    Chosen,
    Serving,
    UnitOf,
    serve,
)
from evolution_lab.experiments.units import attributes_of, resolve_unit
from evolution_lab.telemetry import Exchange
from evolution_lab.telemetry.observation import Observation

log = logging.getLogger(__name__)

ContextOf = Callable[[Observation], HandlerContext]
"""Says of a request who asks; called when something first asks for a variant."""

_OPENED: Final = "evolution_lab.serving.opened"


def _nobody(_request: Observation) -> HandlerContext:
    return HandlerContext()


@dataclass(eq=False)
class SpecExperimentAdapter:
    """Counts latency and errors of executions by arm: of the runtime, of requests, of anything else.

    * The runtime: ``registry.on_call(adapter.executed)``.
    * HTTP: ``create_tracing_middleware(listeners=[adapter])``; handlers ask ``current_variant``.
    * GraphQL, workers: ``graphql_extension`` and ``celery_worker`` beside this module.
    * Anything else: ``with adapter.executing(context): …``.

    Each execution is counted once, to the arm and stage it was assigned to. Forced assignments and
    calls without a unit are not counted. What was cancelled counts, though not as failed: it may have
    been slow. Nothing in here ever fails a call.

    Attributes:
        in_force: What is rolled out.
        data: The lab directory that counts are written to, see ``outcome_files``.
        context_of: Says of a request who asks.
        unit_of: Says who is assigned.
        attributes: Says what targeting may look at.
        flush_seconds: How often counts are written.

    Examples:
        >>> import tempfile
        >>> adapter = SpecExperimentAdapter(
        ...     InForce(lambda: None, background=False), Path(tempfile.mkdtemp()),
        ...     context_of=lambda request: HandlerContext(user_id=request.header("x-user")))
        >>> adapter.errors
        {}
    """

    in_force: InForce
    data: Path
    context_of: ContextOf = _nobody
    unit_of: UnitOf = resolve_unit
    attributes: AttributesOf = attributes_of
    flush_seconds: float = FLUSH_SECONDS
    _counter: OutcomeCounter = field(init=False, repr=False)
    _errors: Counter[str] = field(default_factory=Counter, init=False, repr=False)

    def __post_init__(self) -> None:
        self._counter = OutcomeCounter(Path(self.data), self.flush_seconds)

    @property
    def errors(self) -> Mapping[str, int]:
        """Failures of hooks, and of counting and writing, so far, by name."""
        return dict(sorted((Counter(self._counter.errors) + self._errors).items()))

    def track_outcome(
        self,
        experiment: SpecExperiment,
        assignment: Assignment,
        *,
        execution_id: str,
        duration_ns: int,
        success: bool | None,
        fallback: bool = False,
    ) -> bool:
        """Count one execution; what the ways in above call, never a service itself.

        Args:
            experiment: The definition in force when it was assigned.
            assignment: Which arm it got.
            execution_id: Unlike that of any other execution; the last 65,536 are remembered.
            duration_ns: How long it took.
            success: Whether it did its work; None where nobody knows.
            fallback: Whether the control's handler ran because the variant could not start.

        Returns:
            Whether it was counted.
        """
        return self._counter.count(
            experiment,
            assignment,
            execution_id=execution_id,
            duration_ns=duration_ns,
            success=success,
            fallback=fallback,
        )

    def executed(self, call: ExecutedCall) -> None:
        """Count an execution of the runtime; for ``OperationRegistry.on_call``."""
        if call.variant is None or not isinstance(call.variant.chosen_by, Chosen):
            return
        experiment, assignment = call.variant.chosen_by
        self.track_outcome(
            experiment,
            assignment,
            # The runtime tells of each execution once; there is no id to recognise it by.
            execution_id=secrets.token_hex(8),
            duration_ns=call.duration_ns,
            success=call.success,
            fallback=call.fallback is not None,
        )

    def begin(self, context: HandlerContext) -> Serving:
        """Return one execution to serve; ``end`` counts it."""
        return Serving(self.in_force, context, self.unit_of, self.attributes)

    def end(
        self, serving: Serving, *, execution_id: str, duration_ns: int, success: bool | None
    ) -> None:
        """Count what an execution asked for; never raises an ``Exception``.

        What the runtime ran meanwhile is left out: it counts that itself.
        """
        try:
            for operation, assignment in serving.assignments.items():
                if assignment is None or operation in serving.executed:
                    continue
                self.track_outcome(
                    serving.experiments[operation],
                    assignment,
                    execution_id=execution_id,
                    duration_ns=duration_ns,
                    success=success,
                    fallback=operation in serving.fallbacks,
                )
        except Exception as error:  # noqa: BLE001 - the call has ended as it has ended
            self.failed("counting", error)

    @contextmanager
    def executing(
        self, context: HandlerContext, *, execution_id: str | None = None
    ) -> Iterator[Serving]:
        """Serve one execution of anything: ``current_variant`` answers in it, and it is counted.

        It has failed where it raises.

        Args:
            context: Who asks.
            execution_id: Unlike that of any other; made up without one.
        """
        serving = self.begin(context)
        execution_id = execution_id or secrets.token_hex(16)
        begun, success = time.perf_counter_ns(), None
        try:
            with serve(serving):
                yield serving
            success = True
        except Exception:
            success = False
            raise
        finally:
            self.end(
                serving,
                execution_id=execution_id,
                duration_ns=time.perf_counter_ns() - begun,
                success=success,
            )

    def request_begins(self, request: Observation) -> None:
        """Have ``current_variant`` answer while a watched request is served."""
        request.notes[SERVING_NOTE] = self._opened

    def request_ended(self, exchange: Exchange) -> None:
        """Count what a watched request asked for."""
        serving = exchange.notes.get(_OPENED)
        if isinstance(serving, Serving) and serving.in_force is self.in_force:
            serving.on_assigned = None  # It holds the request, which holds this: free both now.
            self.end(
                serving,
                execution_id=f"{exchange.trace_id}{exchange.span_id}",
                duration_ns=exchange.duration_ns,
                success=exchange.success,
            )

    def flush(self) -> bool:
        """Write what was counted since the last time; False where it could not be written."""
        return self._counter.flush()

    def close(self) -> bool:
        """Write what is left, and stop the thread that writes; it may be used again."""
        return self._counter.close()

    def failed(self, name: str, error: BaseException) -> None:
        """Count a failure, and log it if it is the first of its name."""
        self._errors[name] += 1
        if self._errors[name] == 1:
            log.error("%s failed; further failures are only counted", name, exc_info=error)

    def _opened(self, request: Observation) -> Serving:
        """Return what a request is served by, made when it is first asked for."""
        serving = request.notes.get(_OPENED)
        if isinstance(serving, Serving):
            return serving
        try:
            context = self.context_of(request)
        except Exception as error:  # noqa: BLE001 - whatever a stranger's code raises
            self.failed("context_of", error)
            context = HandlerContext()

        def label(assignment: Assignment) -> None:
            if request.variant_id is None and assignment.reason in {"assigned", "forced"}:
                forced = ":forced" if assignment.reason == "forced" else ""
                request.variant_id = assignment.label + forced

        made = self.begin(context)
        made.on_assigned = label
        # Threads of one request may ask at once: the first one's is everybody's.
        return cast("Serving", request.notes.setdefault(_OPENED, made))
