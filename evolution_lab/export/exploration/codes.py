"""Which errors, and when: codes of failed calls over time."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import polars as pl

from evolution_lab.export.exploration.latency import of_operation
from evolution_lab.export.figures import empty_figure, figure_text, new_figure, plain_time
from evolution_lab.records import OperationRef

if TYPE_CHECKING:
    import plotly.graph_objects as go

MOST_CODES: Final = 8
"""Codes with a colour of their own, the most frequent ones; the others are drawn as one."""
_COLOURS: Final = (
    *("#2f6fb2", "#c0392b", "#2e8b57", "#d68910", "#8e5bb5"),
    *("#17a2a2", "#c2577e", "#8a6d3b", "#7b8794"),
)
"""One a code, the last for the others: the template's five would repeat."""
OTHERS: Final = "other codes"


def error_codes(
    samples: pl.LazyFrame, *, every: timedelta, operation: OperationRef | None = None
) -> pl.DataFrame:
    """Count failed calls by code and time.

    A call's code is its error code, its HTTP status without one, and ``no code`` without either. Calls
    that a server answered 4xx are counted too.

    Args:
        samples: A ``SAMPLES`` frame.
        every: Length of a step.
        operation: Only this one.

    Returns:
        ``time``, ``code`` and ``calls``, sorted.
    """
    failed = ~pl.col("success") | pl.col("status_code").is_between(400, 599)
    chosen = samples if operation is None else samples.filter(of_operation(operation))
    length = f"{every // timedelta(microseconds=1)}us"
    return (
        chosen.filter(failed)
        .select(
            time=pl.col("timestamp").dt.truncate(length),
            code=pl.coalesce(
                pl.col("error_code"), pl.col("status_code").cast(pl.String), pl.lit("no code")
            ),
        )
        .group_by("time", "code")
        .agg(calls=pl.len().cast(pl.Int64))
        .sort("time", "code")
        .collect()
    )


def error_codes_figure(codes: pl.DataFrame, *, every: timedelta) -> go.Figure:
    """Return failed calls over time, a colour a code.

    Args:
        codes: As ``error_codes`` returns it.
        every: Length of a step.
    """
    import plotly.graph_objects as go

    if codes.is_empty():
        return empty_figure("No failed call is recorded here.")
    frequent = (
        codes.group_by("code")
        .agg(pl.col("calls").sum())
        .sort("calls", "code", descending=[True, False])
    )
    kept = frequent["code"].head(MOST_CODES).to_list()
    named = codes.with_columns(
        shown=pl.when(pl.col("code").is_in(kept)).then("code").otherwise(pl.lit(None, pl.String))
    )
    figure = new_figure(height=280)
    drawn = [*kept, None] if len(frequent) > MOST_CODES else kept
    for number, code in enumerate(drawn):
        own = (
            named.filter(pl.col("shown").eq_missing(pl.lit(code, pl.String)))
            .group_by("time")
            .agg(pl.col("calls").sum())
            .sort("time")
        )
        figure.add_trace(
            go.Bar(
                x=[plain_time(time) for time in own["time"]],
                y=own["calls"].to_list(),
                width=every / timedelta(milliseconds=1),
                offset=0,
                name=OTHERS if code is None else figure_text(code, longest=32),
                marker={"color": _COLOURS[number], "line": {"width": 0}},
                hovertemplate="%{y:,}",
            )
        )
    figure.update_layout(
        barmode="stack", bargap=0, yaxis={"title": {"text": "failed calls"}, "rangemode": "tozero"}
    )
    return figure
