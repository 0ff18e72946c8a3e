"""Alerts: one message when an incident opens, worsens and recovers; at least once, and no more told."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from evolution_lab.errors import ConfigError
from evolution_lab.experiments import Binding, SpecExperiment, SpecExperimentRegistry
from evolution_lab.intents.silences import Silence, Silences
from evolution_lab.pipeline.alerts import (
    Alert,
    AlertDesk,
    AlertRules,
    AlertSettings,
    CallableReceiver,
    CommandReceiver,
    WebhookReceiver,
)
from evolution_lab.pipeline.alerts.bodies import alertmanager_body, pagerduty_body, slack_body
from evolution_lab.pipeline.alerts.incident_alerts import incident_alerts
from evolution_lab.records import DetectionResult, Incident, IntentSignal, OperationRef

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
HOSTILE = "<!channel> *x* `y` <http://evil|click> &amp; \x1b[31m\n@here"


def found(
    *,
    state: Any = "open",
    severity: Any = "medium",
    name: str = "pay",
    id: str = "a",  # noqa: A002
    detected: datetime = NOW,
    extra: tuple[str, ...] = (),
) -> DetectionResult:
    operation = OperationRef(name, service="shop")
    signals = tuple(
        IntentSignal(
            id=each, kind="error-spike", severity=severity, operation=operation,
            window_start=detected - timedelta(minutes=15), window_end=detected,
            detected_at=detected, state=state, observed=0.5, baseline=0.01, effect=0.49,
            unit="fraction", sample_size=100, incident_id=id, detector="errors",
        )
        for each in (id, *extra)
    )  # fmt: skip
    incident = Incident(
        id=id, window_start=detected - timedelta(minutes=15), window_end=detected,
        detected_at=detected, state=state, severity=severity, origin=operation,
        operations=(operation,), signal_ids=tuple(s.id for s in signals),
    )  # fmt: skip
    return DetectionResult(signals=signals, incidents=(incident,))


@dataclass
class Server:
    """A receiver of webhooks that answers as it is told."""

    answers: list[int] = field(default_factory=list)
    waits: float = 0.0
    got: list[tuple[str, Any]] = field(default_factory=list)
    url: str = ""

    def run(self) -> ThreadingHTTPServer:
        mine = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                time.sleep(mine.waits)
                status = mine.answers.pop(0) if mine.answers else 200
                if status == 200:
                    mine.got.append((self.headers["Idempotency-Key"], json.loads(body)))
                with contextlib.suppress(ConnectionError):
                    self.send_response(status)
                    self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{server.server_port}/hook"
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return server


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    running = made.run()
    yield made
    running.shutdown()
    running.server_close()


@dataclass
class Clock:
    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now


def desk_of(data: Path, *receivers: Any, clock: Clock) -> AlertDesk:
    return AlertDesk(data, receivers, clock=clock)


def test_an_incident_is_told_when_it_opens_worsens_and_recovers_and_never_twice(
    tmp_path: Path, server: Server
):
    clock = Clock()
    desk = desk_of(tmp_path, WebhookReceiver(url=server.url), clock=clock)
    walk = [
        found(), found(), found(severity="high"), found(severity="high"),
        found(severity="low", state="recovered"), found(state="recovered"),
    ]  # fmt: skip
    for detection in walk:
        desk.see(detection, AlertRules())
        desk.tell()
        clock.now += timedelta(minutes=1)
    assert [body["type"] for _, body in server.got] == [
        "incident.opened",
        "incident.worsened",
        "incident.recovered",
    ]
    assert len({key for key, _ in server.got}) == 3
    assert desk.counts()[desk.receivers[0].name].delivered == 3


def test_what_cannot_be_delivered_is_delivered_later_by_another_process(
    tmp_path: Path, server: Server
):
    clock, receiver = Clock(), WebhookReceiver(url=server.url)
    server.answers = [500]
    first = desk_of(tmp_path, receiver, clock=clock)
    first.see(found(), AlertRules())
    assert first.tell().failed == 1
    assert server.got == []
    clock.now += timedelta(seconds=6)
    # A new process: nothing of the first one is left but what it put down.
    second = desk_of(tmp_path, receiver, clock=clock)
    assert second.see(found(), AlertRules()) == ()
    assert second.tell().delivered == 1
    assert [body["title"] for _, body in server.got] == [
        "error-spike opened on shop · pay (medium)"
    ]


def test_a_server_that_is_down_or_slow_keeps_the_others_waiting_for_nothing(
    tmp_path: Path, server: Server
):
    told: list[Alert] = []
    clock = Clock()
    down = WebhookReceiver(url="http://127.0.0.1:9/none", timeout_seconds=0.5)
    hook = CallableReceiver(function=told.append, name="alert-hook:told")
    desk = desk_of(tmp_path, down, hook, clock=clock)
    desk.see(found(), AlertRules())
    delivered = desk.tell()
    assert (delivered.delivered, delivered.failed) == (1, 1)
    assert told[0].type == "incident.opened"
    assert "127.0.0.1:9" not in (desk.counts()[down.name].last_error or "")


def test_a_server_that_takes_too_long_is_told_again_under_the_same_key(
    tmp_path: Path, server: Server
):
    clock, server.waits = Clock(), 0.6
    desk = desk_of(tmp_path, WebhookReceiver(url=server.url, timeout_seconds=0.2), clock=clock)
    desk.see(found(), AlertRules())
    began = time.monotonic()
    assert desk.tell().failed == 1
    assert time.monotonic() - began < 5
    server.waits = 0.0
    clock.now += timedelta(minutes=1)
    assert desk.tell().delivered == 1
    deadline = time.monotonic() + 10
    while len(server.got) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert {key for key, _ in server.got} == {"a.opened"}


DIES = """
import os, signal, sys
from pathlib import Path
from evolution_lab.pipeline.alerts import AlertDesk, AlertRules, WebhookReceiver
sys.path.insert(0, {tests!r})
from test_alerts import found
receiver = WebhookReceiver(url={url!r})
class Dying:
    name = receiver.name
    def deliver(self, alert):
        if {told}:
            receiver.deliver(alert)
        os.kill(os.getpid(), signal.SIGKILL)
