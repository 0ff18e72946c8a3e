"""``aggregate``: calls, errors and exact latency quantiles per operation and window.

Rows are sorted once by operation, window and duration; a quantile is then a position, not a search.
Sums are sums of integers and sorting ties are equal numbers, so the result is the same to the last
bit whatever the order of the rows and however they were split into files.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import polars as pl

from evolution_lab.errors import FrameContractError, TimeZoneRequiredError
from evolution_lab.schemas import TOP_ERRORS
from evolution_lab.windows.bins import histogram
from evolution_lab.windows.finishing import GROUP, finished, without_rows
from evolution_lab.windows.grid import slot_of, slot_of_moment, window_us
from evolution_lab.windows.operations import operation_samples
from evolution_lab.windows.quantiles import quantiles_of_groups
from evolution_lab.windows.sample_frames import checked_samples

MOST_TOP_ERRORS: Final = 5
UNKNOWN_ERROR: Final = "unknown"


def aggregate(
    samples: pl.LazyFrame | pl.DataFrame,
    *,
    window: timedelta,
    as_of: datetime | None = None,
    allowed_lateness: timedelta = timedelta(minutes=30),
    latency_bins: bool = False,
    all_spans: bool = False,
    exclude: Sequence[str] = (),
) -> pl.DataFrame:
    """Aggregate samples into windows.

    A quantile is ``v[lo] + (v[lo + 1] - v[lo]) (h - lo)`` with ``h = (n - 1) p`` over the sorted
    durations (see ``quantiles``), a mean the integer sum over the calls, and the error rate
    ``errors / outcomes``: a call that recorded no success is no outcome. A call is a client error
    when its status is 400 to 499 and its success is not False.

    Args:
        samples: A ``SAMPLES`` frame; values are checked where it is not lazy.
        window: Length of a window; divides a day. Windows are aligned to the epoch, and a sample at
            a window's start belongs to it.
        as_of: Rows later than this are ignored, and windows that end later are not closed. None is
            the end of a finished recording: its newest sample, all windows closed and final.
        allowed_lateness: A closed window is final when it ended this long before ``as_of``.
        latency_bins: Add the column ``latency_bins``; see ``bins``.
        all_spans: Take every span for an operation, not servers, consumers and roots only.
        exclude: Globs of operation keys to leave out.

    Returns:
        A ``WINDOWS`` frame ordered by service, key, version and window: one row for every window
        from an operation's first one to the last of the data, windows without calls included.

    Raises:
        FrameContractError: The samples break their contract.
        ConfigError: The window does not divide a day.
        TimeZoneRequiredError: ``as_of`` carries no time zone.

    Examples:
        >>> from datetime import UTC
        >>> from evolution_lab.records import OperationRef, TelemetrySample
        >>> from evolution_lab.windows import sample_frame
        >>> start = datetime(2025, 3, 4, 9, 0, tzinfo=UTC)
        >>> calls = [
        ...     TelemetrySample(
        ...         operation=OperationRef("checkout"),
        ...         timestamp=start + timedelta(minutes=minute),
        ...         duration_ns=1_000_000 * (minute + 1),
        ...         success=minute != 3,
        ...     )
        ...     for minute in (0, 1, 3, 40)
        ... ]
        >>> windows = aggregate(sample_frame(calls), window=timedelta(minutes=15))
        >>> windows.select("calls", "errors", "p50_ns").rows()
        [(3, 1, 2000000.0), (0, 0, None), (1, 0, 41000000.0)]
    """
    window_us(window)
    if as_of is not None and as_of.tzinfo is None:
        raise TimeZoneRequiredError(f"as_of == {as_of}, must carry a time zone.")
    frame = checked_samples(samples)
    if as_of is not None:
        frame = frame.filter(pl.col("timestamp") <= as_of)
    rows = _narrow(operation_samples(frame, all_spans=all_spans, exclude=exclude), window)
    if rows.is_empty():
        return without_rows(latency_bins=latency_bins)
    sums = _with_weights(_sums(rows), rows["weight"])
    quantiles = quantiles_of_groups(rows["duration_ns"], sums["calls"])
    errors = _top_errors(rows)
    columns = pl.concat([sums, quantiles], how="horizontal").join(errors, on=GROUP, how="left")
    if latency_bins:
        bins = histogram(rows.lazy().select(*GROUP, "duration_ns"), GROUP).collect()
        columns = columns.join(bins, on=GROUP, how="left")
    newest = frame.select(pl.col("timestamp").max()).collect().item()
    last = slot_of_moment(as_of or newest, window)
    return finished(
        columns,
        _identities(frame, rows["op_id"]),
        last,
        window,
        as_of=as_of,
        allowed_lateness=allowed_lateness,
        latency_bins=latency_bins,
    )


def _narrow(samples: pl.LazyFrame, window: timedelta) -> pl.DataFrame:
    """Return what the aggregation reads, sorted by operation, window and duration."""
    status, success = pl.col("status_code"), pl.col("success")
    return (
        samples.select(
            "op_id",
            slot_of(pl.col("timestamp"), window).alias("slot"),
            "duration_ns",
            "success",
            "weight",
            "error_code",
            client=status.is_between(400, 499) & success.ne_missing(other=False),
            recorded=status.is_not_null() | success.is_not_null(),
        )
        .with_columns(pl.col("client").fill_null(value=False))
        .sort("op_id", "slot", "duration_ns", "weight")
        .collect()
    )


def _sums(rows: pl.DataFrame) -> pl.DataFrame:
    failed = pl.col("success").not_()
    calls = pl.len().cast(pl.Int64)
    known = pl.col("success").is_not_null().sum().cast(pl.Int64)
    return (
        rows.group_by(GROUP, maintain_order=True)
        .agg(
            calls=calls,
            outcomes=known,
            errors=failed.sum().cast(pl.Int64),
            client_errors=pl.col("client").sum().cast(pl.Int64),
            recorded=pl.col("recorded").any(),
            sum_ns=pl.col("duration_ns").sum(),
            max_ns=pl.col("duration_ns").max(),
        )
        .with_columns(
            mean_ns=pl.col("sum_ns").cast(pl.Float64) / pl.col("calls").cast(pl.Float64),
            outcomes=pl.when(pl.col("outcomes") > 0).then(pl.col("outcomes")),
            errors=pl.when(pl.col("outcomes") > 0).then(pl.col("errors")),
            client_errors=pl.when(pl.col("recorded")).then(pl.col("client_errors")),
        )
        .with_columns(error_rate=pl.col("errors") / pl.col("outcomes"))
        .drop("recorded", "sum_ns")
    )


def _with_weights(sums: pl.DataFrame, weights: pl.Series) -> pl.DataFrame:
    """Add the sum of each group's weights; they are sorted, so that it has one order."""
    starts = (sums["calls"].cum_sum() - sums["calls"]).to_numpy()
    return sums.with_columns(calls_adjusted=np.add.reduceat(weights.to_numpy(), starts))


