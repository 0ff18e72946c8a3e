"""Latency histograms that can be merged in any order, exact in their counts and to 1 % in value.

A duration of ``d`` nanoseconds falls into bin ``ceil(log(d) / log(gamma))`` with
``gamma = (1 + 0.01) / (1 - 0.01) = 101 / 99``: bin ``i`` holds ``gamma^(i-1) < d <= gamma^i``. Its
value ``2 gamma^i / (gamma + 1)`` is at most 1 % away from every duration in it (DDSketch: Masson,
Rim & Lee, PVLDB 12(12), 2019). Durations of 0 ns have a bin of their own, so that their value is
exact too.

Durations are integers, and so are the edges they are compared with, ``floor((101 / 99)^i)``: no
logarithm is rounded, and every machine and engine finds the same bin. Counts are integers, so a
merge gives the same bits in any order.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Final

import polars as pl

from evolution_lab.schemas import LATENCY_BINS

RELATIVE_ERROR: Final = 0.01
GAMMA: Final = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
ZERO_BIN: Final = -1
"""The bin of durations of 0 ns; bin 0 holds 1 ns."""
_NUMERATOR, _DENOMINATOR = 101, 99
_LARGEST: Final = 2**63 - 1


@cache
def bin_edges() -> pl.Series:
    """Return the largest duration of each bin from 0 on, Int64 nanoseconds, up to 2^63 - 1.

    Narrow bins below 43 ns may hold no integer: then an edge equals the one before it.
    """
    edges = []
    above, below = 1, 1
    while (edge := above // below) < _LARGEST:
        edges.append(edge)
        above, below = above * _NUMERATOR, below * _DENOMINATOR
    return pl.Series("edge", [*edges, _LARGEST], dtype=pl.Int64)


@cache
def bin_values() -> pl.Series:
    """Return the value of each bin from 0 on, Float64: rounded once, so equal on every machine."""
    values = []
    above, below = _DENOMINATOR, 100  # 2 / (gamma + 1) is 99 / 100
    for _ in range(len(bin_edges())):
        values.append(above / below)
        above, below = above * _NUMERATOR, below * _DENOMINATOR
    return pl.Series("value", values, dtype=pl.Float64)


def bin_of(duration_ns: pl.Expr) -> pl.Expr:
    """Return the bin of a duration in ns, an Int32.

    Examples:
        >>> frame = pl.DataFrame({"d": [0, 1, 2, 1_000_000]})
        >>> frame.select(bin=bin_of(pl.col("d")))["bin"].to_list()
        [-1, 0, 35, 691]
    """
    bins = pl.lit(bin_edges()).search_sorted(duration_ns, side="left").cast(pl.Int32)
    return pl.when(duration_ns > 0).then(bins).otherwise(pl.lit(ZERO_BIN, dtype=pl.Int32))


def bin_value(index: int) -> float:
    """Return the value of a bin in ns: within 1 % of every duration in it.

    Examples:
        >>> abs(bin_value(691) / 1_000_000 - 1) < 0.01
        True
    """
    return 0.0 if index == ZERO_BIN else float(bin_values()[index])


def bin_bounds(index: int) -> tuple[float, float]:
    """Return the bounds of a bin in ns: it holds durations above the first, up to the second.

    Examples:
        >>> lower, upper = bin_bounds(691)
        >>> lower < 1_000_000 <= upper
        True
    """
    if index == ZERO_BIN:
        return 0.0, 0.0
    return float(GAMMA ** (index - 1)), float(GAMMA**index)


def histogram(rows: pl.LazyFrame, by: Sequence[str]) -> pl.LazyFrame:
    """Count durations by bin: one row a group, with the list column ``latency_bins``.

    Args:
        rows: With the columns of ``by`` and ``duration_ns``.
        by: What makes a group.
    """
    counts = (
        rows.select(*by, bin=bin_of(pl.col("duration_ns")))
        .group_by(*by, "bin")
        .agg(count=pl.len().cast(pl.Int64))
    )
    return _lists(counts, by)


def merge_bins(frame: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """Merge the histograms of a frame's groups; equal bits for any order of rows.

    Args:
        frame: With the columns of ``by`` and ``latency_bins``.
        by: What makes a group.

    Returns:
        The columns of ``by`` and ``latency_bins``, ordered by ``by``; groups without any histogram
        are left out.

    Examples:
        >>> part = pl.DataFrame(
        ...     {"op": [1, 1], "latency_bins": [[{"bin": 3, "count": 1}], [{"bin": 3, "count": 2}]]},
        ...     schema_overrides={"latency_bins": LATENCY_BINS},
        ... )
        >>> merge_bins(part, ["op"])["latency_bins"].to_list()
        [[{'bin': 3, 'count': 3}]]
    """
    flat = (
        frame.lazy()
        .select(*by, "latency_bins")
        .drop_nulls("latency_bins")
        .explode("latency_bins", empty_as_null=False)
        .unnest("latency_bins")
    )
    counts = flat.group_by(*by, "bin").agg(pl.col("count").sum())
    return _lists(counts, by).sort(by).collect()


def _lists(counts: pl.LazyFrame, by: Sequence[str]) -> pl.LazyFrame:
    return (
        counts.sort(*by, "bin")
        .group_by(*by, maintain_order=True)
        .agg(latency_bins=pl.struct("bin", "count"))
        .with_columns(pl.col("latency_bins").cast(LATENCY_BINS))
    )
