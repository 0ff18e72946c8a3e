"""Which arm a call gets: for the runtime of ``contracts``, and for services with their own framework."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple, cast

from evolution_lab.contracts import (
    Handler,
    HandlerContext,
    OperationSpec,
    SpecVariant,
    SpecVariantResolver,
)
from evolution_lab.experiments.assignment import Assignment, SpecExperimentRunner
from evolution_lab.experiments.definition import Binding, SpecExperiment, UnitKind
from evolution_lab.experiments.in_force import InForce
from evolution_lab.experiments.units import Unit, attributes_of, resolve_unit
from evolution_lab.telemetry.observation import under_way

log = logging.getLogger(__name__)

UnitOf = Callable[[HandlerContext, UnitKind], Unit | None]
AttributesOf = Callable[[HandlerContext], Mapping[str, Any]]
SpecOf = Callable[[str, str], OperationSpec | None]
_MOST_KNOWN: Final = 1_000
SERVING_NOTE: Final = "evolution_lab.serving"
"""Name of the note on a watched request: what gives its ``Serving`` when called with it."""


class Chosen(NamedTuple):
    """What the resolver wants to have back with the outcome of a call."""

    experiment: SpecExperiment
    assignment: Assignment


@dataclass(eq=False)
class Serving:
    """One request while it is served: who asks, and what it was given.

    Attributes:
        in_force: What is rolled out.
        context: The call's surroundings.
        assignments: By operation, what was asked for; the middleware counts outcomes by it.
        experiments: By operation, the experiment that it is an assignment of.
        fallbacks: Operations whose variant could not start, see ``fell_back``.
        executed: Operations that the runtime ran meanwhile: it counts them itself.
        on_assigned: Is told of each assignment, once.
    """

    in_force: InForce
    context: HandlerContext
    unit_of: UnitOf = resolve_unit
    attributes_of: AttributesOf = attributes_of
    assignments: dict[str, Assignment | None] = field(default_factory=dict)
    experiments: dict[str, SpecExperiment] = field(default_factory=dict)
    fallbacks: set[str] = field(default_factory=set)
    executed: set[str] = field(default_factory=set)
    on_assigned: Callable[[Assignment], object] | None = None

    def assign(self, operation: str) -> Assignment | None:
        """Return what the request gets, the same however often it is asked."""
        if operation not in self.assignments:
            try:
                found = assign(
                    self.in_force,
                    operation,
                    self.context,
                    unit_of=self.unit_of,
                    attributes=self.attributes_of,
                )
            except Exception:  # Hooks are a stranger's code: the control is served.
                log.exception("a call of %s could not be assigned", operation)
                found = None
            self.assignments[operation] = found and found[1]
            if found is not None:
                self.experiments[operation] = found[0].experiment
                if self.on_assigned is not None:
                    self.on_assigned(found[1])
        return self.assignments[operation]


_SERVING: Final[ContextVar[Serving | None]] = ContextVar("evolution_lab_serving", default=None)


@contextmanager
def serve(serving: Serving) -> Iterator[Serving]:
    """Let ``current_variant`` answer for one request, in this thread or task."""
    token = _SERVING.set(serving)
    try:
        yield serving
    finally:
        # A generator that is closed from elsewhere ends in another context: nothing to undo there.
        with suppress(ValueError):
            _SERVING.reset(token)


def current_variant(operation: str) -> Assignment | None:
    """Return what the request being served gets of an operation.

    Args:
        operation: Its key.

    Returns:
        The assignment, whose ``arm`` is ``control`` or ``variant``; None outside a request and
        where no experiment on the operation is in force: then the control is served.

    Examples:
        >>> current_variant("billing.createInvoice") is None
        True
    """
    serving = current_serving()
    return None if serving is None else serving.assign(operation)


def fell_back(operation: str) -> None:
    """Say that the variant of an operation could not start and the control's handler takes over.

    The request counts to the arm it was given, and to the guardrail on fallbacks. Only before the
    variant's handler has begun its work: what has failed then has failed.
    """
    serving = current_serving()
    if serving is not None:
        serving.fallbacks.add(operation)


def current_serving() -> Serving | None:
    """Return the request being served, None outside one."""
    serving = _SERVING.get()
    if serving is not None:
        return serving
    request = under_way.get()
    opener = None if request is None else request.notes.get(SERVING_NOTE)
    return None if opener is None else cast("Serving | None", opener(request))


def assign(
    in_force: InForce,
    operation: str,
    context: HandlerContext,
    *,
    unit_of: UnitOf = resolve_unit,
    attributes: AttributesOf = attributes_of,
) -> tuple[SpecExperimentRunner, Assignment] | None:
    """Return the experiment on an operation that a call takes part in, and its arm.

    Of several experiments, the first that the call is not kept out of (by namespace, targeting …).
    """
    runners = in_force.runners(operation)
    if not runners:
        return None
    known = attributes(context)
    found: tuple[SpecExperimentRunner, Assignment] | None = None
    for runner in runners:
        unit = unit_of(context, runner.experiment.unit)
        assignment = runner.assign(None if unit is None else unit.id, known)
        if assignment.counted or assignment.reason == "forced":
            return runner, assignment
        found = found or (runner, assignment)
    return found


def create_spec_variant_resolver(
    in_force: InForce,
    *,
    handlers: Mapping[str, Handler] | None = None,
    specs: SpecOf | None = None,
    unit_of: UnitOf = resolve_unit,
    attributes: AttributesOf = attributes_of,
) -> SpecVariantResolver:
    """Return what goes into ``HandlerContext.spec_variant_resolver``.

    Both arms of a counted call are labelled (``Assignment.label`` becomes the sample's
    ``variant_id``). The runtime falls back to the registered handler only before the variant's
    handler has started, and the sample then keeps its arm and says why (``contracts.FALLBACK``).

    Args:
        in_force: What is rolled out.
        handlers: Handlers by the names that bindings have for them.
        specs: Finds a variant's spec by key and version where the binding carries none; without
            one, the registered spec is taken under the variant's version.
        unit_of: Says who is assigned.
        attributes: Says what targeting may look at.

    Examples:
        >>> resolver = create_spec_variant_resolver(InForce(lambda: None, background=False))
        >>> spec = OperationSpec(key="checkout", version="1", kind="command", goal="Pay.")
        >>> resolver(spec, HandlerContext(user_id="u-7")) is None
        True
    """
    named = handlers or {}
    known: dict[tuple[str, int, str], SpecVariant] = {}

    def variant_of(runner: SpecExperimentRunner, spec: OperationSpec) -> SpecVariant:
        # One object each: the runtime compiles the schemas of a spec object once. A definition
        # never changes under its version.
        experiment = runner.experiment
        key = (experiment.key, experiment.version, spec.version)
        if key not in known:
            if len(known) >= _MOST_KNOWN:
                known.clear()
            known[key] = _variant(experiment.variant, spec, named, specs)
        return known[key]

    def resolve(spec: OperationSpec, context: HandlerContext, /) -> SpecVariant | None:
        found = assign(in_force, spec.key, context, unit_of=unit_of, attributes=attributes)
        if found is None:
            return None
        runner, assignment = found
        if runner.experiment.control.version != spec.version:
            return None  # Another version is asked for: the experiment is not about it.
        _leave_to_runtime(spec.key)
        if assignment.arm == "variant":
            variant = variant_of(runner, spec)
        elif assignment.counted:
            variant = SpecVariant(spec=spec)
        else:
            return None
        label = assignment.label if assignment.counted else f"{assignment.label}:forced"
        chosen = Chosen(runner.experiment, assignment)
        return replace(variant, variant_id=label, chosen_by=chosen)

    return resolve


def _leave_to_runtime(operation: str) -> None:
    """Have the request being served not counted for an operation that the runtime counts."""
    serving = current_serving()
    if serving is not None:
        serving.executed.add(operation)


def _variant(
    binding: Binding, spec: OperationSpec, named: Mapping[str, Handler], specs: SpecOf | None
) -> SpecVariant:
    variant = binding.spec or (specs and specs(spec.key, binding.version))
    variant = variant or replace(spec, version=binding.version)
    if binding.handler is None:
        return SpecVariant(spec=variant)
    handler = named.get(binding.handler)
    if handler is None:
        # No version that anybody registered: the runtime falls back, says why, and the call still
        # counts to its arm, which it would not if this raised.
        variant = replace(variant, version=f"{variant.version} without {binding.handler}")
    return SpecVariant(spec=variant, handler=handler)
