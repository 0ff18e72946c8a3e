"""What receivers are sent: plain JSON, and the forms of Slack, PagerDuty and Alertmanager.

Titles and details hold names and messages of strangers. Slack shows them as plain text, and what
its fallback text would obey (``&``, ``<``, ``>``) is escaped; the others take text as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final, Literal

from evolution_lab.pipeline.alerts.alert import Alert
from evolution_lab.records import Severity, to_python

AlertFormat = Literal["json", "slack", "pagerduty", "alertmanager"]

_SLACK_ESCAPES: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_SLACK_HEADER: Final = 150
_SLACK_TEXT: Final = 3000
_PAGERDUTY_SUMMARY: Final = 1024
_PAGERDUTY_SEVERITIES: Final[Mapping[Severity, str]] = {
    "low": "warning",
    "medium": "error",
    "high": "critical",
}
OPEN_FOR: Final = timedelta(days=7)
"""Alertmanager takes an alert for over after five minutes unless it is told when it ends."""


def plain_body(alert: Alert) -> Any:
    """Return the message as plain JSON with camelCase names."""
    return to_python(alert)


def slack_body(alert: Alert) -> Any:
    """Return the message for an incoming webhook of Slack."""
    details = "\n".join(alert.details)
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": _slack_text(alert.title, _SLACK_HEADER)}
    ]
    if details:
        blocks.append({"type": "section", "text": _slack_text(details, _SLACK_TEXT)})
    return {"text": alert.title.translate(_SLACK_ESCAPES), "mrkdwn": False, "blocks": blocks}


def pagerduty_body(alert: Alert, *, routing_key: str) -> Any:
    """Return the message as an event of PagerDuty's Events API v2."""
    body: dict[str, Any] = {
        "routing_key": routing_key,
        "event_action": "resolve" if alert.over else "trigger",
        "dedup_key": alert.subject[:255],
    }
    if not alert.over:
        body["client"] = "evolution-lab"
        body["payload"] = {
            "summary": alert.title[:_PAGERDUTY_SUMMARY],
            "source": alert.service or "evolution-lab",
            "severity": _PAGERDUTY_SEVERITIES[alert.severity],
            "timestamp": alert.at.isoformat(),
            "component": alert.operations[0] if alert.operations else None,
            "class": alert.type,
            "custom_details": {"details": list(alert.details), "type": alert.type},
        }
    return body


def alertmanager_body(alert: Alert) -> Any:
    """Return the message for ``POST /api/v2/alerts``.

    The severity is a label, so that routes can tell; where it changes, the alert of the former one
    ends in the same message.
    """
    alerts = [_alertmanager_alert(alert, alert.before if alert.over else alert.severity)]
    if alert.before is not None and not alert.over:
        alerts.append(_alertmanager_alert(alert, alert.before) | {"endsAt": alert.at.isoformat()})
    return alerts


def _alertmanager_alert(alert: Alert, severity: Severity | None) -> dict[str, Any]:
    labels = {
        "alertname": "evolution-lab",
        "subject": alert.subject,
        "severity": severity or alert.severity,
        "service": alert.service or "",
    }
    ends = alert.at if alert.over else alert.at + OPEN_FOR
    begun: dict[str, str] = {} if alert.over else {"startsAt": alert.at.isoformat()}
    return {
        "labels": labels,
        "annotations": {
            "summary": alert.title,
            "description": "\n".join(alert.details),
            "operations": "\n".join(alert.operations),
        },
        "endsAt": ends.isoformat(),
        **begun,
    }


def _slack_text(text: str, longest: int) -> dict[str, Any]:
    shown = text if len(text) <= longest else f"{text[: longest - 1]}…"
    return {"type": "plain_text", "text": shown, "emoji": False}


BODIES: Final[Mapping[AlertFormat, Callable[[Alert], Any]]] = {
    "json": plain_body,
    "slack": slack_body,
    "alertmanager": alertmanager_body,
}
"""PagerDuty's needs a routing key beside the message."""
