"""Plotly figures of signals: one with the windows around an episode, one with all episodes.

Plotly reads a subset of HTML in every label, title and hover text. Names come from strangers, so
each goes through ``figure_text`` before a figure gets it. The time axis is UTC.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from evolution_lab.display import (
    COLORS,
    format_quantity,
    format_value,
    plotly_template,
    strip_controls,
)
from evolution_lab.errors import InputError, did_you_mean
from evolution_lab.export.series import SignalSeries, signal_series
from evolution_lab.records import DetectionResult, IntentSignal, OperationRef

if TYPE_CHECKING:
    import plotly.graph_objects as go

TEMPLATE: Final = "plotly_white+evolution_lab+evolution_lab_any_ground"
THEMES: Final = {
    "auto": TEMPLATE,
    "light": "plotly_white+evolution_lab",
    "dark": "plotly_dark+evolution_lab",
}
MOST_OPERATIONS: Final = 30
"""Rows of the overview; the operations with the gravest signals are kept."""
_LONGEST_NAME: Final = 56
_SYMBOLS: Final = {
    "error-spike": "triangle-up",
    "latency-regression": "diamond",
    "throughput-drop": "triangle-down",
    "schema-mismatch": "square",
    "missing-operation": "x",
}
_GRAVITY: Final = {"high": 0, "medium": 1, "low": 2}
_TINTS: Final = ("#5b93d3", "#93b7e3")
"""Lines beside the main one."""


def figure_text(text: str, *, longest: int = _LONGEST_NAME) -> str:
    """Return text that plotly shows as it is: one line, no markup, at most ``longest`` characters.

    Examples:
        >>> figure_text("<b>GET</b> /a")
        '&lt;b&gt;GET&lt;/b&gt; /a'
    """
    text = strip_controls(text)
    if len(text) > longest:
        text = text[: longest - 1] + "…"
    return html.escape(text)


def with_theme(figure: go.Figure, theme: str) -> go.Figure:
    """Return a figure on a ``light`` or a ``dark`` ground, or on whatever is behind it (``auto``).

    It is changed in place.

    Raises:
        InputError: The theme is none of them.
    """
    if theme not in THEMES:
        raise InputError(
            f"theme == {theme!r}, must be auto, light or dark.{did_you_mean(theme, THEMES)}"
        )
    plotly_template()
    return figure.update_layout(template=THEMES[theme])


def signal_figure(signal: IntentSignal, windows: pl.DataFrame) -> go.Figure:
    """Return a signal's metric over time, its baseline, its episode, and the calls below.

    Args:
        signal: What to draw.
        windows: A ``schemas.WINDOWS`` frame; without windows of the operation the figure is empty
            and says so.
    """
    series = signal_series(signal, windows)
    if series is None:
        return empty_figure("There are no windows of this operation.")
    return series_figure(signal, series)


def series_figure(signal: IntentSignal, series: SignalSeries) -> go.Figure:
    """Return the figure of a signal whose windows were taken out already."""
    import plotly.graph_objects as go

    with_calls = series.unit != "calls"
    figure = new_figure(height=290 if with_calls else 230)
    _add_baseline(figure, signal, series)
    axis = {
        "x0": plain_time(series.start),
        "dx": _milliseconds(series.window),
        "xperiod": _milliseconds(series.window),
        "xperiodalignment": "middle",
    }
    suffix = "" if series.unit == "calls" else f" {series.unit}"
    for number, line in enumerate(series.lines):
        color = COLORS["line"] if line.main and number == 0 else _TINTS[(number - 1) % 2]
        figure.add_trace(
            go.Scatter(
                **axis,
                y=line.values,
                mode="lines",
                name=figure_text(line.label),
                line={"color": color, "width": 2 if number == 0 else 1.3, "shape": "hvh"},
                hovertemplate=f"%{{y:,.4~g}}{suffix}",
            )
        )
    if with_calls:
        figure.add_trace(
            go.Bar(
                **axis,
                y=series.calls,
                name="calls",
                yaxis="y2",
                marker={"color": COLORS["muted"], "opacity": 0.45, "line": {"width": 0}},
                hovertemplate="%{y:,}",
            )
        )
    _mark_episode(figure, signal, series)
    title = {"%": f"{series.label}, %", "ms": "latency, ms", "calls": "calls per window"}
    figure.update_layout(
        bargap=0,
        hoversubplots="axis",
        xaxis={
            "range": [plain_time(series.start), plain_time(series.end)],
            "spikethickness": 1,
            "spikecolor": COLORS["muted"],
            "hoverformat": "%a %d %b %Y, %H:%M UTC",
            "anchor": "y2" if with_calls else "y",
        },
        yaxis={
            "rangemode": "tozero",
            "domain": [0.3, 1.0] if with_calls else [0.0, 1.0],
            "title": {"text": title[series.unit], "font": {"size": 11}},
            "automargin": True,
            "nticks": 5,
        },
    )
    if with_calls:
        figure.update_layout(
            yaxis2={
                "domain": [0.0, 0.19],
                "rangemode": "tozero",
                "title": {"text": "calls", "font": {"size": 11}},
                "nticks": 3,
                "automargin": True,
            }
        )
    return figure


def overview_figure(result: DetectionResult, windows: pl.DataFrame) -> go.Figure:
    """Return all episodes on one time axis, a row an operation, coloured by severity.

    At most 30 operations are shown, those with the gravest signals; a bar is an episode, a symbol
    the moment it was detected. The time axis covers all ``windows``.
    """
    import plotly.graph_objects as go

    rows = _overview_rows(result.signals)
    if not rows:
        return empty_figure("No signal: nothing changed beyond chance.")
    place = {operation: len(rows) - 1 - number for number, operation in enumerate(rows)}
    shown = [s for s in result.signals if s.operation.without_tenant() in place]
    figure = new_figure(height=110 + 26 * len(rows))
    for severity in _GRAVITY:
        signals = [s for s in shown if s.severity == severity]
        if not signals:
            continue
        y = [place[s.operation.without_tenant()] for s in signals]
        figure.add_trace(
            go.Bar(
                orientation="h",
                base=[plain_time(s.window_start) for s in signals],
                x=[_milliseconds(s.window_end - s.window_start) for s in signals],
                y=y,
                width=0.46,
                marker={"color": COLORS[severity], "opacity": 0.55, "line": {"width": 0}},
                hoverinfo="skip",
                showlegend=False,
            )
        )
        figure.add_trace(
            go.Scatter(
                x=[plain_time(s.detected_at) for s in signals],
                y=y,
                mode="markers",
                name=severity,
                marker={
                    "symbol": [_SYMBOLS[s.kind] for s in signals],
                    "size": 11,
                    "color": COLORS[severity],
                },
                text=[_hover(s) for s in signals],
                hovertemplate="%{text}<extra></extra>",
            )
        )
    since, until = _span(result.signals, windows)
    figure.update_layout(
        barmode="overlay",
        hovermode="closest",
        xaxis={"type": "date", "range": [plain_time(since), plain_time(until)]},
        yaxis={
            "tickvals": list(place.values()),
            "ticktext": [figure_text(str(o), longest=44) for o in place],
            "range": [-0.7, len(rows) - 0.3],
            "automargin": True,
            "zeroline": False,
        },
    )
    return figure


def new_figure(*, height: int) -> go.Figure:
    """Return an empty figure in the package's template and margins."""
    import plotly.graph_objects as go

    plotly_template()
    figure = go.Figure()
    figure.update_layout(
        template=TEMPLATE,
        height=height,
        margin={"l": 52, "r": 14, "t": 30, "b": 30},
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"size": 11}},
        font={"size": 11.5},
    )
    return figure


