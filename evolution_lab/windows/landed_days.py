"""The narrow rows of a lake's days: from the projection, from samples, and spans without a parent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Final

import polars as pl

from evolution_lab.errors import CorruptFileError
from evolution_lab.telemetry import Lake
from evolution_lab.telemetry.batches import BatchFile
from evolution_lab.telemetry.projection.building import (
    NarrowDay,
    all_answering,
    narrow_day,
    read_narrow,
)
from evolution_lab.telemetry.projection.narrow import NarrowRows, merged
from evolution_lab.telemetry.projection.runs import Run, read_failures, read_file
from evolution_lab.telemetry.projection.states import DayState
from evolution_lab.windows.operations import orphan_spans

_ORPHAN_COLUMNS: Final = (
    "op_id", "timestamp", "duration_ns", "success", "status_code", "error_code", "weight",
)  # fmt: skip


@dataclass(frozen=True)
class LandedDays:
    """Reads the days of a lake one after the other.

    Attributes:
        lake: The lake.
        states: What of each day is in the projection.
        projected: Whether to read the projection; the samples themselves otherwise.
        with_failures: Whether to read error codes, too.
        failures: Failed rows of the days read so far.
    """

    lake: Lake
    states: dict[date, DayState]
    projected: bool
    with_failures: bool = True
    failures: dict[date, list[pl.DataFrame]] = field(default_factory=dict)

    @property
    def between(self) -> bool:
        """Whether there may be calls between operations."""
        if any(run.between for state in self.states.values() for run in state.runs):
            return True
        files = (file for day in self.states for file in self._files(day))
        return not all(all_answering(self.lake, file) for file in files)

    def each(self, day: date, make: Callable[[NarrowRows], pl.DataFrame]) -> list[pl.DataFrame]:
        """Make a frame of each part of a day; parts share no operation and slot.

        A projection that cannot be read is passed over: the samples say the same.

        Args:
            day: One of ``states``.
            make: Called with sorted rows.

        Raises:
            CorruptFileError: A sample file cannot be read.
        """
        state = self.states[day]
        runs = state.runs if self.projected else ()
        try:
            return self._each(day, runs, self._files(day), make)
        except CorruptFileError:
            if not runs:
                raise
            return self._each(day, (), state.files, make)

    def _each(
        self,
        day: date,
        runs: tuple[Run, ...],
        files: tuple[BatchFile, ...],
        make: Callable[[NarrowRows], pl.DataFrame],
    ) -> list[pl.DataFrame]:
        root = self.lake.root
        others: list[NarrowDay] = []
        if files:
            others.append(read_narrow(self.lake, files, with_failures=self.with_failures))
        if any(run.between for run in runs) or any(other.between for other in others):
            mine = self._orphans.filter(pl.col("timestamp").dt.date() == day)
            if mine.height:
                others.append(narrow_day(mine))
        if self.with_failures:
            own = (other.failures for other in others)
            self.failures[day] = [read_failures(root, runs), *own]
        if len(runs) == 1 and not others:
            return [make(read_file(root, file)) for file in runs[0].files]
        parts = [read_file(root, file) for run in runs for file in run.files]
        parts += [other.rows for other in others]
        if len(parts) == 1:
            return [make(parts[0])]
        return [make(merged(parts))] if parts else []

    def failed(self) -> Iterator[tuple[date, pl.DataFrame]]:
        """Yield the failed rows of the days read so far."""
        for day, frames in self.failures.items():
            for frame in frames:
                yield day, frame

    def _files(self, day: date) -> tuple[BatchFile, ...]:
        """Return the sample files of a day that are read themselves."""
        state = self.states[day]
        return state.uncovered if self.projected else state.files

    @cached_property
    def _orphans(self) -> pl.DataFrame:
        return orphan_spans(self.lake.samples()).select(_ORPHAN_COLUMNS).collect()
