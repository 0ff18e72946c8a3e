"""What slow calls ask for: a limit, pages, an objective."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evolution_lab.records import ChangeType, OperationRef
from evolution_lab.suggestions.changes import coarse_ms
from evolution_lab.suggestions.edits import (
    AddParameter,
    Edit,
    Place,
    SetExtension,
    SetLimit,
    ask_of,
    changed_part,
    path_of,
)
from evolution_lab.suggestions.spec_change import SpecChange
from evolution_lab.suggestions.traffic.places import request_place, shown
from evolution_lab.suggestions.traffic.schema_walk import SchemaWalker
from evolution_lab.suggestions.wording import name_of

if TYPE_CHECKING:
    from evolution_lab.suggestions.traffic.slow_calls import SlowFactor


def slow_change(factor: SlowFactor) -> tuple[SpecChange, str]:
    """Return the change that a slow factor asks for, and in words which calls are slow."""
    owner, column = factor.operation, factor.column
    tenant = column.name if column.factor == "tenant" else None
    op = OperationRef(owner.key, owner.service, owner.version, tenant_id=tenant)
    named, at, how = name_of(op), shown(column.path), column.factor
    change_type: ChangeType = "schema-update"
    edit: Edit
    if how == "items":
        edit = SetLimit(
            place=request_place(column.path, http=factor.exchanges[0].http),
            keyword="maxItems",
            value=tolerable_size(factor),
        )
        asks = f"Limit {at} of {named} to {edit.value} items a call, or take them in pages."
        seen = f"calls with many {at}"
    elif how == "bytes":
        change_type, most = "policy-update", tolerable_size(factor)
        edit = SetExtension(path=("policy", "maxBodyBytes"), value=most)
        asks = f"Limit the body of {named} to {most:,} bytes."
        seen = "calls with large bodies"
    elif how == "answer-items":
        edit = _page(factor)
        asks = f"Answer {at} of {named} in pages."
        seen = f"calls answered with many {at}"
    elif how == "no-limit":
        change_type = "policy-update"
        edit = SetExtension(
            path=("policy", "pagination"),
            value={"parameter": column.name, "default": usual_limit(factor)},
        )
        asks = (
            f"Give {name_of(column.name)} of {named} a default, so that no call is without a limit."
        )
        seen = f"calls without {name_of(column.name)}"
    elif how == "tenant":
        change_type = "policy-update"
        edit = _objective(factor)
        asks = f"Give {named} a timeout and a latency objective of its own."
        seen = f"calls of tenant {name_of(column.name)}"
    else:
        change_type = "revision"
        edit = SetExtension(path=("rollout", "hold"), value=column.name)
        asks = f"Hold version {name_of(column.name)} of {named} until it is understood."
        seen = f"calls of version {name_of(column.name)}"
    change = SpecChange(
        change_type=change_type,
        category="performance",
        operation=op,
        path=path_of([edit]),
        ask={**ask_of([edit]), "factor": how, "of": column.name},
        spec=changed_part([edit]),
        summary=asks,
        reason="The slow calls share this, with the rest that was looked at held equal.",
        actions=(
            "Look at the slowest of the recorded calls named in the evidence.",
            "Ask the clients that are above the limit whether pages or several calls would do.",
        ),
        tags=("latency-regression", "slow-calls", how, *(("one-tenant",) if tenant else ())),
        edits=(edit,),
    )
    return change, f"{named}: {seen}"


def tolerable_size(factor: SlowFactor) -> int:
    """Return the size at which calls are fitted to take twice the usual time, on a coarse grid."""
    return coarse_ms(factor.double_size * 1e6)


def usual_limit(factor: SlowFactor) -> int:
    """Return the limit that calls with one usually ask for, on a coarse grid."""
    given = []
    for exchange in factor.exchanges:
        value = (exchange.input.get("query") or {}).get(factor.column.name)
        if isinstance(value, str) and value.isdecimal():
            given.append(float(value[:9]))
    return coarse_ms(float(np.median(given)) * 1e6) if given else 20


def _page(factor: SlowFactor) -> Edit:
    most = tolerable_size(factor)
    declared = (
        SchemaWalker(factor.spec.input_schema).declared_fields() if factor.spec is not None else {}
    )
    known = next((p for p in declared if p[:1] == ("query",) and p[-1] in _LIMITS), None)
    if known is not None:
        return SetLimit(place=request_place(known, http=True), keyword="maximum", value=most)
    return AddParameter(
        place=Place(part="query", path=("limit",)),
        schema={"type": "integer", "minimum": 1, "maximum": most, "default": most},
        description="The most that one call answers.",
    )


_LIMITS = frozenset(
    {"limit", "pageSize", "page_size", "per_page", "perPage", "first", "top", "size"}
)


def _objective(factor: SlowFactor) -> Edit:
    own = [
        float(e.duration_ns or 0)
        for e, concerned in zip(factor.exchanges, factor.concerned, strict=True)
        if concerned
    ]
    p99 = coarse_ms(float(np.quantile(own, 0.99)))
    value = {"p99Ms": p99, "timeoutMs": coarse_ms(2.0 * p99 * 1e6), "onTimeout": "fail-fast"}
    return SetExtension(path=("policy", "latency"), value=value)
