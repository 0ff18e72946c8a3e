"""Planted faults held against what detection said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar

from evolution_lab.datasets import Fault
from evolution_lab.display import ResultMixin
from evolution_lab.records import DetectionResult, IntentSignal, OperationRef, SpecSuggestion


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


@dataclass(frozen=True)
class SuggestionScore(ResultMixin):
    """Planted faults and gaps beside suggestions.

    Attributes:
        closed: Per fault, ids of the suggestions about its operation or its workflow.
        unexplained: Suggestions that no fault explains.
    """

    _title: ClassVar[str] = "Planted gaps and suggestions"

    closed: tuple[tuple[Fault, tuple[str, ...]], ...]
    unexplained: tuple[SpecSuggestion, ...]

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one dict a fault."""
        return [
            {"planted": fault.name, "kind": fault.kind, "suggestions": len(ids)}
            for fault, ids in self.closed
        ]


def score_suggestions(
    suggestions: Sequence[SpecSuggestion], faults: Sequence[Fault]
) -> SuggestionScore:
    """Hold suggestions against labels.

    A suggestion answers a fault when it came of its kind (or, of failing inputs and slow calls, of a
    comparison with the spec) and is about its operation or one that shows it; a workflow's when it
    drafts its steps.
    """
    closed = []
    explained: set[str] = set()
    for fault in faults:
        ids = tuple(s.id for s in suggestions if _answers(s, fault))
        closed.append((fault, ids))
        explained |= set(ids)
    return SuggestionScore(tuple(closed), tuple(s for s in suggestions if s.id not in explained))


def _answers(suggestion: SpecSuggestion, fault: Fault) -> bool:
    target = suggestion.target.operation
    if target is None:
        steps = (suggestion.proposal.spec or {}).get("steps") or []
        found = [OperationRef(step["key"], service=step["service"]) for step in steps]
        return bool(fault.steps) and _contains(found, [_plain(step) for step in fault.steps])
    if fault.kind == "missing-operation":
        return False
    kinds = {fault.kind} | ({"schema-mismatch"} if fault.kind == "error-spike" else set())
    shown_at = [_plain(op) for op in (fault.operation, *fault.affected)]
    return suggestion.intent in kinds and _plain(target) in shown_at


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
