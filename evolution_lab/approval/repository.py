"""Where suggestions and decisions are kept: the seam, and the repository of tests and trials."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from evolution_lab.records import Decision, SpecSuggestion, SuggestionStatus, Target, to_json


class SuggestionTable(Protocol):
    """The suggestions and decisions inside one transaction."""

    def get(self, suggestion_id: str) -> SpecSuggestion | None:
        """Return the suggestion of exactly this id, with its decisions in ``approvals``."""
        ...

    def ids(self, prefix: str = "") -> tuple[str, ...]:
        """Return the ids that begin with ``prefix``, sorted."""
        ...

    def select(
        self, status: SuggestionStatus | None = None, *, target: Target | None = None
    ) -> tuple[SpecSuggestion, ...]:
        """Return the suggestions of a status and a target (all without), by ``created_at``, then id."""
        ...

    def save(self, suggestion: SpecSuggestion, *, at: datetime) -> None:
        """Insert a suggestion, or replace the row of its id; its ``approvals`` are not looked at.

        Args:
            suggestion: What is kept from now on.
            at: When this was done, UTC.
        """
        ...

    def append(self, decision: Decision) -> None:
        """Add a decision after all decisions on the same suggestion; none is ever changed."""
        ...


class SpecSuggestionRepository(Protocol):
    """Keeps suggestions and decisions; implement it to keep them somewhere else.

    All rules live in the orchestrator. A repository promises only that a transaction sees and
    leaves a consistent state: what runs inside one is done whole or, after an exception, not at
    all, and no other transaction runs in between.
    """

    def transaction(self) -> AbstractContextManager[SuggestionTable]:
        """Open a transaction: committed at the end, rolled back by an exception."""
        ...


def target_fragment(target: Target) -> str:
    """Return how the payload of every suggestion of a target says it, and no other one's."""
    return f'"target":{to_json(target).decode()}'


@dataclass
class _MemoryTable:
    suggestions: dict[str, SpecSuggestion] = field(default_factory=dict)
    decisions: tuple[Decision, ...] = ()

    def get(self, suggestion_id: str) -> SpecSuggestion | None:
        found = self.suggestions.get(suggestion_id)
        if found is None:
            return None
        own = tuple(d for d in self.decisions if d.suggestion_id == suggestion_id)
        return replace(found, approvals=own)

    def ids(self, prefix: str = "") -> tuple[str, ...]:
        return tuple(sorted(i for i in self.suggestions if i.startswith(prefix)))

    def select(
        self, status: SuggestionStatus | None = None, *, target: Target | None = None
    ) -> tuple[SpecSuggestion, ...]:
        every = (self.get(suggestion_id) for suggestion_id in self.suggestions)
        kept = [s for s in every if s is not None and status in {None, s.status}]
        kept = [s for s in kept if target is None or s.target == target]
        return tuple(sorted(kept, key=lambda s: (s.created_at, s.id)))

    def save(self, suggestion: SpecSuggestion, *, at: datetime) -> None:  # noqa: ARG002
        self.suggestions[suggestion.id] = replace(suggestion, approvals=())

    def append(self, decision: Decision) -> None:
        self.decisions = (*self.decisions, decision)


@dataclass(frozen=True)
class InMemorySpecSuggestionRepository:
    """Keeps suggestions for as long as the process lives; safe to use from several threads.

    Examples:
        >>> with InMemorySpecSuggestionRepository().transaction() as table:
        ...     table.select()
        ()
    """

    _state: _MemoryTable = field(default_factory=_MemoryTable, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @contextmanager
    def transaction(self) -> Iterator[SuggestionTable]:
        """Open a transaction on a copy, which takes the state's place when nothing was raised."""
        with self._lock:
            copy = _MemoryTable(dict(self._state.suggestions), self._state.decisions)
            yield copy
            self._state.suggestions, self._state.decisions = copy.suggestions, copy.decisions
