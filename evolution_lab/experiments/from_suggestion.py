"""From an approved suggestion to the draft of its rollout."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from pydantic.alias_generators import to_camel

from evolution_lab.config import EvolutionConfig
from evolution_lab.contracts import OperationSpec
from evolution_lab.errors import DecisionError
from evolution_lab.experiments.boundary_check import ControlCounts
from evolution_lab.experiments.definition import (
    Binding,
    Guardrail,
    SpecExperiment,
    Stage,
    experiment_from,
)
from evolution_lab.records import SpecSuggestion, to_python

_NOT_IN_KEYS: Final = re.compile(r"[^A-Za-z0-9_.:]+")
_LONGEST_SLUG: Final = 80
_FALLBACKS: Final = 0.01


def draft_experiment(
    suggestion: SpecSuggestion,
    control: OperationSpec,
    variant: OperationSpec,
    *,
    config: EvolutionConfig,
    recent: ControlCounts | None = None,
    settings: Mapping[str, Any] | None = None,
) -> SpecExperiment:
    """Return the experiment that tries an approved suggestion beside the spec in force.

    Stages, boundaries and ``alpha`` are those of the settings for its operation; the control's
    99th percentile becomes the latency guardrail's reference where it is known.

    Args:
        suggestion: What was approved.
        control: The spec in force.
        variant: The same with the suggestion applied (``SpecGenerator.generate_variant``).
        config: The settings in force.
        recent: What the control did lately.
        settings: Settings of the experiment that win over the drafted ones, as a file has them.

    Raises:
        DecisionError: The suggestion is not approved.
        InvalidExperimentError: A setting breaks a rule.
    """
    if suggestion.status != "approved":
        raise DecisionError(
            f"suggestion {suggestion.id[:8]} is {suggestion.status}, must be approved to be rolled "
            "out."
        )
    own = config.for_operation(control.key)
    boundary = own.latency_p99_boundary_ms
    seen = None if recent is None else recent.p99_ms
    reference = seen if seen is not None and 0 < seen <= boundary else None
    drafted = SpecExperiment(
        key=f"{_slug(control.key)}-{suggestion.id[:8]}",
        operation=control.key,
        control=Binding(operation=control.key, version=control.version, spec=control),
        variant=Binding(operation=control.key, version=variant.version, spec=variant),
        stages=tuple(Stage(share=share) for share in own.rollout_stages),
        guardrails=(
            Guardrail(metric="error_rate", boundary=own.error_rate_boundary),
            Guardrail(metric="latency_p99", boundary=boundary, reference=reference),
            Guardrail(metric="fallback_rate", boundary=_FALLBACKS),
        ),
        alpha=own.alpha,
        suggestion_id=suggestion.id,
    )
    if not settings:
        return drafted
    stated = {to_camel(name): value for name, value in settings.items()}
    return experiment_from({**to_python(drafted), **stated, "suggestionId": suggestion.id})


def _slug(key: str) -> str:
    return _NOT_IN_KEYS.sub("-", key)[:_LONGEST_SLUG].strip("-_.:") or "experiment"
