"""The rule on an input that its failures ask for, as a change of the schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from evolution_lab.records import OperationRef
from evolution_lab.suggestions.edits import (
    DeclareField,
    Edit,
    RefuseValues,
    RequireField,
    SetLimit,
    ask_of,
    changed_part,
    path_of,
)
from evolution_lab.suggestions.spec_change import SpecChange
from evolution_lab.suggestions.traffic.places import request_place, shown
from evolution_lab.suggestions.traffic.schema_walk import SchemaWalker
from evolution_lab.suggestions.traffic.values import inferred_schema
from evolution_lab.suggestions.wording import name_of

if TYPE_CHECKING:
    from evolution_lab.suggestions.traffic.failing_inputs import Association

_HIGH: Final = frozenset({"maxItems", "maxLength", "maximum"})


def input_change(best: Association, *, since: int, tenant: str | None) -> tuple[SpecChange, str]:
    """Return the change of the input's schema, and in words what failing inputs have in common."""
    rows, candidate = best.rows, best.candidate
    owner = rows.operation
    op = OperationRef(owner.key, owner.service, owner.version, tenant_id=tenant)
    at, kind = shown(candidate.path), candidate.kind
    place = request_place(candidate.path, http=any(e.http for e in rows.exchanges[:1]))
    edit: Edit
    if kind == "required":
        edit = RequireField(place=place) if _is_declared(best) else _declared(best)
        asks, seen = f"Make {at} required in", f"{at} is missing"
    elif kind == "exclude-value":
        value = name_of(repr(candidate.value))
        edit = RefuseValues(place=place, values=(candidate.value,))
        asks, seen = f"Do not take {value} as {at} in", f"{at} is {value}"
    else:
        limit = limit_of(best, since)
        edit = SetLimit(
            place=place, keyword=kind, value=int(limit) if limit.is_integer() else limit
        )
        of = {"Items": "the number of items of ", "Length": "the length of "}.get(kind[3:], "")
        most = kind in _HIGH
        asks = f"Limit {of}{at} to at {'most' if most else 'least'} {limit:g} in"
        seen = f"{of}{at} is {'above' if most else 'below'} {limit:g}"
    change = SpecChange(
        change_type="schema-update",
        category="schema",
        operation=op,
        path=path_of([edit]),
        ask=ask_of([edit]),
        spec=changed_part([edit]),
        summary=f"{asks} {name_of(op)}.",
        reason="What is refused at run time can be said in the schema, before anybody sends it.",
        actions=(
            "Look at the failed calls named in the evidence.",
            "If the rule is meant, declare it; if not, mend the operation, and reject with that note.",
        ),
        tags=("schema-mismatch", "failing-input", kind, *(("one-tenant",) if tenant else ())),
        edits=(edit,),
    )
    return change, f"{name_of(op)}: {seen}"


def _is_declared(best: Association) -> bool:
    spec = best.rows.spec
    return (
        spec is not None
        and best.candidate.path in SchemaWalker(spec.input_schema).declared_fields()
    )


def _declared(best: Association) -> DeclareField:
    values = []
    for exchange in best.rows.exchanges:
        at = exchange.input
        for name in best.candidate.path:
            at = at.get(name) if isinstance(at, dict) else None
        if at is not None:
            values.append(at)
    place = request_place(best.candidate.path, http=best.rows.exchanges[0].http)
    return DeclareField(place=place, schema=inferred_schema(values), required=True)


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
    wrong = len(fine) - np.searchsorted(fine, edges, side="right")
    wrong = wrong + np.searchsorted(bad, edges, side="right")
    index = int(np.argmin(wrong))
    low = float(edges[index])
    above = float(edges[index + 1]) if index + 1 < len(edges) else low
    limit = roundest(low, above)
    return limit if high else -limit


def roundest(low: float, above: float) -> float:
    """Return the roundest number in ``[low, above)``: a multiple of 1, 2 or 5 times a power of ten.

    Examples:
        >>> roundest(187, 214), roundest(99, 120), roundest(3, 4)
        (200.0, 100.0, 3.0)
    """
    top = int(np.ceil(np.log10(max(abs(low), abs(above), 1.0))))
    for power in range(top, -7, -1):
        for factor in (5, 2, 1):
            step = factor * 10.0**power
            first = float(np.ceil(low / step - 1e-9) * step)
            if low - 1e-12 <= first < above:
                return round(first, 9) + 0.0
    return low
