"""What was told of each incident, kept in ``evolution.duckdb`` in one transaction with the outbox."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import duckdb

from evolution_lab.experiments.registry import SpecExperimentRegistry
from evolution_lab.experiments.repository import HistoryEntry
from evolution_lab.pipeline.alerts.alert import Alert, ToldIncident, one_line
from evolution_lab.pipeline.alerts.incident_alerts import AlertRules, incident_alerts
from evolution_lab.pipeline.alerts.receivers import AlertReceiver
from evolution_lab.pipeline.deliveries import BusyError, Deliveries, alone, drain
from evolution_lab.pipeline.outbox import Outbox, OutboxCounts, OutboxEntry
from evolution_lab.records import DetectionResult, from_json, to_json
from evolution_lab.telemetry.state import open_state

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS alerted_incidents (
    id VARCHAR PRIMARY KEY,
    payload JSON NOT NULL
);
CREATE TABLE IF NOT EXISTS alert_looks (
    looked_until TIMESTAMP NOT NULL
);
"""
_KEPT: Final = timedelta(days=90)
_ROLLOUTS_SINCE: Final = timedelta(days=1)
"""What happened to rollouts longer ago is told to nobody who begins to listen."""
_GRAVE_HOLDS: Final = frozenset({"split", "stale-data", "no-traffic"})
"""Causes for which a person should look; a rollout that merely waits holds too."""


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(eq=False)
class AlertDesk:
    """Puts down what has to be told, and tells it; any number of processes may do so at once.

    Attributes:
        data_dir: The lab directory.
        receivers: Whom to alert.
        clock: Says what time it is, UTC.
    """

    data_dir: Path
    receivers: Sequence[AlertReceiver]
    clock: Callable[[], datetime] = _now
    _outbox: Outbox[Alert] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._outbox = Outbox(self.data_dir, Alert)

    def see(self, detection: DetectionResult, rules: AlertRules) -> tuple[Alert, ...]:
        """Put down what detection gives rise to; all of it, or nothing where the process ends.

        Args:
            detection: What is found now.
            rules: What is worth a message.

        Returns:
            The messages.
        """
        now = self.clock()
        newest = max((i.detected_at for i in detection.incidents), default=None)
        with open_state(self.data_dir) as state:
            state.execute(_TABLES)
            told = [
                from_json(ToldIncident, row[0])
                for row in state.execute("SELECT payload FROM alerted_incidents").fetchall()
            ]
            looked = state.execute("SELECT max(looked_until) FROM alert_looks").fetchone()
            before = None if looked is None or looked[0] is None else looked[0].replace(tzinfo=UTC)
            alerts, after = incident_alerts(detection, told, rules, now=now, looked_until=before)
            changed = [
                entry
                for entry in after
                if entry not in told and (entry.state == "open" or now - entry.opened_at < _KEPT)
            ]
            if changed:
                state.executemany(
                    "INSERT INTO alerted_incidents VALUES (?, ?) "
                    "ON CONFLICT (id) DO UPDATE SET payload = excluded.payload",
                    [(entry.id, to_json(entry).decode()) for entry in changed],
                )
            until = max(filter(None, (before, newest, None if before else _EPOCH)))
            if until != before:
                state.execute("DELETE FROM alert_looks")
                state.execute("INSERT INTO alert_looks VALUES (?)", [until.replace(tzinfo=None)])
            self._put(state, alerts, now)
        return tuple(alerts)

    def see_rollouts(self, registry: SpecExperimentRegistry) -> tuple[Alert, ...]:
        """Put down the rollbacks and holds of rollouts that were not told of yet."""
        now = self.clock()
        with registry.repository.transaction() as table:
            entries = [
                entry
                for each in table.select()
                for entry in table.history(*each.identity)
                if now - entry.at <= _ROLLOUTS_SINCE
            ]
        alerts = [alert for entry in entries if (alert := _rollout_alert(entry)) is not None]
        if not alerts:
            return ()
        with open_state(self.data_dir) as state:
            return tuple(alert for alert in alerts if self._put(state, [alert], now))

    def tell(self) -> Deliveries:
        """Deliver what is due; a receiver that cannot be reached keeps its alerts for later."""
        total = Deliveries()
        for receiver in self.receivers:
            total += self._tell(receiver)
        return total

    def counts(self) -> dict[str, OutboxCounts]:
        """Return how each receiver stands, by name."""
        return {each.name: self._outbox.counts(each.name) for each in self.receivers}

    def _tell(self, receiver: AlertReceiver) -> Deliveries:
        def deliver(entry: OutboxEntry[Alert]) -> None:
            receiver.deliver(entry.event)

        try:
            with alone(self._outbox.lock_of(receiver.name)):
                return drain(self._outbox, receiver.name, deliver, clock=self.clock)
        except BusyError:
            return Deliveries(busy=1)

    def _put(self, state: duckdb.DuckDBPyConnection, alerts: Iterable[Alert], now: datetime) -> int:
        kept = list(alerts)
        return sum(self._outbox.put_in(state, r.name, kept, now=now) for r in self.receivers)


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _rollout_alert(entry: HistoryEntry) -> Alert | None:
    held = (entry.action == "hold" and entry.payload.get("cause") in _GRAVE_HOLDS) or (
        entry.action == "pause" and entry.actor == "controller"
    )
    if not held and entry.action != "rollback":
        return None
    what = "held" if held else "rolled back"
    subject = f"rollout:{entry.key}@{entry.version}"
    return Alert(
        key=f"{subject}.{entry.sequence}",
        type="rollout.held" if held else "rollout.rolled-back",
        subject=subject,
        at=entry.at,
        severity="medium" if held else "high",
        title=one_line(f"Rollout {entry.key} {what}: {entry.reason}"),
        operations=(),
        details=(one_line(f"{entry.actor}: {entry.reason}"),),
    )
