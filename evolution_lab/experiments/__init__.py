"""Rollouts: takes spec variants and outcomes, gives assignments, decisions and stages.

``SpecExperiment`` says what is tried, on whom, in which stages and within which guardrails.
``SpecExperimentRunner`` says which arm a unit gets, by hashes that GrowthBook, Unleash and flagd share.
``InForce`` is what serving processes know of a rollout; ``create_spec_variant_resolver`` plugs it into
the runtime of ``contracts``, ``current_variant`` answers a service with a framework of its own.
``SpecExperimentAnalyzer`` says what counted outcomes prove; ``SpecExperimentController`` advances, holds
and rolls back by it. ``SpecExperimentRegistry`` keeps experiments, their state and their history.
"""

from evolution_lab.experiments.adapter import SpecExperimentAdapter
from evolution_lab.experiments.analysis import ExperimentAnalysis, GuardrailResult
from evolution_lab.experiments.analyzer import SpecExperimentAnalyzer
from evolution_lab.experiments.assignment import (
    Assignment,
    AssignmentReason,
    SpecExperimentRunner,
)
from evolution_lab.experiments.boundary_check import (
    BoundaryFinding,
    ControlCounts,
    check_boundaries,
    control_counts,
)
from evolution_lab.experiments.controller import (
    RolloutRegistry,
    RolloutState,
    SpecExperimentController,
)
from evolution_lab.experiments.counters import ArmCounts, RolloutCounts, StageCounts, merged
from evolution_lab.experiments.decisions import (
    CountedOutcomes,
    Look,
    RolloutDecision,
    decide,
    replay,
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
from evolution_lab.experiments.duckdb_repository import DuckDBExperimentRepository
from evolution_lab.experiments.in_force import (
    STATE_IN_FORCE,
    ExperimentInForce,
    InForce,
    StateInForce,
    file_source,
    read_state,
    write_state,
)
from evolution_lab.experiments.memory_repository import InMemoryExperimentRepository
from evolution_lab.experiments.outcome_files import counted_in, merged_counts
from evolution_lab.experiments.postgres_repository import PostgresExperimentRepository
from evolution_lab.experiments.publishing import repository_outcomes, repository_source
from evolution_lab.experiments.registry import SpecExperimentRegistry
from evolution_lab.experiments.repository import (
    ExperimentRepository,
    ExperimentTable,
    HistoryEntry,
    Lease,
    RegisteredExperiment,
)
from evolution_lab.experiments.resolver import (
    Serving,
    create_spec_variant_resolver,
    current_variant,
    fell_back,
    serve,
)
from evolution_lab.experiments.stored_outcomes import store_outcomes, stored_outcomes
from evolution_lab.experiments.telemetry_outcomes import outcomes_from_telemetry, stages_entered
from evolution_lab.experiments.units import ANONYMOUS_ID, Unit, attributes_of, resolve_unit

__all__ = [
    "ANONYMOUS_ID",
    "DEFAULT_GUARDRAILS",
    "DEFAULT_STAGES",
    "STATE_IN_FORCE",
    "TRANSITIONS",
    "Arm",
    "ArmCounts",
    "Assignment",
    "AssignmentReason",
    "Binding",
    "BoundaryFinding",
    "ControlCounts",
    "CountedOutcomes",
    "DuckDBExperimentRepository",
    "ExperimentAnalysis",
    "ExperimentInForce",
    "ExperimentRepository",
    "ExperimentStatus",
    "ExperimentTable",
    "Guardrail",
    "GuardrailMetric",
    "GuardrailResult",
    "HashAlgorithm",
    "HistoryEntry",
    "InForce",
    "InMemoryExperimentRepository",
    "Lease",
    "Look",
    "Namespace",
    "PostgresExperimentRepository",
    "RegisteredExperiment",
    "RolloutCounts",
    "RolloutDecision",
    "RolloutRegistry",
    "RolloutState",
    "Serving",
    "SpecExperiment",
    "SpecExperimentAdapter",
    "SpecExperimentAnalyzer",
    "SpecExperimentController",
    "SpecExperimentRegistry",
    "SpecExperimentRunner",
    "Stage",
    "StageCounts",
    "StateInForce",
    "Unit",
    "UnitKind",
    "attributes_of",
    "check_boundaries",
    "check_transition",
    "control_counts",
    "counted_in",
    "create_spec_variant_resolver",
    "current_variant",
    "decide",
    "experiment_from",
    "fell_back",
    "file_source",
    "load_experiment",
    "merged",
    "merged_counts",
    "outcomes_from_telemetry",
    "read_state",
    "replay",
    "repository_outcomes",
    "repository_source",
    "resolve_unit",
    "serve",
    "stages_entered",
    "store_outcomes",
    "stored_outcomes",
    "write_state",
]
