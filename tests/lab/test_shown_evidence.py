"""The review page does not detect anew for every click while telemetry keeps coming."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

from evolution_lab.lab.shown_evidence import ShownEvidence
from evolution_lab.schemas import WINDOWS, empty

NOBODY = SimpleNamespace(signal_ids=())


class Judging:
    def __init__(self, takes: float) -> None:
        self.now, self.times, self.takes = 0.0, 0, takes

    def __call__(self):
        self.times += 1
        self.now += self.takes
        return (), empty(WINDOWS)


def test_clicks_share_a_detection_for_ten_times_as_long_as_it_took():
    judging = Judging(takes=3.0)
    shown = ShownEvidence(judging, clock=lambda: judging.now)
    for _ in range(20):
        assert shown(NOBODY) == []
    assert judging.times == 1
    judging.now += 29.0
    shown(NOBODY)
    assert judging.times == 1
    judging.now += 2.0
    shown(NOBODY)
    assert judging.times == 2


def test_where_detection_costs_nothing_every_click_sees_the_latest():
    judging = Judging(takes=0.0)
    shown = ShownEvidence(judging, clock=lambda: judging.now)
    shown(NOBODY)
    shown(NOBODY)
    assert judging.times == 2


def test_those_who_click_at_once_wait_for_one_detection():
    begun, free, times = threading.Event(), threading.Event(), []

    def judge():
        times.append(1)
        begun.set()
        assert free.wait(10)

    shown = ShownEvidence(judge, clock=iter([0.0, 1.0, 1.1, 1.2, 1.3]).__next__)
    with ThreadPoolExecutor(4) as clicks:
        answers = [clicks.submit(shown, NOBODY) for _ in range(4)]
        assert begun.wait(10)
        free.set()
        assert [answer.result(10) for answer in answers] == [[], [], [], []]
    assert len(times) == 1
