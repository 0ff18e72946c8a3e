"""Signals in words: severity from the size of the effect, and sentences with their numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from evolution_lab.config import EvolutionConfig, format_timedelta
from evolution_lab.display import format_quantity, format_value
from evolution_lab.intents.change_class import change_class
from evolution_lab.intents.confidence import ConfidenceMap
from evolution_lab.intents.decide import Episode, Row
from evolution_lab.intents.error_spike import share_interval
from evolution_lab.intents.evidence import UNITS
from evolution_lab.intents.view import DetectionView
from evolution_lab.records import EvidenceItem, IntentSignal, OperationRef, Severity

_NAMES = {
    "error-rate": "error rate",
    "client-error-rate": "rate of client errors (4xx)",
    "latency-median": "median latency",
    "latency-tail": "95th percentile of latency",
    "throughput": "calls a window",
}


_PLURALS = {"tenantId": "tenants", "version": "versions"}
_DIMENSIONS = {"tenantId": "tenant", "errorCode": "error code"}


def signal_id(operation: OperationRef, kind: str, start: object, detector: str) -> str:
    """Return the id of a signal: a hash of kind, operation, first window and detector."""
    text = "\x1f".join([kind, operation.service or "", operation.key, str(start), detector])
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=10).hexdigest()


def severity(row: Row, config: EvolutionConfig) -> Severity:
    """Return how much an effect matters, from its size; p-values say nothing about that.

    An error rate is high from 20 points above its baseline or twice the boundary, latency from three
    times its baseline or twice the boundary, throughput from a loss of nine tenths.
    """
    effect = row.effect or 0.0
    observed = row.observed or 0.0
    if row.metric.endswith("error-rate"):
        high = effect >= 0.2 or (
            row.metric == "error-rate"
            and observed >= 2 * config.error_rate_boundary
            and effect >= config.error_rate_boundary
        )
        return "high" if high else "medium" if effect >= config.error_rate_boundary else "low"
    if row.metric.startswith("latency"):
        boundary = config.latency_p99_boundary_ms * 1e6
        high = effect >= 3.0 or (effect >= 1.5 and observed >= 2 * boundary)
        return "high" if high else "medium" if effect >= 1.5 else "low"
    return "high" if effect <= 0.1 else "medium" if effect <= 0.5 else "low"


def signal_from(
    episode: Episode,
    view: DetectionView,
    *,
    incident_id: str,
    attribution: Mapping[str, Any] | None,
    config: EvolutionConfig,
    confidence: ConfidenceMap,
) -> IntentSignal:
    """Turn an episode into the signal that people and programs read."""
    first, row = episode.rows[0], episode.strongest
    base = view.operations[episode.operation]
    shown = _of_the_named(row, attribution)
    return IntentSignal(
        id=signal_id(base, episode.kind, view.starts[episode.opened], first.detector),
        kind=episode.kind,
        severity=severity(row, config.for_operation(base.key)),
        operation=_named(base, attribution),
        window_start=view.starts[episode.opened],
        window_end=view.window_end(episode.last),
        detected_at=view.window_end(episode.opened),
        state="recovered" if episode.closed else "open",
        observed=shown.observed,
        baseline=shown.baseline,
        effect=shown.effect,
        effect_interval=_interval(shown),
        unit=_unit(row.metric),
        p_value=row.p_value,
        confidence=confidence.confidence(row.metric, row.p_value, row.n_obs, detector=row.detector),
        sample_size=shown.n_obs,
        incident_id=incident_id,
        error_class=episode.error_class,
        change_class=change_class(episode, view),
        detector=row.detector,
        attribution=attribution,
        evidence=_evidence(row, view, attribution),
    )


def _of_the_named(row: Row, attribution: Mapping[str, Any] | None) -> Row:
    """Return the rate of the tenant or version that is named, over the episode.

    A rate of everybody beside the name of one tenant would be read as that tenant's. The baseline
    stays the operation's: what is named may have begun to fail before it could be said.
    """
    named = (attribution or {}).get("tenantId") or (attribution or {}).get("version")
    if named is None or not row.metric.endswith("error-rate"):
        return row
    observed, calls = float(named["rate"]), int(named["calls"])
    low, high = share_interval(
        np.array([observed * calls]), np.array([float(calls)]), np.array([1e-6])
    )
    usual = row.baseline or 0.0
    return replace(
        row,
        observed=observed,
        n_obs=calls,
        effect=observed - usual,
        effect_low=float(low[0]) - usual,
        effect_high=float(high[0]) - usual,
    )


def _named(operation: OperationRef, attribution: Mapping[str, Any] | None) -> OperationRef:
    """Put the version and the tenant that carry the shift into the operation."""
    if not attribution:
        return operation
    return OperationRef(
        operation.key,
        service=operation.service,
        version=attribution.get("version", {}).get("value"),
        tenant_id=attribution.get("tenantId", {}).get("value"),
    )


def _unit(metric: str) -> Any:
    return UNITS[metric]


def _interval(row: Row) -> tuple[float, float] | None:
    if row.effect_low is None or row.effect_high is None:
        return None
    return (row.effect_low, row.effect_high)


def _evidence(
    row: Row, view: DetectionView, attribution: Mapping[str, Any] | None
) -> tuple[EvidenceItem, ...]:
    unit = UNITS[row.metric]
    span = format_timedelta(row.horizon * view.window)
    calls = f"{row.n_obs} calls" if row.metric != "throughput" else f"{row.n_obs} calls in all"
    low, high = _baseline_range(row)
    items = [
        EvidenceItem(
            description=(
                f"The {_NAMES[row.metric]}{_whose(attribution)} was {format_quantity(row.observed, unit)} over {span} "
                f"({calls}); the trailing baseline is {format_quantity(row.baseline, unit)} "
                f"(p = {format_value(row.p_value)})."
            ),
            data={
                "metric": row.metric,
                "observed": row.observed,
                "baseline": row.baseline,
                "baseline_low": low,
                "baseline_high": high,
                "pValue": row.p_value,
                "calls": row.n_obs,
                "windows": row.horizon,
                "dispersion": row.dispersion,
                "windowStart": view.starts[row.t].isoformat(),
                "windowEnd": view.window_end(row.t).isoformat(),
            },
        )
    ]
    named = attribution or {}
    for dimension, found in named.items():
        items.append(
            EvidenceItem(
                description=_concentration(dimension, found),
                data={"dimension": dimension, **found},
            )
        )
    return tuple(items)


def _whose(attribution: Mapping[str, Any] | None) -> str:
    named = [n for n in ("tenantId", "version") if n in (attribution or {})]
    return f" of all {' and '.join(_PLURALS[n] for n in named)} together" if named else ""


def _concentration(dimension: str, found: Mapping[str, Any]) -> str:
    if dimension == "payloadBytes":
        return (
            f"{format_quantity(found['carried'], 'fraction')} of the affected calls have "
            f"{found['value']}; an affected call is the larger one with probability "
            f"{found['auc']:.2f}."
        )
    what = f"{_DIMENSIONS.get(dimension, dimension)} {found['value']!r}"
    sentence = f"{format_quantity(found['carried'], 'fraction')} of the excess is in {what}"
    if "rate" not in found:
        return f"{sentence}."
    return (
        f"{sentence}: {format_quantity(found['rate'], 'fraction')} of its {found['calls']:,} calls "
        f"were affected, {format_quantity(found['rateOfOthers'], 'fraction')} of all others."
    )


def _baseline_range(row: Row) -> tuple[float | None, float | None]:
    """Return where the metric of an ordinary window of this size lies, about 95 % of the time."""
    if row.baseline is None or row.dispersion is None:
        return None, None
    if row.metric.endswith("error-rate"):
        n = max(row.n_obs, 1)
        spread = (row.baseline * (1 - row.baseline) * (1 / n + row.dispersion)) ** 0.5
        return max(row.baseline - 2 * spread, 0.0), min(row.baseline + 2 * spread, 1.0)
    if row.metric == "throughput":
        spread = (row.baseline + row.dispersion * row.baseline**2) ** 0.5
        return max(row.baseline - 2 * spread, 0.0), row.baseline + 2 * spread
    return None, None
