"""Windows people already have: a table with calls, errors and percentiles, without the requests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final

import orjson
import polars as pl

from evolution_lab.errors import (
    EvolutionLabError,
    FrameContractError,
    InputError,
    PathNotFoundError,
    UnknownFormatError,
)
from evolution_lab.records import OperationRef
from evolution_lab.schemas import TIME, WINDOWS, check, polars_schema
from evolution_lab.windows.cloudwatch import cloudwatch_windows, is_cloudwatch
from evolution_lab.windows.otlp_metrics import (
    is_otlp_metrics,
    metrics_of_protobuf,
    otlp_metric_windows,
)
from evolution_lab.windows.prometheus import is_prometheus, prometheus_windows
from evolution_lab.windows.window_columns import (
    DURATION_UNITS,
    DURATIONS,
    RATE_UNITS,
    Roles,
    column_roles,
    time_expression,
)

_IDENTITY: Final = ("service", "operation_key", "operation_version")
_ODD: Final = (
    *(TypeError, ValueError, AttributeError, LookupError, OverflowError, RecursionError),
    pl.exceptions.PolarsError,
)
"""What a document gives rise to whose parts are of other types than its form says."""


def read_windows(
    source: Path | str | pl.DataFrame,
    mapping: Iterable[str] | Mapping[str, str] = (),
    *,
    window: timedelta | None = None,
) -> pl.DataFrame:
    """Read ready windows into a ``WINDOWS`` frame; parts they lack are null.

    Errors are taken from ``errors``, else from ``error_rate`` or ``availability`` times the calls,
    rounded to whole ones; ``outcomes`` is then the calls, for a table says nothing about calls whose
    outcome nobody recorded. A window that the table does not list stays unlisted: whether it had no
    calls or was never measured is not known.

    Args:
        source: A CSV or Parquet file, or a frame; or JSON of Prometheus (``query_range``),
            CloudWatch (``get-metric-data``) or OTLP metrics, the last one also as protobuf
            (``.pb``). These need no mapping.
        mapping: ``ROLE=COLUMN[:UNIT]`` items, or a mapping of roles to ``COLUMN[:UNIT]``. Roles are
            the keys of ``window_columns.ROLES``. Durations take ``ns``, ``us``, ``ms`` or ``s``
            (without a unit ns), times in numbers one of the same since the epoch, rates ``fraction``
            or ``percent``. Columns that are called like their role need no item.
        window: Length of a window; without it and without an ``end`` it is the most common distance
            between two windows of one operation.

    Returns:
        A ``WINDOWS`` frame ordered by service, key, version and window, all windows closed.

    Raises:
        PathNotFoundError: There is no such file.
        UnknownFormatError: The file is neither CSV nor Parquet.
        MappingError: A role, column or unit is unknown, or ``start``, ``operation`` or ``calls`` is
            missing.
        TimeZoneRequiredError: Times carry no zone.
        FrameContractError: A value breaks a rule of windows: more errors than calls, a window that
            overlaps another one of its operation, no number of calls.
        InputError: The file or a value cannot be read.

    Examples:
        >>> table = pl.DataFrame(
        ...     {
        ...         "minute": ["2025-03-04T09:00:00Z", "2025-03-04T09:01:00Z"],
        ...         "route": ["GET /carts", "GET /carts"],
        ...         "requests": [200, 180],
        ...         "ok": [99.0, 97.5],
        ...         "p99": [0.25, 1.5],
        ...     }
        ... )
        >>> windows = read_windows(
        ...     table, ["start=minute", "operation=route", "availability=ok:percent", "p99=p99:s"]
        ... )
        >>> windows.select("calls", "errors", "p99_ns").rows()
        [(200, 2, 250000000.0), (180, 5, 1500000000.0)]
    """
    if not isinstance(source, pl.DataFrame):
        monitored = _monitored(Path(source), mapping, window)
        if monitored is not None:
            return monitored
    table = source if isinstance(source, pl.DataFrame) else _read(Path(source))
    roles = column_roles(mapping, table.columns)
    expressions = _expressions(table, roles)
    try:
        frame = table.select(**expressions)
    except pl.exceptions.PolarsError as error:
        raise InputError(f"the windows cannot be read: {error}") from None
    if frame["calls"].null_count():
        raise FrameContractError(
            f"calls == null in {frame['calls'].null_count()} windows; each needs its number of calls."
        )
    if frame["window_end"].null_count():
        length = window or _usual_distance(frame)
        frame = frame.with_columns(pl.col("window_end").fill_null(pl.col("window_start") + length))
    _check_spans(frame)
    return check(_complete(frame), WINDOWS)


def _monitored(
    path: Path, mapping: Iterable[str] | Mapping[str, str], window: timedelta | None
) -> pl.DataFrame | None:
    """Return the windows of a monitoring system's answer, None for a table."""
    suffix = path.suffix.lower()
    if not path.is_file() or suffix not in {".json", ".pb", ".binpb"}:
        return None
    every = window or timedelta(minutes=1)
    if suffix != ".json":
        return otlp_metric_windows(metrics_of_protobuf(path.read_bytes()), window=every)
    try:
        document = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise InputError(f"{str(path)!r} is no JSON: {error}") from None
    try:
        if is_otlp_metrics(document):
            return otlp_metric_windows(document, window=every)
        if is_cloudwatch(document):
            units = [str(item).rpartition(":")[2] for item in mapping]
            return cloudwatch_windows(document, unit=units[0] if units else "ms")
        if is_prometheus(document):
            return prometheus_windows(document)
    except EvolutionLabError:
        raise
    except _ODD as error:
        raise InputError(
            f"{str(path)!r} is not as Prometheus, CloudWatch or OTLP write metrics: "
            f"{str(error).partition(chr(10))[0]}."
        ) from None
    raise UnknownFormatError(
        f"{str(path)!r} is JSON, but neither of Prometheus (query_range), CloudWatch "
        "(get-metric-data) nor OTLP metrics."
    )


