"""Plotly figures of rollouts: evidence over time, what a configuration does, ours beside others."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from evolution_lab.display import COLORS
from evolution_lab.experiments import RolloutDecision
from evolution_lab.experiments.operating_characteristics import OperatingCharacteristics
from evolution_lab.export.figures import empty_figure, figure_text, new_figure, plain_time

if TYPE_CHECKING:
    import plotly.graph_objects as go

_MARKS: Final = {"roll_back": "x", "advance": "triangle-up", "complete": "star", "ask": "diamond"}
_NAMES: Final = {
    "error_rate": "errors",
    "latency_p99": "p99",
    "fallback_rate": "fallbacks",
}


def evidence_figure(decisions: Sequence[RolloutDecision]) -> go.Figure:
    """Return the evidence of harm at each look, per guardrail and over all, with what was decided.

    Above the dashed line the rollout goes back. Evidence is drawn as the base-10 logarithm of its
    e-value: 0 says nothing, 1.3 is 20 to 1. The time axis is UTC.

    Args:
        decisions: Of one rollout, in order.
    """
    import plotly.graph_objects as go

    if not decisions:
        return empty_figure("No look yet: the controller has decided nothing.")
    figure = new_figure(height=340)
    times = [plain_time(each.at) for each in decisions]
    metrics = [each.metric for each in decisions[0].analysis.guardrails]
    for place, metric in enumerate(metrics):
        of_metric = [each.analysis.guardrails[place].log_e_harm for each in decisions]
        figure.add_trace(
            go.Scatter(
                x=times,
                y=[_log10(value) for value in of_metric],
                name=_NAMES.get(metric, metric),
                mode="lines",
                line={"width": 1.2, "dash": "dot"},
            )
        )
    figure.add_trace(
        go.Scatter(
            x=times,
            y=[_log10(each.analysis.log_e_harm) for each in decisions],
            name="over all guardrails",
            mode="lines",
            line={"width": 2.4, "color": COLORS["line"]},
            text=[figure_text(each.reason, longest=160) for each in decisions],
            hovertemplate="%{text}<extra></extra>",
        )
    )
    for action, symbol in _MARKS.items():
        taken = [each for each in decisions if each.action == action]
        if taken:
            figure.add_trace(
                go.Scatter(
                    x=[plain_time(each.at) for each in taken],
                    y=[_log10(each.analysis.log_e_harm) for each in taken],
                    name=action.replace("_", " "),
                    mode="markers",
                    marker={
                        "symbol": symbol,
                        "size": 12,
                        "color": COLORS["high" if action == "roll_back" else "good"],
                    },
                )
            )
    threshold = decisions[0].analysis.log_threshold / math.log(10)
    figure.add_hline(y=threshold, line={"dash": "dash", "color": COLORS["high"], "width": 1})
    figure.update_layout(
        yaxis={"title": {"text": "evidence of harm, log₁₀ e"}}, xaxis={"type": "date"}
    )
    return figure


def rates_figure(decisions: Sequence[RolloutDecision], metric: str) -> go.Figure:
    """Return a guardrail's share of the variant's requests over time, with its 95 % sequence.

    Args:
        decisions: Of one rollout, in order.
        metric: Which guardrail: ``error_rate``, ``latency_p99`` or ``fallback_rate``.
    """
    import plotly.graph_objects as go

    rows = [
        (plain_time(decision.at), each)
        for decision in decisions
        for each in decision.analysis.guardrails
        if each.metric == metric and each.rate_variant is not None
    ]
    if not rows:
        return empty_figure(f"Nothing was counted for {figure_text(metric)}.")
    figure = new_figure(height=300)
    times = [at for at, _ in rows]
    low, high = ([each.interval[end] for _, each in rows] for end in (0, 1))
    figure.add_trace(go.Scatter(x=times, y=high, mode="lines", line={"width": 0}, showlegend=False))
    figure.add_trace(
        go.Scatter(
            x=times,
            y=low,
            mode="lines",
            line={"width": 0},
            fill="tonexty",
            fillcolor=COLORS["band"],
            name="95 %, at all looks together",
        )
    )
    figure.add_trace(
        go.Scatter(x=times, y=[r.rate_variant for _, r in rows], mode="lines", name="variant")
    )
    figure.add_trace(
        go.Scatter(x=times, y=[r.rate_control for _, r in rows], mode="lines", name="control")
    )
    if metric != "latency_p99":
        figure.add_hline(y=rows[0][1].boundary, line={"dash": "dash", "color": COLORS["high"]})
    figure.update_layout(yaxis={"tickformat": ".2%"}, xaxis={"type": "date"})
    return figure


def operating_figure(told: OperatingCharacteristics) -> go.Figure:
    """Return what becomes of each kind of variant as one bar: rolled back, undecided, at 100 %."""
    import plotly.graph_objects as go

    names = [figure_text(point.variant) for point in told.points]
    figure = new_figure(height=110 + 30 * len(names))
    for label, values, color in (
        ("rolled back", [p.rolled_back for p in told.points], COLORS["high"]),
        ("undecided", [p.undecided for p in told.points], COLORS["muted"]),
        ("reached 100 %", [p.arrived for p in told.points], COLORS["good"]),
    ):
        figure.add_trace(
            go.Bar(x=values, y=names, orientation="h", name=label, marker={"color": color})
        )
    figure.update_layout(
        barmode="stack",
        xaxis={"tickformat": ".0%", "range": [0, 1]},
        yaxis={"autorange": "reversed", "automargin": True},
    )
    return figure


def frontier_figure(rows: Sequence[Mapping[str, Any]], effect: str) -> go.Figure:
    """Return rules by how often they roll harmless canaries back and how late they stop a bad one.

    Args:
        rows: Of ``bench rollout``: ``rule``, ``false rollback, worst`` and a column per effect.
        effect: Which column, such as ``errors 2 to 8 %``.
    """
    import plotly.graph_objects as go

    figure = new_figure(height=380)
    for row in rows:
        delay = row[effect]
        if not math.isfinite(delay):
            continue
        figure.add_trace(
            go.Scatter(
                x=[max(row["false rollback, worst"], 1e-4)],
                y=[delay],
                mode="markers+text",
                text=[figure_text(row["rule"])],
                textposition="top center",
                marker={"size": 13 if row["rule"] == "ours" else 9},
                showlegend=False,
            )
        )
    figure.add_vline(x=0.05, line={"dash": "dash", "color": COLORS["high"], "width": 1})
    figure.update_layout(
        hovermode="closest",
        xaxis={"type": "log", "title": {"text": "harmless rollouts rolled back"}},
        yaxis={"type": "log", "title": {"text": f"variant requests until rollback, {effect}"}},
    )
    return figure


def _log10(logarithm: float) -> float | None:
    return logarithm / math.log(10) if math.isfinite(logarithm) else None
