"""``read_traffic``: everything that recorded calls and telemetry say about specs, read once."""

from __future__ import annotations

import hashlib
import heapq
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import polars as pl

from evolution_lab.records import DetectionResult, EvidenceItem, OperationRef, TrafficSnapshot
from evolution_lab.suggestions.specs import SpecSource
from evolution_lab.suggestions.traffic.composites import composite_parts
from evolution_lab.suggestions.traffic.confidence import with_confidence
from evolution_lab.suggestions.traffic.data_flow import find_data_flow
from evolution_lab.suggestions.traffic.departures import callers_who_left
from evolution_lab.suggestions.traffic.drift import find_drift
from evolution_lab.suggestions.traffic.exchanges import Exchange, read_exchanges
from evolution_lab.suggestions.traffic.failing_inputs import find_failing_inputs
from evolution_lab.suggestions.traffic.findings import TrafficFinding, TrafficReading
from evolution_lab.suggestions.traffic.slow_calls import find_slow_calls

MOST_CALLS: Final = 10_000
"""Recorded calls of one operation that are read; of more, these by the hash of their ids."""
STEPS: Final = 5


def read_traffic(
    snapshots: Iterable[TrafficSnapshot],
    specs: SpecSource,
    *,
    samples: pl.DataFrame | pl.LazyFrame | None = None,
    detection: DetectionResult | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> TrafficReading:
    """Return what traffic says about specs.

    Args:
        snapshots: Recorded calls, sanitised; in any order.
        specs: What is declared.
        samples: Landed telemetry (``schemas.SAMPLES``): tenants, sessions and versions of calls that
            say none themselves, and who left an operation whose calls fell.
        detection: Workflows, and falls in throughput, to be looked into.
        progress: Called with (steps done, steps in all).

    Examples:
        >>> from evolution_lab.suggestions import DeclaredSpecs
        >>> read_traffic([], DeclaredSpecs()).findings
        ()
    """
    tell = progress or (lambda _done, _total: None)
    exchanges = read_exchanges(_thinned(snapshots), samples)
    tell(1, STEPS)
    calls = by_operation(exchanges)
    declared = {operation: specs.spec_of(operation) for operation in calls}
    known = {operation: spec for operation, spec in declared.items() if spec is not None}
    findings: list[TrafficFinding] = []
    drift, never_seen = find_drift(calls, known)
    findings += drift
    tell(2, STEPS)
    findings += find_failing_inputs(calls, known)
    tell(3, STEPS)
    findings += find_slow_calls(calls, known)
    tell(4, STEPS)
    said = detection or DetectionResult()
    composites = {}
    for workflow in said.workflows:
        flow = find_data_flow(workflow, exchanges)
        if flow is not None:
            of_steps = [known.get(OperationRef(s.key, s.service)) for s in workflow.steps]
            composites[workflow.id] = composite_parts(workflow, flow, exchanges, of_steps)
    tell(STEPS, STEPS)
    return TrafficReading(
        findings=tuple(with_confidence(finding) for finding in findings),
        composites=composites,
        departures={} if samples is None else _departures(said, samples),
        never_seen=tuple(never_seen),
        exchanges=len(exchanges),
    )


def _departures(
    said: DetectionResult, samples: pl.DataFrame | pl.LazyFrame
) -> dict[str, EvidenceItem]:
    found = {
        signal.id: callers_who_left(signal, samples)
        for signal in said.signals
        if signal.kind == "throughput-drop"
    }
    return {signal_id: item for signal_id, item in found.items() if item is not None}


def by_operation(exchanges: Iterable[Exchange]) -> dict[OperationRef, Sequence[Exchange]]:
    """Group calls by operation; versions of one operation share a spec."""
    found: dict[OperationRef, list[Exchange]] = defaultdict(list)
    for exchange in exchanges:
        op = exchange.operation
        found[OperationRef(op.key, op.service)].append(exchange)
    return dict(sorted(found.items(), key=lambda item: item[0].sort_key))


def _thinned(snapshots: Iterable[TrafficSnapshot]) -> list[TrafficSnapshot]:
    kept: dict[tuple[str | None, str], list[tuple[int, str, TrafficSnapshot]]] = defaultdict(list)
    for snapshot in snapshots:
        held = kept[snapshot.operation.service, snapshot.operation.key]
        digest = hashlib.blake2b(snapshot.id.encode("utf-8", "surrogatepass"), digest_size=8)
        entry = (-int.from_bytes(digest.digest(), "big"), snapshot.id, snapshot)
        if len(held) < MOST_CALLS:
            heapq.heappush(held, entry)
        elif entry[:2] > held[0][:2]:
            heapq.heapreplace(held, entry)
    return [snapshot for held in kept.values() for _, _, snapshot in held]
