"""Schema drift: what accepted calls have and their spec does not say, beyond single odd calls."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

import scipy

from evolution_lab.contracts import OperationSpec
from evolution_lab.records import OperationRef
from evolution_lab.suggestions.error_changes import is_declarable
from evolution_lab.suggestions.traffic.drift_changes import drift_change
from evolution_lab.suggestions.traffic.exchanges import Exchange
from evolution_lab.suggestions.traffic.findings import (
    ALPHA,
    NeverSeen,
    TrafficFinding,
    first_rows,
    holm,
    share_bounds,
)
from evolution_lab.suggestions.traffic.schema_walk import Difference, SchemaWalker, typed
from evolution_lab.suggestions.traffic.tenants import scope_of
from evolution_lab.suggestions.traffic.values import ITEM, Path

Side = Literal["input", "output", "errors"]

TOLERATED: Final = 0.002
"""Share of calls that may be odd without a spec being wrong: a client's typo, a cut connection. It is
the null hypothesis of the exact binomial test."""
FEWEST: Final = 3
"""Calls, and sessions where they are known, that must show a difference."""
FEWEST_FOR_NEVER: Final = 300
"""Calls after which the rule of three bounds a share at 1 %."""
_MOST_NEW_FIELDS: Final = 20
_MOST_VALUES: Final = 500


@dataclass
class Seen:
    """How often one difference was seen.

    Attributes:
        of: How many calls could have shown it.
        by: The calls that did.
        values: Values that show it.
    """

    of: int = 0
    by: list[Exchange] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Drift:
    """One difference of an operation, on one side of its spec."""

    operation: OperationRef
    spec: OperationSpec
    side: Side
    difference: Difference
    seen: Seen
    others: Sequence[Exchange]

    @property
    def http(self) -> bool:
        """Whether the calls are HTTP."""
        return self.seen.by[0].http

    @property
    def status(self) -> int | None:
        """The status most of the calls that show it were answered with."""
        return Counter(e.status for e in self.seen.by).most_common(1)[0][0]


def find_drift(
    calls: Mapping[OperationRef, Sequence[Exchange]], specs: Mapping[OperationRef, OperationSpec]
) -> tuple[list[TrafficFinding], list[NeverSeen]]:
    """Return where accepted traffic and its specs disagree.

    A difference counts when its share of the calls that could show it is above ``TOLERATED``: exact
    binomial test, Holm over all differences of all operations, ``ALPHA``. Input is judged on calls
    that succeeded (what the operation takes), output on successful answers, errors on all calls.

    Args:
        calls: Recorded calls by operation, without tenant.
        specs: What is declared of these operations.
    """
    found: list[Drift] = []
    unseen: list[NeverSeen] = []
    for operation, exchanges in sorted(calls.items(), key=lambda item: item[0].sort_key):
        spec = specs.get(operation)
        if spec is None:
            continue
        accepted = [e for e in exchanges if e.outcome == "ok" and e.whole]
        sides: tuple[tuple[Side, Mapping[str, Any]], ...] = (
            ("input", spec.input_schema),
            ("output", spec.output_schema),
        )
        for side, schema in sides:
            whole = _with_places(schema, accepted) if side == "input" else schema
            walker = SchemaWalker(whole)
            shown, present = _differences(walker, side, accepted)
            found += [
                Drift(
                    operation=operation, spec=spec, side=side, difference=d, seen=s, others=accepted
                )
                for d, s in _folded(shown).items()
            ]
            if side == "output":
                unseen += _unseen_fields(operation, walker, present)
        found += _errors(operation, spec, exchanges)
        unseen += _unseen_errors(operation, spec, exchanges)
    return _tested(found), unseen


def as_declared(exchange: Exchange, spec: OperationSpec) -> Any:
    """Return an input with its parameters read as their schemas call them."""
    if not exchange.http:
        return exchange.input
    places = spec.input_schema.get("properties", {})
    given = dict(exchange.input)
    for place in ("path", "query"):
        if place in given:
            declared = places.get(place, {}).get("properties", {}) if place in places else {}
            given[place] = {n: typed(v, declared.get(n)) for n, v in given[place].items()}
    return given


def _differences(
    walker: SchemaWalker, side: str, accepted: Sequence[Exchange]
) -> tuple[dict[Difference, Seen], dict[Path, int]]:
    shown: dict[Difference, Seen] = defaultdict(Seen)
    reached: dict[Path, int] = defaultdict(int)
    present: dict[Path, int] = defaultdict(int)
    if not walker.root:
        return {}, {}
    for exchange in accepted:
        if side == "output" and exchange.answer is None:
            continue
        value = exchange.answer if side == "output" else _given(exchange, walker.root)
        walk = walker.walk(value)
        for path in walk.reached:
            reached[path] += 1
        for path in walk.present:
            present[path] += 1
        for difference, seen in walk.differences.items():
            if _is_noise(difference):
                continue
            entry = shown[difference]
            entry.by.append(exchange)
            if len(entry.values) < _MOST_VALUES:
                entry.values.append(seen)
    for difference, entry in shown.items():
        entry.of = max(_parent_count(difference, reached, present), len(entry.by))
    return shown, {**{(*p, ""): n for p, n in reached.items()}, **present}


def _with_places(schema: Mapping[str, Any], accepted: Sequence[Exchange]) -> Mapping[str, Any]:
    """Return the schema of an HTTP input with its query declared, if only as empty.

    An operation that declares no query takes none, and each parameter sent is one it does not have.
    """
    if not any(e.http for e in accepted[:1]):
        return schema
    places = schema.get("properties", {})
    return {
        **schema,
        "type": "object",
        "properties": {"query": {"type": "object", "properties": {}}, **places},
    }


def _given(exchange: Exchange, schema: Mapping[str, Any]) -> Any:
    """Return an input for its schema: places that nothing is declared for stand as objects."""
    if not exchange.http:
        return exchange.input
    given = dict(exchange.input)
    places = schema.get("properties", {})
    for place in ("path", "query"):
        if place in given:
            declared = places.get(place, {}).get("properties", {})
            given[place] = {n: typed(v, declared.get(n)) for n, v in given[place].items()}
        elif place in places:
            given[place] = {}
    if given.get("path") and "path" not in places:
        del given["path"]
    return given


def _is_noise(difference: Difference) -> bool:
    """Cache busters and campaign tags are the client's own, and a path is what the route says."""
    if difference.path[:1] == ("path",):
        return True
    return difference.path == ("query",) and difference.detail.startswith(("_", "utm_"))


