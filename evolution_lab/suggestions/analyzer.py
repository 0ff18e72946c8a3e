"""A reading of what detection said, operation by operation: usage, anomalies and hints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Final, Literal

import polars as pl

from evolution_lab.config import EvolutionConfig
from evolution_lab.contracts import OperationSpec
from evolution_lab.display import ResultMixin, format_duration, format_quantity
from evolution_lab.records import (
    DetectionResult,
    EvidenceItem,
    IntentSignal,
    OperationRef,
    Severity,
)
from evolution_lab.records.json_form import CAMEL_CASE
from evolution_lab.suggestions.causes import find_cause
from evolution_lab.suggestions.changes import change_for_signal
from evolution_lab.suggestions.spec_change import HintCategory, SpecChange
from evolution_lab.suggestions.specs import SpecSource, as_source
from evolution_lab.suggestions.usage import OperationUsage, usage_statistics
from evolution_lab.suggestions.wording import describe_signal

Metric = Literal["latency", "error-rate", "throughput", "policy", "schema"]

_METRICS: Final[Mapping[str, Metric]] = {
    "error-spike": "error-rate",
    "latency-regression": "latency",
    "throughput-drop": "throughput",
    "schema-mismatch": "schema",
    "missing-operation": "schema",
}


@dataclass(frozen=True, kw_only=True)
class Anomaly:
    """One signal as something that is wrong with an operation now.

    Attributes:
        operation: Where.
        severity: Of the signal.
        metric: What it was seen in.
        description: One sentence with the numbers.
        detected_at: End of the first window at which it could be said, UTC.
        threshold: The value before, which the observed one was tested against; no fixed limit.
        observed_value: The value during the episode.
        unit: Of both values: ``fraction``, ``ns`` or ``calls``.
        signal_id: The signal.
        evidence: The signal's facts.
    """

    __pydantic_config__ = CAMEL_CASE

    operation: OperationRef
    severity: Severity
    metric: Metric
    description: str
    detected_at: datetime
    threshold: float | None
    observed_value: float | None
    unit: Literal["fraction", "ns", "calls"]
    signal_id: str
    evidence: tuple[EvidenceItem, ...] = ()


@dataclass(frozen=True, kw_only=True)
class OptimizationHint:
    """What an operation's owner might do, before it is a suggestion anybody decides on.

    Attributes:
        operation: Whose owner.
        category: ``schema``, ``policy``, ``performance`` or ``error-handling``.
        summary: What to change, one sentence for each change asked for.
        justification: What was seen.
        recommended_actions: Step by step.
    """

    __pydantic_config__ = CAMEL_CASE

    operation: OperationRef
    category: HintCategory
    summary: str
    justification: str
    recommended_actions: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Analysis(ResultMixin):
    """Everything ``SpecAnalyzer`` says; shown as one row an operation.

    Attributes:
        usage: Per operation, in the order operations are listed everywhere.
        anomalies: In order of detection.
        hints: One per operation and category, by operation.
    """

    __pydantic_config__ = CAMEL_CASE
    _title: ClassVar[str] = "operations"

    usage: tuple[OperationUsage, ...] = ()
    anomalies: tuple[Anomaly, ...] = ()
    hints: tuple[OptimizationHint, ...] = ()

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one dict an operation: its usage, formatted, and how much was found."""
        return [
            {
                "operation": str(usage.operation),
                "calls": usage.total_calls,
                "error rate": format_quantity(usage.error_rate, "fraction"),
                "client errors": format_quantity(usage.client_error_rate, "fraction"),
                "p50": format_duration(usage.p50_latency_ns),
                "p99": format_duration(usage.p99_latency_ns),
                "last seen": usage.last_seen_at,
                "anomalies": _count(self.anomalies, usage.operation),
                "hints": _count(self.hints, usage.operation),
            }
            for usage in self.usage
        ]


def _count(found: Iterable[Anomaly | OptimizationHint], operation: OperationRef) -> int:
    """Count what concerns an operation: a finding that names no version concerns all of them."""
    return sum(
        (item.operation.service, item.operation.key) == (operation.service, operation.key)
        and item.operation.version in {None, operation.version}
        for item in found
    )


@dataclass(frozen=True)
class SpecAnalyzer:
    """Says how operations are used, what is wrong with them and what might be done.

    It has no thresholds of its own: an anomaly is a signal that detection paid for, and every
    signal of an operation gives one, whatever else was found there.

    Attributes:
        config: The settings in force.

    Examples:
        >>> SpecAnalyzer().analyze(None, DetectionResult()).anomalies
        ()
    """

    config: EvolutionConfig = field(default_factory=EvolutionConfig)

    def analyze(
        self,
        windows: pl.DataFrame | None,
        detection: DetectionResult,
        *,
        specs: SpecSource | Iterable[OperationSpec] = (),
    ) -> Analysis:
        """Return usage, anomalies and hints; operations that ``config.exclude`` names are left out.

        Args:
            windows: Frame of ``schemas.WINDOWS``; with None no usage is told.
            detection: What was said of these windows.
            specs: Declared operations, see ``SpecGenerator.generate``.

        Raises:
            FrameContractError: ``windows`` breaks its contract.
        """
        usage = () if windows is None else usage_statistics(windows)
        declared = as_source(specs)
        signals = [s for s in detection.signals if not self.config.is_excluded(s.operation.key)]
        found: dict[tuple[OperationRef, HintCategory], list[tuple[IntentSignal, SpecChange]]] = {}
        for signal in signals:
            cause = find_cause(signal, detection, windows)
            change = change_for_signal(signal, cause, spec=declared.spec_of(signal.operation))
            if change is not None and change.operation is not None:
                found.setdefault((change.operation, change.category), []).append((signal, change))
        hints = (_hint(op, category, pairs) for (op, category), pairs in found.items())
        return Analysis(
            usage=tuple(u for u in usage if not self.config.is_excluded(u.operation.key)),
            anomalies=tuple(_anomaly(signal) for signal in signals),
            hints=tuple(sorted(hints, key=lambda h: (h.operation.sort_key, h.category))),
        )


def _anomaly(signal: IntentSignal) -> Anomaly:
    return Anomaly(
        operation=signal.operation,
        severity=signal.severity,
        metric=_METRICS[signal.kind],
        description=describe_signal(signal),
        detected_at=signal.detected_at,
        threshold=signal.baseline,
        observed_value=signal.observed,
        unit=signal.unit,
        signal_id=signal.id,
        evidence=signal.evidence,
    )


def _hint(
    operation: OperationRef,
    category: HintCategory,
    found: Iterable[tuple[IntentSignal, SpecChange]],
) -> OptimizationHint:
    pairs = list(found)
    summaries = dict.fromkeys(change.summary for _, change in pairs)
    actions = dict.fromkeys(action for _, change in pairs for action in change.actions)
    return OptimizationHint(
        operation=operation,
        category=category,
        summary=" ".join(summaries),
        justification=" ".join(describe_signal(signal) for signal, _ in pairs),
        recommended_actions=tuple(actions),
    )
