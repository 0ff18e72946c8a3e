"""The spec that a suggestion asks for, as a variant to be tried beside the one in force."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from pydantic import ValidationError

from evolution_lab.contracts import OpenApiDocument, OperationSpec
from evolution_lab.errors import InapplicableEditError
from evolution_lab.records import SpecSuggestion, from_json
from evolution_lab.suggestions.differences import merge_patch, unified_diff
from evolution_lab.suggestions.overlays import apply_overlay
from evolution_lab.suggestions.specs import SpecSource

_ID_SHOWN: Final = 8


def control_of(suggestion: SpecSuggestion, specs: SpecSource) -> OperationSpec:
    """Return the spec in force of the operation that a suggestion changes.

    Raises:
        InapplicableEditError: It adds an operation, or no spec of its operation is known.
    """
    operation = suggestion.target.operation
    if operation is None:
        raise InapplicableEditError(
            f"suggestion {suggestion.id[:_ID_SHOWN]} adds an operation; there is no spec in force "
            "that a variant could be tried beside."
        )
    spec = specs.spec_of(operation)
    if spec is None:
        raise InapplicableEditError(
            f"no spec of {operation.key!r} is known, must be to try a variant of it; name its "
            "document by --spec or in evolution_lab.toml."
        )
    return spec


def variant_of(suggestion: SpecSuggestion, specs: SpecSource) -> OperationSpec:
    """Return the spec in force with a suggestion applied, in a version of its own.

    Args:
        suggestion: Whose overlay, or change of a spec declared in Python, is applied.
        specs: The specs in force.

    Raises:
        InapplicableEditError: There is no spec to apply it to, the spec has changed since, or
            nothing changes.
        InvalidOverlayError: The overlay does not fit the document any more.
    """
    control = control_of(suggestion, specs)
    operation = suggestion.target.operation
    assert operation is not None
    document = specs.document_of(operation)
    if suggestion.overlay is not None and document is not None:
        changed = OpenApiDocument.load(apply_overlay(document.content, suggestion.overlay))
        variant = changed.spec(operation.key, key=control.key)
    else:
        variant = _declared(suggestion, control)
    if replace(variant, version=control.version) == control:
        raise InapplicableEditError(
            f"suggestion {suggestion.id[:_ID_SHOWN]} changes nothing of {control.key!r} that its "
            "spec says."
        )
    return replace(variant, version=f"{control.version}+{suggestion.id[:_ID_SHOWN]}")


def _declared(suggestion: SpecSuggestion, control: OperationSpec) -> OperationSpec:
    before = control.to_document()
    effect = suggestion.proposal.metadata.get("specEffect") or {}
    after = effect.get("changedSpec")
    if after is None:
        after = merge_patch(before, dict(suggestion.proposal.spec or {}))
    if unified_diff(before, after, name="spec.json") != suggestion.proposal.diff:
        raise InapplicableEditError(
            f"the spec of {control.key!r} has changed since suggestion "
            f"{suggestion.id[:_ID_SHOWN]} was made; run suggest again."
        )
    try:
        return from_json(OperationSpec, after)
    except ValidationError:
        raise InapplicableEditError(
            f"suggestion {suggestion.id[:_ID_SHOWN]} makes no spec of {control.key!r}."
        ) from None
