"""What failing calls have in common, and the rule on the input that would say it beforehand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import scipy

from evolution_lab.contracts import OperationSpec
from evolution_lab.records import OperationRef
from evolution_lab.suggestions.traffic.drift import as_declared
from evolution_lab.suggestions.traffic.exchanges import Exchange
from evolution_lab.suggestions.traffic.findings import ALPHA, TrafficFinding, first_rows
from evolution_lab.suggestions.traffic.input_changes import input_change
from evolution_lab.suggestions.traffic.input_features import Candidate, Mask, candidates
from evolution_lab.suggestions.traffic.schema_walk import SchemaWalker
from evolution_lab.suggestions.traffic.tenants import scope_of

FEWEST_FAILURES: Final = 8
"""Failures of one kind below which nothing is said of them."""
FEWEST_SESSIONS: Final = 3
LEAST_RATE: Final = 0.5
"""Since it began, at least this share of the calls concerned must fail: a rule on inputs that mostly
pass would be wrong more often than right."""
LEAST_DIFFERENCE: Final = 0.1
_MOST_RULES: Final = 3
"""Rules for one kind of failure of one operation."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Rows:
    """Calls of one operation whose input fits its spec, and which of them failed in one way."""

    operation: OperationRef
    spec: OperationSpec | None
    label: str
    exchanges: Sequence[Exchange]
    failed: Mask
    candidates: Sequence[Candidate]


@dataclass(frozen=True, kw_only=True, eq=False)
class Association:
    """One candidate beside one kind of failure."""

    rows: Rows
    candidate: Candidate
    mask: Mask
    p_value: float
    within: float
    rate_with: float
    rate_without: float
    interval: tuple[float, float]
    odds_ratio: float
    onset: int


def find_failing_inputs(
    calls: Mapping[OperationRef, Sequence[Exchange]],
    specs: Mapping[OperationRef, OperationSpec],
) -> list[TrafficFinding]:
    """Return rules on inputs that failures ask for.

    For each kind of failure (a status that refuses the input, or a failure of the operation, with its
    code) every candidate is held against it by Fisher's exact test, one-sided, corrected over all
    candidates of all operations (Bonferroni; ``ALPHA``). What counts must also hold within tenants
    (Cochran 1954, Mantel and Haenszel 1959), make a difference of at least ``LEAST_DIFFERENCE``, and
    mostly fail. Of candidates that say the same, the strongest is kept, and the rest judged on the
    calls that it does not concern. Inputs that the spec refuses already are left out: nothing is to
    be added for them.

    Args:
        calls: Recorded calls by operation, without tenant.
        specs: What is declared of these operations.
    """
    looked_at: list[Rows] = []
    for operation, exchanges in sorted(calls.items(), key=lambda item: item[0].sort_key):
        looked_at += _rows_of(operation, specs.get(operation), exchanges)
    family = max(1, sum(len(rows.candidates) for rows in looked_at))
    findings = []
    for rows in looked_at:
        left = np.ones(len(rows.exchanges), dtype=np.bool_)
        for _ in range(_MOST_RULES):
            best = _strongest(rows, left, family)
            if best is None:
                break
            findings.append(_finding(best, left, family))
            left &= ~best.candidate.holds
    return findings


def _rows_of(
    operation: OperationRef, spec: OperationSpec | None, exchanges: Sequence[Exchange]
) -> list[Rows]:
    labels = Counter(_label(e) for e in exchanges if e.outcome in {"refused", "failed"})
    told = sorted(label for label, count in labels.items() if count >= FEWEST_FAILURES)
    if not told:
        return []
    walker = SchemaWalker(spec.input_schema) if spec is not None and spec.input_schema else None
    kept, inputs = [], []
    for exchange in exchanges:
        if exchange.outcome == "other" or not exchange.whole:
            continue
        given = exchange.input if spec is None else as_declared(exchange, spec)
        if exchange.outcome != "ok" and walker is not None and not walker.accepts(given):
            continue
        kept.append(exchange)
        inputs.append(given)
    found = candidates(inputs)
    return [
        Rows(
            operation=operation,
            spec=spec,
            label=label,
            exchanges=kept,
            failed=np.array([e.outcome != "ok" and _label(e) == label for e in kept], dtype=bool),
            candidates=found,
        )
        for label in told
    ]


def _label(exchange: Exchange) -> str:
    parts = (None if exchange.status is None else str(exchange.status), exchange.error_code)
    return " ".join(part for part in parts if part) or exchange.outcome


def _strongest(rows: Rows, left: Mask, family: int) -> Association | None:
    failed = rows.failed & left
    total, failures = int(left.sum()), int(failed.sum())
    if failures < FEWEST_FAILURES or not rows.candidates:
        return None
    holds = np.array([c.holds for c in rows.candidates]) & left
    with_it = holds.sum(axis=1)
    both = (holds & failed).sum(axis=1)
    p = scipy.stats.hypergeom.sf(both - 1, total, failures, with_it)
    order = sorted(range(len(p)), key=lambda i: (p[i], rows.candidates[i].sort_key))
    for index in order:
        if p[index] * family > ALPHA:
            return None
        found = _associated(rows, rows.candidates[index], holds[index], left, float(p[index]))
        if found is not None:
            return found
    return None


