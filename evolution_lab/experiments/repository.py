"""Where experiments are kept: the rows, and the seam."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from evolution_lab.errors import ExperimentStateError
from evolution_lab.experiments.decisions import CountedOutcomes, Look, RolloutDecision
from evolution_lab.experiments.definition import ExperimentStatus, SpecExperiment
from evolution_lab.records.json_form import CAMEL_CASE

Identity = tuple[str, int]
"""Key and version of an experiment."""


@dataclass(frozen=True, kw_only=True)
class RegisteredExperiment:
    """An experiment and where it stands.

    Attributes:
        definition: What is tried; frozen once started.
        status: Its state.
        stage: The stage, counted from 0; kept where the experiment has ended.
        created_at: When it was registered, UTC.
        updated_at: When its state last changed, UTC.
        stage_since: When the present stage was entered, UTC; None before the start.
    """

    __pydantic_config__ = CAMEL_CASE

    definition: SpecExperiment
    status: ExperimentStatus = "draft"
    stage: int = 0
    created_at: datetime
    updated_at: datetime
    stage_since: datetime | None = None

    @property
    def identity(self) -> Identity:
        """Key and version."""
        return self.definition.key, self.definition.version


@dataclass(frozen=True, kw_only=True)
class HistoryEntry:
    """One thing that happened to an experiment; appended, never changed.

    Attributes:
        key: The experiment's key.
        version: Its version.
        at: When, UTC.
        actor: Who did it; ``controller`` for what the controller decided.
        action: What was done, such as ``start`` or ``advance``.
        reason: Why.
        payload: What it was decided on, JSON-ready: a decision with its evidence for instance.
        sequence: Counts the entries of an experiment from 1; given by the repository.
    """

    __pydantic_config__ = CAMEL_CASE

    key: str
    version: int
    at: datetime
    actor: str
    action: str
    reason: str = ""
    payload: Mapping[str, Any] = field(default_factory=dict)
    sequence: int = 0


@dataclass(frozen=True, kw_only=True)
class Lease:
    """Who leads: one controller at a time.

    Attributes:
        holder: Its name.
        until: When others may take over, UTC.
    """

    holder: str
    until: datetime


class ExperimentTable(Protocol):
    """Experiments, their history and their counts inside one transaction."""

    def get(self, key: str, version: int) -> RegisteredExperiment | None:
        """Return the experiment of exactly this key and version."""
        ...

    def select(self, status: ExperimentStatus | None = None) -> tuple[RegisteredExperiment, ...]:
        """Return the experiments of a state (all without), by key, then version."""
        ...

    def save(self, experiment: RegisteredExperiment) -> None:
        """Insert an experiment, or replace the row of its key and version."""
        ...

    def append(self, entry: HistoryEntry) -> HistoryEntry:
        """Add an entry after all of the same experiment; returns it with its ``sequence``."""
        ...

    def history(self, key: str, version: int) -> tuple[HistoryEntry, ...]:
        """Return what happened to an experiment, oldest first."""
        ...

    def put_counts(
        self, key: str, version: int, writer: str, sequence: int, outcomes: CountedOutcomes
    ) -> bool:
        """Put a writer's counts in the place of those it wrote before.

        Args:
            key: The experiment's key.
            version: Its version.
            writer: Who counted; nobody else writes this row.
            sequence: Grows with each writing of this writer; an older one changes nothing.
            outcomes: All that the writer has counted so far.

        Returns:
            Whether the row was written.
        """
        ...

    def counts(self, key: str, version: int) -> Mapping[str, CountedOutcomes]:
        """Return what each writer counted, by writer; ``repository_outcomes`` adds them up."""
        ...

    def append_look(self, look: Look, decision: RolloutDecision) -> None:
        """Keep a look and its decision; its ``number`` must be the one after the last."""
        ...

    def last_look(self, key: str, version: int) -> int:
        """Return the number of the last look, 0 before any."""
        ...

    def decision(self, key: str, version: int, number: int) -> RolloutDecision | None:
        """Return what was decided at a look."""
        ...

    def looks(self, key: str, version: int, *, after: int = 0) -> tuple[Look, ...]:
        """Return the looks with numbers greater than ``after``, in order."""
        ...

    def take_lease(self, holder: str, *, now: datetime, until: datetime) -> Lease:
        """Take or renew the lease where it is free, has run out or is the holder's own.

        Returns:
            The lease in force afterwards; another's ``holder`` says that it was not given.
        """
        ...

    def release_lease(self, holder: str) -> None:
        """Give the lease back, where it is the holder's."""
        ...

    def state(self) -> tuple[int, bytes] | None:
        """Return the revision and text of the state in force, None where none was published."""
        ...

    def put_state(self, revision: int, text: bytes) -> None:
        """Put the state in force in the place of the one before."""
        ...


class ExperimentRepository(Protocol):
    """Keeps experiments; implement it to keep them somewhere else.

    All rules live in the registry. A repository promises only that what runs inside a transaction
    is done whole or, after an exception, not at all, and that no other transaction runs in between.
    """

    def transaction(self) -> AbstractContextManager[ExperimentTable]:
        """Open a transaction: committed at the end, rolled back by an exception."""
        ...


def check_number(look: Look, looks_before: int) -> None:
    """Do nothing where a look is the one after the last.

    Raises:
        ExperimentStateError: It is not: two controllers looked at once.
    """
    if look.number != looks_before + 1:
        raise ExperimentStateError(
            f"look {look.number} was to follow look {looks_before}; another controller looks at "
            "the same experiment."
        )
