"""What a change does to the spec that an operation has: overlay, patch, diff, and who breaks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from evolution_lab.contracts import OpenApiDocument, OperationSpec
from evolution_lab.contracts.breaking import SpecDifference, spec_differences
from evolution_lab.errors import InputError, UnknownNameError
from evolution_lab.records import OperationRef, to_python
from evolution_lab.suggestions.differences import merge_patch, unified_diff
from evolution_lab.suggestions.document_change import DocumentChange, change_document
from evolution_lab.suggestions.edits import (
    AddOperation,
    DeclareError,
    Edit,
    SetExtension,
    edit_document,
)
from evolution_lab.suggestions.identity import json_ready
from evolution_lab.suggestions.risk import BreakingClass
from evolution_lab.suggestions.spec_change import SpecChange
from evolution_lab.suggestions.spec_edits import edit_spec
from evolution_lab.suggestions.specs import SpecSource

_EXTENSIONS: Final = ("policy", "rollout", "lifecycle")
_NOT_IN_PATHS: Final = re.compile(r"[^a-z0-9]+")
_LONGEST_SLUG: Final = 60


@dataclass(frozen=True, kw_only=True)
class SpecEffect:
    """What a change does to a declared spec.

    Attributes:
        overlay: OpenAPI Overlay 1.0 on the team's document; None where there is none.
        diff: Unified diff of the document, or of the spec declared in Python; None without either.
        differences: What it means for callers, None where no spec is known.
        lasting: Whether taking the change back would break callers.
        notes: What a suggestion says of it under ``metadata.specEffect``; JSON-ready.
    """

    overlay: Mapping[str, Any] | None = None
    diff: str | None = None
    differences: tuple[SpecDifference, ...] | None = None
    lasting: bool = False
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def breaking(self) -> BreakingClass:
        """Whether callers that kept to the old spec may fail under the new one."""
        if self.differences is None:
            return "unknown"
        return "breaking" if any(d.breaking for d in self.differences) else "compatible"


def spec_effect(change: SpecChange, specs: SpecSource, *, suggestion_id: str) -> SpecEffect:
    """Return what a change does to the spec that its operation has.

    A change that does not fit the document gets no overlay, and says why under
    ``overlayRefused``: no overlay leaves here that was not applied and validated.

    Args:
        change: The change; its ``edits``, or the edits that its ``spec`` stands for.
        specs: Declared operations, or the documents that have them.
        suggestion_id: Of the suggestion made of it; the overlay names it.
    """
    subject = _subject(change)
    document = None if subject is None else specs.document_of(subject)
    edits = edits_of(change, document)
    if document is not None and edits:
        return _on_document(change, document, subject, edits, suggestion_id)
    if change.operation is None:
        return SpecEffect(diff=unified_diff(None, change.spec, name="spec.json"), differences=None)
    spec = specs.spec_of(change.operation)
    return SpecEffect() if spec is None else _on_spec(change, spec)


def edits_of(change: SpecChange, document: OpenApiDocument | None = None) -> tuple[Edit, ...]:
    """Return the edits of a change: its own, or those that its ``spec`` stands for.

    Args:
        change: The change.
        document: The document that a drafted operation would stand in; its paths are taken.

    Examples:
        >>> change = SpecChange(change_type="policy-update", category="performance",
        ...     operation=OperationRef("GET /a"), path="/policy/timeoutMs", ask={"timeout": True},
        ...     spec={"policy": {"timeoutMs": 500}}, summary="Bound it.", reason="Slow.", actions=())
        >>> edits_of(change)
        (SetExtension(path=('policy', 'timeoutMs'), value=500),)
    """
    if change.edits:
        return change.edits
    if change.operation is None:
        path = _free_path(str(change.spec.get("key") or "operation"), document)
        return (AddOperation(method="POST", path=path, draft=change.spec),)
    edits: list[Edit] = []
    errors = change.spec.get("errors")
    for code, error in (errors if isinstance(errors, Mapping) else {}).items():
        stated = error if isinstance(error, Mapping) else {}
        status, when = stated.get("http"), stated.get("when")
        edits.append(
            DeclareError(
                code=code,
                status=status if isinstance(status, int) else None,
                when=when if isinstance(when, str) else None,
            )
        )
    for top in _EXTENSIONS:
        members = change.spec.get(top)
        if isinstance(members, Mapping):
            edits += [SetExtension(path=(top, name), value=v) for name, v in members.items()]
    return tuple(edits)


def _subject(change: SpecChange) -> OperationRef | None:
    """Return the operation whose document is changed: of a draft, its first step's."""
    if change.operation is not None:
        return change.operation
    steps = change.spec.get("steps")
    first = steps[0] if isinstance(steps, list | tuple) and steps else None
    if not isinstance(first, Mapping) or not isinstance(first.get("key"), str):
        return None
    return OperationRef(first["key"], service=first.get("service"))


def _on_document(
    change: SpecChange,
    document: OpenApiDocument,
    subject: OperationRef | None,
    edits: tuple[Edit, ...],
    suggestion_id: str,
) -> SpecEffect:
    tenant = None if change.operation is None else change.operation.tenant_id
    about = {"suggestionId": suggestion_id}
    if tenant is not None:
        about["tenantId"] = tenant
    title = change.summary if tenant is None else f"For tenant {tenant} only: {change.summary}"
    named = None if change.operation is None or subject is None else subject.key
    shown = {"edits": [edit_document(edit) for edit in edits]}
    try:
        done = change_document(document, named, edits, title=title, about=about)
    except (InputError, UnknownNameError) as error:
        return SpecEffect(notes={**shown, "overlayRefused": str(error)})
    return SpecEffect(
        overlay=done.overlay,
        diff=done.diff,
        differences=done.differences,
        lasting=done.lasting,
        notes={**shown, **_told(done)},
    )


def _told(done: DocumentChange) -> dict[str, Any]:
    return {
        "jsonPatch": json_ready(list(done.json_patch)),
        "differences": [to_python(difference) for difference in done.differences],
        "breaking": done.breaking,
        "copiedComponents": [
            {"component": copied.component, "keptBy": list(copied.kept_by)}
            for copied in done.copied
        ],
        "changedComponents": list(done.changed),
        "alsoAffects": list(done.affects),
    }


def _on_spec(change: SpecChange, spec: OperationSpec) -> SpecEffect:
    before = spec.to_document()
    if not change.edits:
        after = merge_patch(before, change.spec)
        return SpecEffect(diff=unified_diff(before, after, name="spec.json"))
    shown = {"edits": [edit_document(edit) for edit in change.edits]}
    try:
        changed = edit_spec(spec, change.edits)
    except InputError as error:
        return SpecEffect(notes={**shown, "overlayRefused": str(error)})
    differences = spec_differences(spec, changed)
    return SpecEffect(
        diff=unified_diff(before, changed.to_document(), name="spec.json"),
        differences=differences,
        lasting=any(difference.breaking for difference in spec_differences(changed, spec)),
        notes={
            **shown,
            "changedSpec": changed.to_document(),
            "differences": [to_python(difference) for difference in differences],
            "breaking": any(difference.breaking for difference in differences),
        },
    )


def _free_path(key: str, document: OpenApiDocument | None) -> str:
    slug = _NOT_IN_PATHS.sub("-", key.lower())[:_LONGEST_SLUG].strip("-") or "operation"
    number, path = 1, f"/{slug}"
    while document is not None and path in document.content.get("paths", {}):
        number += 1
        path = f"/{slug}-{number}"
    return path
