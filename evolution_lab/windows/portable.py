"""The window aggregation in narwhals: the same expressions on polars and on a Spark cluster.

Integers go in and integers come out: windows are told apart by their start in microseconds, found by
a remainder (a quotient is a float on some engines), and of each quantile the two order statistics
next to it are returned, not the quantile. Engines interpolate in different orders of operations;
the one division of a mean and the one interpolation of a quantile are made once, after collecting.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import narwhals as nw

from evolution_lab.telemetry.projection.narrow import ANSWERING
from evolution_lab.windows.quantiles import QUANTILES

COLUMNS: Final = (
    "op_id",
    "time_us",
    "duration_ns",
    "success",
    "status_code",
    "error_code",
    "weight",
    "kind",
    "trace_id",
    "span_id",
    "parent_span_id",
)
"""What an engine has to scan; ``time_us`` is ``timestamp`` in microseconds since the epoch."""

GROUP: Final = ("op_id", "start_us")
"""An operation and the start of a window in microseconds since the epoch."""


def survey(samples: nw.LazyFrame[Any]) -> nw.LazyFrame[Any]:
    """Return what tells which of the other steps are needed, in one row.

    Returns:
        ``rows``, ``newest_us``, ``failed`` (rows whose success is false), ``between`` (spans that only
        their place in a trace could make operations), ``lightest`` and ``heaviest`` (weights).
    """
    kind = nw.col("kind")
    inner = (~kind.is_null() & ~kind.is_in(ANSWERING)).fill_null(value=False)
    return samples.select(
        "time_us",
        "weight",
        failed=(~nw.col("success")).fill_null(value=False).cast(nw.Int64),
        between=inner.cast(nw.Int64),
    ).select(
        nw.len().alias("rows"),
        nw.col("time_us").max().alias("newest_us"),
        nw.col("failed").sum(),
        nw.col("between").sum(),
        nw.col("weight").min().alias("lightest"),
        nw.col("weight").max().alias("heaviest"),
    )


def operations_of(samples: nw.LazyFrame[Any]) -> nw.LazyFrame[Any]:
    """Keep servers, consumers, roots and rows without a kind, as ``operation_samples`` does."""
    spans = (
        samples.select("trace_id", parent_span_id=nw.col("span_id"))
        .drop_nulls()
        .unique(["trace_id", "parent_span_id"], keep="any")
        .with_columns(parent_known=nw.lit(1))
    )
    itself = (nw.col("parent_span_id") == nw.col("span_id")).fill_null(value=False)
    orphan = nw.col("parent_known").is_null() | itself
    answering = nw.col("kind").is_null() | nw.col("kind").is_in(ANSWERING)
    joined = samples.join(spans, on=["trace_id", "parent_span_id"], how="left")
    return joined.filter(answering | orphan).drop("parent_known")


def in_windows(
    samples: nw.LazyFrame[Any],
    *,
    length_us: int,
    excluded: Sequence[int] = (),
) -> nw.LazyFrame[Any]:
    """Add ``start_us``, and leave operations out.

    Args:
        samples: With the columns of ``COLUMNS``.
        length_us: Length of a window in microseconds.
        excluded: Ids of operations.
    """
    if excluded:
        samples = samples.filter(~nw.col("op_id").is_in(list(excluded)))
    return samples.with_columns(start_us=nw.col("time_us") - nw.col("time_us") % length_us)


def statistics(rows: nw.LazyFrame[Any]) -> nw.LazyFrame[Any]:
    """Return counts, the sum, the maximum and the order statistics of each group.

    A quantile of type 7 at level ``p`` lies between the ``lo``-th smallest of ``n`` durations and
    the next, ``lo = floor((n - 1) p)``; they are ``<column>_below`` and ``<column>_above``.

    Args:
        rows: Of ``in_windows``.

    Returns:
        Int64 columns ``op_id``, ``start_us``, ``calls``, ``outcomes``, ``errors``,
        ``client_errors``, ``recorded``, ``sum_ns``, ``max_ns`` and two a quantile.
    """
    status, success = nw.col("status_code"), nw.col("success")
    client = ((status >= 400) & (status <= 499)).fill_null(value=False)
    failed = (~success).fill_null(value=False)
    ranked = rows.select(
        *GROUP,
        "duration_ns",
        failed=failed.cast(nw.Int64),
        outcome=(~success.is_null()).cast(nw.Int64),
        client=(client & ~failed).cast(nw.Int64),
        recorded=(~status.is_null() | ~success.is_null()).cast(nw.Int64),
        rank=nw.col("duration_ns").rank("ordinal").over(*GROUP).cast(nw.Int64) - 1,
        last=nw.len().over(*GROUP).cast(nw.Int64) - 1,
    )
    duration = nw.col("duration_ns")
    nothing = nw.lit(None, nw.Int64)
    positions = {}
    for name, level in QUANTILES.items():
        low = (nw.col("last").cast(nw.Float64) * level).floor().cast(nw.Int64)
        rank, last = nw.col("rank"), nw.col("last")
        above = (rank == low + 1) | ((rank == low) & (low == last))
        positions[f"{name}_below"] = nw.when(rank == low).then(duration).otherwise(nothing)
        positions[f"{name}_above"] = nw.when(above).then(duration).otherwise(nothing)
    return (
        ranked.with_columns(**positions)
        .group_by(*GROUP)
        .agg(
            nw.len().alias("calls"),
            nw.col("outcome").sum().alias("outcomes"),
            nw.col("failed").sum().alias("errors"),
            nw.col("client").sum().alias("client_errors"),
            nw.col("recorded").max().alias("recorded"),
            duration.sum().alias("sum_ns"),
            duration.max().alias("max_ns"),
            *(nw.col(name).max() for name in positions),
        )
    )


def weight_counts(rows: nw.LazyFrame[Any]) -> nw.LazyFrame[Any]:
    """Count the rows of each group by their weight: a sum of floats would depend on its order."""
    return rows.group_by(*GROUP, "weight").agg(nw.len().alias("count"))


def error_counts(rows: nw.LazyFrame[Any], unknown: str) -> nw.LazyFrame[Any]:
    """Count the failed rows of each group by their error code."""
    failed = rows.filter((~nw.col("success")).fill_null(value=False))
    codes = failed.with_columns(error_code=nw.col("error_code").fill_null(unknown))
    return codes.group_by(*GROUP, "error_code").agg(nw.len().alias("count"))