def _read(path: Path) -> pl.DataFrame:
    if not path.is_file():
        raise PathNotFoundError(path)
    suffix = path.suffix.lower()
    with path.open("rb") as stream:
        parquet = stream.read(4) == b"PAR1"
    if not parquet and suffix not in {".csv", ".tsv", ".txt"}:
        raise UnknownFormatError(
            f"{str(path)!r} is no table: windows are read from CSV or Parquet."
        )
    try:
        if parquet:
            return pl.read_parquet(path, glob=False)
        separator = "\t" if suffix == ".tsv" else ","
        return pl.read_csv(path, separator=separator, infer_schema_length=None, glob=False)
    except pl.exceptions.PolarsError as error:
        raise InputError(f"{str(path)!r} cannot be read: {error}") from None


def _expressions(table: pl.DataFrame, roles: Roles) -> dict[str, pl.Expr]:
    def column(role: str, dtype: pl.DataType) -> pl.Expr:
        if role not in roles:
            return pl.lit(None, dtype=dtype)
        return pl.col(roles[role].column).cast(dtype)

    def number(role: str, units: Mapping[str, float]) -> pl.Expr:
        values = column(role, pl.Float64()).fill_nan(None)
        return values * units[roles[role].unit or next(iter(units))] if role in roles else values

    rate = number("error_rate", RATE_UNITS)
    if "error_rate" not in roles:
        rate = 1.0 - number("availability", RATE_UNITS)
    calls = column("calls", pl.Int64())
    counted = (rate * calls).round().cast(pl.Int64)
    return {
        "service": column("service", pl.String()),
        "operation_key": column("operation", pl.String()),
        "operation_version": column("version", pl.String()),
        "window_start": time_expression(table, roles["start"]),
        "window_end": (
            time_expression(table, roles["end"]) if "end" in roles else pl.lit(None, dtype=TIME)
        ),
        "calls": calls,
        "errors": column("errors", pl.Int64()) if "errors" in roles else counted,
        "client_errors": column("client_errors", pl.Int64()),
        **{
            f"{name}_ns": number(name, DURATION_UNITS).cast(
                pl.Int64() if name == "max" else pl.Float64()
            )
            for name in DURATIONS
        },
    }


def _usual_distance(frame: pl.DataFrame) -> timedelta:
    distances = (
        frame.sort("window_start")
        .select(distance=pl.col("window_start").diff().over(_IDENTITY))
        .filter(pl.col("distance") > timedelta(0))
        .group_by("distance")
        .len()
        .sort("len", "distance", descending=[True, False])
    )
    if distances.is_empty():
        raise InputError(
            "one window an operation does not say how long it is; map an end: --map end=COLUMN."
        )
    length: timedelta = distances["distance"][0]
    return length


def _check_spans(frame: pl.DataFrame) -> None:
    """Refuse windows that are empty or cover the same time of one operation twice."""
    empty = frame.filter(pl.col("window_end") <= pl.col("window_start"))
    if not empty.is_empty():
        raise FrameContractError(
            f"window_end == {empty['window_end'][0]}, must be after window_start == "
            f"{empty['window_start'][0]}."
        )
    twice = (
        frame.sort("window_start", "window_end")
        .with_columns(before=pl.col("window_end").shift(1).over(_IDENTITY))
        .filter(pl.col("window_start") < pl.col("before"))
    )
    if not twice.is_empty():
        raise FrameContractError(
            f"{twice['operation_key'][0]!r} has two windows that cover {twice['window_start'][0]}; "
            "windows of one operation must not overlap."
        )


def _complete(frame: pl.DataFrame) -> pl.DataFrame:
    """Add identities and what follows from the columns that are there, and bring rows into order."""
    identities = frame.select(_IDENTITY).unique()
    op_ids = [
        OperationRef(key, service=service, version=version).op_id if key else 0
        for service, key, version in identities.iter_rows()
    ]
    known = frame.join(
        identities.with_columns(op_id=pl.Series(op_ids, dtype=pl.Int64)),
        on=_IDENTITY,
        nulls_equal=True,
    )
    return (
        known.with_columns(
            calls_adjusted=pl.col("calls").cast(pl.Float64),
            outcomes=pl.when(pl.col("errors").is_not_null()).then(pl.col("calls")),
            error_rate=pl.when(pl.col("calls") > 0).then(pl.col("errors") / pl.col("calls")),
            top_errors=pl.lit(None, dtype=WINDOWS.columns["top_errors"].dtype.type),
            closed=pl.lit(value=True),
            final=pl.lit(value=True),
            revision=pl.lit(0, dtype=pl.Int32),
        )
        .sort(*_IDENTITY, "window_start", nulls_last=False)
        .select(list(polars_schema(WINDOWS)))
    )
