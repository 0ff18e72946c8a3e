"""Incidents on a time line, with the deployments that came between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import polars as pl

from evolution_lab.display import COLORS
from evolution_lab.export.figures import figure_text, overview_figure, plain_time
from evolution_lab.intents.deploys import DeployVerdict
from evolution_lab.records import DetectionResult

if TYPE_CHECKING:
    import plotly.graph_objects as go

MOST_DEPLOYMENTS: Final = 40


def timeline_figure(
    detection: DetectionResult, windows: pl.DataFrame, deployments: Sequence[DeployVerdict] = ()
) -> go.Figure:
    """Return all episodes, as ``overview_figure`` does, and a line a deployment, red where blamed.

    Args:
        detection: What was found.
        windows: The ``schemas.WINDOWS`` frame it was found in.
        deployments: Verdicts, as ``Lab.deploys`` has them; the newest are drawn.
    """
    import plotly.graph_objects as go

    figure = overview_figure(detection, windows)
    if not detection.signals:
        return figure
    newest = sorted(deployments, key=lambda v: v.deployment.at)[-MOST_DEPLOYMENTS:]
    for verdict in newest:
        deployment = verdict.deployment
        blamed = verdict.verdict == "blamed"
        figure.add_shape(
            type="line",
            x0=plain_time(deployment.at),
            x1=plain_time(deployment.at),
            y0=0,
            y1=1,
            yref="paper",
            line={
                "color": COLORS["high" if blamed else "muted"],
                "width": 2 if blamed else 1,
                "dash": "dot",
            },
        )
    if newest:
        figure.add_trace(
            go.Scatter(
                x=[plain_time(v.deployment.at) for v in newest],
                y=[figure.layout.yaxis.range[1] - 0.15] * len(newest),
                mode="markers",
                name="deployments",
                marker={
                    "symbol": "triangle-down",
                    "size": 9,
                    "color": [COLORS["high" if v.verdict == "blamed" else "muted"] for v in newest],
                },
                text=[
                    figure_text(
                        f"{v.deployment.service or 'service'} {v.deployment.version}: {v.verdict}",
                        longest=90,
                    )
                    for v in newest
                ],
                hovertemplate="%{text}<br>%{x}<extra></extra>",
            )
        )
    return figure
