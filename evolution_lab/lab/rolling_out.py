"""What a lab rolls out: experiments, drafted from suggestions and registered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from evolution_lab.errors import UnknownNameError
from evolution_lab.experiments import (
    ControlCounts,
    ExperimentAnalysis,
    Guardrail,
    RegisteredExperiment,
    RolloutDecision,
    SpecExperiment,
    SpecExperimentAnalyzer,
    SpecExperimentController,
    SpecExperimentRegistry,
    control_counts,
    replay,
)
from evolution_lab.experiments.adoption import realised_effect
from evolution_lab.experiments.analyzer import harmful_among
from evolution_lab.experiments.arm_quantiles import ArmQuantiles, arm_quantiles
from evolution_lab.experiments.controller import CONTROLLER
from evolution_lab.experiments.from_suggestion import draft_experiment
from evolution_lab.experiments.operating_characteristics import RecentTraffic
from evolution_lab.experiments.stored_outcomes import stored_outcomes
from evolution_lab.experiments.telemetry_outcomes import (
    executions,
    outcomes_from_telemetry,
    stages_entered,
)
from evolution_lab.lab.exploring import LabExploration
from evolution_lab.suggestions import SpecGenerator, control_of


@dataclass(frozen=True)
class _Publishing:
    """The registry, writing for how long a controller that looks this often is believed."""

    registry: SpecExperimentRegistry
    interval: timedelta

    def __getattr__(self, name: str) -> Any:
        return getattr(self.registry, name)

    def publish(self, *, at: datetime) -> object:
        """Write the state in force, good for three intervals."""
        return self.registry.publish(at=at, interval=self.interval)


class LabRollouts(LabExploration):
    """Experiments of a lab; see ``Lab``."""

    @property
    def experiments(self) -> SpecExperimentRegistry:
        """The registry of the lab's experiments, which writes its state in force."""
        return SpecExperimentRegistry.in_lab(self.data, state_url=self.config.state_url)

    def draft_experiment(
        self, suggestion_id: str, *, settings: Mapping[str, Any] | None = None
    ) -> SpecExperiment:
        """Return the experiment that tries an approved suggestion; nothing is registered yet.

        Args:
            suggestion_id: The id or an unambiguous beginning of it.
            settings: Settings of the experiment that win over the drafted ones.

        Raises:
            UnknownNameError: No suggestion has this id.
            DecisionError: It is not approved.
            InapplicableEditError: There is no spec to apply it to, or the spec has changed since.
        """
        suggestion, specs = self.suggestion(suggestion_id), self.specs()
        control = control_of(suggestion, specs)
        boundary = self.config.for_operation(control.key).latency_p99_boundary_ms
        guardrail = Guardrail(metric="latency_p99", boundary=boundary)
        return draft_experiment(
            suggestion,
            control,
            SpecGenerator(self.config).generate_variant(suggestion, specs),
            config=self.config,
            recent=self._recent(control.key, (guardrail,)),
            settings=settings,
        )

    def register_experiment(
        self, definition: SpecExperiment, *, actor: str, reason: str = ""
    ) -> RegisteredExperiment:
        """Take a definition in as a draft, where the control keeps its boundaries.

        What the operation did in its last seven days is compared with each absolute boundary. The
        suggestion that it was drafted from, and the experiment, each say of the other.

        Args:
            definition: What is to be tried.
            actor: Who registers it.
            reason: Why.

        Raises:
            InvalidExperimentError: A boundary is broken by the control already, or the definition
                breaks another rule.
            FrozenDefinitionError: That version was started with another content.
            DecisionError: Its suggestion is not approved.
        """
        suggestion = None
        notes: dict[str, Any] = {}
        if definition.suggestion_id is not None:
            suggestion = self.suggestion(definition.suggestion_id)
            notes["suggestion"] = {"id": suggestion.id, "revision": suggestion.revision}
        registered = self.experiments.register(
            definition,
            actor=actor,
            reason=reason,
            recent=self._recent(definition.operation, definition.guardrails),
            payload=notes,
        )
        if suggestion is not None:
            named = f"{definition.key}@{definition.version}"
            self._orchestrator().link_experiment(suggestion.id, named)
        return registered

    def rollout_controller(
        self, *, interval: timedelta = timedelta(minutes=1)
    ) -> tuple[SpecExperimentController, Callable[[], None]]:
        """Return what looks at the lab's rollouts, and what gives its lease back at the end.

        A completed rollout marks the suggestion that it was drafted from ``adopted``, with the effect
        that was measured.

        Args:
            interval: How often it is going to look; serving processes believe it for three times
                as long.
        """
        registry = self.experiments
        read = stored_outcomes(registry.repository, self.data)

        def adopt(experiment: SpecExperiment, decision: RolloutDecision) -> None:
            if decision.action == "complete" and experiment.suggestion_id is not None:
                effect = realised_effect(experiment, read(experiment).counts)
                self._orchestrator().adopt(experiment.suggestion_id, realised_effect=effect)
                registry.note(
                    experiment.key,
                    "adopt",
                    actor=CONTROLLER,
                    payload={"suggestion": experiment.suggestion_id, "realisedEffect": effect},
                )

        controller = SpecExperimentController(
            _Publishing(registry, interval), read, on_advance=[adopt]
        )
        return controller, lambda: registry.release(controller.holder)

    def rollout_decisions(
        self, key: str, *, version: int | None = None
    ) -> tuple[RolloutDecision, ...]:
        """Return what each look at a rollout led to, decided again from what was seen then."""
        registry = self.experiments
        definition = registry.get(key, version=version).definition
        return replay(definition, registry.looks(key, version=version))

    def evaluate_experiment(
        self, key: str, *, version: int | None = None, from_telemetry: bool = False
    ) -> ExperimentAnalysis:
        """Say what outcomes so far prove of an experiment, and do nothing about it.

        Args:
            key: The experiment.
            version: The one under way, or the latest, without it.
            from_telemetry: Count landed spans that say which arm served them, each once, instead of
                what processes counted.

        Raises:
            UnknownNameError: There is no such experiment.
        """
        registry = self.experiments
        found = registry.get(key, version=version)
        definition = found.definition
        if from_telemetry:
            entered = stages_entered(registry.history(key, version=version))
            counted = outcomes_from_telemetry(self.samples(), definition, entered)
        else:
            counted = stored_outcomes(registry.repository, self.data)(definition)
        return SpecExperimentAnalyzer(definition).analyse(counted.counts, stage=found.stage)

    def experiment_durations(self, key: str, *, version: int | None = None) -> ArmQuantiles:
        """Return how long the landed executions of both arms took, with confidence sequences.

        Args:
            key: The experiment.
            version: The one under way, or the latest, without it.

        Raises:
            UnknownNameError: There is no such experiment.
            InputError: It was never started.
        """
        registry = self.experiments
        definition = registry.get(key, version=version).definition
        entered = stages_entered(registry.history(key, version=version))
        return arm_quantiles(executions(self.samples(), definition, entered))

    def harmful_experiments(self, *, alpha: float = 0.05) -> tuple[str, ...]:
        """Return which rollouts under way do harm, with a false discovery rate of ``alpha``."""
        running = self.experiments.list("running")
        analyses = [self.evaluate_experiment(each.definition.key) for each in running]
        return harmful_among(analyses, alpha=alpha)

    def recent_traffic(self, operation: str) -> RecentTraffic | None:
        """Return what an operation did in the last seven days of the lake; None where nothing.

        Args:
            operation: Its key, or its ``operationId``.
        """
        counts = self._recent(operation, ())
        if counts is None or not counts.calls or counts.p99_ms is None:
            return None
        times = self.samples().select(pl.col("timestamp").max() - pl.col("timestamp").min())
        span: timedelta = times.collect().item()
        days = min(max(span / timedelta(days=1), 1 / 24), 7.0)
        return RecentTraffic(
            requests_per_day=counts.calls / days,
            error_rate=counts.failed / counts.judged if counts.judged else 0.0,
            p99_ms=counts.p99_ms,
        )

    def _recent(self, operation: str, guardrails: tuple[Guardrail, ...]) -> ControlCounts | None:
        if not self.lake.live_files("samples"):
            return None
        try:
            keys = {key for _, key in self.specs().keys_of(operation)}
        except UnknownNameError:
            keys = set()
        return control_counts(self.samples(), sorted(keys | {operation}), guardrails)
