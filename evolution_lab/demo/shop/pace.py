"""Waits and failures, drawn from a seed: what a small service on one machine does not have by itself."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field

import numpy as np


@dataclass
class Pace:
    """Draws how long things take and whether they fail.

    Attributes:
        scale: Multiplies every wait; 0 waits nowhere.
        failure_rate: Share of the calls that fail, fraction.
        seed: Of the draws.
    """

    scale: float
    failure_rate: float
    seed: int
    _rng: np.random.Generator = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(self.seed)

    async def wait(self, median_ms: float, *, sigma: float = 0.3) -> None:
        """Wait for a lognormal time of this median, milliseconds."""
        if self.scale > 0:
            spread = math.exp(sigma * self._rng.standard_normal())
            await asyncio.sleep(median_ms * self.scale * spread / 1000)

    def fails(self, rate: float | None = None) -> bool:
        """Draw whether something fails, at its own rate or at that of all calls."""
        rate = self.failure_rate if rate is None else rate
        return rate > 0 and bool(self._rng.random() < rate)
