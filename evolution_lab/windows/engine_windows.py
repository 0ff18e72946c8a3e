"""``aggregate_on``: the windows of a lake, aggregated by the engine that was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import narwhals as nw
import polars as pl

from evolution_lab.errors import TimeZoneRequiredError
from evolution_lab.schemas import TOP_ERRORS
from evolution_lab.telemetry import Lake
from evolution_lab.windows.aggregation import MOST_TOP_ERRORS, UNKNOWN_ERROR
from evolution_lab.windows.engines import Engine
from evolution_lab.windows.finishing import GROUP, finished, without_rows
from evolution_lab.windows.grid import EPOCH, MICROSECOND, window_us
from evolution_lab.windows.operations import excluded_keys
from evolution_lab.windows.portable import (
    error_counts,
    in_windows,
    operations_of,
    statistics,
    survey,
    weight_counts,
)
from evolution_lab.windows.quantiles import QUANTILES, between


def aggregate_on(
    engine: Engine,
    lake: Lake,
    *,
    window: timedelta,
    since: datetime | None = None,
    until: datetime | None = None,
    as_of: datetime | None = None,
    allowed_lateness: timedelta = timedelta(minutes=30),
    all_spans: bool = False,
    exclude: Sequence[str] = (),
) -> pl.DataFrame:
    """Aggregate what was landed into windows, on an engine.

    The frame is that of ``aggregate(lake.samples(since, until), …)``, to the last bit; only
    ``calls_adjusted`` is equal to 15 digits where weights are no whole numbers, since a sum of such
    depends on its order.

    Args:
        engine: Which one computes; see ``spark_engine``.
        lake: The lake.
        window: Length of a window; divides a day.
        since: Events at or after this time; aware.
        until: Events before this time; aware.
        as_of: Rows later than this are ignored; see ``aggregate``.
        allowed_lateness: A closed window is final when it ended this long before ``as_of``.
        all_spans: Take every span for an operation.
        exclude: Globs of operation keys to leave out.

    Raises:
        ConfigError: The window does not divide a day.
        TimeZoneRequiredError: ``as_of`` carries no time zone.
        CorruptFileError: A file of the lake cannot be read.
        EngineError: The engine could not do it.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from evolution_lab.windows.engines import PolarsEngine
        >>> lake = Lake(Path(tempfile.mkdtemp()))
        >>> aggregate_on(PolarsEngine(), lake, window=timedelta(minutes=15)).height
        0
    """
    length = window_us(window)
    if as_of is not None and as_of.tzinfo is None:
        raise TimeZoneRequiredError(f"as_of == {as_of}, must carry a time zone.")
    files = lake.live_files("samples", since, until)
    if not files:
        return without_rows(latency_bins=False)
    samples = _limited(engine.scan(files), since, until, as_of)
    seen = engine.collect(survey(samples)).row(0, named=True)
    if not seen["rows"]:
        return without_rows(latency_bins=False)
    operations = lake.operations()
    gone = excluded_keys(operations["operation_key"], exclude) if exclude else []
    excluded = operations.filter(pl.col("operation_key").is_in(gone))["op_id"].to_list()
    spans = samples if all_spans or not seen["between"] else operations_of(samples)
    rows = in_windows(spans, length_us=length, excluded=excluded)
    numbers = _slots(engine.collect(statistics(rows)), length)
    if numbers.is_empty():
        return without_rows(latency_bins=False)
    columns = numbers.select(*GROUP, **_measures()).join(
        _adjusted(engine, rows, numbers, seen, length), on=GROUP, how="left"
    )
    if seen["failed"]:
        counted = _slots(engine.collect(error_counts(rows, UNKNOWN_ERROR)), length)
    else:
        counted = pl.DataFrame(schema={**_IDS, "error_code": pl.String, "count": pl.Int64})
    columns = columns.join(_top_errors(counted), on=GROUP, how="left")
    last = (seen["newest_us"] if as_of is None else (as_of - EPOCH) // MICROSECOND) // length
    names = operations.filter(pl.col("op_id").is_in(numbers["op_id"].unique().implode()))
    return finished(
        columns,
        names,
        last,
        window,
        as_of=as_of,
        allowed_lateness=allowed_lateness,
        latency_bins=False,
    )


_IDS: Final = {"op_id": pl.Int64, "slot": pl.Int64}


def _limited(
    samples: nw.LazyFrame[Any],
    since: datetime | None,
    until: datetime | None,
    as_of: datetime | None,
) -> nw.LazyFrame[Any]:
    time = nw.col("time_us")
    if since is not None:
        samples = samples.filter(time >= (since - EPOCH) // MICROSECOND)
    if until is not None:
        samples = samples.filter(time < (until - EPOCH) // MICROSECOND)
    if as_of is not None:
        samples = samples.filter(time <= (as_of - EPOCH) // MICROSECOND)
    return samples


def _slots(frame: pl.DataFrame, length: int) -> pl.DataFrame:
    """Number the windows and give every count the type of the contract, whatever the engine's."""
    return (
        frame.with_columns(pl.selectors.integer().cast(pl.Int64))
        .with_columns(slot=pl.col("start_us") // length)
        .drop("start_us")
        .sort(*GROUP)
    )


def _measures() -> dict[str, pl.Expr]:
    """Turn the integers of ``portable.statistics`` into measures of ``WINDOWS``."""
    known = pl.col("outcomes") > 0
    calls = pl.col("calls")
    quantiles = {
        name: between(pl.col(f"{name}_below"), pl.col(f"{name}_above"), calls, level)
        for name, level in QUANTILES.items()
    }
    return {
        "calls": calls,
        "outcomes": pl.when(known).then(pl.col("outcomes")),
        "errors": pl.when(known).then(pl.col("errors")),
        "client_errors": pl.when(pl.col("recorded") > 0).then(pl.col("client_errors")),
        "error_rate": pl.when(known).then(pl.col("errors") / pl.col("outcomes")),
        "mean_ns": pl.col("sum_ns").cast(pl.Float64) / calls.cast(pl.Float64),
        **quantiles,
        "max_ns": pl.col("max_ns"),
    }


def _top_errors(counts: pl.DataFrame) -> pl.DataFrame:
    ordered = counts.sort(*GROUP, pl.col("count").neg(), "error_code")
    return (
        ordered.group_by(GROUP, maintain_order=True)
        .agg(top_errors=pl.struct("error_code", "count").head(MOST_TOP_ERRORS))
        .with_columns(pl.col("top_errors").cast(TOP_ERRORS))
    )


def _adjusted(
    engine: Engine,
    rows: nw.LazyFrame[Any],
    numbers: pl.DataFrame,
    seen: dict[str, Any],
    length: int,
) -> pl.DataFrame:
    """Sum the weights of each group; without another pass where all weigh the same."""
    if seen["lightest"] == seen["heaviest"]:
        return numbers.select(*GROUP, calls_adjusted=pl.col("calls") * seen["heaviest"])
    counted = _slots(engine.collect(weight_counts(rows)), length).sort(*GROUP, "weight")
    return counted.group_by(GROUP, maintain_order=True).agg(
        calls_adjusted=(pl.col("weight") * pl.col("count")).sum()
    )
