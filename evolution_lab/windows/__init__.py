"""From samples to windows, sequences and call edges.

Takes ``SAMPLES`` frames (``aggregate``) or a lake (``aggregate_landed``, which picks the cheapest way
that is exact), gives ``WindowStats`` per operation and window, operation
sequences per trace and session (``operation_sequences``), who calls whom (``call_edges``) and how
deep (``call_depth``). Windows people already have come in through ``read_windows``.
"""

from evolution_lab.windows.aggregation import aggregate
from evolution_lab.windows.aggregator import IntentAggregator, WindowSnapshot
from evolution_lab.windows.bins import merge_bins
from evolution_lab.windows.edges import call_depth, call_edges, trace_companions
from evolution_lab.windows.engine_windows import aggregate_on
from evolution_lab.windows.kept_windows import kept_windows
from evolution_lab.windows.landed_windows import LandedWindows, aggregate_landed
from evolution_lab.windows.operations import operation_samples
from evolution_lab.windows.ready_windows import read_windows
from evolution_lab.windows.refreshing import RefreshReport, refresh, stored_sums
from evolution_lab.windows.revisions import revisions
from evolution_lab.windows.rollups import roll_up
from evolution_lab.windows.sample_frames import sample_frame
from evolution_lab.windows.sequences import operation_sequences
from evolution_lab.windows.spans import SpanTree, span_tree

__all__ = [
    "IntentAggregator",
    "LandedWindows",
    "RefreshReport",
    "SpanTree",
    "WindowSnapshot",
    "aggregate",
    "aggregate_landed",
    "aggregate_on",
    "call_depth",
    "call_edges",
    "kept_windows",
    "merge_bins",
    "operation_samples",
    "operation_sequences",
    "read_windows",
    "refresh",
    "revisions",
    "roll_up",
    "sample_frame",
    "span_tree",
    "stored_sums",
    "trace_companions",
]