desk = AlertDesk(Path({data!r}), [Dying()])
desk.see(found(), AlertRules())
desk.tell()
"""


@pytest.mark.parametrize("told", [False, True], ids=["before it was sent", "after it was taken"])
def test_a_process_that_is_killed_while_it_delivers_loses_no_alert(
    tmp_path: Path, server: Server, *, told: bool
):
    program = DIES.format(
        tests=str(Path(__file__).parent), url=server.url, told=told, data=str(tmp_path)
    )
    died = subprocess.run([sys.executable, "-c", program], check=False)
    assert died.returncode == -signal.SIGKILL
    assert len(server.got) == int(told)
    desk = AlertDesk(tmp_path, [WebhookReceiver(url=server.url)])
    assert desk.tell().delivered == 1
    assert desk.tell().delivered == 0
    assert {key for key, _ in server.got} == {"a.opened"}


def test_a_rollback_and_a_held_rollout_are_told_once(tmp_path: Path, server: Server):
    registry = SpecExperimentRegistry.in_lab(tmp_path / "lab")
    for key in ("calm", "held", "bad"):
        registry.register(
            SpecExperiment(
                key=key,
                operation=key,
                control=Binding(operation=key, version="1"),
                variant=Binding(operation=key, version="2"),
            ),
            actor="ada",
        )
        registry.start(key, actor="ada")
    now = datetime.now(UTC)
    desk = desk_of(tmp_path / "lab", WebhookReceiver(url=server.url), clock=Clock(now))
    assert desk.see_rollouts(registry) == ()
    registry.pause("calm", actor="ada", reason="lunch", at=now)
    registry.pause("held", actor="controller", reason="a person should look", at=now)
    registry.roll_back("bad", actor="controller", reason="errors <b>rose</b>", at=now)
    assert len(desk.see_rollouts(registry)) == 2
    assert desk.see_rollouts(registry) == ()
    assert desk.tell().delivered == 2
    assert sorted((body["type"], body["subject"]) for _, body in server.got) == [
        ("rollout.held", "rollout:held@1"),
        ("rollout.rolled-back", "rollout:bad@1"),
    ]
    # What happened days ago is told to nobody who begins to listen today.
    late = desk_of(
        tmp_path / "lab", WebhookReceiver(url=server.url), clock=Clock(now + timedelta(days=2))
    )
    assert late.see_rollouts(registry) == ()


def test_an_incident_keeps_its_name_when_late_rows_give_it_another():
    known = incident_alerts(
        found(id="b", extra=("c",)), (), AlertRules(), now=NOW, looked_until=None
    )
    again = incident_alerts(
        found(id="c", state="recovered"), known[1], AlertRules(), now=NOW, looked_until=NOW
    )
    assert [alert.key for alert in again[0]] == ["b.recovered"]


def test_the_cooldown_holds_back_another_incident_of_the_same_origin():
    rules = AlertRules(cooldown=timedelta(minutes=30))
    _, told = incident_alerts(found(id="a"), (), rules, now=NOW, looked_until=None)
    for minutes, expected in ((10, 0), (40, 1)):
        later = NOW + timedelta(minutes=minutes)
        alerts, _ = incident_alerts(found(id="z"), told, rules, now=later, looked_until=NOW)
        assert len(alerts) == expected
    other, _ = incident_alerts(found(id="y", name="cart"), told, rules, now=NOW, looked_until=NOW)
    assert len(other) == 1


def test_the_lowest_severity_and_what_is_over_before_anybody_looked():
    high = AlertRules(lowest_severity="high")
    assert incident_alerts(found(), (), high, now=NOW, looked_until=None)[0] == []
    worse = incident_alerts(found(severity="high"), (), high, now=NOW, looked_until=None)[0]
    assert [alert.type for alert in worse] == ["incident.opened"]
    over = found(state="recovered")
    assert incident_alerts(over, (), AlertRules(), now=NOW, looked_until=None)[0] == []
    before = NOW - timedelta(minutes=5)
    both = incident_alerts(over, (), AlertRules(), now=NOW, looked_until=before)[0]
    assert [alert.type for alert in both] == ["incident.opened", "incident.recovered"]


def test_what_is_muted_is_told_when_the_mute_ends_and_it_lasts():
    mute = Silence(
        id="1", kind="mute", operations="pay", begins_at=NOW - timedelta(hours=1),
        ends_at=NOW + timedelta(hours=1), why="known", by="ada", set_at=NOW,
    )  # fmt: skip
    rules = AlertRules(silences=Silences((mute,)))
    alerts, told = incident_alerts(found(), (), rules, now=NOW, looked_until=None)
    assert alerts == []
    later = NOW + timedelta(hours=2)
    assert len(incident_alerts(found(), told, rules, now=later, looked_until=NOW)[0]) == 1
    other = replace(rules, silences=Silences((replace(mute, operations="cart"),)))
    assert len(incident_alerts(found(), (), other, now=NOW, looked_until=None)[0]) == 1


def hostile_alert(kind: Any = "incident.opened", **more: Any) -> Alert:
    alerts, _ = incident_alerts(found(name=HOSTILE), (), AlertRules(), now=NOW, looked_until=None)
    return replace(alerts[0], type=kind, **more)


def test_slack_obeys_nothing_that_a_name_says():
    body = slack_body(hostile_alert())
    assert not set(body["text"]) & {"<", ">", "\n", "\x1b"}
    assert "&lt;!channel&gt;" in body["text"]
    assert body["mrkdwn"] is False
    assert {block["text"]["type"] for block in body["blocks"]} == {"plain_text"}
    assert len(body["blocks"][0]["text"]["text"]) <= 150
    assert all(len(block["text"]["text"]) <= 3000 for block in body["blocks"])


def test_pagerduty_opens_and_resolves_one_incident():
    opened = pagerduty_body(hostile_alert(severity="high"), routing_key="k")
    over = pagerduty_body(hostile_alert("incident.recovered"), routing_key="k")
    assert (opened["event_action"], over["event_action"]) == ("trigger", "resolve")
    assert opened["dedup_key"] == over["dedup_key"]
    assert opened["payload"]["severity"] == "critical"
    assert len(opened["payload"]["summary"]) <= 1024
    with pytest.raises(ConfigError, match="routing_key_env"):
        WebhookReceiver(url="https://events.example.com", format="pagerduty")


def test_alertmanager_ends_what_it_was_told_under_the_same_labels():
    opened = alertmanager_body(hostile_alert())[0]
    worse = alertmanager_body(hostile_alert("incident.worsened", severity="high", before="medium"))
    over = alertmanager_body(hostile_alert("incident.recovered", severity="low", before="high"))[0]
    assert datetime.fromisoformat(opened["endsAt"]) > NOW + timedelta(days=1)
    assert worse[1]["labels"] == opened["labels"]
    assert datetime.fromisoformat(worse[1]["endsAt"]) == NOW
    assert over["labels"] == worse[0]["labels"]
    assert datetime.fromisoformat(over["endsAt"]) == NOW


def test_a_command_gets_the_alert_on_its_input_and_nothing_of_it_in_its_arguments(tmp_path: Path):
    kept = tmp_path / "kept"
    program = f"import sys; open({str(kept)!r}, 'w').write(sys.stdin.read() + str(sys.argv[1:]))"
    CommandReceiver(command=(sys.executable, "-c", program, "$(touch x)")).deliver(hostile_alert())
    text = kept.read_text()
    document, arguments = text.splitlines()
    assert json.loads(document)["subject"] == "a"
    assert arguments == "['$(touch x)']"
    desk = desk_of(
        tmp_path, CommandReceiver(command=(sys.executable, "-c", "exit(3)")), clock=Clock()
    )
    desk.see(found(), AlertRules())
    assert desk.tell().failed == 1
    assert "ended with 3" in str(next(iter(desk.counts().values())).last_error)


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"webhok_env": "X"}, "Did you mean 'webhook_env'"),
        ({"format": "slak"}, "Did you mean 'slack'"),
        ({"lowest_severity": "grave"}, "low, medium, high"),
        ({"command": "notify --now"}, "must be a list"),
        ({"cooldown": "soon"}, "duration"),
        ({"webhook_env": 3}, "cannot be read"),
    ],
)
def test_a_section_that_cannot_be_used_is_refused(section: dict[str, Any], said: str):
    with pytest.raises(ConfigError, match=said):
        AlertSettings.of(section)


def test_the_address_comes_from_the_environment_and_stands_nowhere(tmp_path: Path):
    settings = AlertSettings.of({"webhook_env": "HOOK", "format": "slack"})
    with pytest.raises(ConfigError, match="HOOK"):
        settings.receivers({})
    url = "https://hooks.example.com/T0/s3cret"
    (receiver,) = settings.receivers({"HOOK": url})
    assert "s3cret" not in repr(receiver) + receiver.name
    desk = desk_of(tmp_path, receiver, clock=Clock())
    desk.see(found(), AlertRules())
    assert b"s3cret" not in (tmp_path / "evolution.duckdb").read_bytes()
    with pytest.raises(ConfigError, match="cannot be imported"):
        AlertSettings.of({"callable": "nowhere_at_all:tell"}).receivers({})
