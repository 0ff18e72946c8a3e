"""Exact quantiles of groups whose values are sorted: positions, not searches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import polars as pl

QUANTILES: Final = {"p50_ns": 0.50, "p95_ns": 0.95, "p99_ns": 0.99}
"""Columns of ``WINDOWS`` and the level of each."""


def quantiles_of_groups(
    values: pl.Series, counts: pl.Series, levels: Mapping[str, float] = QUANTILES
) -> pl.DataFrame:
    """Return quantiles of type 7 (Hyndman & Fan, The American Statistician 50(4), 1996).

    With ``h = (n - 1) p`` and ``lo = floor(h)`` it is ``v[lo] + (v[lo + 1] - v[lo]) (h - lo)`` in
    float64, in exactly this order of operations: ``numpy.quantile`` differs in the last bit.

    Args:
        values: Int64; the groups one after the other, ascending within each.
        counts: Int64; the size of each group, at least 1.
        levels: Level of each column that is wanted, from 0 to 1.

    Returns:
        One row a group, one Float64 column a level.

    Examples:
        >>> values, counts = pl.Series([10, 20, 7]), pl.Series([2, 1])
        >>> quantiles_of_groups(values, counts, {"p50": 0.5}).to_series().to_list()
        [15.0, 7.0]
    """
    starts = counts.cum_sum() - counts
    columns = {}
    for name, level in levels.items():
        h = (counts - 1).cast(pl.Float64) * level
        low = h.floor().cast(pl.Int64)
        high = low + (low < counts - 1).cast(pl.Int64)
        below = values.gather(starts + low).cast(pl.Float64)
        above = values.gather(starts + high).cast(pl.Float64)
        columns[name] = below + (above - below) * (h - low.cast(pl.Float64))
    return pl.DataFrame(columns)


def between(below: pl.Expr, above: pl.Expr, counts: pl.Expr, level: float) -> pl.Expr:
    """Return quantiles of type 7 from the two order statistics around each.

    Args:
        below: Int64; the ``floor((n - 1) p)``-th smallest value of each group, counted from 0.
        above: Int64; the next one, or the same where there is none.
        counts: Int64; the size ``n`` of each group, at least 1.
        level: ``p``, from 0 to 1.

    Examples:
        >>> frame = pl.DataFrame({"below": [10], "above": [20], "n": [2]})
        >>> frame.select(between(pl.col("below"), pl.col("above"), pl.col("n"), 0.5)).item()
        15.0
    """
    h = (counts - 1).cast(pl.Float64) * level
    low = below.cast(pl.Float64)
    return low + (above.cast(pl.Float64) - low) * (h - h.floor())
