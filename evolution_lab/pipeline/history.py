"""What a pipeline remembers: samples for as long as they fit, closed windows for days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

import polars as pl

from evolution_lab.config import EvolutionConfig
from evolution_lab.errors import FrameContractError
from evolution_lab.intents import Surroundings
from evolution_lab.records import TelemetrySample
from evolution_lab.schemas import EDGES, OPERATIONS, SAMPLES, WINDOWS, empty, polars_schema
from evolution_lab.windows import (
    IntentAggregator,
    WindowSnapshot,
    aggregate,
    call_depth,
    operation_samples,
    sample_frame,
    span_tree,
    trace_companions,
)
from evolution_lab.windows.grid import window_floor

SAMPLE_WINDOWS: Final = 96
"""Windows whose samples are kept: as far back as a shift is compared with what was before it."""
MOST_WINDOWS: Final = 7 * 96
"""Windows that detection looks back on: seven baselines, a week of the default length."""
_LET_GO: Final = 96
"""Windows let go at once: each cut has detection learn its baselines from another beginning."""
_AHEAD: Final = timedelta(days=1)
"""A sample further ahead of the clock comes from a broken one."""
_IDENTITY: Final = ("op_id", "service", "operation_key", "operation_version")
_COUNTS: Final = ("calls", "outcomes", "errors", "client_errors")


def _no_windows() -> pl.DataFrame:
    return pl.DataFrame(schema={n: c.dtype.type for n, c in WINDOWS.columns.items()})


@dataclass(eq=False)
class LiveHistory:
    """Samples and closed windows of a running service, both bounded. Not safe for several threads.

    Attributes:
        config: The settings; ``window``, ``session_gap`` and ``exclude`` are used.
        most_samples: Samples held at most; the oldest are let go first.
        samples: A ``SAMPLES`` frame by time.
        windows: A ``WINDOWS`` frame of what has closed. A window stays as it was when it closed.
        closed_until: End of the last closed window, UTC; None before the first.
        late: Samples that came when their window had closed; no window counts them.
        dropped: Samples that there was no room for before their window closed, that are from a
            broken clock or break the contract of samples.
    """

    config: EvolutionConfig
    most_samples: int
    samples: pl.DataFrame = field(default_factory=lambda: empty(SAMPLES), init=False)
    windows: pl.DataFrame = field(default_factory=_no_windows, init=False)
    closed_until: datetime | None = field(default=None, init=False)
    late: int = field(default=0, init=False)
    dropped: int = field(default=0, init=False)

    def take(self, samples: Sequence[TelemetrySample], now: datetime) -> None:
        """Lay samples out, and count those that come too late or find no room.

        Args:
            samples: In any order.
            now: The present moment, UTC.
        """
        if not samples:
            return
        oldest = now - self.config.window * MOST_WINDOWS
        usable = [sample for sample in samples if oldest <= sample.timestamp <= now + _AHEAD]
        frame = self._laid_out(usable)
        # One sample of long ago would ask for all windows since then.
        self.late += sum(sample.timestamp < oldest for sample in samples)
        self.dropped += sum(sample.timestamp > now + _AHEAD for sample in samples)
        self.late += frame.height - self._not_closed(frame).height
        together = pl.concat([self.samples, frame]).sort("timestamp", "row_id")
        lost = together.head(max(together.height - self.most_samples, 0))
        self.dropped += self._not_closed(lost).height
        self.samples = together.tail(self.most_samples)

    def close(self, until: datetime) -> tuple[WindowSnapshot, Surroundings] | None:
        """Close the windows up to ``until``; None where there are none to close.

        Returns:
            The windows that closed, those of silent operations included, and what detection may use
            beside ``windows``.
        """
        if self.closed_until is not None and until <= self.closed_until:
            return None
        aggregator = IntentAggregator(self.config)
        aggregator.add_frame(self.samples)
        snapshot = aggregator.snapshot(until)
        fresh = self._fresh(snapshot.windows, until)
        if fresh.is_empty():
            return None
        since: datetime = fresh["window_start"].min()  # type: ignore[assignment]
        surroundings = self._surroundings(snapshot, until)
        count = self.samples.filter(
            pl.col("timestamp") >= since, pl.col("timestamp") < until
        ).height
        self._remember(fresh)
        self.closed_until = until
        kept_since = until - self.config.window * SAMPLE_WINDOWS
        self.samples = self.samples.filter(pl.col("timestamp") >= kept_since)
        closed = replace(
            snapshot, windows=fresh, sample_count=count, window_start=since, window_end=until
        )
        return closed, surroundings

    def trailing(self, now: datetime) -> WindowSnapshot:
        """Return the window that ends now, whatever the grid; it is not closed by that."""
        window = self.config.window
        # Aggregation is aligned to the epoch: the clock is put back to where a window ends.
        shift = now - window_floor(now, window)
        recent = (
            operation_samples(self.samples.lazy(), exclude=self.config.exclude)
            .filter(pl.col("timestamp") >= now - window, pl.col("timestamp") < now)
            .with_columns(pl.col("timestamp") - shift)
            .collect()
        )
        windows = aggregate(recent, window=window, latency_bins=True, all_spans=True)
        return WindowSnapshot(
            windows=windows.with_columns(
                pl.col("window_start", "window_end") + shift,
                closed=pl.lit(value=False),
                final=pl.lit(value=False),
            ),
            sample_count=recent.height,
            window_start=now - window,
            window_end=now,
        )

    def _laid_out(self, samples: Sequence[TelemetrySample]) -> pl.DataFrame:
        """Lay samples out; one that breaks the contract is dropped and does not take others along."""
        try:
            return sample_frame(samples)
        except (
            FrameContractError,
            pl.exceptions.PolarsError,
            ValueError,
            TypeError,
            OverflowError,
        ):
            if len(samples) == 1:
                self.dropped += 1
                return empty(SAMPLES)
            half = len(samples) // 2
            return pl.concat([self._laid_out(samples[:half]), self._laid_out(samples[half:])])

    def _not_closed(self, samples: pl.DataFrame) -> pl.DataFrame:
        if self.closed_until is None:
            return samples
        return samples.filter(pl.col("timestamp") >= self.closed_until)

    def _fresh(self, windows: pl.DataFrame, until: datetime) -> pl.DataFrame:
        """Return the windows since the last closed one, with those of silent operations."""
        first = windows["window_start"].min()
        since = self.closed_until or (first if isinstance(first, datetime) else until)
        since = max(since, until - self.config.window * MOST_WINDOWS)
        fresh = windows.filter(pl.col("window_start") >= since, pl.col("closed"))
        starts = pl.datetime_range(since, until, self.config.window, closed="left", eager=True)
        silent = (
            self.windows.select(_IDENTITY)
            .unique("op_id")
            .join(starts.cast(pl.Datetime("us", "UTC")).to_frame("window_start"), how="cross")
            .join(fresh, on=["op_id", "window_start"], how="anti")
            .with_columns(
                window_end=pl.col("window_start") + self.config.window,
                calls_adjusted=pl.lit(0.0),
                closed=pl.lit(value=True),
                final=pl.lit(value=False),
                revision=pl.lit(0, dtype=pl.Int32),
                **{name: pl.lit(0, dtype=pl.Int64) for name in _COUNTS},
            )
        )
        together = pl.concat([_no_windows(), fresh, silent], how="diagonal")
        return together.sort(*_IDENTITY[1:], "window_start", nulls_last=False)

    def _remember(self, fresh: pl.DataFrame) -> None:
        windows = pl.concat([self.windows, fresh])
        newest: datetime = windows["window_start"].max()  # type: ignore[assignment]
        oldest: datetime = windows["window_start"].min()  # type: ignore[assignment]
        if newest - oldest >= self.config.window * MOST_WINDOWS:
            kept_since = newest - self.config.window * (MOST_WINDOWS - _LET_GO)
            windows = windows.filter(pl.col("window_start") > kept_since).filter(
                pl.col("calls").sum().over("op_id") > 0  # Who has been silent all along is gone.
            )
        self.windows = windows.sort(*_IDENTITY[1:], "window_start", nulls_last=False)

    def _surroundings(self, snapshot: WindowSnapshot, until: datetime) -> Surroundings:
        samples = self.samples.filter(pl.col("timestamp") < until)
        tree = span_tree(samples, exclude=self.config.exclude)
        operations = samples.select(list(polars_schema(OPERATIONS))).unique("op_id").sort("op_id")
        return Surroundings(
            samples=samples.lazy(),
            sequences=snapshot.sequences,
            edges=snapshot.edges,
            companions=empty(EDGES) if snapshot.edges.height else trace_companions(tree),
            depths=call_depth(tree),
            operations=operations,
            as_of=until,
        )
