"""What form a change has: a spike that passes, a step that stays, a drift that grows.

The forms are those of change-point practice (Elastic's ``change_point`` aggregation tells ``spike``,
``step_change`` and ``trend_change``; FBDetect keeps what went away apart). They describe what was
said already; nothing is decided by them.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from evolution_lab.intents.decide import Episode
from evolution_lab.intents.levels import metric_level
from evolution_lab.intents.view import DetectionView
from evolution_lab.records.intent import ChangeClass

SPIKE_WINDOWS: Final = 3
"""Windows that a spike lasts at most."""
GROWTH: Final = 1.5
"""Excess of the second half of the onset over that of the first, from which on it is a drift."""
SLOW_HORIZON: Final = 8
"""Horizon of the opening evidence from which on an onset was slow enough to be a drift."""


def change_class(episode: Episode, view: DetectionView) -> ChangeClass:
    """Return the form of an episode as far as it has been seen.

    One that opened on the sum of many windows and whose excess over the baseline grew within them is
    a ``drift``; one that lasted no longer than ``SPIKE_WINDOWS`` and has recovered, or is that young,
    is a ``spike``; all others are a ``step``.

    Args:
        episode: The episode.
        view: The windows it was found in.
    """
    opening = min(
        (row for row in episode.rows if row.t == episode.opened), key=lambda row: row.p_value
    )
    if opening.horizon >= SLOW_HORIZON and _grew(opening.metric, episode, view, opening.horizon):
        return "drift"
    if opening.horizon < SLOW_HORIZON and episode.last - episode.opened < SPIKE_WINDOWS:
        return "spike"
    return "step"


def _grew(metric: str, episode: Episode, view: DetectionView, horizon: int) -> bool:
    baseline = episode.strongest.baseline
    last = max(episode.last, episode.opened)
    levels = [
        metric_level(view, metric, episode.operation, t)
        for t in range(max(0, episode.opened - horizon + 1), last + 1)
    ]
    known = np.array([level for level in levels if level is not None])
    if baseline is None or len(known) < 4:
        return False
    excess = known - baseline
    half = len(excess) // 2
    first, second = float(np.abs(excess[:half].mean())), float(np.abs(excess[half:].mean()))
    return second > GROWTH * first
