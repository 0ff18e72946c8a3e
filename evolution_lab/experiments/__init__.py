"""Rollouts: takes spec variants and outcomes, gives assignments, decisions and stages.

``SpecExperiment`` says what is tried, on whom, in which stages and within which guardrails.
"""

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

__all__ = [
    "DEFAULT_GUARDRAILS",
    "DEFAULT_STAGES",
    "TRANSITIONS",
    "Arm",
    "Binding",
    "ExperimentStatus",
    "Guardrail",
    "GuardrailMetric",
    "HashAlgorithm",
    "Namespace",
    "SpecExperiment",
    "Stage",
    "UnitKind",
    "check_transition",
    "experiment_from",
    "load_experiment",
]
