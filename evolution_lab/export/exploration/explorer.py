"""``Explorer``: linked views of a lab's telemetry, and the frames behind them."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from evolution_lab.errors import InputError, UnknownNameError
from evolution_lab.export.exploration.codes import error_codes, error_codes_figure
from evolution_lab.export.exploration.graph import workflow_figure
from evolution_lab.export.exploration.latency import (
    Span,
    durations_of,
    latency_figure,
    latency_quantiles,
)
from evolution_lab.export.exploration.surprise import (
    column_length,
    drawn_operations,
    surprise,
    surprise_figure,
)
from evolution_lab.export.exploration.timeline import timeline_figure
from evolution_lab.export.figures import with_theme
from evolution_lab.intents.deploys import DeployVerdict
from evolution_lab.records import DetectionResult, IntentSignal, OperationRef

if TYPE_CHECKING:
    import plotly.graph_objects as go

BEFORE_WINDOWS: Final = 96
"""Windows before a moment that count as before, as many as a baseline looks back."""


@dataclass(frozen=True, kw_only=True)
class Explorer:
    """Views of what a lab holds; ``Lab.explore`` makes one.

    Figures are drawn from windows, and of samples only what they need is read: ten million calls make
    no larger figure than ten thousand.

    Attributes:
        detection: What was found.
        evidence: What it was decided on, as ``Lab.evidence`` returns it.
        windows: The ``schemas.WINDOWS`` frame.
        samples: The ``schemas.SAMPLES`` of operations.
        deployments: What can be said of each deployment.
        theme: ``light``, ``dark``, or ``auto`` for whatever is behind the figure.
    """

    detection: DetectionResult
    evidence: pl.DataFrame
    windows: pl.DataFrame
    samples: pl.LazyFrame
    deployments: Sequence[DeployVerdict] = ()
    theme: str = "auto"

    @property
    def window(self) -> timedelta:
        """Length of a window."""
        if self.windows.is_empty():
            raise InputError("there are no windows to look at; land telemetry first.")
        length: timedelta = self.windows["window_end"][0] - self.windows["window_start"][0]
        return length

    def surprise(self) -> pl.DataFrame:
        """Return how surprising each operation's windows are; see ``surprise``."""
        return surprise(self.evidence)

    def heat_map(self) -> go.Figure:
        """Return the map of surprise: operations by time."""
        return with_theme(surprise_figure(self.surprise()), self.theme)

    def timeline(self) -> go.Figure:
        """Return all incidents on a time line, with deployments."""
        figure = timeline_figure(self.detection, self.windows, self.deployments)
        return with_theme(figure, self.theme)

    def workflows(self) -> go.Figure:
        """Return repeated workflows as a graph."""
        return with_theme(workflow_figure(self.detection.workflows), self.theme)

    def errors(self, operation: OperationRef | str | None = None) -> go.Figure:
        """Return codes of failed calls over time.

        Args:
            operation: Only this one; all without it.

        Raises:
            UnknownNameError: There is no such operation.
        """
        chosen = None if operation is None else self.operation(operation)
        codes = error_codes(self.samples, every=self.window, operation=chosen)
        return with_theme(error_codes_figure(codes, every=self.window), self.theme)

    def latency(
        self, about: IntentSignal | OperationRef | str, *, at: datetime | None = None
    ) -> go.Figure:
        """Return how long calls took before and after a moment.

        Args:
            about: A signal (its episode against the windows before it), or an operation.
            at: The moment, UTC; needed for an operation.

        Raises:
            UnknownNameError: There is no such operation.
            InputError: No moment was given.
        """
        before, after = self._durations(about, at)
        return with_theme(latency_figure(before, after), self.theme)

    def quantiles(
        self, about: IntentSignal | OperationRef | str, *, at: datetime | None = None
    ) -> pl.DataFrame:
        """Return exact quantiles of durations before and after; arguments as for ``latency``."""
        return latency_quantiles(*self._durations(about, at))

    def windows_of(
        self,
        operation: OperationRef | str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> pl.DataFrame:
        """Return the windows of an operation, all versions, in order of time.

        Args:
            operation: The operation.
            since: Windows from here on, UTC.
            until: Windows that begin before this, UTC.

        Raises:
            UnknownNameError: There is no such operation.
        """
        chosen = self.operation(operation)
        found = self.windows.filter(
            pl.col("service").eq_missing(pl.lit(chosen.service, dtype=pl.String)),
            pl.col("operation_key") == chosen.key,
        )
        if since is not None:
            found = found.filter(pl.col("window_end") > since)
        if until is not None:
            found = found.filter(pl.col("window_start") < until)
        return found.sort("window_start", "operation_version", nulls_last=False)

    def cell(self, row: int, column: str) -> pl.DataFrame:
        """Return the windows behind one cell of ``heat_map``.

        Args:
            row: Its row, 0 at the bottom, as plotly counts.
            column: Its time, as plotly writes it (UTC).

        Raises:
            InputError: The map has no such row.
        """
        surprises = self.surprise()
        drawn = drawn_operations(surprises)
        if not 0 <= row < len(drawn):
            raise InputError(f"row == {row}, must be from 0 to {len(drawn) - 1}.")
        since = datetime.fromisoformat(f"{column.replace(' ', 'T')}+00:00")
        until = since + column_length(surprises)
        return self.windows_of(drawn[::-1][row], since=since, until=until)

    def linked(self) -> Any:
        """Return the map and, below it, the operation that a click on it chooses, as one widget.

        ``selected`` of the widget is the frame of windows behind the last click.
        """
        # Widgets take a while to import, and only a notebook shows them.
        linked = importlib.import_module("evolution_lab.export.exploration.linked")
        return linked.LinkedViews(self)

    def operation(self, name: OperationRef | str) -> OperationRef:
        """Return an operation by its key, or itself.

        Raises:
            UnknownNameError: There is no such operation.
        """
        if isinstance(name, OperationRef):
            return name
        keys = (
            self.windows.select("service", "operation_key")
            .unique()
            .sort("service", "operation_key", nulls_last=False)
        )
        for service, key in keys.iter_rows():
            if name in {key, str(OperationRef(key, service=service))}:
                return OperationRef(key, service=service)
        raise UnknownNameError("operation", name, keys["operation_key"].to_list())

    def _durations(
        self, about: IntentSignal | OperationRef | str, at: datetime | None
    ) -> tuple[pl.Series, pl.Series]:
        if isinstance(about, IntentSignal):
            operation = about.operation
            start, end = about.window_start, about.window_end
        else:
            operation = self.operation(about)
            if at is None:
                raise InputError("name the moment to compare before and after: at=….")
            start, end = at, at + BEFORE_WINDOWS * self.window
        reach = BEFORE_WINDOWS * self.window
        return (
            durations_of(self.samples, operation, Span(since=start - reach, until=start)),
            durations_of(self.samples, operation, Span(since=start, until=end)),
        )
