"""Taking suggestions in, inside one transaction: what is new, revised, reopened, superseded, held."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from evolution_lab.approval.repository import SuggestionTable
from evolution_lab.approval.revisions import citation, revise, standing, strength_of
from evolution_lab.approval.submissions import Outcome, Submission
from evolution_lab.approval.workflow import AUTOMATIC_REVIEWER, ID_SHOWN, ApprovalWorkflow
from evolution_lab.records import Decision, OperationRef, SpecSuggestion, SuggestionStatus
from evolution_lab.suggestions import subject_of

CLOSED_BY_EVIDENCE = frozenset({"superseded", "expired"})
"""What evidence has closed, evidence opens again."""
_CAUSES = frozenset({"errorCode", "tenantId", "version"})
"""Of an attribution, what names a cause; the rest are numbers about it."""
_SHAPE = frozenset({"edit", "place", "keyword", "path", "method", "code", "status"})
"""Of an edit, what says where and how it changes, not to which value."""


@dataclass(frozen=True)
class Intake:
    """Takes suggestions into one table.

    Attributes:
        table: Where they are kept.
        workflow: Says what needs nobody.
        now: The present moment, UTC.
        together: Ids that are submitted in one go: none of them supersedes another.
    """

    table: SuggestionTable
    workflow: ApprovalWorkflow
    now: datetime
    together: Collection[str] = ()

    @cached_property
    def _open(self) -> dict[OperationRef | None, dict[str, SpecSuggestion]]:
        """What is pending, by the operation it is about; read once, kept up while this runs."""
        found: dict[OperationRef | None, dict[str, SpecSuggestion]] = {}
        for each in self.table.select("pending"):
            found.setdefault(subject_of(each), {})[each.id] = each
        return found

    def take(self, new: SpecSuggestion) -> Submission:
        """Keep a suggestion, or the new evidence for it, and say what became of it."""
        known = self.table.get(new.id)
        if known is None:
            return self._add(new)
        if known.status == "rejected":
            return self._reconsider(known, new)
        if known.status in CLOSED_BY_EVIDENCE:
            return self._open_again(known, new)
        if known.status != "pending":
            reason = f"It is {standing(known)}; that stands."
            return Submission(outcome="decided", suggestion=known, reason=reason)
        revised = revise(known, new)
        if revised is known:
            return Submission(outcome="unchanged", suggestion=known, reason="Nothing is new.")
        return self._keep(revised, "revised", f"Revision {revised.revision}: new evidence.")

    def _add(self, new: SpecSuggestion) -> Submission:
        superseded = self._alternatives(new)
        held = self._held(new, besides={each.id for each in superseded})
        if held is not None:
            return Submission(outcome="held", suggestion=new, reason=held)
        for each in superseded:
            self.close(each, "superseded", {"supersededBy": new.id})
        fresh = replace(new, status="pending", revision=1, approvals=())
        more = f" It supersedes {superseded[0].id[:ID_SHOWN]}." if superseded else ""
        return self._keep(fresh, "added", f"New.{more}")

    def _alternatives(self, new: SpecSuggestion) -> list[SpecSuggestion]:
        """Return what is open and asks for another value at the same place."""
        return [
            other
            for other in self._open.get(subject_of(new), {}).values()
            if other.id != new.id and other.id not in self.together and is_alternative(other, new)
        ]

    def _held(self, new: SpecSuggestion, *, besides: Collection[str]) -> str | None:
        subject = subject_of(new)
        if subject is None:
            return None
        limit = self.workflow.config.for_operation(subject.key).max_suggestions_per_operation
        # Drafts of new operations do not compete with the repairs of the one they start at.
        drafted = new.target.operation is None
        pending = sum(
            (other.target.operation is None) == drafted
            for other in self._open.get(subject, {}).values()
            if other.id not in besides
        )
        if pending < limit:
            return None
        return f"{pending} are open for this operation, at most {limit} may be."

    def _reconsider(self, known: SpecSuggestion, new: SpecSuggestion) -> Submission:
        before, now = strength_of(known), strength_of(new)
        rejection = known.approvals[-1] if known.approvals else None
        doubled = before is not None and now is not None and before > 0 and now >= 2 * before
        cause = new_cause(known, new)
        if not doubled and cause is None:
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
        why = "its effect has doubled since" if doubled else f"a new cause appeared: {cause}"
        return self._keep(reopened, "reopened", f"It was {standing(known)}; {why}.")

    def _open_again(self, known: SpecSuggestion, new: SpecSuggestion) -> Submission:
        revised = revise(known, new)
        if revised is known:
            reason = f"It is {standing(known)}; nothing is new."
            return Submission(outcome="unchanged", suggestion=known, reason=reason)
        held = self._held(new, besides={each.id for each in self._alternatives(new)})
        if held is not None:
            return Submission(outcome="held", suggestion=new, reason=held)
        for each in self._alternatives(new):
            self.close(each, "superseded", {"supersededBy": new.id})
        reason = f"It was {known.status}; there is new evidence."
        return self._keep(replace(revised, status="pending"), "reopened", reason)

    def supersede_approved(self, approved: SpecSuggestion) -> list[SpecSuggestion]:
        """Close what was approved, and is not in force yet, where another value is approved now."""
        return [
            self.close(other, "superseded", {"supersededBy": approved.id})
            for other in self.table.select("approved", target=approved.target)
            if other.id != approved.id and is_alternative(other, approved)
        ]

    def close(
        self, suggestion: SpecSuggestion, status: SuggestionStatus, why: Mapping[str, Any]
    ) -> SpecSuggestion:
        """Give a suggestion a status that no person decides, and keep why in its metadata."""
        metadata = {**suggestion.proposal.metadata, **why}
        closed = replace(
            suggestion, status=status, proposal=replace(suggestion.proposal, metadata=metadata)
        )
        self.table.save(closed, at=self.now)
        self._open.get(subject_of(closed), {}).pop(closed.id, None)
        return closed

    def _keep(self, suggestion: SpecSuggestion, outcome: Outcome, reason: str) -> Submission:
        self.table.save(suggestion, at=self.now)
        if self.workflow.needs_nobody(suggestion):
            limit = self.workflow.config.auto_approve_threshold
            notes = f"Risk {suggestion.risk} is within {limit}."
            decision = Decision(
                suggestion_id=suggestion.id,
                revision=suggestion.revision,
                reviewer=AUTOMATIC_REVIEWER,
                status="approved",
                notes=notes,
                decided_at=self.now,
            )
            suggestion = append_decision(self.table, suggestion, decision, "approved")
            reason = f"{reason} Approved without a person: {notes}"
        here = self._open.setdefault(subject_of(suggestion), {})
        here.pop(suggestion.id, None)
        if suggestion.status == "pending":
            here[suggestion.id] = suggestion
        return Submission(outcome=outcome, suggestion=suggestion, reason=reason)


def append_decision(
    table: SuggestionTable,
    suggestion: SpecSuggestion,
    decision: Decision,
    status: SuggestionStatus,
) -> SpecSuggestion:
    """Append a decision, keep where the suggestion stands by it, and return it with both."""
    table.append(decision)
    table.save(replace(suggestion, status=status), at=decision.decided_at)
    return replace(suggestion, status=status, approvals=(*suggestion.approvals, decision))


def is_alternative(one: SpecSuggestion, other: SpecSuggestion) -> bool:
    """Say whether two suggestions ask for different values of the same thing at the same place.

    Then one takes the other's place: a limit of 200 that of 100, a timeout of 2 s that of 3 s. Both
    ask under the same names; a suggestion to declare a code and one to retry on it do not.
    """
    first, second = (_ask(each) for each in (one, other))
    return (
        one.target == other.target
        and one.target.operation is not None
        and one.proposal.change_type == other.proposal.change_type
        and _shape(first) == _shape(second)
        and first != second
    )


def _shape(ask: Mapping[str, Any]) -> object:
    """Return what is asked for without its values: which edits at which places, or which names."""
    edits = ask.get("edits")
    if not isinstance(edits, list | tuple):
        return sorted(ask)
    return [
        {name: value for name, value in edit.items() if name in _SHAPE}
        for edit in edits
        if isinstance(edit, Mapping)
    ]


def new_cause(known: SpecSuggestion, new: SpecSuggestion) -> str | None:
    """Return where the change sits now and sat in no evidence that was known: ``tenantId b``."""
    before = _causes(known)
    return next(iter(sorted(_causes(new) - before)), None) if before else None


def _causes(suggestion: SpecSuggestion) -> set[str]:
    found = set()
    for item in suggestion.evidence:
        attribution = item.data.get("attribution")
        if not isinstance(attribution, Mapping):
            continue
        for name in _CAUSES:
            value = attribution.get(name)
            value = value.get("value") if isinstance(value, Mapping) else value
            if isinstance(value, str) and value:
                found.add(f"{name} {value}")
    return found


def _ask(suggestion: SpecSuggestion) -> dict[str, Any]:
    return dict(suggestion.proposal.metadata.get("ask") or {})
