"""A change of the team's own OpenAPI document: as overlay, JSON Patch and diff, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evolution_lab.contracts import OpenApiDocument
from evolution_lab.contracts.breaking import SpecDifference, spec_differences
from evolution_lab.errors import InvalidDocumentError, InvalidOverlayError
from evolution_lab.suggestions.component_users import operations_using
from evolution_lab.suggestions.differences import unified_diff
from evolution_lab.suggestions.document_edits import edit_document_of
from evolution_lab.suggestions.edits import AddOperation, Edit
from evolution_lab.suggestions.json_patch import json_patch, same_json
from evolution_lab.suggestions.overlays import apply_overlay, make_overlay
from evolution_lab.suggestions.validity import new_faults


@dataclass(frozen=True, kw_only=True)
class CopiedComponent:
    """A shared component that an operation got a copy of, and who keeps the shared one.

    Attributes:
        component: Its JSON Pointer.
        kept_by: Other operations that refer to it; for them nothing changes.
    """

    component: str
    kept_by: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class DocumentChange:
    """One change of a document, in the forms in which people and tools take it.

    Attributes:
        content: The changed document.
        overlay: OpenAPI Overlay 1.0; applied to the source it gives ``content``.
        json_patch: RFC 6902; applied to the source it gives ``content``.
        diff: Unified diff of both documents as indented JSON, members in the document's order.
        differences: What the change means for callers of the operation.
        lasting: Whether taking the change back would break callers.
        copied: Shared components that were copied rather than changed.
        changed: Components that were changed in place: this operation alone refers to them.
        affects: Other operations whose promises change with it; empty unless stated here.
    """

    content: Mapping[str, Any] = field(repr=False)
    overlay: Mapping[str, Any]
    json_patch: tuple[Mapping[str, Any], ...]
    diff: str = field(repr=False)
    differences: tuple[SpecDifference, ...]
    lasting: bool = False
    copied: tuple[CopiedComponent, ...] = ()
    changed: tuple[str, ...] = ()
    affects: tuple[str, ...] = ()

    @property
    def breaking(self) -> bool:
        """Whether a caller that kept to the document may fail under the changed one."""
        return any(difference.breaking for difference in self.differences)


def change_document(
    document: OpenApiDocument,
    operation: str | None,
    edits: Sequence[Edit],
    *,
    title: str,
    revision: int = 1,
    about: Mapping[str, Any] | None = None,
) -> DocumentChange:
    """Return what edits of an operation do to its document, in all forms, checked.

    Checked is that each target of the overlay selects an object or list, that the overlay (applied
    by ``oas-patch``) gives exactly the changed document, and that this has no fault that the source
    does not have (``openapi-spec-validator``).

    Args:
        document: The team's own document; it stays as it is.
        operation: ``operationId`` or method and template; None where edits only add operations.
        edits: What to change.
        title: One sentence: what the overlay does.
        revision: The suggestion's revision, the overlay's version.
        about: What the overlay says of itself under ``x-evolution-lab``; ``tenantId`` where it
            holds for one tenant alone.

    Raises:
        UnknownNameError: The document has no such operation.
        InapplicableEditError: A place is not declared, or says already what is asked.
        InvalidDocumentError: The document cannot be read at the operation.
        InvalidOverlayError: No overlay says the change, or the changed document is not valid.

    Examples:
        >>> from evolution_lab.suggestions.edits import Deprecate
        >>> document = OpenApiDocument.load({"openapi": "3.1.0", "info": {"title": "A",
        ...     "version": "1"}, "paths": {"/a": {"get": {"responses": {}}}}})
        >>> change = change_document(document, "GET /a", [Deprecate()], title="Retire GET /a.")
        >>> change.json_patch
        ({'op': 'add', 'path': '/paths/~1a/get/deprecated', 'value': True},)
        >>> change.breaking
        False
    """
    source = document.content
    edited = edit_document_of(document, operation, edits)
    overlay = make_overlay(source, edited.content, title=title, version=str(revision), about=about)
    if not same_json(apply_overlay(source, overlay), edited.content):
        raise InvalidOverlayError("applied, the overlay gives another document than was meant.")
    faults = new_faults(source, edited.content)
    if faults:
        raise InvalidOverlayError(f"the changed document is not valid: {faults[0]}")
    after = OpenApiDocument(edited.content, document.source)
    route = None if operation is None else document.operation(operation).route
    name = Path(document.source or "openapi.json").name
    return DocumentChange(
        content=edited.content,
        overlay=overlay,
        json_patch=tuple(json_patch(source, edited.content)),
        diff=unified_diff(source, edited.content, name=" ".join(name.split()), in_order=True),
        differences=_differences(document, after, route, edits),
        lasting=any(d.breaking for d in _differences(after, document, route, edits, undone=True)),
        copied=tuple(
            CopiedComponent(
                component=path,
                kept_by=tuple(r for r in operations_using(document, path) if r != route),
            )
            for path in edited.copied
        ),
        changed=edited.changed,
        affects=_affected(document, after, route, edited.changed),
    )


def _differences(
    before: OpenApiDocument,
    after: OpenApiDocument,
    route: str | None,
    edits: Sequence[Edit],
    *,
    undone: bool = False,
) -> tuple[SpecDifference, ...]:
    found: list[SpecDifference] = []
    if route is not None:
        found += spec_differences(before.spec(route), after.spec(route))
    for edit in edits:
        if isinstance(edit, AddOperation):
            new = (before if undone else after).spec(f"{edit.method.upper()} {edit.path}")
            found += spec_differences(new, None) if undone else spec_differences(None, new)
    return tuple(found)


def _affected(
    before: OpenApiDocument, after: OpenApiDocument, route: str | None, changed: Sequence[str]
) -> tuple[str, ...]:
    """Return the other operations that say something else now: none, unless the edits failed us."""
    suspects = {r for path in changed for r in operations_using(before, path)}
    if route is not None:
        operation = before.operation(route)
        suspects |= {o.route for o in before.operations if o.path == operation.path}
    found = []
    for suspect in sorted(suspects - {route}):
        try:
            if before.spec(suspect) != after.spec(suspect):
                found.append(suspect)
        except InvalidDocumentError:  # Could not be read before either.
            continue
    return tuple(found)
