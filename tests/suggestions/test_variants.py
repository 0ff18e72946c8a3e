"""A suggestion on a spec declared in Python becomes a variant of it, as long as it still fits."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from evolution_lab.contracts import DeclaredError, OperationSpec
from evolution_lab.errors import InapplicableEditError
from evolution_lab.records import EvidenceItem, OperationRef, Proposal, SpecSuggestion, Target
from evolution_lab.suggestions import SpecGenerator
from evolution_lab.suggestions.edits import DeclareField, Edit, Place
from evolution_lab.suggestions.spec_change import SpecChange
from evolution_lab.suggestions.spec_effects import spec_effect
from evolution_lab.suggestions.specs import DeclaredSpecs

SPEC = OperationSpec(
    key="cart.add", version="3", kind="command", goal="Add an item.",
    input_schema={"type": "object", "properties": {"sku": {"type": "string"}}},
    errors={"GONE": DeclaredError(http=410)}, policy={"auth": "user"},
)  # fmt: skip

CART = OperationRef("cart.add")
FIELD = DeclareField(place=Place(part="body", path=("gift",)), schema={"type": "boolean"})


def suggestion(
    spec: dict[str, Any], *edits: Edit, operation: OperationRef | None = CART
) -> SpecSuggestion:
    change = SpecChange(
        change_type="schema-update", category="schema", operation=operation, path="/x", ask={},
        spec=spec, edits=edits, summary="Change it.", reason="Seen.", actions=(),
    )  # fmt: skip
    effect = spec_effect(change, DeclaredSpecs((SPEC,)), suggestion_id="0123456789abcdef")
    metadata = {"specEffect": effect.notes} if effect.notes else {}
    return SpecSuggestion(
        id="0123456789abcdef", intent="schema-mismatch", target=Target(operation=operation, path="/x"),
        proposal=Proposal(summary="Change it.", rationale="Seen.", change_type="schema-update",
                          spec=spec, diff=effect.diff, metadata=metadata),
        confidence=None, risk=None, created_at=datetime(2026, 3, 2, tzinfo=UTC),
        evidence=(EvidenceItem(description="Seen.", data={}),), priority="low",
    )  # fmt: skip


def test_edits_and_policies_are_applied_in_a_version_of_their_own() -> None:
    declared = SpecGenerator().generate_variant(suggestion({}, FIELD), [SPEC])
    assert declared.input_schema["properties"] == {
        "sku": {"type": "string"}, "gift": {"type": "boolean"},
    }  # fmt: skip
    assert (declared.key, declared.version) == ("cart.add", "3+01234567")
    assert (declared.errors, declared.policy) == (SPEC.errors, SPEC.policy)
    bounded = suggestion({"policy": {"latency": {"timeoutMs": 500}}})
    variant = SpecGenerator().generate_variant(bounded, [SPEC])
    assert variant == replace(
        SPEC, version="3+01234567", policy={"auth": "user", "latency": {"timeoutMs": 500}}
    )


def test_what_cannot_be_tried_is_refused() -> None:
    bounded = suggestion({"policy": {"latency": {"timeoutMs": 500}}})
    draft = suggestion({"key": "cart.fill"}, operation=None)
    refused: list[tuple[SpecSuggestion, list[OperationSpec], str]] = [
        (bounded, [], "no spec of 'cart.add' is known"),
        (suggestion({}, FIELD), [replace(SPEC, goal="Put in.")], "has changed since"),
        (bounded, [replace(SPEC, policy={"auth": "none"})], "has changed since"),
        (suggestion({"goal": "Add an item."}), [SPEC], "changes nothing"),
        (suggestion({"kind": "both"}), [SPEC], "makes no spec of 'cart.add'"),
        (draft, [SPEC], "adds an operation"),
    ]
    for asked, specs, reason in refused:
        with pytest.raises(InapplicableEditError, match=reason):
            SpecGenerator().generate_variant(asked, specs)
