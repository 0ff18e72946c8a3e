import math

import numpy as np
import pytest

from evolution_lab.demo.sessions import SHARES, draw_sessions
from evolution_lab.demo.shoppers import Shopper
from evolution_lab.demo.timeline import WORKFLOW


def calls(sessions):
    return sorted((step.at, step.key) for session in sessions for step in session.steps)


def test_equal_seeds_draw_equal_sessions_and_others_do_not():
    first = draw_sessions(3, minutes=2, rate=4.0)
    assert first == draw_sessions(3, minutes=2, rate=4.0)
    assert first != draw_sessions(4, minutes=2, rate=4.0)


def test_steps_come_in_order_and_within_the_recording():
    for session in draw_sessions(5, minutes=3, rate=6.0, workflow_from=60):
        times = [step.at for step in session.steps]
        assert times == sorted(times)
        assert 0 <= times[0] <= times[-1] < 180


def test_the_rate_is_kept_from_the_first_minute_to_the_last():
    times = np.array([at for at, _ in calls(draw_sessions(6, minutes=40, rate=10.0))])
    per_minute = np.histogram(times, bins=40, range=(0, 2400))[0]
    assert per_minute.mean() == pytest.approx(600, rel=0.05)
    assert per_minute.min() > 600 * 0.7
    assert per_minute.max() < 600 * 1.35


def test_ordinary_calls_come_in_their_shares_and_in_random_order():
    sessions = draw_sessions(7, minutes=40, rate=10.0)
    keys = [key for _, key in calls(sessions)]
    shares = np.array(list(SHARES.values())) / sum(SHARES.values())
    for key, share in zip(SHARES, shares, strict=True):
        assert keys.count(key) / len(keys) == pytest.approx(share, rel=0.12)
    pairs = [
        (a.key, b.key)
        for session in sessions
        for a, b in zip(session.steps, session.steps[1:], strict=False)
    ]
    followed = pairs.count(WORKFLOW[:2]) / sum(a == WORKFLOW[0] for a, _ in pairs)
    assert followed == pytest.approx(shares[list(SHARES).index(WORKFLOW[1])], abs=0.03)


def test_the_workflow_begins_when_it_is_planned_and_runs_whole_and_fast():
    sessions = draw_sessions(8, minutes=40, rate=10.0, workflow_from=1200)
    runs = [[s for s in session.steps if s.workflow] for session in sessions]
    runs = [run for run in runs if run]
    assert min(run[0].at for run in runs) >= 1200
    whole = [run for run in runs if run[0].at < 2380]
    assert all(tuple(step.key for step in run) == WORKFLOW for run in whole)
    assert np.median([run[-1].at - run[0].at for run in whole]) < 6
    late = [s for s in sessions if s.steps[0].at > 1200 and s.steps[-1].at < 2300]
    shares = [any(step.workflow for step in session.steps) for session in late]
    assert 0.25 < np.mean(shares) < 0.35


def test_a_short_recording_is_a_long_one_seen_fast():
    long = draw_sessions(9, minutes=40, rate=1.0)
    short = draw_sessions(9, minutes=1, rate=40.0)
    assert sum(len(s.steps) for s in long) == pytest.approx(
        sum(len(s.steps) for s in short), rel=0.1
    )
    assert max(s.steps[-1].at for s in short) < 60


def test_requests_are_drawn_from_the_session_alone():
    for session in draw_sessions(10, minutes=1, rate=5.0):
        one, other = Shopper(session), Shopper(session)
        for step in session.steps:
            assert one.request(step) == other.request(step)


def test_clients_send_no_trace_context_and_say_who_they_are():
    names = set()
    for session in draw_sessions(11, minutes=1, rate=5.0):
        shopper = Shopper(session)
        for step in session.steps:
            names |= {name.lower() for name in shopper.request(step).headers}
    assert names == {"x-tenant-id", "x-user-id", "x-session-id"}


def test_wrong_requests_are_rare_and_bulk_ones_only_where_asked_for():
    sessions = draw_sessions(12, minutes=20, rate=10.0)
    sizes = {True: [], False: []}
    with_number = []
    for session in sessions:
        for bulk, found in sizes.items():
            shopper = Shopper(session)
            for step in session.steps:
                body = shopper.request(step, bulk=bulk).body or {}
                if step.key == "POST /quotes":
                    found.append(len(body["items"]))
                elif step.key == "POST /invoices":
                    with_number.append("poNumber" in body)
    assert max(sizes[False]) <= 5
    assert np.mean([size > 100 for size in sizes[True]]) == pytest.approx(1 / 6, abs=0.04)
    assert np.mean(with_number) == pytest.approx(0.75, abs=0.04)
    assert 0 < np.mean([size == 0 for size in sizes[False]]) < 0.03


def test_no_workflow_unless_it_is_planned():
    assert not any(
        step.workflow
        for session in draw_sessions(13, minutes=2, rate=5.0, workflow_from=math.inf)
        for step in session.steps
    )
