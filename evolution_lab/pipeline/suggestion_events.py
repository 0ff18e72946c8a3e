"""What happens to suggestions, as destinations are told of it: each thing once, under its key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from evolution_lab.records import Decision, SpecSuggestion, SuggestionStatus
from evolution_lab.records.json_form import CAMEL_CASE

SuggestionEventType = Literal[
    "suggestion.proposed",
    "suggestion.revised",
    "suggestion.seconded",
    "suggestion.approved",
    "suggestion.rejected",
    "suggestion.superseded",
    "suggestion.expired",
    "suggestion.withdrawn",
    "suggestion.adopted",
]
EVENT_FORMAT_VERSION: Final = 1
_TYPES: Final[Mapping[SuggestionStatus, SuggestionEventType]] = {
    "approved": "suggestion.approved",
    "rejected": "suggestion.rejected",
    "superseded": "suggestion.superseded",
    "expired": "suggestion.expired",
    "withdrawn": "suggestion.withdrawn",
    "adopted": "suggestion.adopted",
}


@dataclass(frozen=True, kw_only=True)
class SuggestionEvent:
    """One thing that happened to a suggestion.

    Attributes:
        key: Names the event for ever; a receiver that has seen it lets it go.
        type: What happened.
        at: When: of a decision when it was taken, else when the evidence was complete. UTC.
        suggestion: The suggestion as it stood when the event was put down.
        decision: The decision, where one was taken.
        format_version: Of this form.
    """

    __pydantic_config__ = CAMEL_CASE

    key: str
    type: SuggestionEventType
    at: datetime
    suggestion: SpecSuggestion
    decision: Decision | None = None
    format_version: int = EVENT_FORMAT_VERSION

    @property
    def subject(self) -> str:
        """The suggestion's id."""
        return self.suggestion.id


def events_of(suggestion: SpecSuggestion) -> Iterator[SuggestionEvent]:
    """Return what has happened to a suggestion, oldest first.

    Every decision is an event, and so is the state it is in, where no decision says that. Of
    revisions only the present one is known. The keys depend on nothing else, so that asking again
    gives the same events. An approval that needs another person's beside it is ``seconded``.
    """
    for place, decision in enumerate(suggestion.approvals, start=1):
        yield SuggestionEvent(
            key=f"{suggestion.id}.d{place}",
            type=_type_of(suggestion, place),
            at=decision.decided_at,
            suggestion=suggestion,
            decision=decision,
        )
    decided = suggestion.approvals[-1].status if suggestion.approvals else None
    if suggestion.status == "pending":
        yield SuggestionEvent(
            key=f"{suggestion.id}.r{suggestion.revision}",
            type="suggestion.proposed" if suggestion.revision == 1 else "suggestion.revised",
            at=suggestion.created_at,
            suggestion=suggestion,
        )
    elif suggestion.status != decided:
        yield SuggestionEvent(
            key=f"{suggestion.id}.d{len(suggestion.approvals)}.{suggestion.status}",
            type=_TYPES[suggestion.status],
            at=suggestion.approvals[-1].decided_at
            if suggestion.approvals
            else suggestion.created_at,
            suggestion=suggestion,
        )


def _type_of(suggestion: SpecSuggestion, place: int) -> SuggestionEventType:
    decision = suggestion.approvals[place - 1]
    later = suggestion.approvals[place:]
    if decision.status == "approved" and (
        later[0].status != "withdrawn" if later else suggestion.status == "pending"
    ):
        return "suggestion.seconded"
    return _TYPES[decision.status]