def empty_figure(text: str) -> go.Figure:
    """Return a figure that says why there is nothing to draw."""
    figure = new_figure(height=120)
    figure.update_layout(
        xaxis={"visible": False},
        yaxis={"visible": False},
        annotations=[
            {"text": text, "showarrow": False, "xref": "paper", "yref": "paper", "x": 0.5, "y": 0.5}
        ],
    )
    return figure


def _add_baseline(figure: go.Figure, signal: IntentSignal, series: SignalSeries) -> None:
    """Draw the baseline until the episode ends: after a lasting step it is learnt anew."""
    import plotly.graph_objects as go

    if series.baseline is None:
        return
    ends = [plain_time(series.start), plain_time(min(signal.window_end, series.end))]
    suffix = "" if series.unit == "calls" else f" {series.unit}"
    if series.baseline_range is not None:
        low, high = series.baseline_range
        figure.add_trace(
            go.Scatter(
                x=[*ends, *reversed(ends)],
                y=[low, low, high, high],
                fill="toself",
                fillcolor="rgba(46,139,87,0.15)",
                line={"width": 0},
                mode="lines",
                name="95 % of ordinary windows",
                hoverinfo="skip",
            )
        )
    figure.add_trace(
        go.Scatter(
            x=ends,
            y=[series.baseline] * 2,
            mode="lines",
            name=f"baseline {series.baseline:,.4g}{suffix}",
            line={"color": COLORS["good"], "width": 1.4, "dash": "dash"},
            hoverinfo="skip",
        )
    )


