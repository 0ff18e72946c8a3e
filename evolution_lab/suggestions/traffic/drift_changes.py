"""The change that each kind of drift asks of a spec."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from evolution_lab.records import OperationRef
from evolution_lab.suggestions.edits import (
    AddParameter,
    AllowTypes,
    AllowValues,
    DeclareError,
    DeclareField,
    Edit,
    RelaxField,
    SetFormat,
    SetLimit,
    ask_of,
    changed_part,
    path_of,
)
from evolution_lab.suggestions.error_changes import CLIENT_ERRORS
from evolution_lab.suggestions.spec_change import SpecChange
from evolution_lab.suggestions.traffic.places import request_place, response_place, shown
from evolution_lab.suggestions.traffic.values import inferred_schema
from evolution_lab.suggestions.wording import name_of

if TYPE_CHECKING:
    from evolution_lab.suggestions.traffic.drift import Drift

_ANY_TEXT: Final = "^[\\s\\S]*$"
_ACTIONS: Final = (
    "Look at the recorded calls named in the evidence.",
    "If it is meant, declare it; if not, mend operation or clients, and reject with that note.",
)


def drift_change(drift: Drift, tenant: str | None) -> tuple[SpecChange, str]:
    """Return the change that one difference asks for, and what was seen in words."""
    operation = drift.operation
    op = OperationRef(operation.key, operation.service, operation.version, tenant_id=tenant)
    scope = ("one-tenant",) if tenant else ()
    if drift.side == "errors":
        return _declare_error(drift, op, scope)
    difference, values = drift.difference, drift.seen.values
    inner = difference.kind in {"field", "required"}
    path = (*difference.path, difference.detail) if inner else difference.path
    place = (
        request_place(path, http=drift.http)
        if drift.side == "input"
        else response_place(path, drift.status)
    )
    where, at = ("requests" if drift.side == "input" else "answers"), shown(path)
    edit: Edit
    if difference.kind == "field":
        schema = inferred_schema(values)
        edit = (
            AddParameter(place=place, schema=schema)
            if place.part in {"query", "header", "cookie"} and len(place.path) == 1
            else DeclareField(place=place, schema=schema)
        )
        what, seen = f"Declare {at}", f"{where} carry {at}, which is not declared,"
    elif difference.kind == "required":
        edit = RelaxField(place=place)
        what, seen = f"Let {at} be missing", f"{where} lack {at}, which is declared as required,"
    elif difference.kind in {"type", "null"}:
        edit = AllowTypes(place=place, types=(difference.detail,))  # type: ignore[arg-type]
        what = f"Let {at} be {difference.detail}"
        seen = f"{at} is {difference.detail} in {where}, which is not declared,"
    elif difference.kind == "enum":
        value = name_of(repr(values[0]))
        edit = AllowValues(place=place, values=(values[0],))
        what, seen = (
            f"Add {value} to the values of {at}",
            f"{at} is {value}, which is not declared,",
        )
    elif difference.kind == "format":
        edit = SetFormat(place=place, format=None)
        what = f"Withdraw the format {name_of(difference.detail)} of {at}"
        seen = f"{at} is no {name_of(difference.detail)}, which is declared,"
    else:
        edit = SetLimit(
            place=place,
            keyword=difference.detail,  # type: ignore[arg-type]
            value=widened(difference.detail, values),
        )
        what, seen = f"Widen the {edit.keyword} of {at}", f"{at} is beyond its {edit.keyword}"
    return _change(
        op, (edit,), f"{what} in the {where} of {name_of(op)}.", difference.kind, scope
    ), (f"{name_of(op)}: {seen}")


def widened(keyword: str, values: Sequence[Any]) -> float | int | str:
    """Return a limit that every value seen keeps.

    Examples:
        >>> widened("maxLength", ["abc", "abcdef"]), widened("minimum", [0, -3])
        (6, -3)
    """
    if keyword == "pattern":
        return _ANY_TEXT
    sizes = [value if keyword.endswith("mum") else len(value) for value in values]
    found: float | int = (
        min(sizes) if keyword.lower().startswith(("min", "exclusivemin")) else max(sizes)
    )
    if keyword.startswith("exclusive"):
        return found - 1 if "Min" in keyword else found + 1
    return found


def _change(
    op: OperationRef, edits: tuple[Edit, ...], summary: str, tag: str, scope: tuple[str, ...]
) -> SpecChange:
    return SpecChange(
        change_type="schema-update",
        category="schema",
        operation=op,
        path=path_of(edits),
        ask=ask_of(edits),
        spec=changed_part(edits),
        summary=summary,
        reason="Callers and golden tests can only rely on what is declared.",
        actions=_ACTIONS,
        tags=("schema-mismatch", "drift", f"drift-{tag}", *scope),
        edits=edits,
    )


def _declare_error(
    drift: Drift, op: OperationRef, scope: tuple[str, ...]
) -> tuple[SpecChange, str]:
    name = drift.difference.detail
    status = next((s for s in drift.seen.values if isinstance(s, int)), None)
    when = CLIENT_ERRORS.get(str(status), ("", ""))[1]
    told = name_of(name) if status is None or name == str(status) else f"{status} {name_of(name)}"
    edits = (
        DeclareError(code=name, status=status, when=when or "see the recorded calls of this suggestion"),
    )  # fmt: skip
    change = _change(op, edits, f"Declare error {told} of {name_of(op)}.", "error", scope)
    return change, f"{name_of(op)}: it answers {told}, which is not declared,"
