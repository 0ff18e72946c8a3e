"""What a chart of a signal shows: the windows around its episode, in units people read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import polars as pl

from evolution_lab.records import IntentSignal, SpecSuggestion

CONTEXT_BEFORE: Final = 96
"""Windows drawn before an episode: as many as a baseline looks back."""
CONTEXT_AFTER: Final = 32
LONGEST: Final = 480
"""Windows drawn at most; a longer episode is cut and the chart says so."""
MOST_VERSIONS: Final = 3

_DEFAULT_METRICS: Final = {
    "error-spike": "error-rate",
    "latency-regression": "latency-tail",
    "throughput-drop": "throughput",
}
_COLUMNS: Final = {"latency-median": "p50_ns", "latency-tail": "p95_ns"}
_LABELS: Final = {
    "error-rate": "error rate",
    "client-error-rate": "client error rate (4xx)",
    "latency-median": "median latency",
    "latency-tail": "95th percentile latency",
    "throughput": "calls per window",
}
_SCALES: Final[Mapping[str, tuple[float, str]]] = {
    "fraction": (100.0, "%"),
    "ns": (1e-6, "ms"),
    "calls": (1.0, "calls"),
}
"""By a signal's unit: the factor to what is drawn, and the name of what is drawn."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of a chart.

    Attributes:
        label: What it is; may hold a version's name from traffic.
        values: One value a window in the unit of the chart; None where there is nothing to draw.
        main: Whether it is what the signal was judged by.
    """

    label: str
    values: tuple[float | None, ...]
    main: bool


@dataclass(frozen=True, kw_only=True)
class SignalSeries:
    """The windows around one signal's episode.

    Attributes:
        metric: One of ``schemas.METRICS``.
        label: The metric in words.
        unit: ``%``, ``ms`` or ``calls``.
        start: Start of the first window, UTC.
        window: Length of a window; windows follow each other without gaps.
        calls: Calls a window over all versions; None where the recording has no window.
        lines: What is drawn, the main line first.
        baseline: The signal's baseline in ``unit``.
        baseline_range: Where an ordinary window lies about 95 % of the time, in ``unit``.
        op_ids: The operations (one a version) whose windows these are, ascending.
        complete: False where the chart ends before the episode does.
    """

    metric: str
    label: str
    unit: str
    start: datetime
    window: timedelta
    calls: tuple[int | None, ...]
    lines: tuple[Line, ...]
    baseline: float | None
    baseline_range: tuple[float, float] | None
    op_ids: tuple[int, ...]
    complete: bool

    @property
    def end(self) -> datetime:
        """The end of the last window, UTC."""
        return self.start + len(self.calls) * self.window

    def position(self, moment: datetime) -> int:
        """Return the window a moment lies in, cut to the windows there are."""
        index = (moment - self.start) // self.window
        return min(max(index, 0), max(len(self.calls) - 1, 0))


def metric_of(signal: IntentSignal) -> str:
    """Return the metric a signal was judged by (``schemas.METRICS``).

    Its first evidence says it; without, the kind of the signal does.
    """
    said = signal.evidence[0].data.get("metric") if signal.evidence else None
    if said in _LABELS:
        return str(said)
    if signal.kind == "error-spike" and signal.error_class == "client":
        return "client-error-rate"
    return _DEFAULT_METRICS.get(signal.kind, "throughput")


def metric_label(metric: str) -> str:
    """Return a metric in words.

    Examples:
        >>> metric_label("latency-tail")
        '95th percentile latency'
    """
    return _LABELS[metric]


def signal_series(signal: IntentSignal, windows: pl.DataFrame) -> SignalSeries | None:
    """Return the windows around a signal's episode, or None where the frame has none of them.

    Detection judges all versions of an operation together, so counts are summed over versions.
    Percentiles cannot be summed: of several versions each gets a line of its own.

    Args:
        signal: The signal to draw.
        windows: A ``schemas.WINDOWS`` frame, all windows of one length.
    """
    operation = signal.operation
    own = windows.filter(
        pl.col("operation_key") == operation.key,
        pl.col("service").eq_missing(pl.lit(operation.service, dtype=pl.String)),
    )
    if own.is_empty():
        return None
    first = own.row(0, named=True)
    window: timedelta = first["window_end"] - first["window_start"]
    since = signal.window_start - CONTEXT_BEFORE * window
    until = min(signal.window_end + CONTEXT_AFTER * window, since + LONGEST * window)
    own = own.filter(pl.col("window_start") >= since, pl.col("window_end") <= until)
    if own.is_empty():
        return None
    metric = metric_of(signal)
    scale, unit = _SCALES[signal.unit]
    starts = _starts(own, window)
    summed = own.group_by("window_start").agg(
        pl.col("calls").sum(),
        *(_sum_of_known(name) for name in ("outcomes", "errors", "client_errors")),
    )
    grid = pl.DataFrame(
        {"window_start": starts}, schema={"window_start": own["window_start"].dtype}
    )
    grid = grid.join(summed, on="window_start", how="left").sort("window_start")
    if metric in _COLUMNS:
        lines = _latency_lines(own, grid, metric, attributed=operation.version)
    else:
        values = _shares(grid, metric)
        lines = (Line(label=metric_label(metric), values=_scaled(values, scale), main=True),)
    return SignalSeries(
        metric=metric,
        label=metric_label(metric),
        unit=unit,
        start=starts[0],
        window=window,
        calls=tuple(grid["calls"].to_list()),
        lines=lines,
        baseline=None if signal.baseline is None else signal.baseline * scale,
        baseline_range=_baseline_range(signal, scale),
        op_ids=tuple(sorted(own["op_id"].unique().to_list())),
        complete=until >= signal.window_end,
    )


def signals_behind(
    suggestion: SpecSuggestion, signals: Iterable[IntentSignal], windows: pl.DataFrame
) -> list[tuple[IntentSignal, SignalSeries | None]]:
    """Return the signals that a suggestion rests on, each with its chart's numbers.

    Args:
        suggestion: What was proposed.
        signals: All that was found.
        windows: The ``schemas.WINDOWS`` frame they were found in.
    """
    wanted = set(suggestion.signal_ids)
    return [(each, signal_series(each, windows)) for each in signals if each.id in wanted]


def _starts(own: pl.DataFrame, window: timedelta) -> list[datetime]:
    first, last = own["window_start"].min(), own["window_start"].max()
    assert isinstance(first, datetime)
    assert isinstance(last, datetime)
    return [first + i * window for i in range((last - first) // window + 1)]


def _sum_of_known(name: str) -> pl.Expr:
    """Sum a count over versions; null where no version recorded it."""
    column = pl.col(name)
    return pl.when(column.is_not_null().any()).then(column.sum()).otherwise(None).alias(name)


def _shares(grid: pl.DataFrame, metric: str) -> list[float | None]:
    """Return error shares (null without calls to judge) or calls, as detection computes them."""
    if metric == "error-rate":
        share = pl.when(pl.col("outcomes") > 0).then(pl.col("errors") / pl.col("outcomes"))
    elif metric == "client-error-rate":
        share = pl.when(pl.col("calls") > 0).then(pl.col("client_errors") / pl.col("calls"))
    else:
        share = pl.when(pl.col("calls").is_not_null()).then(pl.col("calls").cast(pl.Float64))
    return grid.select(value=share)["value"].to_list()


def _latency_lines(
    own: pl.DataFrame, grid: pl.DataFrame, metric: str, *, attributed: str | None
) -> tuple[Line, ...]:
    busiest = (
        own.group_by("operation_version")
        .agg(pl.col("calls").sum())
        .sort(
            pl.col("operation_version").eq_missing(pl.lit(attributed, dtype=pl.String)),
            "calls",
            "operation_version",
            descending=[True, True, False],
            nulls_last=True,
        )
    )
    versions = busiest["operation_version"].to_list()[:MOST_VERSIONS]
    columns = [_COLUMNS[metric]]
    if len(versions) == 1:
        columns += [name for name in _COLUMNS.values() if name not in columns]
    lines = []
    for version in versions:
        of_version = own.filter(
            pl.col("operation_version").eq_missing(pl.lit(version, dtype=pl.String))
        )
        joined = grid.select("window_start").join(
            of_version.select("window_start", *columns), on="window_start", how="left"
        )
        for column in columns:
            label = "95th percentile" if column == "p95_ns" else "median"
            if len(versions) > 1:
                label = f"{label}, {version or 'no version'}"
            values = _scaled(joined.sort("window_start")[column].to_list(), 1e-6)
            lines.append(Line(label=label, values=values, main=column == columns[0]))
    return tuple(lines)


def _scaled(values: Sequence[float | None], scale: float) -> tuple[float | None, ...]:
    """Bring values to the unit of the chart, with the six digits that a screen can show."""
    return tuple(None if value is None else float(f"{value * scale:.6g}") for value in values)


def _baseline_range(signal: IntentSignal, scale: float) -> tuple[float, float] | None:
    data: Mapping[str, Any] = signal.evidence[0].data if signal.evidence else {}
    low, high = data.get("baseline_low"), data.get("baseline_high")
    if not isinstance(low, (int, float)) or not isinstance(high, (int, float)):
        return None
    return (low * scale, high * scale)
