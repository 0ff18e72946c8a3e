"""Planted faults held against what detection said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar

from evolution_lab.datasets import Fault
from evolution_lab.display import ResultMixin
from evolution_lab.records import DetectionResult, IntentSignal, OperationRef


@dataclass(frozen=True)
class FaultScore:
    """One planted fault and the signals that found it.

    Attributes:
        fault: The label.
        signal_ids: Signals of its kind on its operation while it lasted, first one first; workflows
            by their own ids.
        delay: From the fault's start to the end of the window that showed it; None if missed.
    """

    fault: Fault
    signal_ids: tuple[str, ...]
    delay: timedelta | None

    @property
    def found(self) -> bool:
        """Whether any signal or workflow found it."""
        return bool(self.signal_ids)


@dataclass(frozen=True)
class Score(ResultMixin):
    """All planted faults, and signals that none of them explains.

    Attributes:
        faults: One entry a fault that telemetry can show.
        spec_gaps: Faults that only a comparison of traffic with its spec shows; not scored here.
        unexplained: Signals outside every fault's time.
        in_quiet: Signals said before the first fault, when nothing was wrong.
    """

    _title: ClassVar[str] = "Planted faults"

    faults: tuple[FaultScore, ...]
    spec_gaps: tuple[Fault, ...]
    unexplained: tuple[IntentSignal, ...]
    in_quiet: tuple[IntentSignal, ...]

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one dict a fault."""
        return [
            {
                "planted": entry.fault.name,
                "kind": entry.fault.kind,
                "operation": entry.fault.operation.key,
                "found": entry.found,
                "after": _minutes(entry.delay),
            }
            for entry in self.faults
        ]


def score_detection(
    detection: DetectionResult, faults: Sequence[Fault], *, quiet_until: datetime
) -> Score:
    """Hold detection against labels.

    A signal finds a fault when it has its kind and error class, is on its operation, and was first
    said between the fault's start and its end (plus a tenth of its length, for the last windows).

    Args:
        detection: What was said.
        faults: What was planted.
        quiet_until: Nothing was wrong before, UTC.
    """
    gaps = tuple(fault for fault in faults if fault.kind == "schema-mismatch")
    entries = tuple(_score(fault, detection) for fault in faults if fault not in gaps)
    timed = [
        fault for fault in faults if fault.kind not in {"missing-operation", "schema-mismatch"}
    ]
    unexplained = tuple(
        signal
        for signal in detection.signals
        if not any(_covers(fault, signal.detected_at) for fault in timed)
    )
    quiet = tuple(signal for signal in detection.signals if signal.detected_at <= quiet_until)
    return Score(entries, gaps, unexplained, quiet)


def _score(fault: Fault, detection: DetectionResult) -> FaultScore:
    if fault.kind == "missing-operation":
        wanted = [_plain(step) for step in fault.steps]
        ids = tuple(
            workflow.id
            for workflow in detection.workflows
            if _contains([_plain(step) for step in workflow.steps], wanted)
        )
        return FaultScore(fault, ids, None)
    found = [
        signal
        for signal in detection.signals
        if signal.kind == fault.kind
        and _plain(signal.operation) == _plain(fault.operation)
        and (fault.error_class is None or signal.error_class == fault.error_class)
        and _covers(fault, signal.detected_at)
    ]
    delay = min((signal.detected_at for signal in found), default=None)
    return FaultScore(
        fault,
        tuple(signal.id for signal in found),
        delay - fault.start if delay is not None else None,
    )


def _covers(fault: Fault, moment: datetime) -> bool:
    return fault.start < moment <= fault.end + (fault.end - fault.start) / 10


def _plain(operation: OperationRef) -> OperationRef:
    return OperationRef(operation.key, service=operation.service)


def _contains(steps: Sequence[OperationRef], wanted: Sequence[OperationRef]) -> bool:
    n = len(wanted)
    return any(list(steps[i : i + n]) == list(wanted) for i in range(len(steps) - n + 1))


def _minutes(delay: timedelta | None) -> str | None:
    return f"{delay.total_seconds() / 60:.0f} min" if delay is not None else None
