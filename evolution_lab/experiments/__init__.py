"""Rollouts: takes spec variants and outcomes, gives assignments, decisions and stages.

``SpecExperiment`` says what is tried, on whom, in which stages and within which guardrails.
``SpecExperimentRunner`` says which arm a unit gets, by hashes that GrowthBook, Unleash and flagd share.
"""

from evolution_lab.experiments.assignment import (
    Assignment,
    AssignmentReason,
    SpecExperimentRunner,
)
from evolution_lab.experiments.definition import (
    DEFAULT_GUARDRAILS,
    DEFAULT_STAGES,
    TRANSITIONS,
    Arm,
    Binding,
    ExperimentStatus,
    Guardrail,
    GuardrailMetric,
    HashAlgorithm,
    Namespace,
    SpecExperiment,
    Stage,
    UnitKind,
    check_transition,
    experiment_from,
    load_experiment,
)
from evolution_lab.experiments.units import ANONYMOUS_ID, Unit, attributes_of, resolve_unit

__all__ = [
    "ANONYMOUS_ID",
    "DEFAULT_GUARDRAILS",
    "DEFAULT_STAGES",
    "TRANSITIONS",
    "Arm",
    "Assignment",
    "AssignmentReason",
    "Binding",
    "ExperimentStatus",
    "Guardrail",
    "GuardrailMetric",
    "HashAlgorithm",
    "Namespace",
    "SpecExperiment",
    "SpecExperimentRunner",
    "Stage",
    "Unit",
    "UnitKind",
    "attributes_of",
    "check_transition",
    "experiment_from",
    "load_experiment",
    "resolve_unit",
]
