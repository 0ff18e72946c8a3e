"""What slow calls have in common: size, a missing page limit, tenant, version."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from evolution_lab.contracts import OperationSpec
from evolution_lab.records import OperationRef
from evolution_lab.suggestions.traffic.exchanges import Exchange, size_of
from evolution_lab.suggestions.traffic.findings import ALPHA, TrafficFinding, first_rows, holm
from evolution_lab.suggestions.traffic.slow_changes import slow_change
from evolution_lab.suggestions.traffic.values import Path

Factor = Literal["items", "bytes", "answer-items", "no-limit", "tenant", "version"]
Numbers = npt.NDArray[np.float64]

FEWEST_CALLS: Final = 60
FEWEST_OF_A_KIND: Final = 20
"""Calls of a tenant, of a version, or without a limit, that are compared with the rest."""
FEWEST_SESSIONS: Final = 30
"""Below this many sessions errors are robust to unequal spread only (HC3), not to sessions."""
LEAST_RATIO: Final = 1.5
"""The lower bound of how many times longer the calls take must reach this."""
LIMIT_NAMES: Final = (
    "limit", "pageSize", "page_size", "per_page", "perPage", "first", "top", "size", "max_results", "maxResults",
)  # fmt: skip
_SAME: Final = 0.9
"""Two sizes correlated by more say the same; the first is kept."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Column:
    """One thing that may make calls slow.

    Attributes:
        factor: What kind of thing.
        name: The tenant, version, or the limit's parameter.
        path: Of the list that is measured.
        values: Per call: ``log2(1 + size)``, or 1 where it is so.
        sizes: Per call, the size itself; None of yes-or-no columns.
    """

    factor: Factor
    name: str
    path: Path
    values: Numbers
    sizes: Numbers | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class SlowFactor:
    """One column that makes calls of an operation slow."""

    operation: OperationRef
    spec: OperationSpec | None
    exchanges: Sequence[Exchange]
    column: Column
    coefficient: float
    z: float
    p_value: float
    ratio: float
    interval: tuple[float, float]
    usual_ns: float
    robust: str

    @property
    def usual_size(self) -> float | None:
        """The median size; None of yes-or-no columns."""
        return None if self.column.sizes is None else float(np.median(self.column.sizes))

    @property
    def concerned(self) -> npt.NDArray[np.bool_]:
        """Which calls it makes slow: those where it is so, or those fitted at twice the usual time."""
        if self.column.sizes is None:
            return self.column.values > 0
        return self.column.sizes >= min(_high(self.column.sizes), self.double_size)

    @property
    def double_size(self) -> float:
        """The size at which calls are fitted to take twice the time of one of the median size."""
        steps = min(np.log(2.0) / self.coefficient, 60.0)
        return float((1.0 + (self.usual_size or 0.0)) * 2.0**steps - 1.0)


def find_slow_calls(
    calls: Mapping[OperationRef, Sequence[Exchange]], specs: Mapping[OperationRef, OperationSpec]
) -> list[TrafficFinding]:
    """Return what makes calls of an operation slow.

    Least squares of ``log(duration)`` on all columns at once, over successful calls, with errors that
    are robust to dependence within sessions (Liang and Zeger 1986) or, with few sessions, to unequal
    spread (HC3; MacKinnon and White 1985). Wald tests, Holm over all columns of all operations. The
    effect of a size is the ratio of durations between its 99th percentile and its median.

    Args:
        calls: Recorded calls by operation, without tenant.
        specs: What is declared of these operations.
    """
    found: list[SlowFactor] = []
    for operation, exchanges in sorted(calls.items(), key=lambda item: item[0].sort_key):
        timed = [e for e in exchanges if e.outcome == "ok" and e.whole and e.duration_ns]
        if len(timed) >= FEWEST_CALLS:
            found += _fit(operation, specs.get(operation), timed)
    corrected = holm([factor.p_value for factor in found])
    by_operation: dict[OperationRef, list[tuple[float, SlowFactor]]] = {}
    for factor, p in zip(found, corrected, strict=True):
        if p <= ALPHA and factor.interval[0] >= LEAST_RATIO:
            by_operation.setdefault(factor.operation, []).append((p, factor))
    return [_finding(factor, p) for kept in by_operation.values() for p, factor in _strong(kept)]


def _strong(kept: list[tuple[float, SlowFactor]]) -> list[tuple[float, SlowFactor]]:
    """Of sizes only the one with the largest effect is kept: they are parts of one another."""
    sized = [each for each in kept if each[1].column.sizes is not None]
    best = max(sized, key=lambda each: (each[1].ratio, each[1].column.name), default=None)
    return [each for each in kept if each[1].column.sizes is None or each is best]


def _fit(
    operation: OperationRef, spec: OperationSpec | None, timed: Sequence[Exchange]
) -> list[SlowFactor]:
    columns = _columns(spec, timed)
    if not columns:
        return []
    y = np.log([float(e.duration_ns or 1) for e in timed])
    x = np.column_stack([np.ones(len(timed)), *(c.values for c in columns)])
    if np.linalg.matrix_rank(x) < x.shape[1] or len(timed) < 10 * x.shape[1]:
        return []
    names = [e.session or e.id for e in timed]
    groups = np.unique(names, return_inverse=True)[1]
    clustered = int(groups.max()) + 1 >= FEWEST_SESSIONS
    how: dict[str, Any] = (
        {"cov_type": "cluster", "cov_kwds": {"groups": groups}}
        if clustered
        else {"cov_type": "HC3"}
    )
    import statsmodels.api as sm

    fit = sm.OLS(y, x).fit(**how)
    usual = float(np.exp(np.median(y)))
    found = []
    for index, column in enumerate(columns, start=1):
        span = 1.0
        if column.sizes is not None:
            values = np.log2(1.0 + column.sizes)
            span = float(np.log2(1.0 + _high(column.sizes)) - np.median(values))
        low, high = (float(b) for b in fit.conf_int()[index])
        found.append(
            SlowFactor(
                operation=operation,
                spec=spec,
                exchanges=timed,
                column=column,
                coefficient=float(fit.params[index]),
                z=float(fit.tvalues[index]),
                p_value=float(fit.pvalues[index]) if fit.params[index] > 0 else 1.0,
                ratio=float(np.exp(fit.params[index] * span)),
                interval=(float(np.exp(low * span)), float(np.exp(high * span))),
                usual_ns=usual,
                robust="clustered by session" if clustered else "HC3",
            )
        )
    return found


