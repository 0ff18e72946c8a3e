"""Suggestions and decisions to look at, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from evolution_lab.approval.repository import (
    InMemorySpecSuggestionRepository,
    SuggestionTable,
)
from evolution_lab.records import Decision, SpecSuggestion, SuggestionStatus, Target


@dataclass(frozen=True)
class _ReadOnlyTable:
    table: SuggestionTable
    refusal: Callable[[str], Exception]

    def get(self, suggestion_id: str) -> SpecSuggestion | None:
        return self.table.get(suggestion_id)

    def ids(self, prefix: str = "") -> tuple[str, ...]:
        return self.table.ids(prefix)

    def select(
        self, status: SuggestionStatus | None = None, *, target: Target | None = None
    ) -> tuple[SpecSuggestion, ...]:
        return self.table.select(status, target=target)

    def save(self, suggestion: SpecSuggestion, *, at: datetime) -> None:  # noqa: ARG002
        raise self.refusal("keep a suggestion")

    def append(self, decision: Decision) -> None:  # noqa: ARG002
        raise self.refusal("take a decision")


class ReadOnlySpecSuggestionRepository:
    """Shows suggestions with their decisions; whatever would change one is refused.

    Args:
        suggestions: What is shown, each with its decisions in ``approvals``.
        refusal: Makes the error of a refused step from what was to be done ("take a decision").

    Examples:
        >>> repository = ReadOnlySpecSuggestionRepository([], PermissionError)
        >>> with repository.transaction() as table:
        ...     table.select()
        ()
    """

    def __init__(
        self, suggestions: Iterable[SpecSuggestion], refusal: Callable[[str], Exception]
    ) -> None:
        self._kept = InMemorySpecSuggestionRepository()
        self._refusal = refusal
        with self._kept.transaction() as table:
            for suggestion in suggestions:
                table.save(suggestion, at=suggestion.created_at)
                for decision in suggestion.approvals:
                    table.append(decision)

    @contextmanager
    def transaction(self) -> Iterator[SuggestionTable]:
        """Open a transaction that can only read."""
        with self._kept.transaction() as table:
            yield _ReadOnlyTable(table, self._refusal)
