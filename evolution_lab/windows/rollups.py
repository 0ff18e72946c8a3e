"""Roll-ups: hours and days, and windows of several machines, from histograms instead of samples.

What is added up are integers: calls, failures, durations in nanoseconds, weights in units of 2^-20,
and the counts of histograms. So windows may be merged in any order and in any nesting, hours into days
or machine by machine, and the same bits come out. A quantile of a roll-up is the value of the bin that
holds the order statistic ``v[floor((n - 1) p)]``, and no more than the longest duration: at most 1 %
away from that order statistic. (The exact quantiles of ``aggregate`` lie between it and the next one.)
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Final

import polars as pl
from polars.exceptions import PolarsError

from evolution_lab.config import format_timedelta
from evolution_lab.errors import FrameContractError, InputError, PathNotFoundError
from evolution_lab.schemas import TOP_ERRORS, WINDOWS, check, polars_schema
from evolution_lab.windows.bins import ZERO_BIN, bin_edges, bin_values, merge_bins
from evolution_lab.windows.grid import MICROSECOND, window_us
from evolution_lab.windows.quantiles import QUANTILES

_IDENTITY: Final = ("service", "operation_key", "operation_version", "op_id")
_BY: Final = ["op_id", "start_us"]
_WEIGHT_UNIT: Final = 2**20


def roll_up(windows: pl.DataFrame | Sequence[pl.DataFrame], *, every: timedelta) -> pl.DataFrame:
    """Merge windows into longer ones, or those of several machines into one table.

    Args:
        windows: ``WINDOWS`` frames with ``latency_bins``: of ``aggregate(…, latency_bins=True)`` or of
            this function. Each call must be in one of them only.
        every: Length of the merged windows; divides a day, and is a multiple of each length merged.

    Returns:
        A ``WINDOWS`` frame with ``latency_bins`` and ``sum_ns``, ordered as that of ``aggregate``.
        ``top_errors`` has every code that was among the first of a merged window, with at least as
        many calls as it says. A window is closed, or final, where all that was merged is;
        ``revision`` grows with each of theirs.

    Raises:
        FrameContractError: A frame breaks its contract, or has calls without a histogram.
        InputError: A window is longer than ``every``, or lies in two of them.
        ConfigError: ``every`` does not divide a day.

    Examples:
        >>> from datetime import UTC, datetime
        >>> from evolution_lab.records import OperationRef, TelemetrySample
        >>> from evolution_lab.windows import aggregate, sample_frame
        >>> start = datetime(2025, 3, 4, 9, tzinfo=UTC)
        >>> calls = [
        ...     TelemetrySample(
        ...         operation=OperationRef("checkout"),
        ...         timestamp=start + timedelta(minutes=minute),
        ...         duration_ns=(minute + 1) * 1_000_000,
        ...     )
        ...     for minute in range(60)
        ... ]
        >>> quarters = aggregate(
        ...     sample_frame(calls), window=timedelta(minutes=15), latency_bins=True
        ... )
        >>> hour = roll_up(quarters, every=timedelta(hours=1))
        >>> hour.select("calls", "mean_ns", "max_ns").row(0)
        (60, 30500000.0, 60000000)
        >>> abs(hour["p50_ns"].item() / 30_000_000 - 1) < 0.01
        True
    """
    length = window_us(every)
    frames = [windows] if isinstance(windows, pl.DataFrame) else list(windows)
    rows = pl.concat([_state(frame, every) for frame in frames], how="vertical")
    _check_names(rows)
    rows = rows.with_columns(start_us=pl.col("start_us") - pl.col("start_us") % length)
    sums = _sums(rows).join(merge_bins(rows, _BY), on=_BY, how="left")
    sums = sums.join(_top_errors(rows), on=_BY, how="left").join(_quantiles(sums), on=_BY)
    start = pl.col("start_us").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    order = [name for name in WINDOWS.columns if name in {*polars_schema(WINDOWS), *_EXTRA}]
    merged = (
        sums.with_columns(window_start=start, window_end=start + every)
        .sort("service", "operation_key", "operation_version", "window_start", nulls_last=False)
        .select(order)
    )
    return check(merged, WINDOWS)


_EXTRA: Final = ("latency_bins", "sum_ns")


def read_rolled(paths: Sequence[Path]) -> list[pl.DataFrame]:
    """Read windows with histograms that other machines wrote as Parquet.

    Raises:
        PathNotFoundError: A file does not exist.
        InputError: One is no Parquet, or is named twice: its calls would count twice.
        FrameContractError: One breaks the contract of windows, or has no histograms.
    """
    frames, seen = [], dict[bytes, Path]()
    for path in paths:
        try:
            digest = blake2b(path.read_bytes(), digest_size=16).digest()
            frame = pl.read_parquet(path, glob=False, hive_partitioning=False)
        except FileNotFoundError:
            raise PathNotFoundError(path) from None
        except (OSError, PolarsError) as error:
            raise InputError(f"{path} cannot be read as Parquet: {error}") from error
        if digest in seen:
            raise InputError(
                f"{path} and {seen[digest]} are the same: its calls would count twice."
            )
        seen[digest] = path
        frames.append(check(frame, WINDOWS))
    return frames


def _state(windows: pl.DataFrame, every: timedelta) -> pl.DataFrame:
    """Turn windows into integers that can be added up."""
    windows = check(windows, WINDOWS)
    if "latency_bins" not in windows.columns:
        raise FrameContractError(
            "the windows have no latency_bins, which roll-ups are made of; write them with "
            "`evolution-lab windows --from-bins --output FILE.parquet`."
        )
    _check_lengths(windows, every)
    _check_bins(windows)
    if "sum_ns" not in windows.columns:
        windows = windows.with_columns(sum_ns=pl.lit(None, dtype=pl.Int64))
    mean = pl.col("mean_ns") * pl.col("calls").cast(pl.Float64)
    called = pl.col("calls") > 0
    known = pl.col("outcomes").fill_null(0)
    return windows.select(
        *_IDENTITY,
        "calls",
        "top_errors",
        "latency_bins",
        "closed",
        "final",
        start_us=pl.col("window_start").dt.epoch("us"),
        weight=(pl.col("calls_adjusted") * _WEIGHT_UNIT).round().cast(pl.Int64, strict=False),
        outcomes=known,
        errors=pl.col("errors").fill_null(0),
        client_errors=pl.col("client_errors").fill_null(0),
        recorded=called & pl.col("client_errors").is_not_null(),
        sum_ns=pl.coalesce(
            "sum_ns", mean.round().cast(pl.Int64, strict=False), pl.when(~called).then(0)
        ),
        max_ns=pl.col("max_ns"),
        revision=pl.col("revision").cast(pl.Int64),
    )


def _check_names(rows: pl.DataFrame) -> None:
    names = rows.select(_IDENTITY).unique()
    twice = names.filter(pl.col("op_id").is_duplicated()).sort("op_id", "operation_key")
    if not twice.is_empty():
        keys = ", ".join(repr(key) for key in twice["operation_key"].head(3))
        raise FrameContractError(
            f"op_id == {twice['op_id'][0]} names {keys}; it must name one operation."
        )


def _check_lengths(windows: pl.DataFrame, every: timedelta) -> None:
    length = every // MICROSECOND
    start = pl.col("window_start").dt.epoch("us")
    ends = pl.col("window_end").dt.epoch("us")
    torn = windows.filter(((start // length) != ((ends - 1) // length)) | (ends <= start))
    if not torn.is_empty():
        first = torn.row(0, named=True)
        found = format_timedelta(first["window_end"] - first["window_start"])
        raise InputError(
            f"a window of {found} from {first['window_start']:%Y-%m-%d %H:%M} on does not lie in "
            f"one window of {format_timedelta(every)}; roll up to a multiple of its length."
        )


def _check_bins(windows: pl.DataFrame) -> None:
    """Refuse histograms that do not hold each call once: they may come from anywhere."""
    bins = pl.col("latency_bins")
    counted = bins.list.eval(pl.element().struct.field("count")).list.sum().fill_null(0)
    least = bins.list.eval(pl.element().struct.field("count")).list.min().fill_null(1)
    low = bins.list.eval(pl.element().struct.field("bin")).list.min().fill_null(0)
    high = bins.list.eval(pl.element().struct.field("bin")).list.max().fill_null(0)
    within = (low >= ZERO_BIN) & (high < len(bin_edges()))
    wrong = windows.filter(~((counted == pl.col("calls")) & (least > 0) & within))
    if not wrong.is_empty():
        row = wrong.row(0, named=True)
        raise FrameContractError(
            f"latency_bins of {row['operation_key']!r} at {row['window_start']} must hold each of "
            f"its {row['calls']} calls once, in bins {ZERO_BIN} to {len(bin_edges()) - 1}."
        )


def _sums(rows: pl.DataFrame) -> pl.DataFrame:
    called = pl.col("calls") > 0
    unknown = pl.col("sum_ns").is_null().any()
    without_max = (pl.col("max_ns").is_null() & called).any()
    known = ~((pl.col("calls") > 0) & (pl.col("outcomes") == 0))
    merged = (
        rows.group_by(_BY)
        .agg(
            *(pl.col(name).first() for name in _IDENTITY if name != "op_id"),
            *(pl.col(n).sum() for n in ("calls", "outcomes", "errors", "client_errors", "weight")),
            # A null anywhere makes the sum unknown, not smaller.
            sum_ns=pl.when(~unknown).then(pl.col("sum_ns").sum()),
            max_ns=pl.when(~without_max).then(pl.col("max_ns").max()),
            recorded=pl.col("recorded").any(),
            closed=pl.col("closed").all(),
            final=pl.col("final").all(),
            revision=pl.col("revision").sum(),
        )
        .sort(_BY)
    )
    return merged.with_columns(
        calls_adjusted=pl.col("weight").cast(pl.Float64) / _WEIGHT_UNIT,
        outcomes=pl.when(known).then("outcomes"),
        errors=pl.when(known).then("errors"),
        error_rate=pl.when(known & called).then(pl.col("errors") / pl.col("outcomes")),
        client_errors=pl.when(pl.col("recorded") | ~called).then("client_errors"),
        mean_ns=pl.when(called).then(
            pl.col("sum_ns").cast(pl.Float64) / pl.col("calls").cast(pl.Float64)
        ),
        revision=pl.col("revision").clip(upper_bound=2**31 - 1).cast(pl.Int32),
    )


def _top_errors(rows: pl.DataFrame) -> pl.DataFrame:
    counts = (
        rows.lazy()
        .select(*_BY, "top_errors")
        .drop_nulls("top_errors")
        .explode("top_errors", empty_as_null=False)
        .unnest("top_errors")
        .group_by(*_BY, "error_code")
        .agg(pl.col("count").sum())
        .sort(*_BY, pl.col("count").neg(), "error_code")
    )
    return (
        counts.group_by(_BY, maintain_order=True)
        .agg(top_errors=pl.struct("error_code", "count"))
        .with_columns(pl.col("top_errors").cast(TOP_ERRORS))
        .collect()
    )


def _quantiles(sums: pl.DataFrame) -> pl.DataFrame:
    """Return the value of the bin that holds the lower order statistic of each quantile."""
    bins = (
        sums.select(*_BY, "calls", "max_ns", "latency_bins")
        .explode("latency_bins", empty_as_null=True)
        .unnest("latency_bins")
        .sort(*_BY, "bin")
        .with_columns(reached=pl.col("count").cum_sum().over(_BY))
    )
    last = (pl.col("calls") - 1).cast(pl.Float64)
    found = bins.group_by(_BY, maintain_order=True).agg(
        pl.col("max_ns").first(),
        **{
            name: pl.col("bin").filter(pl.col("reached") > (last * level).floor()).first()
            for name, level in QUANTILES.items()
        },
    )
    values = bin_values()
    for name in QUANTILES:
        index = found[name]
        # Bin 0 stands in for the bin of 0 ns, whose value is put in below.
        value = values.gather(index.clip(0)).alias(name)
        found = found.with_columns(
            pl.when(index == ZERO_BIN)
            .then(0.0)
            .otherwise(pl.min_horizontal(value, pl.col("max_ns").cast(pl.Float64)))
            .alias(name)
        ).with_columns(pl.when(index.is_not_null()).then(name).alias(name))
    return found.drop("max_ns")
