"""Watching: what changes is said look by look, once, and alerts."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from evolution_lab.errors import CorruptFileError, FormatVersionError
from evolution_lab.lab import Lab
from evolution_lab.lab.every_night import TelemetryToLand
from evolution_lab.lab.watched_signals import WatchedSignals
from evolution_lab.lab.watched_state import LastWatch, write_last_watch
from evolution_lab.lab.watching import Watch
from evolution_lab.pipeline.alerts import Alert, CallableReceiver
from evolution_lab.records import IntentSignal, OperationRef

START = datetime(2026, 5, 4, 8, tzinfo=UTC)
FAULT = START + timedelta(minutes=120)
MEND = START + timedelta(minutes=140)
NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


def signal(**more: object) -> IntentSignal:
    return IntentSignal(
        **{
            "id": "a", "kind": "error-spike", "severity": "medium",
            "operation": OperationRef("pay"), "window_start": NOW - timedelta(minutes=15),
            "window_end": NOW, "detected_at": NOW, "state": "open", "observed": 0.5,
            "baseline": 0.0, "effect": 0.5, "unit": "fraction", "sample_size": 10, "detector": "e",
            **more,
        }  # type: ignore[arg-type]
    )  # fmt: skip


def said(watched: WatchedSignals, *signals: IntentSignal, minutes: int) -> list[str]:
    news = watched.news(signals, now=NOW + timedelta(minutes=minutes))
    return [f"{each.what}{'?' if each.provisional else ''}" for each in news]


def test_a_signal_is_said_once_and_confirmed_when_its_window_is_final():
    watched = WatchedSignals(timedelta(minutes=30))
    assert said(watched, minutes=0) == []
    assert said(watched, signal(), minutes=1) == ["new?"]
    assert said(watched, signal(), minutes=2) == []
    assert said(watched, signal(severity="high"), minutes=3) == ["worse?"]
    assert said(watched, signal(severity="high"), minutes=31) == ["confirmed"]
    over = signal(severity="high", state="recovered")
    assert said(watched, over, minutes=40) == ["recovered"]
    assert said(watched, over, minutes=50) == []


def test_what_late_rows_explain_away_is_withdrawn_while_it_is_provisional_only():
    watched = WatchedSignals(timedelta(minutes=30))
    said(watched, minutes=0)
    said(watched, signal(), minutes=1)
    assert said(watched, minutes=5) == ["withdrawn"]
    said(watched, signal(id="b"), minutes=6)
    said(watched, signal(id="b"), minutes=31)
    assert said(watched, minutes=40) == []


def test_a_change_under_another_id_is_the_same_change():
    watched = WatchedSignals(timedelta(minutes=30))
    said(watched, minutes=0)
    said(watched, signal(), minutes=1)
    assert said(watched, signal(id="b"), minutes=2) == []
    assert said(watched, signal(id="b", state="recovered"), minutes=3) == ["recovered?"]


def test_the_first_look_says_what_is_open_not_what_has_been():
    watched = WatchedSignals(timedelta(minutes=30))
    old = signal(id="old", state="recovered")
    assert said(watched, old, signal(), minutes=60) == ["new"]
    assert said(watched, old, signal(), minutes=61) == []


def lines(begin: datetime, end: datetime, rng: np.random.Generator) -> str:
    """A minute of calls a line block; half of them fail while the fault lasts."""
    written = []
    moment = begin
    while moment < end:
        for second in sorted(rng.uniform(0, 60, 60)):
            at = moment + timedelta(seconds=float(second))
            rate = 0.5 if FAULT <= at < MEND else 0.005
            failed = bool(rng.random() < rate)
            start = int(at.timestamp() * 1e6) * 1000
            span = {
                "traceId": rng.bytes(16).hex(), "spanId": rng.bytes(8).hex(), "name": "POST /pay",
                "kind": 2, "startTimeUnixNano": str(start),
                "endTimeUnixNano": str(start + int(rng.gamma(20, 1e6))),
                "status": {"code": 2} if failed else {},
            }  # fmt: skip
            written.append(span)
        moment += timedelta(minutes=1)
    blocks = (written[i : i + 100] for i in range(0, len(written), 100))
    return "".join(
        json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": block}]}]}) + "\n"
        for block in blocks
    )


class Clock:
    now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.mark.slow
def test_a_fault_in_a_file_that_grows_is_told_within_a_window_and_90_seconds(tmp_path: Path):
    clock, rng, told = Clock(), np.random.default_rng(7), list[Alert]()
    source = tmp_path / "spans.jsonl"
    source.write_text(lines(START, FAULT, rng))
    lab = Lab(tmp_path / "lab", window="5m")
    watch = Watch(
        lab,
        telemetry=TelemetryToLand(paths=(source,)),
        receivers=[CallableReceiver(function=told.append, name="alert-hook:told")],
        clock=clock,
    )
    clock.now = FAULT + timedelta(seconds=3)
    assert watch.look().news == ()
    written, heard = FAULT, {}
    while clock.now < MEND + timedelta(minutes=30):
        # The Collector is 5 seconds behind; looks are 20 seconds apart, as they are by default.
        until = (clock.now - timedelta(seconds=5)).replace(second=0)
        if until > written:
            with source.open("a") as file:
                file.write(lines(written, until, rng))
            written = until
        for news in watch.look().news:
            heard.setdefault(news.what, clock.now)
        clock.now += timedelta(seconds=20)
    assert heard["new"] - FAULT <= timedelta(minutes=5, seconds=90)
    assert heard["recovered"] > MEND
    kinds = [alert.type for alert in told]
    assert kinds[0] == "incident.opened"
    assert kinds[-1] == "incident.recovered"
    assert len(set(kinds)) == len(kinds)
    samples = lab.samples().collect()
    minutes = (written - START) // timedelta(minutes=1)
    assert samples.height == samples["span_id"].n_unique() == 60 * minutes


def test_a_fault_is_told_when_its_window_closes_and_not_again(tmp_path: Path):
    clock, rng, told = Clock(), np.random.default_rng(7), list[Alert]()
    source = tmp_path / "spans.jsonl"
    source.write_text(lines(START, FAULT + timedelta(minutes=5), rng))
    lab = Lab(tmp_path / "lab", window="5m")
    receivers = [CallableReceiver(function=told.append, name="alert-hook:told")]
    telemetry = TelemetryToLand(paths=(source,))
    watch = Watch(lab, telemetry=telemetry, receivers=receivers, clock=clock)
    clock.now = FAULT + timedelta(minutes=5, seconds=59)
    assert watch.look().news == ()
    clock.now = FAULT + timedelta(minutes=6)
    (news,) = watch.look().news
    assert (news.what, news.provisional, news.signal.kind) == ("new", True, "error-spike")
    assert watch.look().judged_until is None
    # Started again: it goes on from where the first stood, provisional signals among it.
    again = Watch(lab, receivers=receivers, clock=clock)
    assert [each.id for each in again.open_signals] == [news.signal.id]
    assert (again.look().judged_until, again.look().news) == (None, ())
    clock.now -= timedelta(minutes=20)  # A clock that is set back withdraws nothing.
    assert again.look().news == ()
    clock.now += timedelta(minutes=55)
    later = [each for each in again.look().news if each.signal.id == news.signal.id]
    assert [each.what for each in later] == ["confirmed"]
    assert Watch(lab, receivers=receivers, clock=clock, every="15m").open_signals == ()
    assert next(alert.type for alert in told) == "incident.opened"


def test_what_a_watch_left_is_refused_when_it_is_damaged_or_of_a_newer_version(tmp_path: Path):
    lab = Lab(tmp_path)
    kept = tmp_path / "last_watch.json"
    write_last_watch(
        tmp_path,
        LastWatch(window=timedelta(minutes=15), judged_until=NOW, data_digest="d", said={}),
    )
    newer = kept.read_text().replace('"formatVersion": 1', '"formatVersion": 99')
    for content, error in ((newer, FormatVersionError), (newer[:40], CorruptFileError)):
        kept.write_text(content)
        with pytest.raises(error, match="last_watch"):
            Watch(lab)


def test_a_mute_silences_alerts_and_failing_runs_but_not_signals(tmp_path: Path):
    lab = Lab(tmp_path / "lab")
    now = datetime.now(UTC)
    mute = lab.mute("pay", until=now + timedelta(hours=1), why="known", by="ada")
    assert lab.silences().loud([signal()], now + timedelta(minutes=1)) == ()
    other = replace(signal(), operation=OperationRef("cart"))
    assert lab.silences().loud([signal(), other], now + timedelta(minutes=1)) == (other,)
    lab.unmute(mute.id, by="ada")
    assert lab.silences().loud([signal()], now + timedelta(minutes=1)) == (signal(),)


def test_maintenance_silences_what_came_and_went_in_it(tmp_path: Path):
    lab = Lab(tmp_path / "lab")
    begins = datetime.now(UTC) - timedelta(hours=1)
    lab.add_maintenance(
        begins_at=begins, ends_at=begins + timedelta(hours=2), why="new disks", operations="p*"
    )
    inside = begins + timedelta(minutes=30)
    after = begins + timedelta(hours=3)
    gone = signal(state="recovered", detected_at=inside)
    assert lab.silences().loud([gone, signal(detected_at=inside)], after) == (
        signal(detected_at=inside),
    )


def test_a_watch_of_nothing_says_nothing(tmp_path: Path):
    look = Watch(Lab(tmp_path / "lab")).look()
    assert (look.news, look.problems, look.landed) == ((), (), ())
    with pytest.raises(FileNotFoundError):
        Watch(Lab(tmp_path), telemetry=TelemetryToLand(paths=(tmp_path / "none",))).look()
