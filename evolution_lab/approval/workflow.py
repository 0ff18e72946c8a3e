"""``ApprovalWorkflow``: who may decide on a suggestion, how many it takes, and what needs nobody."""

from __future__ import annotations

import fnmatch
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from evolution_lab.approval.revisions import standing
from evolution_lab.config import EvolutionConfig
from evolution_lab.errors import (
    AlreadyDecidedError,
    MissingNoteError,
    MissingReviewerError,
    NotAReviewerError,
    StaleRevisionError,
)
from evolution_lab.records import Decision, SpecSuggestion, SuggestionStatus, Verdict
from evolution_lab.suggestions import subject_of
from evolution_lab.suggestions.ai_draft import AI_CREATOR, is_ai_made

AUTOMATIC_REVIEWER: Final = "auto-evolution"
ID_SHOWN: Final = 8
_NEEDED: Final = {
    "rejected": "notes are blank, must say why the suggestion is rejected.",
    "withdrawn": "notes are blank, must say why the decision is taken back.",
}


@dataclass(frozen=True)
class ApprovalWorkflow:
    """The rules of deciding; it keeps nothing, the repository does.

    A decision names the revision that was seen. Rejecting and reopening need a note. Where the
    spec's ``x-owner`` or one of its tags is listed under ``owners``, only the people named there
    decide. With ``required_approvals`` above 1 a suggestion stays pending until that many different
    people have approved the same revision; one rejection is enough. Names are compared without case
    and surrounding space, so that nobody is two people.

    Attributes:
        config: The settings in force.

    Examples:
        >>> ApprovalWorkflow(EvolutionConfig(owners={"billing": ("ada",)})).config.owners
        {'billing': ('ada',)}
    """

    config: EvolutionConfig = field(default_factory=EvolutionConfig)

    def check_words(self, verdict: Verdict, reviewer: str, notes: str | None) -> None:
        """Refuse a decision that nobody signs, a model signs, or that says no why where it must.

        Raises:
            MissingReviewerError: ``reviewer`` is blank or a model.
            MissingNoteError: A rejection or reopening comes without notes.
        """
        if not reviewer:
            raise MissingReviewerError("reviewer is blank, must name the person who decides.")
        if reviewer.startswith(AI_CREATOR):
            raise MissingReviewerError(f"reviewer == {reviewer!r}, must be a person, not a model.")
        if verdict in _NEEDED and not notes:
            raise MissingNoteError(_NEEDED[verdict])

    def check(
        self,
        suggestion: SpecSuggestion,
        verdict: Verdict,
        *,
        reviewer: str,
        revision: int | None = None,
    ) -> None:
        """Refuse a decision that this person cannot take on this suggestion now.

        Args:
            suggestion: As it is kept.
            verdict: What would be decided.
            reviewer: Who decides.
            revision: The revision the reviewer saw; None means the one in force.

        Raises:
            AlreadyDecidedError: It is not pending any more; or, to be reopened, still is; or this
                person has approved the revision before and another one has to.
            StaleRevisionError: There is a newer revision than the one seen.
            NotAReviewerError: The suggestion's owner names others.
        """
        shown = suggestion.id[:ID_SHOWN]
        if verdict == "withdrawn":
            if suggestion.status not in {"approved", "rejected"}:
                raise AlreadyDecidedError(
                    f"suggestion {shown} is {standing(suggestion)}, must be approved or rejected to "
                    "be reopened."
                )
        elif suggestion.status != "pending":
            raise AlreadyDecidedError(
                f"suggestion {shown} is {standing(suggestion)}, must be pending."
            )
        if revision is not None and revision != suggestion.revision:
            raise StaleRevisionError(
                f"revision == {revision}, must be {suggestion.revision}: suggestion {shown} has new "
                "evidence since; look at it again."
            )
        allowed = self.reviewers_of(suggestion)
        if allowed and _name(reviewer) not in {_name(person) for person in allowed}:
            raise NotAReviewerError(
                f"reviewer == {reviewer!r}, must be one of {', '.join(allowed)}: they own "
                f"{subject_of(suggestion)}."
            )
        before = [each.reviewer for each in self.approvals_of(suggestion)]
        if verdict == "approved" and _name(reviewer) in {_name(each) for each in before}:
            raise AlreadyDecidedError(
                f"{reviewer} has approved revision {suggestion.revision} of suggestion {shown} "
                f"already; {self.required(suggestion)} different people must."
            )

    def status_after(
        self, suggestion: SpecSuggestion, verdict: Verdict, reviewer: str
    ) -> SuggestionStatus:
        """Return where a suggestion stands once a decision that passed ``check`` is appended.

        An approval that is not the last one needed, and a decision taken back, leave it pending.
        """
        if verdict == "rejected":
            return "rejected"
        if verdict == "withdrawn":
            return "pending"
        people = {_name(each.reviewer) for each in self.approvals_of(suggestion)}
        enough = len(people | {_name(reviewer)}) >= self.required(suggestion)
        return "approved" if enough else "pending"

    def approvals_of(self, suggestion: SpecSuggestion) -> Sequence[Decision]:
        """Return the approvals that count: of the revision in force, none taken back since."""
        standing_ones: list[Decision] = []
        for decision in suggestion.approvals:
            if decision.status != "approved":
                standing_ones.clear()
            elif decision.revision == suggestion.revision:
                standing_ones.append(decision)
        return standing_ones

    def required(self, suggestion: SpecSuggestion) -> int:
        """Return how many people must approve."""
        subject = subject_of(suggestion)
        config = self.config if subject is None else self.config.for_operation(subject.key)
        return config.required_approvals

    def reviewers_of(self, suggestion: SpecSuggestion) -> tuple[str, ...]:
        """Return who may decide: by the spec's owner, else by its tags; empty for anybody."""
        owners = self.config.owners
        owner, tags = _routing(suggestion)
        if owner in owners:
            return tuple(owners[owner])
        return tuple(dict.fromkeys(person for tag in tags for person in owners.get(tag, ())))

    def needs_nobody(self, suggestion: SpecSuggestion) -> bool:
        """Say whether a new or revised suggestion is approved without a person.

        That takes ``require_approval`` off, an ``auto_approve_threshold`` that its risk does not
        exceed, and a comparison of the specs that says it breaks no caller. What one person does not
        decide alone, what ``never_auto_approve`` names, what a person has decided on before, and what
        a model wrote always need people.
        """
        limit = self.config.auto_approve_threshold
        if self.config.require_approval or limit is None or suggestion.risk is None:
            return False
        if suggestion.approvals or is_ai_made(suggestion) or self.required(suggestion) > 1:
            return False
        breaking = _mapping(suggestion.proposal.metadata.get("risk")).get("breaking")
        if breaking != "compatible" or suggestion.risk > limit:
            return False
        return not self.is_kept_for_people(suggestion)

    def is_kept_for_people(self, suggestion: SpecSuggestion) -> bool:
        """Say whether ``never_auto_approve`` names the operation, its tags or the suggestion's."""
        subject = subject_of(suggestion)
        _, tags = _routing(suggestion)
        names = [*suggestion.tags, *tags, *(() if subject is None else (subject.key,))]
        return any(
            fnmatch.fnmatchcase(name, glob)
            for name in names
            for glob in self.config.never_auto_approve
        )


def _routing(suggestion: SpecSuggestion) -> tuple[str, tuple[str, ...]]:
    """Return the owner and the tags that the spec has for what a suggestion is about."""
    metadata = suggestion.proposal.metadata
    tags = metadata.get("specTags")
    owner = metadata.get("owner")
    return (
        owner if isinstance(owner, str) else "",
        tuple(tag for tag in tags if isinstance(tag, str))
        if isinstance(tags, list | tuple)
        else (),
    )


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _name(person: str) -> str:
    return unicodedata.normalize("NFKC", person).strip().casefold()
