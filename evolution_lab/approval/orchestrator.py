"""What may happen to a suggestion: it is submitted, revised, approved or rejected, by these rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, Protocol

from evolution_lab.approval.repository import SpecSuggestionRepository, SuggestionTable
from evolution_lab.approval.revisions import citation, revise, standing, strength_of
from evolution_lab.config import EvolutionConfig
from evolution_lab.display import ResultMixin
from evolution_lab.errors import (
    AlreadyDecidedError,
    AmbiguousNameError,
    InvalidSuggestionError,
    MissingNoteError,
    MissingReviewerError,
    StaleRevisionError,
    UnknownNameError,
)
from evolution_lab.records import Decision, SpecSuggestion, SuggestionStatus
from evolution_lab.suggestions import subject_of, validate_suggestion
from evolution_lab.suggestions.ai_draft import AI_CREATOR, is_ai_made

Outcome = Literal["added", "revised", "reopened", "unchanged", "decided", "held"]
AUTOMATIC_REVIEWER: Final = "auto-evolution"
_ID_SHOWN: Final = 8


class SuggestionWriter(Protocol):
    """Writes an approved suggestion somewhere people and tools find it."""

    def write(self, suggestion: SpecSuggestion) -> Path:
        """Write the suggestion and return where; writing it again changes nothing."""
        ...


@dataclass(frozen=True, kw_only=True)
class Submission:
    """What became of one submitted suggestion.

    Attributes:
        outcome: ``added``; ``revised`` (new evidence, a new revision); ``reopened`` (rejected
            before, the effect has doubled since); ``unchanged`` (nothing new); ``decided``
            (decided before, and that stands); ``held`` (too many are open for its operation).
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
                "id": entry.suggestion.id[:_ID_SHOWN],
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


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class SpecSuggestionOrchestrator:
    """Takes suggestions in and decisions on them, and has approved ones written.

    Every method is one transaction: of two reviewers who decide at once, one wins and the other is
    told. Decisions are appended; nothing decided is changed by evidence that comes later.

    Attributes:
        repository: Where suggestions and decisions are kept.
        writer: Gets every approved suggestion; None writes nothing.
        config: The settings in force. ``require_approval`` wins over ``auto_approve_threshold``.
        clock: Says the time of a decision, UTC.
    """

    repository: SpecSuggestionRepository
    writer: SuggestionWriter | None = None
    config: EvolutionConfig = field(default_factory=EvolutionConfig)
    clock: Callable[[], datetime] = _now

    def submit(self, suggestion: SpecSuggestion) -> Submission:
        """Take one suggestion in; see ``submit_all``."""
        return self.submit_all([suggestion]).entries[0]

    def submit_all(self, suggestions: Iterable[SpecSuggestion]) -> Submissions:
        """Take suggestions in, in the given order; all of them or, on an error, none.

        A suggestion that is there already is one row for ever. While it is pending, evidence that
        is new makes a new revision. Approved, it stays as it was approved. Rejected, it stays
        rejected until its effect is twice that of the rejected revision; it then opens again and
        cites the rejection. At most ``max_suggestions_per_operation`` are pending for an operation;
        those beyond are held back, kept nowhere, and may be submitted again.

        With ``require_approval`` off and an ``auto_approve_threshold``, a new or revised suggestion
        of at most that risk is approved at once in the name of ``auto-evolution``, unless it changes
        a schema, which may break callers.

        Raises:
            InvalidSuggestionError: A suggestion breaks a rule; the message names each of them.
        """
        suggestions = tuple(suggestions)
        for suggestion in suggestions:
            _check_valid(suggestion)
        with self.repository.transaction() as table:
            entries = tuple(self._take_in(table, suggestion) for suggestion in suggestions)
        for entry in entries:
            if entry.outcome in {"added", "revised", "reopened"}:
                self._write(entry.suggestion)
        return Submissions(entries)

    def approve(
        self,
        suggestion_id: str,
        *,
        reviewer: str,
        notes: str | None = None,
        revision: int | None = None,
    ) -> SpecSuggestion:
        """Approve a pending suggestion and have it written.

        Args:
            suggestion_id: The id or the beginning of it that fits no other.
            reviewer: Who decides.
            notes: Why, if there is anything to say.
            revision: The revision the reviewer saw; without it the one in force is meant.

        Returns:
            The suggestion with the decision.

        Raises:
            UnknownNameError: No suggestion has this id.
            AmbiguousNameError: Several ids begin like this.
            MissingReviewerError: ``reviewer`` is blank.
            AlreadyDecidedError: It is not pending any more.
            StaleRevisionError: There is a newer revision than the one seen.
        """
        approved = self._decide(suggestion_id, "approved", reviewer, notes, revision)
        self._write(approved)
        return approved

    def reject(
        self, suggestion_id: str, *, reviewer: str, notes: str, revision: int | None = None
    ) -> SpecSuggestion:
        """Reject a pending suggestion; the note says why, to those who see it again.

        Args, returns and errors are those of ``approve``.

        Raises:
            MissingNoteError: ``notes`` is blank.
        """
        return self._decide(suggestion_id, "rejected", reviewer, notes, revision)

    def get(self, suggestion_id: str) -> SpecSuggestion:
        """Return a suggestion by its id or the beginning of it that fits no other.

        Raises:
            UnknownNameError: No suggestion has this id.
            AmbiguousNameError: Several ids begin like this.
        """
        with self.repository.transaction() as table:
            return _find(table, suggestion_id)

    def list(self, status: SuggestionStatus | None = None) -> tuple[SpecSuggestion, ...]:
        """Return the suggestions of a status (all without), by ``created_at``, then id."""
        with self.repository.transaction() as table:
            return table.select(status)

    def publish(self) -> tuple[Path, ...]:
        """Write every approved suggestion again and return where they are.

        Restores what is missing when a process ended between a decision and its file.
        """
        if self.writer is None:
            return ()
        return tuple(self.writer.write(suggestion) for suggestion in self.list("approved"))

    def _write(self, suggestion: SpecSuggestion) -> None:
        if self.writer is not None and suggestion.status == "approved":
            self.writer.write(suggestion)

    def _decide(
        self,
        suggestion_id: str,
        status: Literal["approved", "rejected"],
        reviewer: str,
        notes: str | None,
        revision: int | None,
    ) -> SpecSuggestion:
        reviewer, notes = _clean(reviewer), _clean(notes or "") or None
        if not reviewer:
            raise MissingReviewerError("reviewer is blank, must name the person who decides.")
        if reviewer.startswith(AI_CREATOR):
            raise MissingReviewerError(
                f"reviewer == {reviewer!r}, must be a person: no model decides."
            )
        if status == "rejected" and notes is None:
            raise MissingNoteError("notes are blank, must say why the suggestion is rejected.")
        with self.repository.transaction() as table:
            found = _find(table, suggestion_id)
            if found.status != "pending":
                raise AlreadyDecidedError(
                    f"suggestion {found.id[:_ID_SHOWN]} is {standing(found)}, must be pending."
                )
            if revision is not None and revision != found.revision:
                raise StaleRevisionError(
                    f"revision == {revision}, must be {found.revision}: suggestion "
                    f"{found.id[:_ID_SHOWN]} has new evidence since; look at it again."
                )
            return self._append(table, found, status, reviewer, notes)

    def _append(
        self,
        table: SuggestionTable,
        suggestion: SpecSuggestion,
        status: Literal["approved", "rejected"],
        reviewer: str,
        notes: str | None,
    ) -> SpecSuggestion:
        now = self.clock()
        decision = Decision(
            suggestion_id=suggestion.id,
            revision=suggestion.revision,
            reviewer=reviewer,
            status=status,
            notes=notes,
            decided_at=now,
        )
        table.append(decision)
        table.save(replace(suggestion, status=status), at=now)
        return replace(suggestion, status=status, approvals=(*suggestion.approvals, decision))

    def _take_in(self, table: SuggestionTable, new: SpecSuggestion) -> Submission:
        known = table.get(new.id)
        if known is None:
            return self._add(table, new)
        if known.status == "rejected":
            return self._reconsider(table, known, new)
        if known.status != "pending":
            reason = f"It is {standing(known)}; that stands."
            return Submission(outcome="decided", suggestion=known, reason=reason)
        revised = revise(known, new)
        if revised is known:
            return Submission(outcome="unchanged", suggestion=known, reason="Nothing is new.")
        return self._keep(table, revised, "revised", f"Revision {revised.revision}: new evidence.")

    def _add(self, table: SuggestionTable, new: SpecSuggestion) -> Submission:
        subject = subject_of(new)
        if subject is not None:
            limit = self.config.for_operation(subject.key).max_suggestions_per_operation
            # Drafts of new operations do not compete with the repairs of the one they start at.
            drafted = new.target.operation is None
            pending = sum(
                subject_of(other) == subject and (other.target.operation is None) == drafted
                for other in table.select("pending")
            )
            if pending >= limit:
                reason = f"{pending} are open for this operation, at most {limit} may be."
                return Submission(outcome="held", suggestion=new, reason=reason)
        fresh = replace(new, status="pending", revision=1, approvals=())
        return self._keep(table, fresh, "added", "New.")

    def _reconsider(
        self, table: SuggestionTable, known: SpecSuggestion, new: SpecSuggestion
    ) -> Submission:
        before, now = strength_of(known), strength_of(new)
        rejection = known.approvals[-1] if known.approvals else None
        if before is None or now is None or before <= 0 or now < 2 * before:
            reason = f"It is {standing(known)}; that stands until its effect doubles."
            return Submission(outcome="decided", suggestion=known, reason=reason)
        revised = revise(known, new)
        metadata = {**revised.proposal.metadata, "citesRejection": citation(rejection)}
        reopened = replace(
            revised,
            status="pending",
            revision=known.revision + 1,
            proposal=replace(revised.proposal, metadata=metadata),
        )
        reason = f"It was {standing(known)}; its effect has doubled since."
        return self._keep(table, reopened, "reopened", reason)

    def _keep(
        self, table: SuggestionTable, suggestion: SpecSuggestion, outcome: Outcome, reason: str
    ) -> Submission:
        table.save(suggestion, at=self.clock())
        if self._needs_nobody(suggestion):
            notes = f"Risk {suggestion.risk} is within {self.config.auto_approve_threshold}."
            suggestion = self._append(table, suggestion, "approved", AUTOMATIC_REVIEWER, notes)
            reason = f"{reason} Approved without a person: {notes}"
        return Submission(outcome=outcome, suggestion=suggestion, reason=reason)

    def _needs_nobody(self, suggestion: SpecSuggestion) -> bool:
        limit = self.config.auto_approve_threshold
        if is_ai_made(suggestion):
            return False
        if self.config.require_approval or limit is None or suggestion.risk is None:
            return False
        return suggestion.risk <= limit and suggestion.proposal.change_type != "schema-update"


def _clean(text: str) -> str:
    """Return text without surrounding space and without what UTF-8 cannot say."""
    return text.encode("utf-8", "replace").decode().strip()


def _check_valid(suggestion: SpecSuggestion) -> None:
    reasons = validate_suggestion(suggestion)
    if reasons:
        raise InvalidSuggestionError(suggestion.id, reasons)


def _find(table: SuggestionTable, suggestion_id: str) -> SpecSuggestion:
    found = table.get(suggestion_id)
    if found is not None:
        return found
    matches = table.ids(suggestion_id) if suggestion_id else ()
    if len(matches) > 1:
        raise AmbiguousNameError("suggestion", suggestion_id, matches)
    found = table.get(matches[0]) if matches else None
    if found is None:
        raise UnknownNameError("suggestion", suggestion_id, table.ids())
    return found
