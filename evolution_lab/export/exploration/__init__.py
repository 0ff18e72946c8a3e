"""Exploration: takes windows, evidence and samples, gives linked figures and the frames behind them."""

from evolution_lab.export.exploration.codes import error_codes, error_codes_figure
from evolution_lab.export.exploration.explorer import Explorer
from evolution_lab.export.exploration.graph import workflow_figure
from evolution_lab.export.exploration.latency import latency_figure, latency_quantiles
from evolution_lab.export.exploration.surprise import surprise, surprise_figure
from evolution_lab.export.exploration.timeline import timeline_figure

__all__ = [
    "Explorer",
    "error_codes",
    "error_codes_figure",
    "latency_figure",
    "latency_quantiles",
    "surprise",
    "surprise_figure",
    "timeline_figure",
    "workflow_figure",
]
