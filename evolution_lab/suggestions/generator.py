"""Signals and workflows to suggestions: one suggestion per thing asked, with all that asks for it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final

import polars as pl

from evolution_lab.config import EvolutionConfig
from evolution_lab.contracts import OperationSpec
from evolution_lab.display import strip_controls
from evolution_lab.errors import InputError
from evolution_lab.records import (
    DetectionResult,
    EvidenceItem,
    IntentSignal,
    OperationRef,
    Priority,
    Proposal,
    SpecSuggestion,
    Target,
    Workflow,
    to_python,
)
from evolution_lab.schemas import WINDOWS, check
from evolution_lab.suggestions.causes import find_cause, windows_of
from evolution_lab.suggestions.changes import change_for_signal, leaning
from evolution_lab.suggestions.drafts import composite_operation
from evolution_lab.suggestions.identity import json_ready, suggestion_id
from evolution_lab.suggestions.risk import assess_risk, priority_of, urgency
from evolution_lab.suggestions.spec_change import SpecChange, is_repeatable
from evolution_lab.suggestions.spec_effects import spec_effect
from evolution_lab.suggestions.specs import SpecSource, as_source
from evolution_lab.suggestions.traffic import TrafficFinding, TrafficReading
from evolution_lab.suggestions.traffic.composites import CompositeParts
from evolution_lab.suggestions.validation import validate_suggestion
from evolution_lab.suggestions.variants import variant_of
from evolution_lab.suggestions.wording import describe_signal, describe_workflow

_STRONGEST: Final = 1e6
"""A ratio to a baseline of 0 is infinite, which JSON cannot say; it is cut here."""

_TOLD: Final = (
    "kind",
    "windowStart",
    "windowEnd",
    "detectedAt",
    "state",
    "errorClass",
    "unit",
    "observed",
    "baseline",
    "effect",
    "effectInterval",
    "pValue",
    "eValue",
    "sampleSize",
    "incidentId",
    "detector",
    "attribution",
)
"""What evidence repeats of a signal, so that a suggestion can be read alone."""


@dataclass(frozen=True, kw_only=True)
class _Finding:
    """One signal or workflow with the change it asks for."""

    change: SpecChange
    intent: str
    source_id: str
    seen_at: datetime
    priority: Priority
    strength: float
    confidence: float | None
    evidence: tuple[EvidenceItem, ...]


@dataclass(frozen=True)
class SpecGenerator:
    """Turns what detection said into suggestions.

    Several signals that ask for the same change give one suggestion with all their evidence. The
    generator proposes all it finds; how many may be open at once is the orchestrator's business,
    which alone knows what was decided before.

    Attributes:
        config: The settings in force.

    Examples:
        >>> SpecGenerator().generate(DetectionResult())
        ()
    """

    config: EvolutionConfig = field(default_factory=EvolutionConfig)

    def generate(
        self,
        detection: DetectionResult,
        *,
        windows: pl.DataFrame | None = None,
        specs: SpecSource | Iterable[OperationSpec] = (),
        as_of: datetime | None = None,
        traffic: TrafficReading | None = None,
    ) -> tuple[SpecSuggestion, ...]:
        """Return the suggestions that a run of detection asks for, the most pressing first.

        Args:
            detection: Signals, incidents and workflows.
            windows: Frame of ``schemas.WINDOWS`` the signals were read from. It names the error
                codes that rose and says how many of all calls an operation takes.
            specs: Declared operations, or the documents that have them (``contracts.BoundSpecs``).
                Where one has the key of a target (and its version, if the telemetry knows it), the
                suggestion names it and carries a diff against it.
            as_of: When what is handed in was complete, UTC; needed for workflows alone, which
                carry no time of their own. Default: the end of the last window or signal.
            traffic: What recorded calls say about the specs (``traffic.read_traffic``).

        Raises:
            FrameContractError: ``windows`` breaks its contract.
            InputError: Workflows were handed in without anything that says a time.
        """
        if windows is not None:
            check(windows, WINDOWS)
        declared, read = as_source(specs), traffic or TrafficReading()
        findings: list[_Finding] = []
        for signal in detection.signals:
            cause = find_cause(signal, detection, windows)
            spec = declared.spec_of(signal.operation)
            change = change_for_signal(signal, cause, spec=spec)
            if change is not None:
                findings.append(_from_signal(signal, change, read.departures.get(signal.id)))
        if detection.workflows:
            seen_at = as_of or _last_seen(detection, windows)
            findings += [
                _from_workflow(w, seen_at, read.composites.get(w.id)) for w in detection.workflows
            ]

        findings += [
            _from_traffic(finding)
            for finding in read.findings
            if finding.change.operation is None
            or not self.config.is_excluded(finding.change.operation.key)
        ]

        asked: dict[str, list[_Finding]] = {}
        for finding in findings:
            asked.setdefault(_id_of(finding.change), []).append(finding)
        suggestions = [self._suggest(group, declared, windows) for group in asked.values()]
        return tuple(sorted(suggestions, key=_most_pressing))

    def generate_variant(
        self, suggestion: SpecSuggestion, specs: SpecSource | Iterable[OperationSpec]
    ) -> OperationSpec:
        """Return the spec in force with a suggestion applied, in a version of its own.

        An experiment tries it beside the spec in force before it replaces that.

        Args:
            suggestion: Whose overlay, or change of a spec declared in Python, is applied.
            specs: Declared operations, or the documents that have them.

        Raises:
            InapplicableEditError: There is no spec to apply it to, the spec has changed since, or
                nothing changes.
            InvalidOverlayError: The overlay does not fit the document any more.
        """
        return variant_of(suggestion, as_source(specs))

    def validate_suggestion(self, suggestion: SpecSuggestion) -> list[str]:
        """Return the reasons why a suggestion cannot be proposed; empty when it can."""
        return validate_suggestion(suggestion, config=self.config)

    def _suggest(
        self,
        findings: Sequence[_Finding],
        specs: SpecSource,
        windows: pl.DataFrame | None,
    ) -> SpecSuggestion:
        ordered = sorted(
            findings,
            key=lambda f: (-urgency(f.priority), -f.strength, f.seen_at, f.source_id),
        )
        lead = ordered[0]
        change = lead.change
        spec = specs.spec_of(change.operation) if change.operation is not None else None
        command, blast_radius = _reach(change, spec, windows)
        target = Target(operation=change.operation, path=change.path)
        identity = suggestion_id(target, change.change_type, change.ask)
        effect = spec_effect(change, specs, suggestion_id=identity)
        confidence = max((f.confidence for f in ordered if f.confidence is not None), default=None)
        risk = assess_risk(
            change.change_type,
            blast_radius=blast_radius,
            command=command,
            breaking=effect.breaking,
            lasting=effect.lasting,
            confidence=confidence,
        )
        found = " ".join(finding.evidence[0].description for finding in ordered[:3])
        more = f" And {len(ordered) - 3} more findings like these." if len(ordered) > 3 else ""
        proposal = Proposal(
            summary=change.summary,
            rationale=f"{found}{more} {change.reason}",
            change_type=change.change_type,
            kind=change.kind,
            spec=change.spec,
            diff=effect.diff,
            metadata={
                "ask": change.ask,
                "category": change.category,
                "recommendedActions": list(change.actions),
                "risk": risk.to_dict(),
                "strength": max(finding.strength for finding in ordered),
                **({"specEffect": effect.notes} if effect.notes else {}),
                **_stands(change.operation, specs),
                **_owned(change, specs),
            },
        )
        return SpecSuggestion(
            id=identity,
            intent=lead.intent,
            target=target,
            proposal=proposal,
            confidence=confidence,
            risk=risk.score,
            created_at=min(finding.seen_at for finding in ordered),
            evidence=tuple(itertools.chain.from_iterable(f.evidence for f in ordered)),
            priority=lead.priority,
            tags=tuple(sorted({tag for f in ordered for tag in f.change.tags})),
            signal_ids=tuple(finding.source_id for finding in ordered),
            overlay=effect.overlay,
        )


def _stands(operation: OperationRef | None, specs: SpecSource) -> dict[str, Any]:
    """Say which document, and which place in it, a suggestion is about."""
    reference = specs.reference_of(operation) if operation is not None else None
    return {} if reference is None else {"specReference": json_ready(asdict(reference))}


def _owned(change: SpecChange, specs: SpecSource) -> dict[str, Any]:
    """Say whose operation a suggestion is about, as the spec says it by ``x-owner`` and tags."""
    steps = change.spec.get("steps")
    first = steps[0] if change.operation is None and isinstance(steps, list) and steps else {}
    operation = change.operation
    if operation is None and first.get("key"):
        operation = OperationRef(first["key"], first.get("service"), first.get("version"))
    spec = specs.spec_of(operation) if operation is not None else None
    policy = {} if spec is None else spec.policy
    owner, tags = policy.get("owner"), policy.get("tags")
    return {**({"owner": owner} if owner else {}), **({"specTags": list(tags)} if tags else {})}


def _from_signal(
    signal: IntentSignal, change: SpecChange, departure: EvidenceItem | None = None
) -> _Finding:
    told = json_ready(to_python(signal))
    numbers = {"signalId": signal.id, **{name: told[name] for name in _TOLD}}
    claim = EvidenceItem(description=describe_signal(signal), data=numbers)
    facts = tuple(
        EvidenceItem(
            type=item.type,
            description=strip_controls(item.description),
            data={**json_ready(item.data), "signalId": signal.id},
        )
        for item in (*signal.evidence, *(() if departure is None else (departure,)))
    )
    if departure is not None:
        change = leaning(change, departure)
    return _Finding(
        change=change,
        intent=signal.kind,
        source_id=signal.id,
        seen_at=signal.detected_at,
        priority=priority_of(signal),
        strength=_strength(signal),
        confidence=signal.confidence,
        evidence=(claim, *facts),
    )


def _strength(signal: IntentSignal) -> float:
    """Return how far the effect is from none: a difference's size, a ratio's distance from 1."""
    if signal.effect is None or math.isnan(signal.effect):
        return 0.0
    distance = abs(signal.effect if signal.unit == "fraction" else signal.effect - 1.0)
    return min(distance, _STRONGEST)


def _from_workflow(
    workflow: Workflow, seen_at: datetime, parts: CompositeParts | None = None
) -> _Finding:
    data = {"signalId": workflow.id, **json_ready(to_python(workflow))}
    flow = (
        (
            EvidenceItem(
                description=strip_controls(parts.evidence.description),
                data={**json_ready(parts.evidence.data), "signalId": workflow.id},
            ),
        )
        if parts is not None
        else ()
    )
    return _Finding(
        change=composite_operation(workflow, parts),
        intent="workflow",
        source_id=workflow.id,
        seen_at=seen_at,
        priority="low",
        strength=min(workflow.lift, _STRONGEST),
        confidence=None,
        evidence=(EvidenceItem(description=describe_workflow(workflow), data=data), *flow),
    )


def _from_traffic(finding: TrafficFinding) -> _Finding:
    source_id = f"{finding.kind}-{_id_of(finding.change)}"
    evidence = finding.evidence
    data = {**json_ready(evidence.data), "signalId": source_id}
    claim = EvidenceItem(description=strip_controls(evidence.description), data=data)
    return _Finding(
        change=finding.change,
        intent=finding.intent,
        source_id=source_id,
        seen_at=finding.seen_at,
        priority=finding.priority,
        strength=min(abs(finding.effect), _STRONGEST),
        confidence=finding.confidence,
        evidence=(claim,),
    )


def _last_seen(detection: DetectionResult, windows: pl.DataFrame | None) -> datetime:
    times = [signal.window_end for signal in detection.signals]
    if windows is not None and windows.height:
        newest = windows["window_end"].max()
        assert isinstance(newest, datetime)
        times.append(newest)
    if not times:
        raise InputError("workflows carry no time: hand in windows, or as_of, with them.")
    return max(times)


def _id_of(change: SpecChange) -> str:
    target = Target(operation=change.operation, path=change.path)
    return suggestion_id(target, change.change_type, change.ask)


def _reach(
    change: SpecChange, spec: OperationSpec | None, windows: pl.DataFrame | None
) -> tuple[bool, float | None]:
    """Return whether the change concerns a command, and the share of all calls it reaches."""
    if change.operation is None:
        return change.kind == "command", 0.0
    command = not is_repeatable(change.operation, spec)
    total = 0 if windows is None else int(windows["calls"].sum())
    if windows is None or not total:
        return command, None
    return command, int(windows_of(windows, change.operation)["calls"].sum()) / total


def _most_pressing(suggestion: SpecSuggestion) -> tuple[int, datetime, str]:
    return (-urgency(suggestion.priority), suggestion.created_at, suggestion.id)
