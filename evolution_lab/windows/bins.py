"""Latency histograms that can be merged in any order, exact in their counts and to 1 % in value.

A duration of ``d`` nanoseconds falls into bin ``ceil(log(d) / log(gamma))`` with
``gamma = (1 + 0.01) / (1 - 0.01)``; 0 ns has a bin of its own. A bin's value is at most 1 % away from
every duration in it (DDSketch: Masson, Rim & Lee, PVLDB 12(12), 2019). Counts are integers, so a
merge gives the same bits in any order and on any machine.
"""

from __future__ import annotations

import math
from typing import Final

import polars as pl

from evolution_lab.schemas import LATENCY_BINS

RELATIVE_ERROR: Final = 0.01
GAMMA: Final = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
ZERO_BIN: Final = -1
"""The bin of durations of 0 ns; bin 0 holds 1 ns."""


def bin_of(duration_ns: pl.Expr) -> pl.Expr:
    """Return the bin of a duration, an Int32.

    Examples:
        >>> frame = pl.DataFrame({"d": [0, 1, 1_000_000]})
        >>> frame.select(bin_of(pl.col("d")))["d"].to_list()
        [-1, 0, 691]
    """
    logarithm = duration_ns.cast(pl.Float64).log() / math.log(GAMMA)
    # A power of gamma may land a hair above its bin's edge: 1e-9 is far below one part in 1e6.
    bins = (logarithm - 1e-9).ceil().cast(pl.Int32)
    return pl.when(duration_ns > 0).then(bins).otherwise(pl.lit(ZERO_BIN, dtype=pl.Int32))


def bin_value(index: int) -> float:
    """Return the value of a bin in ns: within 1 % of every duration in it.

    Examples:
        >>> round(bin_value(691) / 1e6, 2)
        1.0
    """
    if index == ZERO_BIN:
        return 0.0
    return float(2.0 * GAMMA**index / (GAMMA + 1.0))


def histogram(rows: pl.LazyFrame, by: list[str]) -> pl.LazyFrame:
    """Count durations by bin: one row a group, with the list column ``latency_bins``.

    Args:
        rows: With the columns of ``by`` and ``duration_ns``.
        by: What makes a group.
    """
    counts = rows.group_by(*by, bin_of(pl.col("duration_ns")).alias("bin")).agg(
        count=pl.len().cast(pl.Int64)
    )
    return _lists(counts, by)


def merge_bins(frame: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    """Merge the histograms of a frame's groups; equal bits for any order of rows.

    Args:
        frame: With the columns of ``by`` and ``latency_bins``.
        by: What makes a group.

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
        .explode("latency_bins", keep_nulls=False)
        .unnest("latency_bins")
    )
    counts = flat.group_by(*by, "bin").agg(pl.col("count").sum())
    return _lists(counts, by).sort(by).collect()


def _lists(counts: pl.LazyFrame, by: list[str]) -> pl.LazyFrame:
    return (
        counts.sort(*by, "bin")
        .group_by(*by, maintain_order=True)
        .agg(latency_bins=pl.struct("bin", "count"))
        .with_columns(pl.col("latency_bins").cast(LATENCY_BINS))
    )
