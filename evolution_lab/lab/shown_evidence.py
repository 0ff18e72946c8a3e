"""What suggestions rest on, for a page that many look at while telemetry keeps coming."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from evolution_lab.export.series import SignalSeries, signals_behind
from evolution_lab.records import IntentSignal, SpecSuggestion

Judged = tuple[tuple[IntentSignal, ...], pl.DataFrame]

PATIENCE: Final = 10.0
"""What was judged is shown for this many times as long as judging took: each landing would else have
the next click wait for a detection."""


@dataclass(eq=False)
class ShownEvidence:
    """Gives the signals behind a suggestion with their series; safe for threads.

    Attributes:
        judge: Gives signals and windows, or None where there is no telemetry; may take long.
        clock: Seconds, never going back.

    Examples:
        >>> shown = ShownEvidence(lambda: None)
        >>> shown(None)
        []
    """

    judge: Callable[[], Judged | None]
    clock: Callable[[], float] = time.monotonic
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)
    _judged: Judged | None = field(default=None, init=False, repr=False)
    _until: float = field(default=float("-inf"), init=False)

    def __call__(
        self, suggestion: SpecSuggestion
    ) -> list[tuple[IntentSignal, SignalSeries | None]]:
        """Return what a suggestion rests on."""
        with self._lock:  # Whoever asks meanwhile waits for the same answer.
            began = self.clock()
            if began >= self._until:
                self._judged = self.judge()
                ended = self.clock()
                self._until = ended + PATIENCE * (ended - began)
            judged = self._judged
        return [] if judged is None else signals_behind(suggestion, *judged)