def _associated(
    rows: Rows, candidate: Candidate, holds: Mask, left: Mask, p: float
) -> Association | None:
    failed = rows.failed & left
    a, m = int((holds & failed).sum()), int(holds.sum())
    c, rest = int((left & ~holds & failed).sum()), int((left & ~holds).sum())
    if not rest:
        return None
    with_it, without = a / m, c / rest
    sessions = {
        rows.exchanges[i].session or str(i) for i in np.flatnonzero(holds & failed).tolist()
    }
    within = _within_tenants(rows, holds, failed, left)
    onset = _onset(failed[holds])
    since = float(failed[holds][onset:].mean())
    if (
        len(sessions) < FEWEST_SESSIONS
        or with_it - without < LEAST_DIFFERENCE
        or since < LEAST_RATE
        or within > ALPHA
    ):
        return None
    odds = ((a + 0.5) * (rest - c + 0.5)) / ((m - a + 0.5) * (c + 0.5))
    return Association(
        rows=rows,
        candidate=candidate,
        mask=holds,
        p_value=p,
        within=within,
        rate_with=with_it,
        rate_without=without,
        interval=newcombe(a, m, c, rest),
        odds_ratio=odds,
        onset=int(np.flatnonzero(holds)[onset]),
    )


def newcombe(a: int, m: int, c: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of ``a/m - c/n`` (Newcombe 1998, method 10: two Wilson intervals).

    Examples:
        >>> low, high = newcombe(56, 70, 48, 80)
        >>> round(low, 4), round(high, 4)
        (0.0524, 0.3339)
    """
    first, second = _wilson(a, m), _wilson(c, n)
    p, q = a / m, c / n
    low = p - q - float(np.hypot(p - first[0], second[1] - q))
    high = p - q + float(np.hypot(first[1] - p, q - second[0]))
    return low, high


def _wilson(k: int, n: int) -> tuple[float, float]:
    z = float(scipy.stats.norm.ppf(0.975))
    p = k / n
    middle, spread = p + z * z / (2 * n), z * float(np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)))
    return (middle - spread) / (1 + z * z / n), (middle + spread) / (1 + z * z / n)


def _within_tenants(rows: Rows, holds: Mask, failed: Mask, left: Mask) -> float:
    """Return the one-sided p of the association within tenants; that of all calls without tenants."""
    tenants = np.array([e.tenant or "" for e in rows.exchanges])
    excess = variance = 0.0
    for tenant in np.unique(tenants[left]):
        own = left & (tenants == tenant)
        n, m, k = int(own.sum()), int((own & holds).sum()), int((own & failed).sum())
        if n < 2 or not 0 < m < n or not 0 < k < n:
            continue
        excess += int((own & holds & failed).sum()) - m * k / n
        variance += m * k * (n - m) * (n - k) / (n * n * (n - 1))
    if variance <= 0:
        return 1.0
    return float(scipy.stats.norm.sf((excess - 0.5) / np.sqrt(variance)))


def _onset(failed: npt.NDArray[np.bool_]) -> int:
    """Return from which of the calls, in order of time, they fail: the likeliest single change."""
    n = len(failed)
    after = np.cumsum(failed[::-1])[::-1].astype(float)
    before = failed.sum() - after
    index = np.arange(n)
    likelihood = _log_likelihood(after, n - index) + _log_likelihood(before, index)
    higher = after / (n - index) >= before / np.maximum(index, 1)
    return int(np.argmax(np.where(higher, likelihood, -np.inf)))


def _log_likelihood(k: npt.NDArray[Any], n: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    n = np.maximum(n, 1)
    p = np.clip(k / n, 1e-12, 1 - 1e-12)
    found: npt.NDArray[np.float64] = k * np.log(p) + (n - k) * np.log(1 - p)
    return found


def _finding(best: Association, left: Mask, family: int) -> TrafficFinding:
    rows, holds = best.rows, best.mask
    failed = rows.failed & left
    showing = [rows.exchanges[i] for i in np.flatnonzero(holds & failed).tolist()]
    tenant = scope_of(showing, [rows.exchanges[i] for i in np.flatnonzero(holds).tolist()])
    since = rows.exchanges[best.onset].at
    change, what = input_change(best, since=best.onset, tenant=tenant)
    later = np.arange(len(holds)) >= best.onset
    k_since, n_since = int((holds & failed & later).sum()), int((holds & later).sum())
    p = min(1.0, best.p_value * family)
    return TrafficFinding(
        kind="failing-input",
        change=change,
        intent="schema-mismatch",
        sentence=(
            f"{what}: {len(showing):,} of {int(holds.sum()):,} such calls fail with {rows.label}, "
            f"{best.rate_without:.1%} of the others (p = {p:.2g}; within tenants "
            f"p = {best.within:.2g}). Since {since:%Y-%m-%d %H:%M} UTC: {k_since:,} of {n_since:,}."
        ),
        test="Fisher's exact test, one-sided, over all candidates; Mantel-Haenszel within tenants",
        statistic=best.odds_ratio,
        p_value=p,
        effect=best.rate_with - best.rate_without,
        effect_name="risk difference",
        interval=best.interval,
        n=int(left.sum()),
        k=len(showing),
        rows=first_rows(e.id for e in showing),
        numbers={
            "oddsRatio": best.odds_ratio,
            "rateWith": best.rate_with,
            "rateWithout": best.rate_without,
            "pWithinTenants": best.within,
            "candidates": family,
            "since": since.isoformat(),
            "sinceFailed": k_since,
            "sinceCalls": n_since,
        },
        seen_at=max(e.at for e in showing),
        priority="high" if k_since >= 20 else "medium",
    )
