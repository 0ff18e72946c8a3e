"""How long calls took before and after: distribution functions, histograms, exact quantiles."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from evolution_lab.display import COLORS, format_duration
from evolution_lab.export.figures import empty_figure, new_figure
from evolution_lab.records import OperationRef
from evolution_lab.windows.quantiles import quantiles_of_groups

if TYPE_CHECKING:
    import plotly.graph_objects as go

LEVELS: Final = {"p10": 0.10, "p50": 0.50, "p90": 0.90, "p95": 0.95, "p99": 0.99}
MOST_POINTS: Final = 500
"""Points of a distribution function that are drawn; each is a value that was measured."""
BINS: Final = 60
_COLOURS: Final = {"before": COLORS["line"], "after": COLORS["high"]}


@dataclass(frozen=True, kw_only=True)
class Span:
    """A stretch of time.

    Attributes:
        since: First moment, UTC.
        until: First moment after it.
    """

    since: datetime
    until: datetime


def durations_of(samples: pl.LazyFrame, operation: OperationRef, span: Span) -> pl.Series:
    """Return how long each call of an operation took in a stretch of time, ns, ascending.

    Args:
        samples: A ``SAMPLES`` frame.
        operation: Its version and tenant count where they are said.
        span: When.
    """
    return (
        samples.filter(of_operation(operation))
        .filter(pl.col("timestamp") >= span.since, pl.col("timestamp") < span.until)
        .select(pl.col("duration_ns").sort())
        .collect()
        .to_series()
    )


def of_operation(operation: OperationRef) -> pl.Expr:
    """Return the condition that a row is of an operation."""
    same = pl.col("service").eq_missing(pl.lit(operation.service, dtype=pl.String))
    same &= pl.col("operation_key") == operation.key
    if operation.version is not None:
        same &= pl.col("operation_version") == operation.version
    if operation.tenant_id is not None:
        same &= pl.col("tenant_id") == operation.tenant_id
    return same


def latency_quantiles(before: pl.Series, after: pl.Series) -> pl.DataFrame:
    """Return exact quantiles (type 7) of two lists of durations, ns, and how they compare.

    Args:
        before: Ascending.
        after: Ascending.

    Returns:
        ``quantile``, ``before_ns``, ``after_ns`` and ``ratio``; null where a list is empty.

    Examples:
        >>> before, after = pl.Series([1, 2, 3]), pl.Series([2, 4, 6])
        >>> latency_quantiles(before, after).filter(pl.col("quantile") == "p50")["ratio"].item()
        2.0
    """
    columns = {"before_ns": _quantiles(before), "after_ns": _quantiles(after)}
    return pl.DataFrame(
        {"quantile": list(LEVELS), **columns},
        schema={"quantile": pl.String, "before_ns": pl.Float64, "after_ns": pl.Float64},
    ).with_columns(ratio=pl.col("after_ns") / pl.col("before_ns"))


def latency_figure(before: pl.Series, after: pl.Series) -> go.Figure:
    """Return both distributions: functions above, histograms on the same logarithmic axis below.

    Args:
        before: Durations, ns, ascending.
        after: Durations, ns, ascending.
    """
    import plotly.graph_objects as go

    found = {"before": before, "after": after}
    if not any(len(values) for values in found.values()):
        return empty_figure("There are no calls to compare.")
    figure = new_figure(height=420)
    edges = _edges(found)
    for name, values in found.items():
        if not len(values):
            continue
        milliseconds = values.to_numpy() / 1e6
        places = _places(len(values))
        median, tail = (_quantiles(values)[list(LEVELS).index(q)] for q in ("p50", "p95"))
        figure.add_trace(
            go.Scatter(
                x=[_digits(milliseconds[i]) for i in places],
                y=[_digits((i + 1) / len(values)) for i in places],
                mode="lines",
                line={"color": _COLOURS[name], "width": 2, "shape": "hv"},
                name=(
                    f"{name}: {len(values):,} calls, median {format_duration(median)}, "
                    f"95 % within {format_duration(tail)}"
                ),
                hovertemplate="%{y:.1%} within %{x} ms",
            )
        )
        counts, _ = np.histogram(np.maximum(milliseconds, edges[0]), bins=edges)
        figure.add_trace(
            go.Scatter(
                x=[_digits(edge) for edge in edges],
                y=[*(_digits(count / len(values)) for count in counts), 0],
                mode="lines",
                line={"color": _COLOURS[name], "width": 1, "shape": "hv"},
                fill="tozeroy",
                opacity=0.6,
                yaxis="y2",
                showlegend=False,
                name=name,
                hovertemplate="%{y:.1%} of calls",
            )
        )
    figure.update_layout(
        xaxis={"type": "log", "title": {"text": "duration, ms"}, "anchor": "y2"},
        yaxis={"domain": [0.42, 1.0], "range": [0, 1.02], "tickformat": ".0%"},
        yaxis2={"domain": [0.0, 0.34], "rangemode": "tozero", "tickformat": ".0%"},
        hovermode="x",
    )
    return figure


def _quantiles(values: pl.Series) -> list[float | None]:
    if not len(values):
        return [None] * len(LEVELS)
    found = quantiles_of_groups(values.cast(pl.Int64), pl.Series([len(values)]), LEVELS)
    return list(found.row(0))


def _places(count: int) -> list[int]:
    """Return which of the sorted values are drawn: evenly over the ranks, the ends among them."""
    if count <= MOST_POINTS:
        return list(range(count))
    return sorted({round(i * (count - 1) / (MOST_POINTS - 1)) for i in range(MOST_POINTS)})


def _edges(found: dict[str, pl.Series]) -> npt.NDArray[np.float64]:
    whole = np.concatenate([values.to_numpy() / 1e6 for values in found.values() if len(values)])
    low, high = max(float(whole.min()), 1e-6), max(float(whole.max()), 2e-6)
    if low >= high:
        low, high = low * 0.9, low * 1.1
    edges: npt.NDArray[np.float64] = np.geomspace(low, high * 1.000001, BINS + 1)
    return edges


def _digits(value: float) -> float:
    return float(f"{value:.5g}")
