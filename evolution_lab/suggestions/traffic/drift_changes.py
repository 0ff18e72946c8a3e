"""The change that each kind of drift asks of a spec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from evolution_lab.records import OperationRef
from evolution_lab.suggestions.error_changes import CLIENT_ERRORS
from evolution_lab.suggestions.identity import pointer
from evolution_lab.suggestions.spec_change import SpecChange
from evolution_lab.suggestions.spec_edits import Place, edited
from evolution_lab.suggestions.traffic.values import inferred_schema
from evolution_lab.suggestions.wording import name_of

if TYPE_CHECKING:
    from evolution_lab.suggestions.traffic.drift import Drift

_SIDES: Final = {"input": "inputSchema", "output": "outputSchema", "errors": "errors"}


def drift_change(drift: Drift, tenant: str | None) -> tuple[SpecChange, str]:
    """Return the change that one difference asks for, and what was seen in words."""
    op = OperationRef(
        drift.operation.key, drift.operation.service, drift.operation.version, tenant_id=tenant
    )
    if drift.side == "errors":
        return _declare_error(drift, op)
    difference = drift.difference
    place: Place = (_SIDES[drift.side], *difference.place)
    where = "requests" if drift.side == "input" else "answers"
    shown = name_of(".".join((*difference.path, difference.detail)).replace(".[]", "[]"))
    at = name_of(".".join(difference.path).replace(".[]", "[]") or "the body")
    value: Any = difference.detail
    inside: tuple[str, ...] = ()
    if difference.kind == "field" and difference.detail == "*":
        schema = inferred_schema(drift.seen.values)
        patch, path = edited(drift.spec, place, lambda part: {**part, "additionalProperties": schema}, inside=("additionalProperties",))
        what, seen = f"Declare {at} as a map", f"{at} carries names that are not declared"
    elif difference.kind == "field":
        schema, name = inferred_schema(drift.seen.values), difference.detail
        patch, path = edited(drift.spec, (*place, "properties"), lambda part: {**(part or {}), name: schema}, inside=(name,))
        what, seen = f"Declare the field {shown}", f"{where} carry {shown}, which is not declared,"
    elif difference.kind == "required":
        patch, path = edited(drift.spec, place, lambda part: _without_required(part, difference.detail), inside=("required",))
        what, seen = f"Let the field {shown} be missing", f"{where} lack {shown}, which is declared as required,"
    elif difference.kind in {"type", "null"}:
        patch, path = edited(drift.spec, place, lambda part: _with_type(part, difference.detail), inside=("type",))
        what = f"Let {at} be null" if difference.kind == "null" else f"Let {at} be of type {difference.detail} too"
        seen = f"{at} is {difference.detail}, which is not declared,"
    elif difference.kind == "enum":
        value = drift.seen.values[0]
        patch, path = edited(drift.spec, place, lambda part: _with_value(part, value), inside=("enum",))
        what, seen = f"Add {name_of(repr(value))} to the values of {at}", f"{at} has the undeclared value {name_of(repr(value))}"
    else:
        keyword = "format" if difference.kind == "format" else difference.detail
        patch, path = edited(drift.spec, place, lambda part: {k: v for k, v in part.items() if k != keyword}, inside=(keyword,))
        what, seen = f"Drop the {keyword} of {at}, or keep it", f"{at} breaks its declared {keyword}"
        value = keyword
    change = SpecChange(
        change_type="schema-update",
        category="schema",
        operation=op,
        path=path,
        ask={"drift": difference.kind, "in": drift.side, "at": list(difference.path), "value": value},
        spec=patch,
        summary=f"{what} in the {where} of {name_of(op)}.",
        reason="Callers and golden tests can only rely on what is declared.",
        actions=(
            "Look at the recorded calls named in the evidence.",
            "If it is meant, declare it; if not, mend the operation or the clients, and reject this "
            "suggestion with that note.",
        ),
        tags=("schema-mismatch", "drift", f"drift-{difference.kind}", *(("one-tenant",) if tenant else ())),
    )  # fmt: skip
    return change, f"{name_of(op)}: {seen}"


def _declare_error(drift: Drift, op: OperationRef) -> tuple[SpecChange, str]:
    name = drift.difference.detail
    status = next((s for s in drift.seen.values if isinstance(s, int)), None)
    when = CLIENT_ERRORS.get(str(status), ("", ""))[1]
    error: dict[str, Any] = {"when": when or "see the recorded calls behind this suggestion"}
    if status is not None:
        error["http"] = status
    shown = name_of(name) if status is None or name == str(status) else f"{status} {name_of(name)}"
    change = SpecChange(
        change_type="schema-update",
        category="error-handling",
        operation=op,
        path=pointer("errors", name),
        ask={"declare-error": name, "http": status},
        spec={"errors": {name: error}},
        summary=f"Declare error {shown} of {name_of(op)}.",
        reason="Callers can only handle a failure they are told to expect.",
        actions=(
            f"Say when {shown} is answered.",
            "Tell callers what to do: repeat, correct the input, or give up.",
        ),
        tags=("schema-mismatch", "drift", "declare-error", *(("one-tenant",) if op.tenant_id else ())),
    )  # fmt: skip
    return change, f"{name_of(op)}: it answers {shown}, which is not declared,"


def _without_required(part: Mapping[str, Any], name: str) -> dict[str, Any]:
    kept = [each for each in part.get("required", ()) if each != name]
    rest = {k: v for k, v in part.items() if k != "required"}
    return {**rest, "required": kept} if kept else rest


def _with_type(part: Mapping[str, Any], seen: str) -> dict[str, Any]:
    stated = part.get("type")
    types = list(stated) if isinstance(stated, list) else [stated]
    widened = [t for t in types if not (seen == "number" and t == "integer")]
    changed = {**part, "type": [*widened, seen] if widened else seen}
    if seen == "null" and isinstance(part.get("enum"), list) and None not in part["enum"]:
        changed["enum"] = [*part["enum"], None]
    return changed


def _with_value(part: Mapping[str, Any], value: Any) -> dict[str, Any]:
    rest = {k: v for k, v in part.items() if k != "const"}
    listed = part.get("enum", [part["const"]] if "const" in part else [])
    return {**rest, "enum": [*listed, value]}
