"""Repeated workflows as a graph: operations, and how much oftener than chance they follow each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from evolution_lab.display import COLORS, format_value
from evolution_lab.export.figures import empty_figure, figure_text, new_figure
from evolution_lab.records import OperationRef, Workflow

if TYPE_CHECKING:
    import plotly.graph_objects as go

MOST_WORKFLOWS: Final = 12
Pair = tuple[OperationRef, OperationRef]


def workflow_figure(
    workflows: Sequence[Workflow], *, most_workflows: int = MOST_WORKFLOWS
) -> go.Figure:
    """Return operations as points and steps as arrows, wider where more sequences take them.

    An arrow says of the strongest workflow that it belongs to: support, lift over chance, and the
    family-wise p-value.

    Args:
        workflows: Strongest first, as ``DetectionResult`` has them.
        most_workflows: How many are drawn.
    """
    import plotly.graph_objects as go

    shown = workflows[:most_workflows]
    if not shown:
        return empty_figure("No workflow is repeated oftener than chance explains.")
    places = _places(shown)
    pairs: dict[Pair, Workflow] = {}
    for workflow in shown:
        for pair in zip(workflow.steps, workflow.steps[1:], strict=False):
            pairs.setdefault(pair, workflow)
    most = max(workflow.support for workflow in shown)
    rows = 1 + max(y for _, y in places.values())
    figure = new_figure(height=120 + 70 * rows)
    arrows = []
    for (first, second), workflow in pairs.items():
        x0, y0 = places[first]
        x1, y1 = places[second]
        width = 1 + 4 * workflow.support / most
        arrows.append(
            {
                "x": x1, "y": -y1, "ax": x0, "ay": -y0,
                "xref": "x", "yref": "y", "axref": "x", "ayref": "y",
                "showarrow": True, "arrowhead": 2, "arrowwidth": width, "arrowsize": 0.7,
                "standoff": 12, "startstandoff": 12, "opacity": 0.7,
                "arrowcolor": COLORS["line"], "text": "",
            }
        )  # fmt: skip
    figure.add_trace(
        go.Scatter(
            x=[(places[a][0] + places[b][0]) / 2 for a, b in pairs],
            y=[-(places[a][1] + places[b][1]) / 2 for a, b in pairs],
            mode="markers+text",
            marker={"size": 14, "color": COLORS["line"], "opacity": 0},
            text=[f"{w.lift:.1f}×" for w in pairs.values()],
            textposition="top center",
            textfont={"size": 11},
            customdata=[_said(pair, workflow) for pair, workflow in pairs.items()],
            hovertemplate="%{customdata}<extra></extra>",
            showlegend=False,
        )
    )
    figure.add_trace(
        go.Scatter(
            x=[x for x, _ in places.values()],
            y=[-y for _, y in places.values()],
            mode="markers+text",
            marker={"size": 16, "color": COLORS["good"]},
            text=[figure_text(operation.key, longest=32) for operation in places],
            textposition="bottom center",
            customdata=[figure_text(str(operation), longest=90) for operation in places],
            hovertemplate="%{customdata}<extra></extra>",
            showlegend=False,
        )
    )
    width = max(x for x, _ in places.values())
    hidden = {"showgrid": False, "zeroline": False, "showticklabels": False}
    figure.update_layout(
        annotations=arrows,
        hovermode="closest",
        xaxis={**hidden, "range": [-0.6, width + 0.6]},
        yaxis={**hidden, "range": [-rows + 0.3, 0.7]},
    )
    return figure


def _places(workflows: Sequence[Workflow]) -> dict[OperationRef, tuple[int, int]]:
    """Return a column and a row of each operation: its first step in the strongest workflow."""
    places: dict[OperationRef, tuple[int, int]] = {}
    taken: set[tuple[int, int]] = set()
    for workflow in workflows:
        for column, operation in enumerate(workflow.steps):
            if operation in places:
                continue
            row = next(row for row in range(len(taken) + 1) if (column, row) not in taken)
            places[operation] = (column, row)
            taken.add(places[operation])
    return places


def _said(pair: Pair, workflow: Workflow) -> str:
    first, second = (figure_text(operation.key, longest=40) for operation in pair)
    return (
        f"{first} → {second}<br>{workflow.support:,} of {workflow.sequences:,} {workflow.basis}s, "
        f"{workflow.lift:.1f} times chance<br>p {format_value(workflow.p_value)} over all chains"
    )