def _parent_count(
    difference: Difference, reached: Mapping[Path, int], present: Mapping[Path, int]
) -> int:
    if difference.kind in {"field", "required"}:
        return reached.get(difference.path, 0)
    path = difference.path
    while path and path[-1] == ITEM:
        path = path[:-1]
    return present.get(path, 0)


def _folded(shown: Mapping[Difference, Seen]) -> dict[Difference, Seen]:
    """Fold many undeclared siblings into one: such an object is a map from names to values."""
    by_parent: dict[tuple[Path, Any], list[Difference]] = defaultdict(list)
    for difference in shown:
        if difference.kind == "field":
            by_parent[(difference.path, difference.place)].append(difference)
    kept = dict(shown)
    for (path, place), siblings in by_parent.items():
        if len(siblings) <= _MOST_NEW_FIELDS:
            continue
        folded = Seen(of=max(shown[s].of for s in siblings))
        calls = {e.id: e for s in siblings for e in shown[s].by}
        folded.by = sorted(calls.values(), key=lambda e: (e.at, e.id))
        folded.values = [v for s in siblings for v in shown[s].values][:_MOST_VALUES]
        for sibling in siblings:
            del kept[sibling]
        kept[Difference("field", path, "*", place)] = folded
    return kept


def _errors(
    operation: OperationRef, spec: OperationSpec, exchanges: Sequence[Exchange]
) -> list[Drift]:
    shown: dict[Difference, Seen] = defaultdict(Seen)
    for exchange in exchanges:
        name = _undeclared_error(spec, exchange)
        if name is not None:
            entry = shown[Difference("field", ("errors",), name, ("errors",))]
            entry.by.append(exchange)
            entry.values.append(exchange.status)
    for entry in shown.values():
        entry.of = len(exchanges)
    return [
        Drift(operation=operation, spec=spec, side="errors", difference=d, seen=s, others=exchanges)
        for d, s in shown.items()
    ]


