"""A concrete change to a spec, and the words for it.

A change has two forms. ``spec`` is the changed part of the operation's document, a JSON Merge Patch
(RFC 7396) that can be applied. ``ask`` is the same without any number that was measured: it goes
into the suggestion's id, so that new numbers never make a new suggestion. Numbers in ``spec`` are
proposals on a coarse grid (1, 2, 5, 10 …).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from evolution_lab.contracts import OperationSpec
from evolution_lab.records import ChangeType, IntentSignal, OperationRef
from evolution_lab.suggestions.causes import Cause
from evolution_lab.suggestions.edits import Edit

HintCategory = Literal["schema", "policy", "performance", "error-handling"]

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "QUERY"})
REPEATABLE_METHODS: Final = SAFE_METHODS | {"PUT", "DELETE"}
"""Methods that RFC 9110 section 9.2.2 calls idempotent (TRACE is not an operation)."""


@dataclass(frozen=True, kw_only=True)
class SpecChange:
    """A change and the words for it.

    Attributes:
        change_type: ``new-spec``, ``revision``, ``policy-update`` or ``schema-update``.
        category: Of the optimisation hint it gives.
        operation: Whose spec changes; None for a new operation.
        path: JSON Pointer to the changed member.
        ask: The canonical change, without measured numbers.
        spec: The changed part of the document, a JSON Merge Patch.
        kind: ``command`` or ``query`` of a new operation.
        summary: One sentence: what to change.
        reason: One sentence: why this change answers the finding.
        actions: What a person would do, step by step.
        tags: Short labels for filters.
        edits: The change, step by step, where ``spec`` alone does not say it: ``spec`` is then their
            ``edits.changed_part``, ``ask`` their ``edits.ask_of`` and ``path`` their
            ``edits.path_of``. Without, they are read from ``spec``.
    """

    change_type: ChangeType
    category: HintCategory
    operation: OperationRef | None
    path: str
    ask: Mapping[str, Any]
    spec: Mapping[str, Any]
    kind: Literal["command", "query"] | None = None
    summary: str
    reason: str
    actions: tuple[str, ...]
    tags: tuple[str, ...] = ()
    edits: tuple[Edit, ...] = ()


def scoped_operation(signal: IntentSignal, cause: Cause) -> OperationRef:
    """Return the operation a change is asked of: that of the signal, for the tenant concerned."""
    op = signal.operation
    return OperationRef(op.key, service=op.service, version=op.version, tenant_id=cause.tenant_id)


def change_tags(signal: IntentSignal, cause: Cause, *more: str) -> tuple[str, ...]:
    """Return the labels of a change: the signal's kind, ``more``, and whether one tenant has it."""
    tags = [signal.kind, *more]
    if cause.tenant_id is not None:
        tags.append("one-tenant")
    return tuple(tags)


def is_repeatable(operation: OperationRef, spec: OperationSpec | None) -> bool:
    """Say whether a call may be sent again: from the spec, else from the method in the key.

    Examples:
        >>> is_repeatable(OperationRef("GET /orders"), None)
        True
        >>> is_repeatable(OperationRef("POST /orders"), None)
        False
    """
    if spec is not None:
        return spec.repeatable
    return operation.key.split(" ", 1)[0].upper() in REPEATABLE_METHODS
