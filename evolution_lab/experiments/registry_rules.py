"""The rules that a definition keeps before it is taken in, and before it starts."""

from __future__ import annotations

from evolution_lab.errors import (
    AmbiguousNameError,
    ExperimentStateError,
    FrozenDefinitionError,
    InvalidExperimentError,
    MissingNoteError,
    MissingReviewerError,
    UnknownNameError,
)
from evolution_lab.experiments.boundary_check import BoundaryFinding
from evolution_lab.experiments.definition import SpecExperiment
from evolution_lab.experiments.publishing import ACTIVE
from evolution_lab.experiments.repository import ExperimentTable, RegisteredExperiment


def find_experiment(table: ExperimentTable, key: str, version: int | None) -> RegisteredExperiment:
    """Return an experiment: of a version, or the one that runs, or the latest.

    Raises:
        UnknownNameError: There is none; says the nearest known key.
        AmbiguousNameError: Two versions of it run.
    """
    if version is not None:
        return _one(table, key, version)
    active = [e for e in _versions(table, key) if e.status in ACTIVE]
    if len(active) > 1:
        raise AmbiguousNameError(
            "experiment", key, [f"{key}@{e.definition.version}" for e in active]
        )
    return active[0] if active else latest_version(table, key)


def _versions(table: ExperimentTable, key: str) -> list[RegisteredExperiment]:
    every = table.select()
    found = [e for e in every if e.definition.key == key]
    if not found:
        raise UnknownNameError("experiment", key, sorted({e.definition.key for e in every}))
    return found


def latest_version(table: ExperimentTable, key: str) -> RegisteredExperiment:
    """Return the latest version of an experiment."""
    return _versions(table, key)[-1]


def _one(table: ExperimentTable, key: str, version: int) -> RegisteredExperiment:
    found = table.get(key, version)
    if found is None:
        known = [f"{key}@{e.definition.version}" for e in _versions(table, key)]
        raise UnknownNameError("experiment", f"{key}@{version}", known)
    return found


def check_version(
    table: ExperimentTable,
    definition: SpecExperiment,
    before: RegisteredExperiment | None,
) -> None:
    """Do nothing where a definition may be taken in under its version.

    Raises:
        FrozenDefinitionError: That version was started.
        InvalidExperimentError: The version goes back.
    """
    latest = max(
        (e.definition.version for e in table.select() if e.definition.key == definition.key),
        default=0,
    )
    if before is not None and before.status != "draft":
        raise FrozenDefinitionError(
            f"experiment {definition.key!r} version {definition.version} is {before.status}, "
            "its definition is frozen; register the change with "
            f"version = {latest + 1}."
        )
    if before is None and definition.version < latest:
        raise InvalidExperimentError(
            f"version == {definition.version} of {definition.key!r}, must be > {latest}."
        )


def check_kept_apart(table: ExperimentTable, definition: SpecExperiment) -> None:
    """Do nothing where no unit would be in two experiments on one operation.

    Raises:
        ExperimentStateError: Another one is under way there without a namespace between them.
    """
    for other in table.select():
        theirs = other.definition
        if other.status not in ACTIVE or theirs.operation != definition.operation:
            continue
        mine, its = definition.namespace, theirs.namespace
        apart = (
            mine is not None
            and its is not None
            and mine.name == its.name
            and (mine.end <= its.start or its.end <= mine.start)
        )
        if not apart or theirs.key == definition.key:
            raise ExperimentStateError(
                f"experiment {definition.key!r} cannot start: {theirs.key!r} version "
                f"{theirs.version} is {other.status} on {theirs.operation!r}. End that one, or "
                "give both a namespace of one name with ranges that do not overlap."
            )


def refuse_broken(definition: SpecExperiment, findings: tuple[BoundaryFinding, ...]) -> None:
    """Do nothing where the control breaks none of the boundaries.

    Raises:
        InvalidExperimentError: It does; says what would be accepted.
    """
    broken = [finding.sentence for finding in findings if finding.verdict == "broken"]
    if broken:
        raise InvalidExperimentError(f"experiment {definition.key!r}: {' '.join(broken)}")


def check_actor(actor: str, step: str) -> None:
    """Do nothing where a step names who takes it."""
    if not actor.strip():
        raise MissingReviewerError(f"{step} needs the name of who does it; it was {actor!r}.")


def check_reason(reason: str, step: str) -> None:
    """Do nothing where a step says why."""
    if not reason.strip():
        raise MissingNoteError(f"{step} needs a reason; it was {reason!r}.")