def _top_errors(rows: pl.DataFrame) -> pl.DataFrame:
    counts = (
        rows.lazy()
        .filter(pl.col("success").not_())
        .group_by(*GROUP, pl.col("error_code").fill_null(UNKNOWN_ERROR))
        .agg(count=pl.len().cast(pl.Int64))
        .sort(*GROUP, pl.col("count").neg(), "error_code")
    )
    return (
        counts.group_by(GROUP, maintain_order=True)
        .agg(top_errors=pl.struct("error_code", "count").head(MOST_TOP_ERRORS))
        .with_columns(pl.col("top_errors").cast(TOP_ERRORS))
        .collect()
    )


def _identities(samples: pl.LazyFrame, op_ids: pl.Series) -> pl.DataFrame:
    names = (
        samples.select("op_id", "service", "operation_key", "operation_version")
        .filter(pl.col("op_id").is_in(op_ids.unique().implode()))
        .unique()
        .collect()
    )
    twice = names.filter(pl.col("op_id").is_duplicated()).sort("op_id", "operation_key")
    if not twice.is_empty():
        keys = ", ".join(repr(key) for key in twice["operation_key"].head(3))
        raise FrameContractError(
            f"op_id == {twice['op_id'][0]} names {keys}; it must name one operation."
        )
    return names
