"""What a report says of rollouts: where each stands, what was decided last and by which evidence."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from evolution_lab.experiments import RegisteredExperiment, RolloutDecision
from evolution_lab.export.sparkline import sparkline_text
from evolution_lab.records import to_python

HEADINGS = ("Experiment", "Operation", "State", "Stage", "Evidence of harm", "Decided last")


@dataclass(frozen=True, kw_only=True)
class RolloutContent:
    """One rollout as a report tells it.

    Attributes:
        experiment: Its definition and state.
        decisions: What each look led to, oldest first.
    """

    experiment: RegisteredExperiment
    decisions: tuple[RolloutDecision, ...] = ()

    @property
    def last(self) -> RolloutDecision | None:
        """The last decision, None before any look."""
        return self.decisions[-1] if self.decisions else None

    def row(self) -> tuple[str, ...]:
        """Return what a table says of it, under ``HEADINGS``."""
        definition, last = self.experiment.definition, self.last
        stages = definition.stages
        share = stages[self.experiment.stage].share
        return (
            f"{definition.key}@{definition.version}",
            definition.operation,
            self.experiment.status.replace("_", " "),
            f"{self.experiment.stage + 1} of {len(stages)} ({share:.4g})",
            self.evidence(),
            "no look yet" if last is None else f"{last.action.replace('_', ' ')}: {last.reason}",
        )

    def evidence(self) -> str:
        """Return how the evidence of harm went, and what it is now, as odds."""
        if self.last is None:
            return "–"
        odds = [each.analysis.log_e_harm for each in self.decisions]
        now = math.exp(min(odds[-1], 50.0))
        drawn = sparkline_text([max(value, 0.0) for value in odds])
        return f"{drawn} {now:.3g} to 1".strip()

    def document(self) -> dict[str, Any]:
        """Return the same as JSON-ready values."""
        last = None if self.last is None else to_python(self.last)
        return {"experiment": to_python(self.experiment), "lastDecision": last}
