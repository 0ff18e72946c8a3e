"""The rule on an input that its failures ask for, as a change of the schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from evolution_lab.contracts import OperationSpec
from evolution_lab.records import OperationRef
from evolution_lab.suggestions.spec_change import SpecChange, is_repeatable
from evolution_lab.suggestions.spec_edits import Place, edited
from evolution_lab.suggestions.traffic.schema_walk import SchemaWalker
from evolution_lab.suggestions.traffic.values import ITEM, Path
from evolution_lab.suggestions.wording import name_of

if TYPE_CHECKING:
    from evolution_lab.suggestions.traffic.failing_inputs import Association

_HIGH: Final = frozenset({"maxItems", "maxLength", "maximum"})
_LOW: Final = frozenset({"minItems", "minLength", "minimum"})


def input_change(
    best: Association, *, since: int, tenant: str | None
) -> tuple[SpecChange, str]:
    """Return the change of the input's schema, and in words what failing inputs have in common."""
    rows, candidate = best.rows, best.candidate
    op = OperationRef(
        rows.operation.key, rows.operation.service, rows.operation.version, tenant_id=tenant
    )
    spec = rows.spec or undeclared(rows.operation)
    kind, path, value = candidate.kind, candidate.path, candidate.value
    shown = shown_path(path)
    ask: dict[str, Any] = {"input-rule": kind, "at": list(path)}
    if kind == "required":
        parent, name = place_of(spec, path[:-1]), path[-1]
        patch, at = edited(spec, parent, lambda part: _require(part, name), inside=("required",))
        asks, seen = f"Make {shown} required in", f"{name_of(op)}: {shown} is missing"
    elif kind == "forbidden":
        parent, name = place_of(spec, path[:-1]), path[-1]
        patch, at = edited(spec, parent, lambda part: {**(part or {}), "not": {"required": [name]}}, inside=("not",))  # fmt: skip
        asks, seen = f"Refuse {shown} in", f"{name_of(op)}: {shown} is given"
    elif kind in _HIGH | _LOW:
        limit = limit_of(best, since)
        ask["at"] = list(path)
        patch, at = edited(spec, place_of(spec, path), lambda part: {**(part or {}), kind: limit}, inside=(kind,))  # fmt: skip
        of = {"Items": "the number of items of ", "Length": "the length of "}.get(kind[3:], "")
        side = "at most" if kind in _HIGH else "at least"
        asks = f"Limit {of}{shown} to {side} {limit:g} in"
        seen = f"{name_of(op)}: {of}{shown} is {'above' if kind in _HIGH else 'below'} {limit:g}"
    else:
        ask["value"] = value
        patch, at = edited(spec, place_of(spec, path), lambda part: _exclude(part, kind, value), inside=_changed(spec, path, kind))  # fmt: skip
        named = name_of(value if kind == "type" else repr(value))
        asks = f"Do not take {named} as {shown} in"
        seen = f"{name_of(op)}: {shown} is {named}"
    change = SpecChange(
        change_type="schema-update",
        category="schema",
        operation=op,
        path=at,
        ask=ask,
        spec=patch,
        summary=f"{asks} {name_of(op)}.",
        reason="What is refused at run time can be said in the schema, before anybody sends it.",
        actions=(
            "Look at the failed calls named in the evidence.",
            "If the rule is meant, declare it and tell clients; if not, mend the operation and reject "
            "this suggestion with that note.",
            *(
                ()
                if is_repeatable(op, rows.spec)
                else ("Tell callers that nothing was done by the refused calls, or what was.",)
            ),
        ),
        tags=("schema-mismatch", "failing-input", kind, *(("one-tenant",) if tenant else ())),
    )
    return change, seen


def undeclared(operation: OperationRef) -> OperationSpec:
    """Return an empty spec for an operation that has none, so that a change has something to change."""
    return OperationSpec(
        key=operation.key, version=operation.version or "0", kind="command", goal=operation.key
    )


def shown_path(path: Path) -> str:
    """Return a path as people write it: ``items[].sku``; the place of HTTP is left out for bodies.

    Examples:
        >>> shown_path(("body", "items", "[]", "sku")), shown_path(("query", "limit"))
        ('items[].sku', 'query.limit')
    """
    parts = path[1:] if path[:1] == ("body",) and len(path) > 1 else path
    return name_of(".".join(parts).replace(f".{ITEM}", ITEM) or "the body")


