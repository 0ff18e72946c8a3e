"""The map of surprise with what a click on it chooses, as a widget of a notebook."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import ipywidgets
import plotly.graph_objects as go
import polars as pl
import traitlets

from evolution_lab.display import COLORS, format_value, strip_controls
from evolution_lab.export.figures import new_figure, plain_time, with_theme

if TYPE_CHECKING:
    from evolution_lab.export.exploration.explorer import Explorer


class LinkedViews(ipywidgets.VBox):  # type: ignore[misc]  # a class without types
    """A map of surprise; a click on a cell shows its operation's windows below.

    Attributes:
        selected: The windows behind the last click; empty before the first.
    """

    selected = traitlets.Instance(pl.DataFrame)

    def __init__(self, explorer: Explorer) -> None:
        self._explorer = explorer
        self.map = go.FigureWidget(explorer.heat_map())
        self.windows = go.FigureWidget(with_theme(_drawn(explorer.windows.clear()), explorer.theme))
        self.said = ipywidgets.HTML(
            "<i>Click on the map: the windows behind it are drawn here.</i>"
        )
        super().__init__([self.map, self.said, self.windows], selected=explorer.windows.clear())
        if self.map.data and self.map.data[0].type == "heatmap":
            self.map.data[0].on_click(self._clicked)

    def choose(self, row: int, column: str) -> pl.DataFrame:
        """Take a cell for clicked on, and return the windows behind it.

        Args:
            row: Its row, 0 at the bottom.
            column: Its time, as plotly writes it.
        """
        found = self._explorer.cell(row, column)
        self.selected = found
        if found.is_empty():
            self.said.value = "<i>There is no window here.</i>"
            return found
        first = found.row(0, named=True)
        name = f"{first['service'] or ''} {first['operation_key']}".strip()
        around = self._explorer.windows.filter(
            pl.col("service").eq_missing(pl.lit(first["service"], dtype=pl.String)),
            pl.col("operation_key") == first["operation_key"],
        ).sort("window_start")
        drawn = with_theme(_drawn(around, chosen=found), self._explorer.theme)
        with self.windows.batch_update():
            self.windows.data = []
            self.windows.add_traces(list(drawn.data))
            self.windows.layout.shapes = drawn.layout.shapes
        self.said.value = (
            f"<b>{_escaped(name)}</b>, {format_value(first['window_start'])} UTC: "
            f"{format_value(int(found['calls'].sum()))} calls"
        )
        return found

    def _clicked(self, _trace: Any, points: Any, _state: Any) -> None:
        if points.ys:
            self.choose(round(points.ys[0]), str(points.xs[0]))


def _escaped(text: str) -> str:
    return html.escape(strip_controls(text))


def _drawn(windows: pl.DataFrame, *, chosen: pl.DataFrame | None = None) -> go.Figure:
    """Return calls, 95th percentile and error rate of one operation's windows."""
    figure = new_figure(height=300)
    times = [plain_time(time) for time in windows["window_start"]]
    for name, values, axis, color in (
        ("95th percentile, ms", _scaled(windows, "p95_ns", 1e-6), "y", COLORS["line"]),
        ("errors, %", _scaled(windows, "error_rate", 100.0), "y2", COLORS["high"]),
        ("calls", _scaled(windows, "calls", 1.0), "y3", COLORS["muted"]),
    ):
        figure.add_trace(
            go.Scatter(
                x=times,
                y=values,
                name=name,
                yaxis=axis,
                mode="lines",
                line={"color": color, "width": 1.4, "shape": "hv"},
            )
        )
    figure.update_layout(
        yaxis={"domain": [0.66, 1], "rangemode": "tozero"},
        yaxis2={"domain": [0.33, 0.6], "rangemode": "tozero"},
        yaxis3={"domain": [0, 0.27], "rangemode": "tozero"},
        xaxis={"anchor": "y3"},
    )
    if chosen is not None and chosen.height:
        figure.add_shape(
            type="rect",
            x0=plain_time(chosen["window_start"][0]),
            x1=plain_time(chosen["window_end"][-1]),
            y0=0,
            y1=1,
            yref="paper",
            fillcolor=COLORS["high"],
            opacity=0.2,
            line={"width": 0},
        )
    return figure


def _scaled(windows: pl.DataFrame, column: str, scale: float) -> list[float | None]:
    return [None if v is None else float(f"{v * scale:.6g}") for v in windows[column].to_list()]
