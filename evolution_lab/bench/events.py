"""Moments of detection held against moments at which faults were injected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

EARLIEST: Final = timedelta(minutes=-1)
LATEST: Final = timedelta(minutes=5)
"""An incident finds a fault when it is first detected between these and the fault's injection."""


@dataclass(frozen=True)
class EventScore:
    """Incidents held against injected faults.

    Attributes:
        hits: Faults found.
        faults: Faults injected.
        false: Incidents near no fault.
        delays: Seconds from injection to the first detection, one a hit.
        incidents: Incidents in all.
    """

    hits: int
    faults: int
    false: int
    delays: tuple[float, ...]
    incidents: int

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall over events."""
        return 2 * self.hits / (self.hits + self.false + self.faults) if self.hits else 0.0


def score_events(detected: Sequence[datetime], injected: Sequence[datetime]) -> EventScore:
    """Hold moments of first detection against moments of injection.

    Examples:
        >>> from datetime import UTC
        >>> at = datetime(2025, 3, 4, tzinfo=UTC)
        >>> score = score_events([at, at + timedelta(hours=1)], [at])
        >>> score.hits, score.false, round(score.f1, 2)
        (1, 1, 0.67)
    """
    first: dict[datetime, float] = {}
    false = 0
    for moment in detected:
        near = [start for start in injected if EARLIEST <= moment - start <= LATEST]
        false += not near
        for start in near:
            delay = (moment - start).total_seconds()
            first[start] = min(first.get(start, delay), delay)
    return EventScore(len(first), len(injected), false, tuple(first.values()), len(detected))
