"""Alerts: one message when an incident opens, worsens or recovers, or a rollout is held or rolled back.

Messages are put down in the outbox together with what was told of each incident, and delivered at
least once: to a webhook (plain JSON, Slack, PagerDuty, Alertmanager), a command, or a function.
"""

from evolution_lab.pipeline.alerts.alert import Alert
from evolution_lab.pipeline.alerts.alert_settings import AlertSettings
from evolution_lab.pipeline.alerts.incident_alerts import AlertRules
from evolution_lab.pipeline.alerts.receivers import (
    AlertReceiver,
    CallableReceiver,
    CommandReceiver,
    WebhookReceiver,
)
from evolution_lab.pipeline.alerts.telling import AlertDesk

__all__ = [
    "Alert",
    "AlertDesk",
    "AlertReceiver",
    "AlertRules",
    "AlertSettings",
    "CallableReceiver",
    "CommandReceiver",
    "WebhookReceiver",
]
