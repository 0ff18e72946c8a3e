"""Looking around in a lab: linked figures and the frames behind them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from evolution_lab.config import parse_duration
from evolution_lab.display import Progress, notebook_progress, part_of
from evolution_lab.export.exploration import Explorer
from evolution_lab.lab.querying import LabQueries
from evolution_lab.windows import operation_samples, roll_up
from evolution_lab.windows.rollups import read_rolled


class LabExploration(LabQueries):
    """Figures of what a lab holds; see ``Lab``."""

    def explore(
        self,
        *,
        every: str | timedelta | None = None,
        theme: str = "auto",
        progress: Progress | None = None,
    ) -> Explorer:
        """Return linked views: surprise by operation and time, latency before and after, errors.

        Args:
            every: Window length; the setting ``window`` without it.
            theme: ``light``, ``dark``, or ``auto`` for whatever is behind the figure.
            progress: Called with (steps done, steps in all); a notebook shows a bar without it.

        Raises:
            EmptyLakeError: Nothing has been landed.
        """
        with notebook_progress("exploring", progress) as tell:
            detection = self.detect(every=every, progress=part_of(tell, first=0, of=2))
            evidence = self.evidence(every=every)
            part_of(tell, first=2, of=4)(1, 1)
            explorer = Explorer(
                detection=detection,
                evidence=evidence,
                windows=self.windows(every=every),
                samples=operation_samples(self.samples(), exclude=self.config.exclude),
                deployments=self.deploys(every=every).verdicts,
                theme=theme,
            )
            part_of(tell, first=3, of=4)(1, 1)
            return explorer

    def roll_up(
        self,
        *,
        every: str | timedelta = "1h",
        since: datetime | None = None,
        until: datetime | None = None,
        operation: str | None = None,
        merge: Sequence[str | Path] = (),
    ) -> pl.DataFrame:
        """Return hours or days, and the windows of other machines, from latency histograms.

        Counts, sums and maxima are exact. Quantiles are within 1 % of the order statistic
        ``v[floor((n - 1) p)]``. Merged in any order, the same bits come out; see ``windows.roll_up``.

        Args:
            every: Length of the merged windows; a multiple of the setting ``window``.
            since: Samples from here on, UTC.
            until: Samples before this, UTC.
            operation: Only this one, of what was landed here and of what is merged.
            merge: Parquet files that ``evolution-lab windows --from-bins --output`` wrote elsewhere.
                A lab that landed nothing merges these alone.

        Raises:
            EmptyLakeError: Nothing has been landed, and there is nothing to merge.
            InputError: A file cannot be read, or a window does not fit into the longer ones.
            FrameContractError: A file has no histograms, or such that cannot be.
            PathNotFoundError: A file does not exist.
        """
        frames = read_rolled([Path(path) for path in merge])
        if operation is not None:
            frames = [frame.filter(pl.col("operation_key") == operation) for frame in frames]
        if not frames or self.lake.live_files("samples"):
            own = self.windows(since=since, until=until, operation=operation, latency_bins=True)
            frames = [own, *frames]
        return roll_up(frames, every=parse_duration(every))
