"""What can be asked of the experiments that are kept."""

from __future__ import annotations

from dataclasses import dataclass

from evolution_lab.experiments.controller import RolloutState
from evolution_lab.experiments.decisions import Look
from evolution_lab.experiments.definition import ExperimentStatus
from evolution_lab.experiments.registry_rules import find_experiment
from evolution_lab.experiments.repository import (
    ExperimentRepository,
    HistoryEntry,
    RegisteredExperiment,
)


@dataclass(frozen=True)
class ExperimentReadings:
    """The reading half of ``SpecExperimentRegistry``.

    Attributes:
        repository: Where experiments are kept.
    """

    repository: ExperimentRepository

    def get(self, key: str, *, version: int | None = None) -> RegisteredExperiment:
        """Return an experiment: of a version, or the one under way, or the latest.

        Raises:
            UnknownNameError: There is none; says the nearest known key.
            AmbiguousNameError: Two versions of it are under way.
        """
        with self.repository.transaction() as table:
            return find_experiment(table, key, version)

    def list(self, status: ExperimentStatus | None = None) -> tuple[RegisteredExperiment, ...]:
        """Return the experiments of a state (all without), by key, then version."""
        with self.repository.transaction() as table:
            return table.select(status)

    def history(self, key: str, *, version: int | None = None) -> tuple[HistoryEntry, ...]:
        """Return what happened to an experiment, oldest first."""
        with self.repository.transaction() as table:
            return table.history(*find_experiment(table, key, version).identity)

    def looks(self, key: str, *, version: int | None = None) -> tuple[Look, ...]:
        """Return what was seen at each look: ``replay`` decides from it again."""
        with self.repository.transaction() as table:
            return table.looks(*find_experiment(table, key, version).identity)

    def under_way(self) -> tuple[RolloutState, ...]:
        """Return what the controller looks at: experiments that run, by key."""
        with self.repository.transaction() as table:
            return tuple(
                RolloutState(
                    experiment=e.definition,
                    status=e.status,
                    stage=e.stage,
                    entered_at=e.stage_since or e.updated_at,
                    looks=table.last_look(*e.identity),
                )
                for e in table.select("running")
            )
