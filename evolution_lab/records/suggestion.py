"""What is proposed and what people decided on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from evolution_lab.records.intent import EvidenceItem
from evolution_lab.records.json_form import CAMEL_CASE
from evolution_lab.records.operation import OperationRef

ChangeType = Literal["new-spec", "revision", "policy-update", "schema-update"]
Priority = Literal["low", "medium", "high"]
SuggestionStatus = Literal[
    "pending", "approved", "rejected", "superseded", "expired", "withdrawn", "adopted"
]


@dataclass(frozen=True, kw_only=True)
class Target:
    """What a suggestion would change.

    Attributes:
        operation: The operation whose spec changes; None for a new one.
        path: Where in the spec (a JSON Pointer such as ``/policy/timeout``).
    """

    __pydantic_config__ = CAMEL_CASE

    operation: OperationRef | None
    path: str


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """The change itself.

    Attributes:
        summary: One sentence: what to change.
        rationale: Why, in words, with the numbers that ask for it.
        change_type: ``new-spec``, ``revision``, ``policy-update`` or ``schema-update``.
        kind: ``command`` or ``query`` where a new operation is proposed.
        spec: The changed part of the spec, JSON-ready.
        diff: Unified diff of the spec, where there is a spec to diff against.
        metadata: Anything else a reader of the envelope may want; JSON-ready.
    """

    __pydantic_config__ = CAMEL_CASE

    summary: str
    rationale: str
    change_type: ChangeType
    kind: Literal["command", "query"] | None = None
    spec: Mapping[str, Any] | None = None
    diff: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


Verdict = Literal["approved", "rejected", "withdrawn"]


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What one person decided on one revision; appended, never changed.

    Attributes:
        suggestion_id: The suggestion decided on.
        revision: The revision the person saw.
        reviewer: Who decided.
        status: ``approved``, ``rejected``, or ``withdrawn`` (takes the decision before it back).
        notes: Why; required unless it approves.
        decided_at: When, UTC.
    """

    __pydantic_config__ = CAMEL_CASE

    suggestion_id: str
    revision: int
    reviewer: str
    status: Verdict
    notes: str | None
    decided_at: datetime


@dataclass(frozen=True, kw_only=True)
class SpecSuggestion:
    """A concrete change to a spec, with the evidence that asks for it.

    Attributes:
        id: Hash of what is asked (operation, path, change type, canonical change), never of
            measured values: new evidence adds a revision to the same id.
        intent: The kind of the signal, or ``workflow``, that led here.
        target: What would change.
        proposal: The change.
        confidence: Calibrated probability that the finding is true; None until a map exists.
        risk: 0 to 1, how much could go wrong by applying it.
        created_at: When the evidence was complete (event time), UTC.
        created_by: ``auto-evolution`` unless a person wrote it.
        status: Where it stands.
        evidence: The facts, most telling first.
        priority: ``low``, ``medium`` or ``high``.
        revision: Counts from 1; grows with new evidence.
        signal_ids: The signals behind it.
        overlay: OpenAPI Overlay document, where there is a source document.
        approvals: Decisions taken, oldest first.
    """

    __pydantic_config__ = CAMEL_CASE

    id: str
    intent: str
    target: Target
    proposal: Proposal
    confidence: float | None
    risk: float | None
    created_at: datetime
    created_by: str = "auto-evolution"
    status: SuggestionStatus = "pending"
    evidence: tuple[EvidenceItem, ...]
    priority: Priority
    tags: tuple[str, ...] = ()
    revision: int = 1
    signal_ids: tuple[str, ...] = ()
    overlay: Mapping[str, Any] | None = None
    approvals: tuple[Decision, ...] = ()
