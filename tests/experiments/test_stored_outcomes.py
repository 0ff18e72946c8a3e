"""A lab's counts reach the shared table once, however often they are stored."""

from __future__ import annotations

from datetime import UTC, datetime

from evolution_lab.experiments import Binding, InMemoryExperimentRepository, SpecExperiment
from evolution_lab.experiments.outcome_files import OutcomeWriter, merged_counts, outcomes_folder
from evolution_lab.experiments.stored_outcomes import store_outcomes, stored_outcomes
from evolution_lab.experiments.tallies import tallies

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
ARM = {"operation": "checkout"}
EXPERIMENT = SpecExperiment(
    key="try",
    operation="checkout",
    control=Binding(version="1", **ARM),
    variant=Binding(version="2", **ARM),
)


def count(data, writer: str, unit: int) -> None:
    folder = outcomes_folder(data, EXPERIMENT)
    OutcomeWriter(folder, writer).add(tallies([(0, 1, unit, 2, 1, 0, 0, 0)]), NOW)


def test_storing_twice_is_storing_once(tmp_path):
    repository = InMemoryExperimentRepository()
    read = stored_outcomes(repository, tmp_path, writer="one")
    assert not store_outcomes(repository, tmp_path, EXPERIMENT)
    count(tmp_path, "0" * 16, 1)
    assert store_outcomes(repository, tmp_path, EXPERIMENT, writer="one")
    assert not store_outcomes(repository, tmp_path, EXPERIMENT, writer="one")
    assert read(EXPERIMENT) == merged_counts(tmp_path, EXPERIMENT)
    count(tmp_path, "1" * 16, 1)  # The same user, in another process.
    found = read(EXPERIMENT)
    assert found == merged_counts(tmp_path, EXPERIMENT)
    assert found.counts.stages[0].variant.units == 1
    assert found.counts.stages[0].variant.request_squares == 16


def test_labs_of_several_machines_add_up(tmp_path):
    repository = InMemoryExperimentRepository()
    for name in ("one", "two"):
        count(tmp_path / name, "0" * 16, 1)
        store_outcomes(repository, tmp_path / name, EXPERIMENT, writer=name)
    found = stored_outcomes(repository, tmp_path / "one", writer="one")(EXPERIMENT)
    assert found.counts.stages[0].variant.requests == 4
    assert found.newest == NOW
