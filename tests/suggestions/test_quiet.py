"""An operational suggestion expires when its effect is gone, and a gap in a spec never does."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import polars as pl
import pytest

from evolution_lab.records import DetectionResult
from evolution_lab.suggestions import SpecGenerator
from evolution_lab.suggestions.quiet import QUIET_FOR, gone_quiet

QUARTER = timedelta(minutes=15)
WEEK = QUIET_FOR // QUARTER


@pytest.fixture
def episode(signal, window_rows, orders):
    """Make the suggestion of a spike that recovered, its signals and the windows after it."""

    def make(later: int, *, calls: int = 100, calls_later: int = 100, **changes: Any) -> Any:
        spike = signal(state="recovered", **changes)
        (suggestion,) = SpecGenerator().generate(DetectionResult(signals=(spike,)))[:1]
        rows = [{"calls": calls}] * 2 + [{"calls": calls_later}] * later
        return suggestion, [spike], window_rows(orders, *rows)

    return make


def test_a_week_without_the_effect_is_quiet(episode):
    suggestion, signals, windows = episode(WEEK)
    found = gone_quiet([suggestion], signals, windows)
    assert list(found) == [suggestion.id]
    assert f"none of {WEEK} windows" in found[suggestion.id]


@pytest.mark.parametrize(
    ("later", "values"),
    [
        (WEEK - 1, {}),
        (WEEK, {"calls_later": 99}),  # Fewer calls than those that showed it: no power.
        (0, {}),
    ],
)
def test_too_little_was_seen_to_say_so(episode, later, values):
    suggestion, signals, windows = episode(later, **values)
    assert gone_quiet([suggestion], signals, windows) == {}


def test_an_open_episode_is_not_quiet(episode, signal):
    suggestion, _, windows = episode(WEEK)
    assert gone_quiet([suggestion], [signal(state="open")], windows) == {}


def test_another_signal_of_the_operation_since_then_is_not_quiet(episode, signal):
    suggestion, (spike,), windows = episode(WEEK)
    later = signal(
        id="signal-2", state="recovered", window_end=spike.window_end + timedelta(days=2)
    )
    assert gone_quiet([suggestion], [spike, later], windows) == {}


def test_few_windows_with_power_over_a_long_time_are_not_enough(episode):
    suggestion, signals, windows = episode(WEEK, calls_later=10)
    some = pl.when(pl.int_range(pl.len()) % 96 == 0).then(100).otherwise(pl.col("calls"))
    assert gone_quiet([suggestion], signals, windows.with_columns(calls=some)) == {}


def test_gaps_in_a_spec_do_not_expire(episode, workflow, signal):
    _, signals, windows = episode(WEEK)
    drafts = SpecGenerator().generate(DetectionResult(workflows=(workflow(),)), windows=windows)
    assert drafts
    assert gone_quiet(drafts, signals, windows) == {}
