"""What a change of a spec means for those who call the operation: who breaks, and by what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from evolution_lab.contracts.openapi import OpenApiDocument
from evolution_lab.contracts.operation_spec import OperationSpec
from evolution_lab.contracts.references import pointer
from evolution_lab.contracts.schema_changes import SchemaChange, schema_changes
from evolution_lab.records.json_form import CAMEL_CASE

SpecDifferenceKind = Literal[
    "operation-added",
    "operation-removed",
    "operation-renamed",
    "kind-changed",
    "request-narrowed",
    "request-widened",
    "request-changed",
    "response-narrowed",
    "response-widened",
    "response-changed",
    "error-added",
    "error-removed",
    "error-changed",
    "policy-changed",
    "deprecated",
]
Side = Literal["request", "response"]

_LIMITING_POLICY: Final = frozenset({"auth", "rateLimit"})
"""Parts of a policy that refuse calls which were served before."""


@dataclass(frozen=True, kw_only=True)
class SpecDifference:
    """One difference between two versions of an operation's spec.

    Attributes:
        kind: What differs.
        place: JSON Pointer in the operation: ``/request/body/sku``, ``/response/total``.
        breaking: Whether a caller that kept to the old spec may fail under the new one.
        what: The difference in words.
        reason: Why it breaks callers, or why not.
    """

    __pydantic_config__ = CAMEL_CASE

    kind: SpecDifferenceKind
    place: str
    breaking: bool
    what: str
    reason: str


def spec_differences(
    before: OperationSpec | None, after: OperationSpec | None
) -> tuple[SpecDifference, ...]:
    """Return how two versions of an operation's spec differ, and which differences break callers.

    A request that is narrowed breaks who sends what is no longer admitted; a response that is
    widened breaks who does not know what may come now. An optional field that is declared breaks
    nobody: callers ignore what they do not know.

    Args:
        before: The spec as it is; None for a new operation.
        after: The spec as proposed; None for one that goes away.

    Examples:
        >>> old = OperationSpec(key="cart.add", version="1", kind="command", goal="Add.",
        ...                     input_schema={"properties": {"sku": {"type": "string"}}})
        >>> from dataclasses import replace
        >>> new = replace(old, input_schema={**old.input_schema, "required": ["sku"]})
        >>> [(d.kind, d.place, d.breaking) for d in spec_differences(old, new)]
        [('request-narrowed', '/request/sku', True)]
    """
    if before is None or after is None:
        return _existence(before, after)
    return tuple(_differences(before, after))


def document_differences(
    before: OpenApiDocument, after: OpenApiDocument
) -> dict[str, tuple[SpecDifference, ...]]:
    """Return how the operations of two versions of a document differ, by method and template.

    Only operations that differ are in it. One that left while an equal one came under another path
    is renamed; so is one whose ``operationId`` changed.

    Raises:
        InvalidDocumentError: An operation cannot be read.
    """
    old = {operation.route: before.spec(operation.route) for operation in before.operations}
    new = {operation.route: after.spec(operation.route) for operation in after.operations}
    found: dict[str, tuple[SpecDifference, ...]] = {}
    won = {route: spec for route, spec in new.items() if route not in old}
    for route, spec in old.items():
        if route in new:
            differences = spec_differences(spec, new[route])
            if spec.key != new[route].key:
                differences = (_renamed(spec.key, new[route].key), *differences)
            if differences:
                found[route] = differences
            continue
        twin = next((r for r, other in won.items() if _same_promise(spec, other)), None)
        if twin is None:
            found[route] = spec_differences(spec, None)
        else:
            del won[twin]
            found[route] = (_renamed(route, twin),)
    found |= {route: spec_differences(None, spec) for route, spec in won.items()}
    return found


def _existence(
    before: OperationSpec | None, after: OperationSpec | None
) -> tuple[SpecDifference, ...]:
    if before is None and after is None:
        return ()
    kind: SpecDifferenceKind = "operation-added" if before is None else "operation-removed"
    spec = after or before
    assert spec is not None
    return (
        SpecDifference(
            kind=kind,
            place="",
            breaking=after is None,
            what=spec.key,
            reason="Nobody calls it yet." if before is None else "Whoever calls it fails.",
        ),
    )


def _renamed(old: str, new: str) -> SpecDifference:
    return SpecDifference(
        kind="operation-renamed",
        place="",
        breaking=True,
        what=f"{old} is called {new} now",
        reason="Callers know the old name.",
    )


def _same_promise(one: OperationSpec, other: OperationSpec) -> bool:
    return (one.kind, one.input_schema, one.output_schema) == (
        other.kind,
        other.input_schema,
        other.output_schema,
    )


def _differences(before: OperationSpec, after: OperationSpec) -> Iterator[SpecDifference]:
    if before.kind != after.kind:
        yield SpecDifference(
            kind="kind-changed",
            place="/kind",
            breaking=after.kind == "command",
            what=f"{before.kind} → {after.kind}",
            reason="Callers repeat queries without asking, commands not.",
        )
    for change in schema_changes(before.input_schema, after.input_schema):
        yield _of_schema("request", change)
    for change in schema_changes(before.output_schema, after.output_schema):
        yield _of_schema("response", change)
    yield from _errors(before, after)
    yield from _policies(before.policy, after.policy)


def _of_schema(side: Side, change: SchemaChange) -> SpecDifference:
    kind, breaking, reason = _meaning(side, change.kind)
    return SpecDifference(
        kind=kind,
        place=f"/{side}{change.place}",
        breaking=breaking,
        what=change.what,
        reason=reason,
    )


def _meaning(side: Side, kind: str) -> tuple[SpecDifferenceKind, bool, str]:
    request = side == "request"
    if kind == "field-added":
        return (
            "request-widened" if request else "response-widened",
            False,
            "It may be left out." if request else "Callers ignore fields they do not know.",
        )
    if kind in {"field-removed", "field-renamed", "changed"}:
        return (
            "request-changed" if request else "response-changed",
            True,
            "Callers that use it fail." if kind != "changed" else "Callers may not fit it.",
        )
    if kind == "narrowed":
        return (
            "request-narrowed" if request else "response-narrowed",
            request,
            "What callers send may be refused." if request else "Callers know what still comes.",
        )
    return (
        "request-widened" if request else "response-widened",
        not request,
        "What callers send is still taken."
        if request
        else "Callers may get what they do not know.",
    )


def _errors(before: OperationSpec, after: OperationSpec) -> Iterator[SpecDifference]:
    for code in sorted(before.errors.keys() | after.errors.keys()):
        old, new = before.errors.get(code), after.errors.get(code)
        kind: SpecDifferenceKind
        if old is None:
            kind, breaking, reason = "error-added", False, "Callers handle errors by their class."
        elif new is None:
            kind, breaking, reason = "error-removed", False, "It is not answered any more."
        elif (old.http, old.gql_code) != (new.http, new.gql_code):
            kind, breaking, reason = "error-changed", True, "Callers know it by the old status."
        else:
            continue
        yield SpecDifference(
            kind=kind, place=pointer("errors", code), breaking=breaking, what=code, reason=reason
        )


def _policies(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[SpecDifference]:
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) == after.get(name):
            continue
        place = pointer("policy", name)
        if name == "deprecated":
            yield SpecDifference(
                kind="deprecated",
                place=place,
                breaking=False,
                what="deprecated" if after.get(name) else "no longer deprecated",
                reason="It is served as before.",
            )
            continue
        limits = name in _LIMITING_POLICY and name in after
        yield SpecDifference(
            kind="policy-changed",
            place=place,
            breaking=limits,
            what=f"{name} is stated" if name not in before else f"{name} differs",
            reason="Calls that were served may be refused." if limits else "Callers send the same.",
        )