def _columns(spec: OperationSpec | None, timed: Sequence[Exchange]) -> list[Column]:
    columns: list[Column] = []
    limit = _limit_name(spec, timed)
    if limit is not None:
        missing = np.array([limit not in (e.input.get("query") or {}) for e in timed], dtype=float)
        if _both(missing):
            columns.append(
                Column(factor="no-limit", name=limit, path=("query", limit), values=missing)
            )
    for column in _sizes(timed):
        alike = [_correlation(column.values, other.values) for other in columns]
        if float(np.std(column.values)) > 0 and all(abs(r) < _SAME for r in alike):
            columns.append(column)
    for factor in ("tenant", "version"):
        said = [e.tenant if factor == "tenant" else e.operation.version for e in timed]
        counts = Counter(name for name in said if name is not None)
        if None in said or len(counts) < 2:
            continue
        for name in sorted(counts):
            values = np.array([each == name for each in said], dtype=float)
            if _both(values) and (factor == "tenant" or counts[name] < len(said) / 2):
                columns.append(Column(factor=factor, name=name, path=(), values=values))
        _drop_reference(columns, factor, counts)
    return columns


def _drop_reference(columns: list[Column], factor: str, counts: Counter[str]) -> None:
    """Compare with the largest tenant or version: all of them together say nothing."""
    shown = [c for c in columns if c.factor == factor]
    if len(shown) == len(counts):
        largest = max(shown, key=lambda c: (counts[c.name], c.name))
        columns.remove(largest)


def _sizes(timed: Sequence[Exchange]) -> list[Column]:
    lists: dict[Path, Numbers] = {}
    answered: dict[Path, Numbers] = {}
    total = np.zeros(len(timed))
    for row, exchange in enumerate(timed):
        for path, n in _lists(exchange.input):
            lists.setdefault(path, np.zeros(len(timed)))[row] = n
        for path, n in _lists(exchange.answer):
            answered.setdefault(path, np.zeros(len(timed)))[row] = n
        total[row] = size_of(exchange.input.get("body") if exchange.http else exchange.input)
    parts: list[tuple[Factor, Path, Numbers]] = [
        *(("items", path, lists[path]) for path in sorted(lists)),
        ("bytes", ("body",), total),
        *(("answer-items", path, answered[path]) for path in sorted(answered)),
    ]
    return [
        Column(factor=f, name=".".join(path), path=path, values=np.log2(1.0 + sizes), sizes=sizes)
        for f, path, sizes in parts
    ]


def _lists(value: Any, path: Path = ()) -> list[tuple[Path, int]]:
    """Return the lists of a JSON value that stand in no other list, with their lengths."""
    if isinstance(value, list):
        return [(path, len(value))]
    if not isinstance(value, Mapping) or len(path) > 4:
        return []
    return [found for name in value for found in _lists(value[name], (*path, str(name)))]


def _limit_name(spec: OperationSpec | None, timed: Sequence[Exchange]) -> str | None:
    if not timed[0].http:
        return None
    declared = (spec.input_schema if spec else {}).get("properties", {}).get("query", {})
    names = set(declared.get("properties", {}))
    for exchange in timed:
        names |= set(exchange.input.get("query") or {})
    return next((name for name in LIMIT_NAMES if name in names), None)


def _both(values: Numbers) -> bool:
    ones = int(values.sum())
    return FEWEST_OF_A_KIND <= ones <= len(values) - FEWEST_OF_A_KIND


def _high(sizes: Numbers) -> float:
    return float(np.quantile(sizes, 0.99, method="inverted_cdf"))


def _correlation(a: Numbers, b: Numbers) -> float:
    if np.std(a) == 0 or np.std(b) == 0:
        return 1.0
    return float(np.corrcoef(a, b)[0, 1])


def _finding(factor: SlowFactor, p: float) -> TrafficFinding:
    change, seen = slow_change(factor)
    rows = [factor.exchanges[i] for i in np.flatnonzero(factor.concerned).tolist()]
    slowest = sorted(rows, key=lambda e: (-(e.duration_ns or 0), e.id))
    low, high = factor.interval
    return TrafficFinding(
        kind="slow-calls",
        change=change,
        intent="latency-regression",
        sentence=(
            f"{seen} take {factor.ratio:.1f} times as long (95 % interval {low:.1f} to {high:.1f}, "
            f"{len(rows):,} of {len(factor.exchanges):,} recorded calls, p = {p:.2g})."
        ),
        test=f"Wald test in a regression of log duration, errors {factor.robust}",
        statistic=factor.z,
        p_value=p,
        effect=factor.ratio,
        effect_name="ratio of durations",
        interval=factor.interval,
        n=len(factor.exchanges),
        k=len(rows),
        rows=first_rows(e.id for e in slowest),
        numbers={
            "factor": factor.column.factor,
            "name": factor.column.name,
            "medianDurationNs": factor.usual_ns,
            "medianSize": factor.usual_size,
        },
        seen_at=max(e.at for e in rows),
        priority="high" if factor.ratio >= 5 else "medium",
    )