def place_of(spec: OperationSpec, path: Path) -> Place:
    """Return where in a spec's document the schema of an input's field stands, or would stand."""
    if not path:
        return ("inputSchema",)
    declared = SchemaWalker(spec.input_schema).declared_fields()
    for length in range(len(path), 0, -1):
        place = declared.get(path[:length])
        if place is not None:
            return ("inputSchema", *_target(spec, place), *_below(path[length:]))
    return ("inputSchema", *_below(path))


def _target(spec: OperationSpec, place: Place) -> Place:
    """Follow a reference from a field's place to the schema it means."""
    at: Any = spec.input_schema
    for part in place:
        at = at[part]
    for _ in range(8):
        reference = at.get("$ref") if isinstance(at, Mapping) else None
        if not isinstance(reference, str) or not reference.startswith("#/$defs/"):
            return place
        name = reference.removeprefix("#/$defs/")
        place, at = ("$defs", name), spec.input_schema["$defs"][name]
    return place


def _below(path: Path) -> Place:
    parts: list[str] = []
    for name in path:
        parts += ["items"] if name == ITEM else ["properties", name]
    return tuple(parts)


def _require(part: Mapping[str, Any] | None, name: str) -> dict[str, Any]:
    held = dict(part or {})
    return {**held, "required": sorted({*held.get("required", ()), name})}


def _exclude(part: Mapping[str, Any] | None, kind: str, value: Any) -> dict[str, Any]:
    held = dict(part or {})
    if kind == "type":
        stated = held.get("type")
        types = [t for t in (stated if isinstance(stated, list) else [stated]) if t and t != value]
        if types:
            return {**held, "type": types[0] if len(types) == 1 else types}
        return {**held, "not": {"type": value}}
    listed = held.get("enum")
    if isinstance(listed, list) and value in listed:
        return {**held, "enum": [each for each in listed if each != value]}
    return {**held, "not": {"enum": [value]}}


def _changed(spec: OperationSpec, path: Path, kind: str) -> tuple[str, ...]:
    at: Any = spec.to_document()
    for part in place_of(spec, path):
        at = at.get(part, {}) if isinstance(at, Mapping) else {}
    if kind == "type":
        return ("type",) if isinstance(at, Mapping) and isinstance(at.get("type"), list) else ("not",)  # fmt: skip
    return ("enum",) if isinstance(at, Mapping) and isinstance(at.get("enum"), list) else ("not",)


def limit_of(best: Association, since: int) -> float:
    """Return the roundest limit that parts the calls that fail from those that pass, since it began."""
    candidate, rows = best.candidate, best.rows
    assert candidate.measured is not None
    high = candidate.kind in _HIGH
    later = np.arange(len(rows.exchanges)) >= since
    passed = np.array([e.outcome == "ok" for e in rows.exchanges])
    known = ~np.isnan(candidate.measured) & later
    fine = np.sort(candidate.measured[known & passed])
    bad = np.sort(candidate.measured[known & rows.failed & best.mask])
    if not high:
        fine, bad = np.sort(-fine), np.sort(-bad)
    edges = np.unique(np.concatenate([fine, bad]))
    # Calls on the wrong side of each possible limit: what passes above it, what fails at or below.
    wrong = (len(fine) - np.searchsorted(fine, edges, side="right")) + np.searchsorted(bad, edges, side="right")  # fmt: skip
    index = int(np.argmin(wrong))
    low, above = float(edges[index]), float(edges[index + 1]) if index + 1 < len(edges) else np.inf
    if not high:
        return -low if not np.isfinite(above) else -roundest(low, above)
    return roundest(low, above)


def roundest(low: float, above: float) -> float:
    """Return the roundest number in ``[low, above)``: a multiple of 1, 2 or 5 times a power of ten.

    Examples:
        >>> roundest(187, 214), roundest(99, 120), roundest(3, 4)
        (200.0, 100.0, 3.0)
    """
    if not np.isfinite(above):
        return low
    top = int(np.ceil(np.log10(max(abs(low), abs(above), 1.0))))
    for power in range(top, -7, -1):
        for factor in (5, 2, 1):
            step = factor * 10.0**power
            first = np.ceil(low / step - 1e-9) * step
            if low <= first + 1e-12 and first < above:
                return float(round(first, 9))
    return low
