"""Where experiments are kept: the rows, the seam, and the repository of tests and trials."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
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


@dataclass
class _MemoryTable:
    experiments: dict[Identity, RegisteredExperiment] = field(default_factory=dict)
    entries: tuple[HistoryEntry, ...] = ()
    written: dict[tuple[str, int, str], tuple[int, CountedOutcomes]] = field(default_factory=dict)
    seen: dict[Identity, tuple[tuple[Look, RolloutDecision], ...]] = field(default_factory=dict)
    lease: Lease | None = None
    published: tuple[int, bytes] | None = None

    def copy(self) -> _MemoryTable:
        return replace(
            self,
            experiments=dict(self.experiments),
            written=dict(self.written),
            seen=dict(self.seen),
        )

    def get(self, key: str, version: int) -> RegisteredExperiment | None:
        return self.experiments.get((key, version))

    def select(self, status: ExperimentStatus | None = None) -> tuple[RegisteredExperiment, ...]:
        found = [self.experiments[identity] for identity in sorted(self.experiments)]
        return tuple(e for e in found if status in {None, e.status})

    def save(self, experiment: RegisteredExperiment) -> None:
        self.experiments[experiment.identity] = experiment

    def append(self, entry: HistoryEntry) -> HistoryEntry:
        entry = replace(entry, sequence=len(self.history(entry.key, entry.version)) + 1)
        self.entries = (*self.entries, entry)
        return entry

    def history(self, key: str, version: int) -> tuple[HistoryEntry, ...]:
        return tuple(e for e in self.entries if (e.key, e.version) == (key, version))

    def put_counts(
        self, key: str, version: int, writer: str, sequence: int, outcomes: CountedOutcomes
    ) -> bool:
        before = self.written.get((key, version, writer))
        if before is not None and before[0] >= sequence:
            return False
        self.written[key, version, writer] = (sequence, outcomes)
        return True

    def counts(self, key: str, version: int) -> Mapping[str, CountedOutcomes]:
        own = sorted(identity for identity in self.written if identity[:2] == (key, version))
        return {identity[2]: self.written[identity][1] for identity in own}

    def append_look(self, look: Look, decision: RolloutDecision) -> None:
        identity = decision.analysis.key, decision.analysis.version
        before = self.seen.get(identity, ())
        check_number(look, len(before))
        self.seen[identity] = (*before, (look, decision))

    def last_look(self, key: str, version: int) -> int:
        return len(self.seen.get((key, version), ()))

    def decision(self, key: str, version: int, number: int) -> RolloutDecision | None:
        seen = self.seen.get((key, version), ())
        return seen[number - 1][1] if 0 < number <= len(seen) else None

    def looks(self, key: str, version: int, *, after: int = 0) -> tuple[Look, ...]:
        return tuple(look for look, _ in self.seen.get((key, version), ())[after:])

    def take_lease(self, holder: str, *, now: datetime, until: datetime) -> Lease:
        held = self.lease
        if held is None or held.holder == holder or held.until <= now:
            self.lease = held = Lease(holder=holder, until=until)
        return held

    def release_lease(self, holder: str) -> None:
        if self.lease is not None and self.lease.holder == holder:
            self.lease = None

    def state(self) -> tuple[int, bytes] | None:
        return self.published

    def put_state(self, revision: int, text: bytes) -> None:
        self.published = (revision, text)


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


@dataclass(frozen=True)
class InMemoryExperimentRepository:
    """Keeps experiments for as long as the process lives; safe to use from several threads.

    Examples:
        >>> with InMemoryExperimentRepository().transaction() as table:
        ...     table.select()
        ()
    """

    _state: list[_MemoryTable] = field(default_factory=lambda: [_MemoryTable()], repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @contextmanager
    def transaction(self) -> Iterator[ExperimentTable]:
        """Open a transaction on a copy, which takes the state's place when nothing was raised."""
        with self._lock:
            copy = self._state[0].copy()
            yield copy
            self._state[0] = copy