def _mark_episode(figure: go.Figure, signal: IntentSignal, series: SignalSeries) -> None:
    color = COLORS[signal.severity]
    across = {"xref": "x", "yref": "paper", "y0": 0, "y1": 1}
    detected = plain_time(signal.detected_at)
    early = signal.detected_at - series.start < (series.end - series.start) / 6
    end = plain_time(min(signal.window_end, series.end))
    figure.update_layout(
        shapes=[
            {
                **across,
                "type": "rect",
                "x0": plain_time(signal.window_start),
                "x1": end,
                "fillcolor": color,
                "opacity": 0.1,
                "line": {"width": 0},
                "layer": "below",
            },
            {
                **across,
                "type": "line",
                "x0": detected,
                "x1": detected,
                "line": {"color": color, "width": 1.3, "dash": "dot"},
            },
        ],
        annotations=[
            {
                "x": detected,
                "y": 1,
                "xref": "x",
                "yref": "paper",
                "xanchor": "left" if early else "right",
                "yanchor": "top",
                "xshift": 3 if early else -3,
                "showarrow": False,
                "text": f"detected {signal.detected_at:%H:%M}",
                "font": {"color": color, "size": 11},
            }
        ],
    )


def _overview_rows(signals: Sequence[IntentSignal]) -> list[OperationRef]:
    """Return the operations to show: the gravest are kept, the earliest stand on top."""
    first: dict[OperationRef, tuple[int, datetime]] = {}
    for signal in signals:
        operation = signal.operation.without_tenant()
        gravity, earliest = first.get(operation, (9, signal.detected_at))
        first[operation] = (
            min(gravity, _GRAVITY[signal.severity]),
            min(earliest, signal.detected_at),
        )
    kept = sorted(first, key=lambda o: (*first[o], o.sort_key))[:MOST_OPERATIONS]
    return sorted(kept, key=lambda o: (first[o][1], o.sort_key))


def _hover(signal: IntentSignal) -> str:
    change = [format_quantity(v, signal.unit) for v in (signal.baseline, signal.observed)]
    lines = [
        f"<b>{signal.kind}</b>, {signal.severity}, {signal.state}",
        figure_text(str(signal.operation), longest=90),
        " → ".join(change),
        f"{format_value(signal.window_start)} to {format_value(signal.window_end)} UTC",
    ]
    return "<br>".join(lines)


def _span(signals: Sequence[IntentSignal], windows: pl.DataFrame) -> tuple[datetime, datetime]:
    since = min(s.window_start for s in signals)
    until = max(s.window_end for s in signals)
    if windows.height:
        first, last = windows["window_start"].min(), windows["window_end"].max()
        assert isinstance(first, datetime)
        assert isinstance(last, datetime)
        since, until = min(since, first), max(until, last)
    margin = (until - since) / 100
    return since - margin, until + margin


def plain_time(moment: datetime) -> str:
    """Return a UTC time as plotly reads it: without a zone, which it would shift to local time."""
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}".removesuffix(".000000")


def _milliseconds(length: timedelta) -> Any:
    value = length / timedelta(milliseconds=1)
    return int(value) if value == int(value) else value
