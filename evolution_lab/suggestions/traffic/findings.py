"""What traffic says beyond chance: one finding for each thing asked, with test, effect and rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import scipy

from evolution_lab.display import ResultMixin
from evolution_lab.records import EvidenceItem, Priority
from evolution_lab.records.json_form import CAMEL_CASE
from evolution_lab.suggestions.spec_change import SpecChange

if TYPE_CHECKING:
    from evolution_lab.suggestions.traffic.composites import CompositeParts

FindingKind = Literal["drift", "failing-input", "slow-calls", "workflow", "departure"]

MOST_ROWS: Final = 20
"""Ids of recorded calls named behind a finding."""
ALPHA: Final = 0.01
"""Family-wise level of each kind of finding over all candidates of one reading."""


@dataclass(frozen=True, kw_only=True)
class TrafficFinding:
    """One thing that traffic asks of a spec.

    Attributes:
        kind: Which reader found it.
        change: What is asked.
        intent: The kind of intent it is: ``schema-mismatch``, ``latency-regression``, …
        sentence: What was seen, with its numbers.
        test: Name of the test.
        statistic: Its statistic.
        p_value: Corrected for all candidates of the reading (Holm).
        effect: Its size, in the words of ``effect_name``.
        effect_name: What ``effect`` is: ``share``, ``risk difference``, ``ratio of durations`` …
        interval: 95 % interval of the effect.
        n: Recorded calls looked at.
        k: Those that show it.
        rows: Ids of recorded calls that show it, at most 20.
        numbers: Anything else that was measured, JSON-ready.
        seen_at: When the last call of the evidence began, UTC.
        priority: How urgent.
        confidence: Calibrated probability that it is true; None until a map exists.
    """

    __pydantic_config__ = CAMEL_CASE

    kind: FindingKind
    change: SpecChange
    intent: str
    sentence: str
    test: str
    statistic: float
    p_value: float
    effect: float
    effect_name: str
    interval: tuple[float, float] | None
    n: int
    k: int
    rows: tuple[str, ...]
    numbers: Mapping[str, Any] = field(default_factory=dict)
    seen_at: datetime
    priority: Priority = "medium"
    confidence: float | None = None

    @property
    def evidence(self) -> EvidenceItem:
        """The finding as a fact, with all its numbers."""
        return EvidenceItem(
            description=self.sentence,
            data={
                "kind": self.kind,
                "test": self.test,
                "statistic": self.statistic,
                "pValue": self.p_value,
                "effect": self.effect,
                "effectName": self.effect_name,
                "effectInterval": None if self.interval is None else list(self.interval),
                "sampleSize": self.n,
                "count": self.k,
                "rows": list(self.rows),
                **self.numbers,
            },
        )


@dataclass(frozen=True, kw_only=True)
class NeverSeen:
    """Something declared that no recorded call showed.

    Attributes:
        operation: Its name.
        what: ``field``, ``error`` or ``enum``.
        name: The declared thing.
        calls: Calls that could have shown it.
        bound: It is in at most this share of calls (95 %): the rule of three, ``3 / calls``.
    """

    __pydantic_config__ = CAMEL_CASE

    operation: str
    what: Literal["field", "error", "enum"]
    name: str
    calls: int
    bound: float


@dataclass(frozen=True)
class TrafficReading(ResultMixin):
    """Everything that traffic says about specs.

    Attributes:
        findings: What asks for a change.
        composites: By workflow, what flows between its steps.
        departures: By signal of a fall in throughput, who left.
        never_seen: What is declared and was not seen; no change by itself.
        exchanges: Recorded calls that were read.
    """

    _title: ClassVar[str] = "What traffic says about the specs"

    findings: tuple[TrafficFinding, ...] = ()
    composites: Mapping[str, CompositeParts] = field(default_factory=dict)
    departures: Mapping[str, EvidenceItem] = field(default_factory=dict)
    never_seen: tuple[NeverSeen, ...] = ()
    exchanges: int = 0

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one dict a finding."""
        return [
            {
                "kind": finding.kind,
                "operation": str(finding.change.operation or "new operation"),
                "asks": finding.change.summary,
                "test": finding.test,
                "p": finding.p_value,
                "effect": finding.effect,
                "is": finding.effect_name,
                "calls": finding.n,
                "showing it": finding.k,
            }
            for finding in self.findings
        ]


def holm(p_values: Sequence[float], family: int | None = None) -> list[float]:
    """Return p-values corrected for many looks (Holm 1979), in the given order.

    Args:
        p_values: Uncorrected.
        family: How many were looked at, where not all are given; the others count as 1.

    Examples:
        >>> holm([0.01, 0.5, 0.02])
        [0.03, 0.5, 0.04]
    """
    m = max(family or 0, len(p_values))
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    corrected, highest = [1.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (m - rank) * p_values[index]))
        corrected[index] = highest
    return corrected


def share_bounds(k: int, n: int) -> tuple[float, float]:
    """Return the exact 95 % interval of a share (Clopper and Pearson 1934).

    Examples:
        >>> low, high = share_bounds(0, 300)
        >>> low, round(high, 3)
        (0.0, 0.012)
    """
    low = float(scipy.stats.beta.ppf(0.025, k, n - k + 1)) if k else 0.0
    high = float(scipy.stats.beta.ppf(0.975, k + 1, n - k)) if k < n else 1.0
    return low, high


def first_rows(ids: Iterable[str]) -> tuple[str, ...]:
    """Return the ids that are named behind a finding."""
    return tuple(list(ids)[:MOST_ROWS])
