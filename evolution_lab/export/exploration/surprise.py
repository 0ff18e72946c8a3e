"""How surprising each operation's windows are, as one frame and as a map of operations and time."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from evolution_lab.export.figures import empty_figure, figure_text, new_figure, plain_time
from evolution_lab.records import OperationRef

if TYPE_CHECKING:
    import plotly.graph_objects as go

MOST_ROWS: Final = 40
"""Operations drawn, the most surprising ones."""
MOST_COLUMNS: Final = 480
"""Columns drawn; more windows are drawn several to a column, by the most surprising of them."""
GREATEST: Final = 12.0
"""Surprise beyond which the colour no longer changes: one in 10^12."""
_METRIC_WORDS: Final = {
    "error-rate": "errors",
    "client-error-rate": "client errors",
    "latency-median": "latency, median",
    "latency-tail": "latency, tail",
    "throughput": "number of calls",
}


def surprise(evidence: pl.DataFrame) -> pl.DataFrame:
    """Return the surprise of each operation and window: its most surprising evidence.

    Surprise is ``-log10 p``, or ``log10 e`` where a detector gives e-values, and at least 0: 3 is what
    one window in a thousand shows where nothing changes. Many windows are looked at here, so that a 3
    alone claims nothing.

    Args:
        evidence: As ``Lab.evidence`` returns it.

    Returns:
        ``service``, ``operation_key``, ``window_start``, ``window_end``, ``surprise``, ``metric``,
        ``n_obs``, ``observed``, ``baseline`` and ``effect`` of the most surprising evidence; sorted by
        operation and time.
    """
    smallest = 10.0**-300
    value = pl.max_horizontal(
        -pl.col("p_value").clip(lower_bound=smallest).log10(),
        pl.col("e_value").clip(lower_bound=1.0).log10(),
    )
    names = ["service", "operation_key", "window_start"]
    return (
        evidence.with_columns(surprise=value.clip(lower_bound=0.0))
        .drop_nulls("surprise")
        .sort([*names, "surprise", "metric"], descending=[False, False, False, True, False])
        .unique(names, keep="first", maintain_order=True)
        .select(
            *names, "window_end", "surprise", "metric", "n_obs", "observed", "baseline", "effect"
        )
    )


def surprise_figure(surprises: pl.DataFrame, *, most_rows: int = MOST_ROWS) -> go.Figure:
    """Return the map: a row an operation, a column a window, darker where it surprises more.

    Args:
        surprises: As ``surprise`` returns it.
        most_rows: Operations drawn.
    """
    import plotly.graph_objects as go

    if surprises.is_empty():
        return empty_figure("No window was judged: land more, or take shorter windows.")
    window, columns = _columns(surprises)
    cells = (
        surprises.with_columns(column=pl.col("window_start").dt.truncate(_length(window)))
        .sort("surprise", "window_start", descending=[True, False])
        .unique(["service", "operation_key", "column"], keep="first", maintain_order=True)
    )
    rows = drawn_operations(surprises, most_rows=most_rows)
    place = {operation: number for number, operation in enumerate(reversed(rows))}
    at = {start: number for number, start in enumerate(columns)}
    heights: list[list[float | None]] = [[None] * len(columns) for _ in rows]
    texts = [[""] * len(columns) for _ in rows]
    for cell in cells.iter_rows(named=True):
        operation = OperationRef(cell["operation_key"], service=cell["service"])
        if operation in place and cell["column"] in at:
            row, column = place[operation], at[cell["column"]]
            heights[row][column] = round(min(cell["surprise"], GREATEST), 2)
            texts[row][column] = _METRIC_WORDS.get(cell["metric"], figure_text(cell["metric"]))
    names = [figure_text(str(operation), longest=44) for operation in place]
    figure = new_figure(height=120 + 18 * len(rows))
    figure.add_trace(
        go.Heatmap(
            x=[plain_time(start) for start in columns],
            y=list(range(len(rows))),
            z=heights,
            text=texts,
            customdata=[[name] * len(columns) for name in names],
            zmin=0,
            zmax=GREATEST,
            colorscale=_SCALE,
            xgap=0,
            ygap=1,
            hovertemplate="%{customdata}<br>%{x}<br>%{text}: surprise %{z}<extra></extra>",
            colorbar={"title": {"text": "surprise"}, "thickness": 12, "tickvals": [0, 3, 6, 9, 12]},
        )
    )
    figure.update_layout(
        hovermode="closest",
        xaxis={"type": "date"},
        yaxis={
            "tickvals": list(range(len(rows))),
            "ticktext": names,
            "automargin": True,
            "showgrid": False,
        },
    )
    return figure


_SCALE: Final[list[list[Any]]] = [
    [0.0, "rgba(128,140,152,0.10)"],
    [0.25, "rgba(91,147,211,0.45)"],
    [0.5, "#d68910"],
    [1.0, "#c0392b"],
]


def drawn_operations(
    surprises: pl.DataFrame, *, most_rows: int = MOST_ROWS
) -> tuple[OperationRef, ...]:
    """Return the operations of the map from top to bottom: the most surprising ones, sorted by name."""
    kept = (
        surprises.group_by("service", "operation_key")
        .agg(pl.col("surprise").max())
        .sort("surprise", "service", "operation_key", descending=[True, False, False])
        .head(most_rows)
        .sort("service", "operation_key", nulls_last=False)
    )
    return tuple(
        OperationRef(key, service=service)
        for service, key in kept.select("service", "operation_key").iter_rows()
    )


def column_length(surprises: pl.DataFrame) -> timedelta:
    """Return the time that one column of the map stands for: one window, or several."""
    return _columns(surprises)[0]


def _columns(surprises: pl.DataFrame) -> tuple[timedelta, list[datetime]]:
    first, last = surprises["window_start"].min(), surprises["window_start"].max()
    length = (surprises["window_end"] - surprises["window_start"]).min()
    assert isinstance(first, datetime)
    assert isinstance(last, datetime)
    assert isinstance(length, timedelta)
    windows = (last - first) // length + 1
    column = length * math.ceil(windows / MOST_COLUMNS)
    begin = (
        pl.Series([first], dtype=surprises["window_start"].dtype)
        .dt.truncate(_length(column))
        .item()
    )
    return column, [begin + column * n for n in range((last - begin) // column + 1)]


def _length(length: timedelta) -> str:
    return f"{length // timedelta(microseconds=1)}us"
