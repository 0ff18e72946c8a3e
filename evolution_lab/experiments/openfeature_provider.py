"""Rollouts by OpenFeature: the flag is the experiment. Needs the extra ``openfeature``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final, TypeVar

from evolution_lab.contracts import HandlerContext
from evolution_lab.errors import MissingExtraError
from evolution_lab.experiments.assignment import Assignment, AssignmentReason
from evolution_lab.experiments.definition import SpecExperiment
from evolution_lab.experiments.in_force import InForce
from evolution_lab.experiments.resolver import current_serving
from evolution_lab.experiments.units import attributes_of, resolve_unit

try:
    from openfeature.evaluation_context import EvaluationContext
    from openfeature.exception import FlagNotFoundError, TypeMismatchError
    from openfeature.flag_evaluation import FlagResolutionDetails, FlagValueType, Reason
    from openfeature.provider import AbstractProvider, Metadata
except ImportError:
    raise MissingExtraError("openfeature", "the OpenFeature provider") from None

T = TypeVar("T")

_REASONS: Final[Mapping[AssignmentReason, Reason]] = {
    "assigned": Reason.SPLIT,
    "forced": Reason.TARGETING_MATCH,
    "no-unit": Reason.DEFAULT,
    "hold-out": Reason.DEFAULT,
    "namespace": Reason.DEFAULT,
    "targeting": Reason.DEFAULT,
    "not-running": Reason.DISABLED,
}


class SpecExperimentProvider(AbstractProvider):
    """Answers flags by the state in force, without I/O.

    The flag's key is the experiment's. As a boolean it says whether the variant is served, as a
    string ``control`` or ``variant``, as an object the arm's binding. The targeting key is the
    user; ``organisation`` and ``anonymous_id`` are attributes. Within a request that our middleware
    serves, a context without a targeting key asks for that request, whose outcome is then counted.

    What is not in force is no flag: the default of the caller is served, so let it be the control.
    A state in force that has gone stale serves the control.

    Args:
        in_force: What is rolled out.

    Examples:
        >>> from openfeature.api import get_client, set_provider
        >>> set_provider(SpecExperimentProvider(InForce(lambda: None, background=False)), "rollouts")
        >>> get_client("rollouts").get_boolean_value("invoice-2", default_value=False)
        False
    """

    def __init__(self, in_force: InForce) -> None:
        super().__init__()
        self.in_force = in_force

    def get_metadata(self) -> Metadata:
        """Return the provider's name."""
        return Metadata(name="evolution_lab")

    def shutdown(self) -> None:
        """Stop re-reading the state in force."""
        self.in_force.close()

    def resolve_boolean_details(
        self,
        flag_key: str,
        default_value: bool,  # noqa: ARG002, FBT001 - the interface is OpenFeature's
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[bool]:
        """Say whether the variant is served."""
        return self._resolve(flag_key, evaluation_context, lambda _, arm: arm == "variant")

    def resolve_string_details(
        self,
        flag_key: str,
        default_value: str,  # noqa: ARG002 - the interface is OpenFeature's
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[str]:
        """Say which arm is served."""
        return self._resolve(flag_key, evaluation_context, lambda _, arm: arm)

    def resolve_object_details(
        self,
        flag_key: str,
        default_value: Sequence[FlagValueType] | Mapping[str, FlagValueType],  # noqa: ARG002
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[Sequence[FlagValueType] | Mapping[str, FlagValueType]]:
        """Give the binding of the arm that is served: ``operation``, ``version``, ``handler``."""
        return self._resolve(flag_key, evaluation_context, _binding)

    def resolve_integer_details(
        self,
        flag_key: str,
        default_value: int,  # noqa: ARG002 - the interface is OpenFeature's
        evaluation_context: EvaluationContext | None = None,  # noqa: ARG002
    ) -> FlagResolutionDetails[int]:
        """Refuse: an experiment is no number."""
        raise _no_number(flag_key)

    def resolve_float_details(
        self,
        flag_key: str,
        default_value: float,  # noqa: ARG002 - the interface is OpenFeature's
        evaluation_context: EvaluationContext | None = None,  # noqa: ARG002
    ) -> FlagResolutionDetails[float]:
        """Refuse: an experiment is no number."""
        raise _no_number(flag_key)

    def _resolve(
        self,
        flag_key: str,
        asked: EvaluationContext | None,
        value_of: Callable[[SpecExperiment, str], T],
    ) -> FlagResolutionDetails[T]:
        found = self.in_force.named(flag_key)
        if found is None:
            raise FlagNotFoundError(f"no experiment {flag_key!r} is in force.")
        runner, fresh = found
        experiment = runner.experiment
        if not fresh:
            return FlagResolutionDetails(
                value=value_of(experiment, "control"), reason=Reason.STALE, variant="control"
            )
        assignment = _of_request(experiment, asked)
        if assignment is None:
            context = _context(asked)
            unit = resolve_unit(context, experiment.unit)
            known = attributes_of(context)
            assignment = runner.assign(None if unit is None else unit.id, known)
        return FlagResolutionDetails(
            value=value_of(experiment, assignment.arm),
            reason=_REASONS[assignment.reason],
            variant=assignment.arm,
            flag_metadata={
                "version": assignment.version,
                "label": assignment.label,
                "why": assignment.reason,
            },
        )


def _of_request(experiment: SpecExperiment, asked: EvaluationContext | None) -> Assignment | None:
    """Return what the request being served gets of an experiment, where it is that one's turn."""
    serving = current_serving()
    if serving is None or (asked is not None and asked.targeting_key):
        return None
    assignment = serving.assign(experiment.operation)
    own = (experiment.key, experiment.version)
    return assignment if assignment is not None and assignment[:2] == own else None


def _context(asked: EvaluationContext | None) -> HandlerContext:
    attributes: Mapping[str, Any] = {} if asked is None else asked.attributes
    organisation = attributes.get("organisation")
    return HandlerContext(
        user_id=(asked.targeting_key or None) if asked is not None else None,
        tenant_id=organisation if isinstance(organisation, str) else None,
        metadata=attributes,
    )


def _binding(experiment: SpecExperiment, arm: str) -> dict[str, Any]:
    binding = experiment.variant if arm == "variant" else experiment.control
    kept = ("operation", "version", "handler")
    return {name: value for name, value in asdict(binding).items() if name in kept}


def _no_number(flag_key: str) -> TypeMismatchError:
    return TypeMismatchError(
        f"experiment {flag_key!r} is asked for a number, must be asked for a boolean, a string or "
        "an object."
    )
