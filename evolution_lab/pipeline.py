"""``EvolutionPipeline``: detection inside a service, sample by sample."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from evolution_lab.config import EvolutionConfig
from evolution_lab.intents import IntentDetector, Surroundings
from evolution_lab.records import DetectionResult, IntentSignal, TelemetrySample
from evolution_lab.windows import IntentAggregator, WindowSnapshot


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(eq=False)
class EvolutionPipeline:
    """Takes samples as they happen and says what changed beyond chance.

    Attributes:
        on_intent: Called with each signal once, and again when it has recovered.
        on_snapshot: Called with the windows behind each judgement.
        config: The settings.
        clock: Says what time it is, UTC.

    Examples:
        >>> EvolutionPipeline().run().signals
        ()
    """

    on_intent: Callable[[IntentSignal], object] | None = None
    on_snapshot: Callable[[WindowSnapshot], object] | None = None
    config: EvolutionConfig = field(default_factory=EvolutionConfig)
    clock: Callable[[], datetime] = _now
    _aggregator: IntentAggregator = field(init=False, repr=False)
    _said: dict[str, str] = field(default_factory=dict, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def __post_init__(self) -> None:
        self._aggregator = IntentAggregator(self.config)

    def ingest(self, sample: TelemetrySample) -> None:
        """Take one sample."""
        with self._lock:
            self._aggregator.add(sample)

    def run(self) -> DetectionResult:
        """Judge every window that has closed, and tell what is new."""
        as_of = self.clock()
        with self._lock:
            snapshot = self._aggregator.snapshot(as_of)
        result = IntentDetector(self.config).detect(
            snapshot.windows,
            Surroundings(sequences=snapshot.sequences, edges=snapshot.edges, as_of=as_of),
        )
        if self.on_snapshot is not None:
            self.on_snapshot(snapshot)
        for signal in result.signals:
            if self._said.get(signal.id) != signal.state:
                self._said[signal.id] = signal.state
                if self.on_intent is not None:
                    self.on_intent(signal)
        return result