def _undeclared_error(spec: OperationSpec, exchange: Exchange) -> str | None:
    """Return the name of an error that the spec does not have; None where it has it, or need not."""
    status, code = exchange.status, exchange.error_code
    if exchange.outcome == "ok" or (status is None and code is None):
        return None
    if code is not None and code in spec.errors:
        return None
    if status is not None:
        if status == 500 or (status > 500 and not (code and is_declarable(code))):
            return None  # A defect is mended, not promised.
        same = [name for name, error in spec.errors.items() if error.http == status]
        if str(status) in spec.errors or f"{status // 100}XX" in spec.errors:
            return None
        if "default" in spec.errors:
            return None
        if same and code is None:
            return None
    elif code is not None and not is_declarable(code):
        return None
    return code or str(status)


def _tested(found: Sequence[Drift]) -> list[TrafficFinding]:
    enough = [d for d in found if len(d.seen.by) >= FEWEST and _sessions(d.seen.by) >= FEWEST]
    raw = [float(scipy.stats.binom.sf(len(d.seen.by) - 1, d.seen.of, TOLERATED)) for d in enough]
    findings = []
    for drift, p in zip(enough, holm(raw, family=len(found)), strict=True):
        if p > ALPHA:
            continue
        k, n = len(drift.seen.by), drift.seen.of
        tenant = scope_of(drift.seen.by, drift.others)
        change, seen = drift_change(drift, tenant)
        findings.append(
            TrafficFinding(
                kind="drift",
                change=change,
                intent="schema-mismatch",
                sentence=f"{seen} in {k:,} of {n:,} recorded calls (p = {p:.2g}).",
                test=f"exact binomial test that at most {TOLERATED:.1%} of the calls show it",
                statistic=float(k),
                p_value=p,
                effect=k / n,
                effect_name="share of calls",
                interval=share_bounds(k, n),
                n=n,
                k=k,
                rows=first_rows(e.id for e in drift.seen.by),
                numbers={
                    "sessions": _sessions(drift.seen.by),
                    "firstSeenAt": _at(drift.seen.by[0].at),
                },
                seen_at=max(e.at for e in drift.seen.by),
                priority="medium" if k / n >= 0.01 else "low",
            )
        )
    return findings


def _at(moment: datetime) -> str:
    return moment.isoformat()


def _sessions(exchanges: Iterable[Exchange]) -> int:
    """Count sessions; a call of unknown session is one of its own."""
    return len({e.session or e.id for e in exchanges})


def _unseen_fields(
    operation: OperationRef, walker: SchemaWalker, present: Mapping[Path, int]
) -> list[NeverSeen]:
    unseen = []
    for path in walker.declared_fields():
        calls = present.get((*path[:-1], ""), 0)
        if calls >= FEWEST_FOR_NEVER and path not in present:
            name = ".".join(path)
            unseen.append(
                NeverSeen(
                    operation=str(operation), what="field", name=name, calls=calls, bound=3 / calls
                )
            )
    return unseen


def _unseen_errors(
    operation: OperationRef, spec: OperationSpec, exchanges: Sequence[Exchange]
) -> list[NeverSeen]:
    seen = {e.error_code for e in exchanges} | {str(e.status) for e in exchanges}
    calls = len(exchanges)
    return [
        NeverSeen(operation=str(operation), what="error", name=name, calls=calls, bound=3 / calls)
        for name in sorted(spec.errors)
        if name not in seen and calls >= FEWEST_FOR_NEVER
    ]
