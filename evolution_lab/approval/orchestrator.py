"""What may happen to a suggestion: it is submitted, revised, decided on, reopened, closed, adopted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from evolution_lab.approval.intake import Intake, append_decision
from evolution_lab.approval.repository import SpecSuggestionRepository, SuggestionTable
from evolution_lab.approval.revisions import standing
from evolution_lab.approval.submissions import Submission, Submissions
from evolution_lab.approval.workflow import ID_SHOWN, ApprovalWorkflow
from evolution_lab.config import EvolutionConfig
from evolution_lab.errors import (
    AlreadyDecidedError,
    AmbiguousNameError,
    InvalidSuggestionError,
    UnknownNameError,
)
from evolution_lab.records import Decision, SpecSuggestion, SuggestionStatus, Verdict
from evolution_lab.suggestions import validate_suggestion


class SuggestionWriter(Protocol):
    """Writes an approved suggestion somewhere people and tools find it."""

    def write(self, suggestion: SpecSuggestion) -> Path:
        """Write the suggestion and return where; writing it again changes nothing."""
        ...


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class SpecSuggestionOrchestrator:
    """Takes suggestions in and decisions on them, and has approved ones written.

    Every method is one transaction: of two reviewers who decide at once, one wins and the other is
    told. Decisions are appended; nothing decided is changed by evidence that comes later.

    Attributes:
        repository: Where suggestions and decisions are kept.
        writer: Gets every approved suggestion, and again when that changes; None writes nothing.
        config: The settings in force; ``ApprovalWorkflow`` says what they ask of a decision.
        clock: Says the time of a decision, UTC.
    """

    repository: SpecSuggestionRepository
    writer: SuggestionWriter | None = None
    config: EvolutionConfig = field(default_factory=EvolutionConfig)
    clock: Callable[[], datetime] = _now

    @property
    def workflow(self) -> ApprovalWorkflow:
        """The rules of deciding under the settings in force."""
        return ApprovalWorkflow(self.config)

    def submit(self, suggestion: SpecSuggestion) -> Submission:
        """Take one suggestion in; see ``submit_all``."""
        return self.submit_all([suggestion]).entries[0]

    def submit_all(self, suggestions: Iterable[SpecSuggestion]) -> Submissions:
        """Take suggestions in, in the given order; all of them or, on an error, none.

        A suggestion that is there already is one row for ever. While it is pending, evidence that
        is new makes a new revision. Approved, it stays as it was approved. Rejected, it stays
        rejected until its effect is twice that of the rejected revision or a new cause appears; it
        then opens again and cites the rejection. Expired or superseded, new evidence opens it again.
        One that asks for another value at the same place supersedes what is pending there. At most
        ``max_suggestions_per_operation`` are pending for an operation; those beyond are held back,
        kept nowhere, and may be submitted again.

        ``ApprovalWorkflow.needs_nobody`` says what is approved at once, in the name of
        ``auto-evolution``.

        Raises:
            InvalidSuggestionError: A suggestion breaks a rule; the message names each of them.
        """
        suggestions = tuple(suggestions)
        for suggestion in suggestions:
            _check_valid(suggestion)
        together = frozenset(suggestion.id for suggestion in suggestions)
        with self.repository.transaction() as table:
            intake = Intake(table, self.workflow, self.clock(), together)
            entries = tuple(intake.take(suggestion) for suggestion in suggestions)
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
        """Approve a pending suggestion; once enough people have, it is written.

        An approved alternative at the same place is superseded by it.

        Args:
            suggestion_id: The id or the beginning of it that fits no other.
            reviewer: Who decides.
            notes: Why, if there is anything to say.
            revision: The revision the reviewer saw; without it the one in force is meant.

        Returns:
            The suggestion with the decision; still pending where more people are needed.

        Raises:
            UnknownNameError: No suggestion has this id.
            AmbiguousNameError: Several ids begin like this.
            MissingReviewerError: ``reviewer`` is blank, or a model.
            NotAReviewerError: The operation's owner names other people.
            AlreadyDecidedError: It is not pending any more, or this person has approved it before.
            StaleRevisionError: There is a newer revision than the one seen.
        """
        return self._decide(suggestion_id, "approved", reviewer, notes, revision)

    def reject(
        self, suggestion_id: str, *, reviewer: str, notes: str, revision: int | None = None
    ) -> SpecSuggestion:
        """Reject a pending suggestion; the note says why, to those who see it again.

        Args, returns and errors are those of ``approve``.

        Raises:
            MissingNoteError: ``notes`` is blank.
        """
        return self._decide(suggestion_id, "rejected", reviewer, notes, revision)

    def reopen(self, suggestion_id: str, *, reviewer: str, why: str) -> SpecSuggestion:
        """Take the decision on a suggestion back: it is pending again, its envelope ``withdrawn``.

        Nothing is deleted: that it was taken back, by whom and why, is appended. An adopted one
        cannot be reopened.

        Raises:
            UnknownNameError: No suggestion has this id.
            AmbiguousNameError: Several ids begin like this.
            MissingReviewerError: ``reviewer`` is blank, or a model.
            MissingNoteError: ``why`` is blank.
            NotAReviewerError: The operation's owner names other people.
            AlreadyDecidedError: It is neither approved nor rejected.
        """
        return self._decide(suggestion_id, "withdrawn", reviewer, why, None)

    def expire(self, suggestion_id: str, *, why: str) -> SpecSuggestion:
        """Close a pending suggestion whose effect is not there any more; see ``suggestions.quiet``.

        Raises:
            UnknownNameError: No suggestion has this id.
            AlreadyDecidedError: It is not pending.
        """
        with self.repository.transaction() as table:
            found = find_suggestion(table, suggestion_id)
            if found.status != "pending":
                raise AlreadyDecidedError(
                    f"suggestion {found.id[:ID_SHOWN]} is {standing(found)}, must be pending."
                )
            now = self.clock()
            expired = {"expired": {"at": now.isoformat(), "why": why}}
            return Intake(table, self.workflow, now).close(found, "expired", expired)

    def adopt(
        self, suggestion_id: str, *, realised_effect: Mapping[str, Any] | None = None
    ) -> SpecSuggestion:
        """Say that an approved suggestion is in force, with the effect it really had.

        Args:
            suggestion_id: The id or the beginning of it that fits no other.
            realised_effect: JSON-ready, with its interval; kept as ``realisedEffect`` beside the
                predicted one.

        Raises:
            UnknownNameError: No suggestion has this id.
            AlreadyDecidedError: It is not approved.
        """
        with self.repository.transaction() as table:
            found = find_suggestion(table, suggestion_id)
            if found.status != "approved":
                raise AlreadyDecidedError(
                    f"suggestion {found.id[:ID_SHOWN]} is {standing(found)}, must be approved."
                )
            effect = {"realisedEffect": dict(realised_effect)} if realised_effect else {}
            adopted = Intake(table, self.workflow, self.clock()).close(found, "adopted", effect)
        self._write(adopted)
        return adopted

    def link_experiment(self, suggestion_id: str, experiment: str) -> SpecSuggestion:
        """Say that an approved suggestion is tried in an experiment; again, it changes nothing.

        Args:
            suggestion_id: The id or the beginning of it that fits no other.
            experiment: Its key and version, such as ``invoice-2@1``; kept under ``experiments``.

        Raises:
            UnknownNameError: No suggestion has this id.
            AlreadyDecidedError: It is not approved.
        """
        with self.repository.transaction() as table:
            found = find_suggestion(table, suggestion_id)
            if found.status != "approved":
                raise AlreadyDecidedError(
                    f"suggestion {found.id[:ID_SHOWN]} is {standing(found)}, must be approved."
                )
            known = found.proposal.metadata.get("experiments", [])
            if experiment in known:
                return found
            notes = {"experiments": [*known, experiment]}
            linked = Intake(table, self.workflow, self.clock()).close(found, "approved", notes)
        self._write(linked)
        return linked

    def get(self, suggestion_id: str) -> SpecSuggestion:
        """Return a suggestion by its id or the beginning of it that fits no other.

        Raises:
            UnknownNameError: No suggestion has this id.
            AmbiguousNameError: Several ids begin like this.
        """
        with self.repository.transaction() as table:
            return find_suggestion(table, suggestion_id)

    def list(self, status: SuggestionStatus | None = None) -> tuple[SpecSuggestion, ...]:
        """Return the suggestions of a status (all without), by ``created_at``, then id."""
        with self.repository.transaction() as table:
            return table.select(status)

    def publish(self) -> tuple[Path, ...]:
        """Write every envelope again that is due and return where they are.

        Restores what is missing when a process ended between a decision and its file.
        """
        if self.writer is None:
            return ()
        due = (written_as(suggestion) for suggestion in self.list())
        return tuple(self.writer.write(each) for each in due if each is not None)

    def _write(self, suggestion: SpecSuggestion) -> None:
        due = written_as(suggestion)
        if self.writer is not None and due is not None:
            self.writer.write(due)

    def _decide(
        self,
        suggestion_id: str,
        verdict: Verdict,
        reviewer: str,
        notes: str | None,
        revision: int | None,
    ) -> SpecSuggestion:
        reviewer, notes = _clean(reviewer), _clean(notes or "") or None
        workflow = self.workflow
        workflow.check_words(verdict, reviewer, notes)
        superseded: list[SpecSuggestion] = []
        with self.repository.transaction() as table:
            found = find_suggestion(table, suggestion_id)
            workflow.check(found, verdict, reviewer=reviewer, revision=revision)
            now = self.clock()
            decision = Decision(
                suggestion_id=found.id,
                revision=found.revision,
                reviewer=reviewer,
                status=verdict,
                notes=notes,
                decided_at=now,
            )
            status = workflow.status_after(found, verdict, reviewer)
            decided = append_decision(table, found, decision, status)
            if status == "approved":
                superseded = Intake(table, workflow, now).supersede_approved(decided)
        for each in (*superseded, decided):
            self._write(each)
        return decided


def written_as(suggestion: SpecSuggestion) -> SpecSuggestion | None:
    """Return a suggestion as its envelope says it, None where it has no envelope.

    What was approved once keeps its envelope: taken back it says ``withdrawn``, replaced
    ``superseded``.
    """
    if not any(each.status == "approved" for each in suggestion.approvals):
        return None
    if suggestion.status in {"approved", "adopted", "superseded"}:
        return suggestion
    if any(each.status == "withdrawn" for each in suggestion.approvals):
        return replace(suggestion, status="withdrawn")
    return None


def _clean(text: str) -> str:
    """Return text without surrounding space and without what UTF-8 cannot say."""
    return text.encode("utf-8", "replace").decode().strip()


def _check_valid(suggestion: SpecSuggestion) -> None:
    reasons = validate_suggestion(suggestion)
    if reasons:
        raise InvalidSuggestionError(suggestion.id, reasons)


def find_suggestion(table: SuggestionTable, suggestion_id: str) -> SpecSuggestion:
    """Return a suggestion by its id or the beginning of it that fits no other.

    Raises:
        UnknownNameError: No suggestion has this id.
        AmbiguousNameError: Several ids begin like this.
    """
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
