"""What a lab rolls out: experiments, drafted from suggestions and registered."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import polars as pl

from evolution_lab.errors import UnknownNameError
from evolution_lab.experiments import (
    ControlCounts,
    Guardrail,
    RegisteredExperiment,
    SpecExperiment,
    SpecExperimentRegistry,
    control_counts,
)
from evolution_lab.experiments.from_suggestion import draft_experiment
from evolution_lab.experiments.operating_characteristics import RecentTraffic
from evolution_lab.lab.exploring import LabExploration
from evolution_lab.suggestions import SpecGenerator, control_of


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
