"""``IntentAggregator``: samples in, windows out, for services that feed one sample at a time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

import polars as pl

from evolution_lab.config import EvolutionConfig
from evolution_lab.display import ResultMixin
from evolution_lab.records import TelemetrySample
from evolution_lab.schemas import EDGES, SAMPLES, SEQUENCES, WINDOWS, check, empty
from evolution_lab.windows.aggregation import aggregate
from evolution_lab.windows.edges import call_edges
from evolution_lab.windows.grid import window_floor
from evolution_lab.windows.sample_frames import sample_frame
from evolution_lab.windows.sequences import operation_sequences
from evolution_lab.windows.spans import span_tree


@dataclass(frozen=True, eq=False)
class WindowSnapshot(ResultMixin):
    """What an aggregator gives for the samples it holds.

    Attributes:
        windows: A ``WINDOWS`` frame with latency histograms.
        sequences: A ``SEQUENCES`` frame.
        edges: An ``EDGES`` frame.
        sample_count: Samples behind it, calls between operations included.
        window_start: Start of the first window, UTC; None without samples.
        window_end: End of the last window, UTC.
    """

    windows: pl.DataFrame = field(default_factory=lambda: empty(WINDOWS))
    sequences: pl.DataFrame = field(default_factory=lambda: empty(SEQUENCES))
    edges: pl.DataFrame = field(default_factory=lambda: empty(EDGES))
    sample_count: int = 0
    window_start: datetime | None = None
    window_end: datetime | None = None

    def to_dicts(self) -> list[dict[str, object]]:
        """Return one dict an operation and window."""
        return self.windows.drop("latency_bins", strict=False).to_dicts()


@dataclass
class IntentAggregator:
    """Collects samples and aggregates them into windows, sequences and call edges.

    Samples are kept as they came, all of them: nothing is thinned out before it is counted.

    Attributes:
        config: The settings; ``window``, ``session_gap`` and ``exclude`` are used.

    Examples:
        >>> from datetime import UTC, datetime
        >>> from evolution_lab.records import OperationRef
        >>> aggregator = IntentAggregator()
        >>> aggregator.add(
        ...     TelemetrySample(
        ...         operation=OperationRef("checkout"),
        ...         timestamp=datetime(2025, 3, 4, 9, 7, tzinfo=UTC),
        ...         duration_ns=1_000_000,
        ...         success=True,
        ...     )
        ... )
        >>> aggregator.snapshot().windows.select("operation_key", "calls", "error_rate").row(0)
        ('checkout', 1, 0.0)
    """

    config: EvolutionConfig = field(default_factory=EvolutionConfig)
    _samples: list[TelemetrySample] = field(default_factory=list, init=False, repr=False)
    _frames: list[pl.DataFrame] = field(default_factory=list, init=False, repr=False)

    def add(self, sample: TelemetrySample) -> None:
        """Take one sample."""
        self._samples.append(sample)

    def add_all(self, samples: Iterable[TelemetrySample]) -> None:
        """Take several samples."""
        self._samples.extend(samples)

    def add_frame(self, samples: pl.DataFrame) -> None:
        """Take a ``SAMPLES`` frame.

        Raises:
            FrameContractError: The frame breaks its contract.
        """
        self._frames.append(check(samples, SAMPLES))

    def snapshot(self, as_of: datetime | None = None) -> WindowSnapshot:
        """Aggregate everything taken so far, and keep it.

        Args:
            as_of: Close windows as of this moment and ignore later samples; all are taken and all
                windows closed without it.
        """
        frames = [*self._frames, *([sample_frame(self._samples)] if self._samples else [])]
        if not frames:
            return WindowSnapshot()
        samples = pl.concat(frames)
        windows = aggregate(
            samples,
            window=self.config.window,
            as_of=as_of,
            allowed_lateness=self.config.allowed_lateness,
            latency_bins=True,
            exclude=self.config.exclude,
        )
        # Sequences and edges are as of the same moment as the windows.
        known = samples if as_of is None else samples.filter(pl.col("timestamp") <= as_of)
        tree = span_tree(known, exclude=self.config.exclude)
        return WindowSnapshot(
            windows=windows,
            sequences=operation_sequences(tree, session_gap=self.config.session_gap),
            edges=call_edges(tree),
            sample_count=known.height,
            window_start=windows["window_start"].min(),  # type: ignore[arg-type]
            window_end=windows["window_end"].max(),  # type: ignore[arg-type]
        )

    def flush(self, as_of: datetime | None = None) -> WindowSnapshot:
        """Return ``snapshot(as_of)`` and let go of what it closed.

        Samples of windows that are not closed at ``as_of`` are kept: the next flush gives these
        windows whole. Without ``as_of`` all windows are closed and the aggregator starts anew.
        """
        snapshot = self.snapshot(as_of)
        if as_of is None:
            self._samples.clear()
            self._frames.clear()
            return snapshot
        open_since = window_floor(as_of, self.config.window)
        frames = [frame.filter(pl.col("timestamp") >= open_since) for frame in self._frames]
        self._frames[:] = [frame for frame in frames if not frame.is_empty()]
        self._samples[:] = [s for s in self._samples if s.timestamp >= open_since]
        return snapshot
