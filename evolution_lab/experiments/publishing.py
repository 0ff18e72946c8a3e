"""Between processes: the state in force goes out to those that serve, their counts come in."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from evolution_lab.errors import CorruptFileError, ExperimentStateError, FormatVersionError
from evolution_lab.experiments.counters import RolloutCounts, merged
from evolution_lab.experiments.decisions import CountedOutcomes
from evolution_lab.experiments.definition import ExperimentStatus, SpecExperiment
from evolution_lab.experiments.in_force import (
    LARGEST,
    ExperimentInForce,
    Source,
    StateInForce,
    read_state,
    write_state,
)
from evolution_lab.experiments.repository import (
    ExperimentRepository,
    ExperimentTable,
    RegisteredExperiment,
)
from evolution_lab.records import to_json

ACTIVE: Final[frozenset[ExperimentStatus]] = frozenset({"running", "paused"})
_STALE_AFTER: Final = timedelta(minutes=3)


def publish_state(
    table: ExperimentTable,
    state_file: Path | None,
    *,
    at: datetime,
    interval: timedelta | None = None,
) -> StateInForce:
    """Write the state in force into the repository and, where there is one, its file.

    Call it inside the transaction that changed something: files are then replaced in the order of
    their revisions, which never go back.

    Args:
        table: Of the open transaction.
        state_file: Where serving processes of this machine read it.
        at: When, UTC.
        interval: How often the caller does this: the document is good for three times as long.

    Raises:
        ExperimentStateError: It would be larger than readers take.
    """
    served = _served(table.select())
    limits = [e.definition.serving_stale_after for e in served if e.status in ACTIVE]
    if interval is not None:
        limits.append(3 * interval)
    row = table.state()
    state = StateInForce(
        revision=max(0 if row is None else row[0], _revision_of(state_file)) + 1,
        written_at=at,
        stale_after=min(limits, default=_STALE_AFTER),
        experiments=tuple(
            ExperimentInForce(experiment=e.definition, status=e.status, stage=e.stage)
            for e in served
        ),
    )
    text = to_json(state)
    if len(text) > LARGEST:
        raise ExperimentStateError(
            f"the state in force would have {len(text)} bytes, must be <= {LARGEST}: end an "
            "experiment, or bind versions that the runtime has registered in place of whole specs."
        )
    table.put_state(state.revision, text)
    if state_file is not None:
        write_state(state_file, state)
    return state


def repository_outcomes(
    repository: ExperimentRepository,
) -> Callable[[SpecExperiment], CountedOutcomes]:
    """Return what reads the outcomes of an experiment, all writers together, for the controller."""

    def read(experiment: SpecExperiment) -> CountedOutcomes:
        with repository.transaction() as table:
            shards = table.counts(experiment.key, experiment.version).values()
        empty = RolloutCounts.empty(stage.share for stage in experiment.stages)
        return CountedOutcomes(
            counts=merged([empty, *(shard.counts for shard in shards)]),
            newest=max((s.newest for s in shards if s.newest is not None), default=None),
        )

    return read


def repository_source(repository: ExperimentRepository) -> Source:
    """Return what reads the state in force from a repository, for ``InForce``.

    With one database on several machines; on one machine ``file_source`` locks nobody out.
    """

    def read() -> bytes | None:
        with repository.transaction() as table:
            row = table.state()
        return None if row is None else row[1]

    return read


def _served(experiments: tuple[RegisteredExperiment, ...]) -> list[RegisteredExperiment]:
    """Return those that serving processes must know, those that run first.

    Of completed ones the latest on each operation: what was completed before was its control.
    """
    served = [e for e in experiments if e.status in ACTIVE]
    completed = {
        e.definition.operation: e
        for e in sorted(experiments, key=lambda e: (e.updated_at, e.identity))
        if e.status == "completed"
    }
    return [*served, *(completed[operation] for operation in sorted(completed))]


def _revision_of(state_file: Path | None) -> int:
    """Return the revision of the document that is there: readers never go back behind it."""
    if state_file is None:
        return 0
    try:
        return read_state(state_file.read_bytes()).revision
    except FileNotFoundError:
        return 0
    except (CorruptFileError, FormatVersionError):
        return 0  # Serving processes refuse it, too.
