"""Which messages detection gives rise to: a pure function of what is found and what was told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from evolution_lab.intents.silences import Silences
from evolution_lab.pipeline.alerts.alert import (
    GRAVITY,
    Alert,
    AlertType,
    ToldIncident,
    one_line,
    sentence_of,
)
from evolution_lab.records import DetectionResult, Incident, IntentSignal, Severity

_MOST_DETAILS = 10
_VERBS: Mapping[str, str] = {
    "incident.opened": "opened",
    "incident.worsened": "worsened",
    "incident.recovered": "recovered",
}


@dataclass(frozen=True, kw_only=True)
class AlertRules:
    """What is worth a message.

    Attributes:
        lowest_severity: Incidents below it are told of when they reach it.
        cooldown: How long after an incident was told of another of the same origin waits; one that
            is over by then is never told of.
        silences: Mutes and maintenance windows.
    """

    lowest_severity: Severity = "low"
    cooldown: timedelta = timedelta(minutes=30)
    silences: Silences = field(default_factory=Silences)


def incident_alerts(
    detection: DetectionResult,
    told: Sequence[ToldIncident],
    rules: AlertRules,
    *,
    now: datetime,
    looked_until: datetime | None,
) -> tuple[list[Alert], list[ToldIncident]]:
    """Return the messages of now, and what has been told after them.

    An incident that is over when it is first seen is told of, opening and recovery, if it was
    detected since the last look; the first look of all tells of open ones only.

    Args:
        detection: What is found now.
        told: What was told before.
        rules: What is worth a message.
        now: The present moment, UTC.
        looked_until: Up to where detection had looked before; None for the first time.
    """
    signals = {signal.id: signal for signal in detection.signals}
    known = {signal_id: entry for entry in told for signal_id in entry.signal_ids}
    after = {entry.id: entry for entry in told}
    alerts: list[Alert] = []
    for incident in detection.incidents:
        parts = [signals[i] for i in incident.signal_ids if i in signals]
        before = next((known[i] for i in (incident.id, *incident.signal_ids) if i in known), None)
        if before is None:
            if not _worth_telling(incident, parts, after.values(), rules, now, looked_until):
                continue
            entry = ToldIncident(
                id=incident.id,
                signal_ids=incident.signal_ids,
                origin=str(incident.origin),
                severity=incident.severity,
                state="open",
                opened_at=now,
            )
            alerts.append(_alert("incident.opened", entry.id, incident, parts))
        else:
            entry = after[before.id]
        if GRAVITY[incident.severity] > GRAVITY[entry.severity] and incident.state == "open":
            if rules.silences.hush(parts, now):
                continue
            alerts.append(
                _alert("incident.worsened", entry.id, incident, parts, before=entry.severity)
            )
            entry = replace(entry, severity=incident.severity)
        if incident.state == "recovered" and entry.state == "open":
            alerts.append(
                _alert("incident.recovered", entry.id, incident, parts, before=entry.severity)
            )
        together = tuple(sorted({*entry.signal_ids, *incident.signal_ids}))
        after[entry.id] = replace(entry, signal_ids=together, state=incident.state)
    return alerts, list(after.values())


def _worth_telling(
    incident: Incident,
    parts: Sequence[IntentSignal],
    told: Iterable[ToldIncident],
    rules: AlertRules,
    now: datetime,
    looked_until: datetime | None,
) -> bool:
    if GRAVITY[incident.severity] < GRAVITY[rules.lowest_severity]:
        return False
    if incident.state == "recovered" and (
        looked_until is None or incident.detected_at <= looked_until
    ):
        return False
    if rules.silences.hush(parts, now):
        return False
    origin = str(incident.origin)
    return not any(
        entry.origin == origin and timedelta(0) <= now - entry.opened_at < rules.cooldown
        for entry in told
    )


def _alert(
    kind: AlertType,
    subject: str,
    incident: Incident,
    parts: Sequence[IntentSignal],
    *,
    before: Severity | None = None,
) -> Alert:
    at = incident.window_end if kind == "incident.recovered" else incident.detected_at
    what = ", ".join(dict.fromkeys(signal.kind for signal in parts)) or "incident"
    suffix = f".{incident.severity}" if kind == "incident.worsened" else ""
    grave = f"{before} to {incident.severity}" if suffix else incident.severity
    title = one_line(f"{what} {_VERBS[kind]} on {incident.origin} ({grave})")
    return Alert(
        key=f"{subject}.{_VERBS[kind]}{suffix}",
        type=kind,
        subject=subject,
        at=at,
        severity=incident.severity,
        before=before,
        title=title,
        operations=tuple(one_line(str(ref)) for ref in incident.operations),
        service=incident.origin.service,
        details=tuple(sentence_of(signal) for signal in parts[:_MOST_DETAILS]),
    )
