"""What became of submitted suggestions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from evolution_lab.approval.workflow import ID_SHOWN
from evolution_lab.display import ResultMixin
from evolution_lab.records import SpecSuggestion

Outcome = Literal["added", "revised", "reopened", "unchanged", "decided", "held"]


@dataclass(frozen=True, kw_only=True)
class Submission:
    """What became of one submitted suggestion.

    Attributes:
        outcome: ``added``; ``revised`` (new evidence, a new revision); ``reopened`` (rejected
            before, the effect has doubled since; or expired or superseded, and asked for again);
            ``unchanged`` (nothing new); ``decided`` (decided before, and that stands); ``held`` (too
            many are open for its operation).
        suggestion: As it is kept now; for ``held`` as it was submitted.
        reason: One sentence for people.
    """

    outcome: Outcome
    suggestion: SpecSuggestion
    reason: str


@dataclass(frozen=True)
class Submissions(ResultMixin):
    """What became of several suggestions submitted together, in the order they came.

    It is a sequence of the suggestions as they are kept now.

    Attributes:
        entries: One per suggestion.
    """

    entries: tuple[Submission, ...] = ()
    _title: ClassVar[str] = "submitted suggestions"

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one dict a suggestion."""
        return [
            {
                "id": entry.suggestion.id[:ID_SHOWN],
                "outcome": entry.outcome,
                "revision": entry.suggestion.revision,
                "summary": entry.suggestion.proposal.summary,
                "reason": entry.reason,
            }
            for entry in self.entries
        ]

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, place: int) -> SpecSuggestion:
        return self.entries[place].suggestion

    def __iter__(self) -> Iterator[SpecSuggestion]:
        return (entry.suggestion for entry in self.entries)

    def count(self, outcome: Outcome) -> int:
        """Return how many had an outcome."""
        return sum(entry.outcome == outcome for entry in self.entries)
