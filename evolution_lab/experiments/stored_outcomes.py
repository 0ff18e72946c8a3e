"""Outcomes on their way to the controller: this lab's files into the shared table, and its sum back."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

from evolution_lab.experiments.decisions import CountedOutcomes
from evolution_lab.experiments.definition import SpecExperiment
from evolution_lab.experiments.outcome_files import merged_counts
from evolution_lab.experiments.publishing import repository_outcomes
from evolution_lab.experiments.repository import ExperimentRepository


def store_outcomes(
    repository: ExperimentRepository,
    data: Path,
    experiment: SpecExperiment,
    *,
    writer: str | None = None,
) -> bool:
    """Put what a lab directory has counted of an experiment into ``spec_experiment_metrics``.

    The lab's row is replaced by its newer self, so doing this twice, or from two processes, changes
    nothing. Machines that share a database but no directory call it each, with names of their own:
    their requests add up; a user whom two of them serve is then two units.

    Args:
        repository: Where experiments are kept.
        data: The lab directory that processes count into.
        experiment: The definition.
        writer: The lab directory's name in the table; the machine's without one.

    Returns:
        Whether there was anything new.
    """
    found = merged_counts(data, experiment)
    requests = sum(
        arm.requests for stage in found.counts.stages for arm in (stage.control, stage.variant)
    )
    if not requests:
        return False
    with repository.transaction() as table:
        return table.put_counts(
            experiment.key,
            experiment.version,
            writer or socket.gethostname(),
            requests,  # Grows with everything that is counted, and with nothing else.
            found,
        )


def stored_outcomes(
    repository: ExperimentRepository, data: Path, *, writer: str | None = None
) -> Callable[[SpecExperiment], CountedOutcomes]:
    """Return what ``SpecExperimentController`` asks: the lab's files stored, all labs added up.

    Args:
        repository: Where experiments are kept.
        data: The lab directory that processes of this machine count into.
        writer: Its name in the table; the machine's without one.

    Examples:
        >>> from evolution_lab.experiments import Binding, InMemoryExperimentRepository
        >>> arm = {"operation": "checkout"}
        >>> experiment = SpecExperiment(key="try", operation="checkout",
        ...     control=Binding(version="1", **arm), variant=Binding(version="2", **arm))
        >>> read = stored_outcomes(InMemoryExperimentRepository(), Path("no/such/lab"))
        >>> print(read(experiment).newest)
        None
    """
    total = repository_outcomes(repository)

    def read(experiment: SpecExperiment) -> CountedOutcomes:
        store_outcomes(repository, data, experiment, writer=writer)
        return total(experiment)

    return read
