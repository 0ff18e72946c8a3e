"""The last step of every aggregation: windows without calls, times, flags, names, order."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import polars as pl

from evolution_lab.schemas import WINDOWS, check, empty, polars_schema
from evolution_lab.windows.grid import window_times

GROUP = ["op_id", "slot"]


def finished(
    columns: pl.DataFrame,
    names: pl.DataFrame,
    last_slot: int,
    window: timedelta,
    *,
    as_of: datetime | None,
    allowed_lateness: timedelta,
    latency_bins: bool,
) -> pl.DataFrame:
    """Fill windows without calls, add times, flags and names, bring columns and rows into order.

    Args:
        columns: One row an operation and window that has calls: ``op_id``, ``slot`` and measures.
        names: ``op_id`` to service, key and version.
        last_slot: The last window of the data.
        window: Length of a window.
        as_of: The moment that windows are closed at; None closes all of them for good.
        allowed_lateness: How long a closed window waits to be final.
        latency_bins: Whether there are histograms.

    Raises:
        FrameContractError: The result breaks its contract.
    """
    rows = _on_grid(columns, names, last_slot)
    nothing = pl.col("calls").is_null()
    zero = {name: pl.col(name).fill_null(0) for name in ("calls", "calls_adjusted")}
    none = {
        name: pl.when(nothing).then(pl.lit(0, dtype=pl.Int64)).otherwise(pl.col(name))
        for name in ("outcomes", "errors", "client_errors")
    }
    ends = pl.col("window_end")
    closed = pl.lit(value=True) if as_of is None else ends <= as_of
    final = pl.lit(value=True) if as_of is None else ends <= as_of - allowed_lateness
    order = list(polars_schema(WINDOWS))
    if latency_bins:
        order.insert(order.index("top_errors") + 1, "latency_bins")
    result = (
        rows.with_columns(**none, **window_times(window))
        .with_columns(**zero, closed=closed, final=final, revision=pl.lit(0, dtype=pl.Int32))
        .select(order)
        .with_columns(_plain_nulls())
    )
    return check(result, WINDOWS)


def _plain_nulls() -> pl.Expr:
    """Put zeros under nulls: what lies there depends on how a column was made, and bytes tell."""
    numbers = pl.selectors.numeric()
    return pl.when(numbers.is_not_null()).then(numbers.fill_null(0))


def _on_grid(columns: pl.DataFrame, names: pl.DataFrame, last_slot: int) -> pl.DataFrame:
    """Put rows into their places on the grid of windows, by operation and time; others are null."""
    order = ["service", "operation_key", "operation_version"]
    seen = columns.group_by("op_id").agg(first=pl.col("slot").min())
    operations = names.join(seen, on="op_id").sort(order, nulls_last=False)
    sizes = last_slot + 1 - operations["first"].to_numpy()
    begins = np.cumsum(sizes) - sizes
    place = pl.Series(begins - operations["first"].to_numpy())
    offsets = columns["op_id"].replace_strict(operations["op_id"], place)
    places = (offsets + columns["slot"]).to_numpy()
    source = np.full(int(sizes.sum()), -1, dtype=np.int64)
    source[places] = np.arange(columns.height)
    known = pl.Series(source)
    known = known if (source >= 0).all() else known.set(known < 0, None)
    number = np.repeat(np.arange(operations.height), sizes)
    slot = np.arange(len(source)) - np.repeat(begins - operations["first"].to_numpy(), sizes)
    named = operations.select("op_id", *order).select(pl.all().gather(pl.Series(number)))
    measured = columns.drop(GROUP).select(pl.all().gather(known))
    return pl.concat([named, measured], how="horizontal").with_columns(pl.Series("slot", slot))


def without_rows(*, latency_bins: bool) -> pl.DataFrame:
    """Return a ``WINDOWS`` frame without rows."""
    frame = empty(WINDOWS)
    if not latency_bins:
        return frame
    bins = pl.Series("latency_bins", [], dtype=WINDOWS.columns["latency_bins"].dtype.type)
    return frame.insert_column(frame.columns.index("top_errors") + 1, bins)
