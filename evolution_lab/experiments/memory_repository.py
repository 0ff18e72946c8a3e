"""Experiments for as long as the process lives: the repository of tests and trials."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

from evolution_lab.experiments.decisions import CountedOutcomes, Look, RolloutDecision
from evolution_lab.experiments.definition import ExperimentStatus
from evolution_lab.experiments.repository import (
    ExperimentTable,
    HistoryEntry,
    Identity,
    Lease,
    RegisteredExperiment,
    check_number,
)


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
