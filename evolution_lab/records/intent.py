"""What detection says: signals, the incidents they fold into, workflows and thin traffic."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, ClassVar, Literal

from evolution_lab.display import ResultMixin, format_quantity
from evolution_lab.records.json_form import CAMEL_CASE
from evolution_lab.records.operation import OperationRef

IntentKind = Literal[
    "error-spike", "latency-regression", "throughput-drop", "schema-mismatch", "missing-operation"
]
Severity = Literal["low", "medium", "high"]
ErrorClass = Literal["server", "client"]
ChangeClass = Literal["spike", "step", "drift"]


@dataclass(frozen=True, kw_only=True)
class EvidenceItem:
    """One fact behind a claim, in words and as data.

    Attributes:
        type: ``telemetry``, ``user-feedback``, ``simulation`` or ``test`` (the seed system's four).
        description: One sentence a person can read without the data.
        data: The numbers of the sentence, JSON-ready, rounded nowhere.
    """

    __pydantic_config__ = CAMEL_CASE

    type: Literal["telemetry", "user-feedback", "simulation", "test"] = "telemetry"
    description: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class IntentSignal:
    """One claim of change: one entry per operation, kind and episode.

    Attributes:
        id: Hash of kind, operation, first window and detector; never changes.
        kind: What changed.
        severity: From the size of the effect, not from the p-value.
        window_start: Start of the first window of the episode, UTC.
        window_end: End of the last window seen so far, UTC; grows while the episode lasts.
        detected_at: End of the first window at which the claim could be made, UTC.
        state: ``open`` while it lasts, ``recovered`` after enough quiet windows; ``withdrawn`` in
            ``intent_snapshots`` alone, where late rows took away what a first look had said.
        observed: The value during the episode, in ``unit``.
        baseline: The value before, in ``unit``.
        effect: ``observed`` relative to ``baseline`` in the unit's natural scale (difference of
            rates for errors, ratio for latency and throughput).
        effect_interval: 95 % interval of ``effect``, None where it cannot be had.
        unit: ``fraction``, ``ns`` or ``calls``.
        p_value: Of the strongest window against its trailing baseline; None when ``e_value`` is set.
        e_value: Evidence against no change, for detectors that accumulate.
        confidence: Calibrated probability that the claim is true; None until a map exists.
        sample_size: Calls in the deciding window (rows, not adjusted counts).
        incident_id: The incident this folds into (the id of its first signal).
        error_class: ``server`` or ``client`` for error spikes.
        change_class: ``spike`` passes within a few windows, ``step`` stays, ``drift`` grows slowly.
        attribution: What the change is concentrated in (tenant, version, error code …).
        evidence: The facts, most telling first.
    """

    __pydantic_config__ = CAMEL_CASE

    id: str
    kind: IntentKind
    severity: Severity
    operation: OperationRef
    window_start: datetime
    window_end: datetime
    detected_at: datetime
    state: Literal["open", "recovered", "withdrawn"]
    observed: float | None
    baseline: float | None
    effect: float | None
    effect_interval: tuple[float, float] | None = None
    unit: Literal["fraction", "ns", "calls"]
    p_value: float | None = None
    e_value: float | None = None
    confidence: float | None = None
    sample_size: int
    incident_id: str | None = None
    error_class: ErrorClass | None = None
    change_class: ChangeClass | None = None
    detector: str
    attribution: Mapping[str, Any] | None = None
    evidence: tuple[EvidenceItem, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Incident:
    """Signals that belong together: overlapping in time, on operations that call each other.

    Attributes:
        id: The id of the first signal.
        detected_at: When the first signal was detected, UTC.
        origin: The likely origin: the deepest of the operations that changed first.
        operations: All operations concerned, the origin first.
        signal_ids: The signals, in order of detection.
        p_value: Combined over the connected operations under test.
    """

    __pydantic_config__ = CAMEL_CASE

    id: str
    window_start: datetime
    window_end: datetime
    detected_at: datetime
    state: Literal["open", "recovered"]
    severity: Severity
    origin: OperationRef
    operations: tuple[OperationRef, ...]
    signal_ids: tuple[str, ...]
    p_value: float | None = None


@dataclass(frozen=True, kw_only=True)
class Workflow:
    """A chain of operations that clients repeat more often than chance explains.

    Attributes:
        id: Hash of basis and steps.
        basis: ``trace`` or ``session`` (calls of one actor less than 30 minutes apart).
        steps: The operations in order.
        support: Sequences that contain the chain.
        sequences: Sequences looked at.
        expected: Sequences expected to contain it when calls are shuffled.
        lift: ``support / expected``.
        p_value: Family-wise over all candidate chains.
        label: ``chain`` (beyond its pairwise links), ``path`` (explained by them), None if untested.
        median_gap_ns: Median time between neighbouring steps.
        error_rate: Share of chain runs with a failed step; None where success is not recorded.
        duration_p50_ns: Median time from the first step's start to the last step's end.
        tenants: Tenants that use it, most frequent first, at most ten.
    """

    __pydantic_config__ = CAMEL_CASE

    id: str
    basis: Literal["trace", "session"]
    steps: tuple[OperationRef, ...]
    support: int
    sequences: int
    expected: float
    lift: float
    p_value: float
    label: Literal["chain", "path"] | None = None
    median_gap_ns: int | None = None
    error_rate: float | None = None
    duration_p50_ns: int | None = None
    tenants: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class InsufficientEvidence:
    """A verdict of thin traffic: nothing was said because nothing could be seen.

    Attributes:
        operation: Whose traffic is thin.
        metric: ``error-rate``, ``latency`` or ``throughput``.
        windows: How many windows were too thin.
        calls_per_window: Median calls per window.
        minimum_detectable_effect: The smallest effect that one window of this traffic could have
            shown at the test level in force, None when no effect of any size could.
        reason: One sentence.
    """

    __pydantic_config__ = CAMEL_CASE

    operation: OperationRef
    metric: str
    windows: int
    calls_per_window: float
    minimum_detectable_effect: float | None
    reason: str


@dataclass(frozen=True, kw_only=True, repr=False)
class DetectionResult(ResultMixin):
    """Everything one run of detection says, as ``evolution-lab detect --json`` prints it.

    It shows itself as the table of its signals.

    Attributes:
        signals: In order of detection.
        incidents: In order of detection.
        workflows: Strongest first.
        insufficient: Verdicts of thin traffic by metric.
        operation_windows: How many (operation, window) pairs were judged.
        settings: The effective settings, and what was looked at.
        notes: Sentences for people: what is missing, what would help.
    """

    __pydantic_config__ = CAMEL_CASE

    signals: tuple[IntentSignal, ...] = ()
    incidents: tuple[Incident, ...] = ()
    workflows: tuple[Workflow, ...] = ()
    insufficient: Mapping[str, tuple[InsufficientEvidence, ...]] = field(default_factory=dict)
    operation_windows: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    _title: ClassVar[str] = "Signals"

    def concerning(self, operations: Collection[tuple[str | None, str]]) -> DetectionResult:
        """Return what was said of some operations; incidents and workflows with any of them stay.

        Args:
            operations: (service, key) each.
        """

        def wanted(*found: OperationRef) -> bool:
            return any((ref.service, ref.key) in operations for ref in found)

        return replace(
            self,
            signals=tuple(s for s in self.signals if wanted(s.operation)),
            incidents=tuple(i for i in self.incidents if wanted(*i.operations)),
            workflows=tuple(w for w in self.workflows if wanted(*w.steps)),
            insufficient={
                metric: kept
                for metric, verdicts in self.insufficient.items()
                if (kept := tuple(v for v in verdicts if wanted(v.operation)))
            },
        )

    def __repr__(self) -> str:
        return (
            f"DetectionResult({len(self.incidents)} incidents, {len(self.signals)} signals, "
            f"{len(self.workflows)} workflows)"
        )

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one dict a signal, for tables; ``records.to_python`` gives everything."""
        return [
            {
                "signal": signal.id[:8],
                "detected": signal.detected_at,
                "severity": signal.severity,
                "kind": signal.kind,
                "operation": str(signal.operation),
                "observed": format_quantity(signal.observed, signal.unit),
                "before": format_quantity(signal.baseline, signal.unit),
                "p": signal.p_value,
                "n": signal.sample_size,
                "state": signal.state,
            }
            for signal in self.signals
        ]
