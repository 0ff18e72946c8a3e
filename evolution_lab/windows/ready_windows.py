"""Windows people already have: a table with calls, errors and percentiles, without the requests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final

import polars as pl

from evolution_lab.errors import (
    InputError,
    MappingError,
    PathNotFoundError,
    TimeZoneRequiredError,
    UnknownFormatError,
    did_you_mean,
)
from evolution_lab.records import OperationRef
from evolution_lab.schemas import TIME, WINDOWS, check, polars_schema

ROLES: Final = {
    "start": ("window_start", "start", "timestamp", "time"),
    "end": ("window_end", "end"),
    "operation": ("operation_key", "operation"),
    "service": ("service",),
    "version": ("operation_version", "version"),
    "calls": ("calls", "requests", "count"),
    "errors": ("errors", "failures"),
    "client_errors": ("client_errors",),
    "error_rate": ("error_rate",),
    "availability": ("availability",),
    "mean": ("mean_ns",),
    "p50": ("p50_ns",),
    "p95": ("p95_ns",),
    "p99": ("p99_ns",),
    "max": ("max_ns",),
}
"""Roles of columns, and the names under which they are found without a mapping."""
DURATIONS: Final = ("mean", "p50", "p95", "p99", "max")
UNITS: Final = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}
EPOCH_UNITS: Final = ("s", "ms", "us", "ns")


def read_windows(
    source: Path | pl.DataFrame,
    mapping: Iterable[str] | Mapping[str, str] = (),
    *,
    window: timedelta | None = None,
) -> pl.DataFrame:
    """Read ready windows into a ``WINDOWS`` frame; parts they lack are null.

    Args:
        source: A CSV or Parquet file, or a frame.
        mapping: ``ROLE=COLUMN[:UNIT]`` items, or a mapping of roles. Roles are the keys of
            ``ROLES``; durations take ``ns``, ``us``, ``ms`` or ``s``, times an epoch unit. Columns
            that are called like the role need no item.
        window: Length of a window; without it and without an ``end`` it is the most common distance
            between two windows of one operation.

    Returns:
        A ``WINDOWS`` frame ordered by service, key, version and window, all windows closed.

    Raises:
        PathNotFoundError: There is no such file.
        UnknownFormatError: The file is neither CSV nor Parquet.
        MappingError: A role or column is unknown, or ``start``, ``operation`` or ``calls`` missing.
        TimeZoneRequiredError: Times carry no zone.
        InputError: A value cannot be read.
    """
    table = source if isinstance(source, pl.DataFrame) else _read(source)
    roles = _roles(mapping, table.columns)
    for role in ("start", "operation", "calls"):
        if role not in roles:
            raise MappingError(
                f"no column is mapped to {role!r}; the columns are {', '.join(table.columns)}. "
                f"Say which: --map {role}=COLUMN"
            )
    try:
        frame = table.select(**_expressions(table, roles))
    except (pl.exceptions.PolarsError, ValueError) as error:
        raise InputError(f"the windows cannot be read: {error}") from None
    if frame["window_end"].null_count():
        length = window or _usual_distance(frame)
        frame = frame.with_columns(window_end=pl.col("window_start") + length)
    return check(_complete(frame), WINDOWS)


def _read(path: Path) -> pl.DataFrame:
    if not path.is_file():
        raise PathNotFoundError(path)
    with path.open("rb") as stream:
        head = stream.read(4)
    if head == b"PAR1":
        return pl.read_parquet(path)
    if path.suffix.lower() in {".csv", ".tsv", ".txt"}:
        separator = "\t" if path.suffix.lower() == ".tsv" else ","
        return pl.read_csv(path, separator=separator, infer_schema_length=None)
    raise UnknownFormatError(f"{str(path)!r} is no table: windows are read from CSV or Parquet.")


def _roles(
    mapping: Iterable[str] | Mapping[str, str], columns: list[str]
) -> dict[str, tuple[str, str | None]]:
    """Return column and unit by role."""
    items = (
        [f"{role}={column}" for role, column in mapping.items()]
        if isinstance(mapping, Mapping)
        else list(mapping)
    )
    roles = {
        role: (name, None)
        for role, names in ROLES.items()
        for name in reversed(names)
        if name in columns
    }
    for item in items:
        role, separator, text = item.partition("=")
        if not separator or role not in ROLES:
            raise MappingError(
                f"{item!r} is no ROLE=COLUMN[:UNIT] of windows; roles are {', '.join(ROLES)}."
                f"{did_you_mean(role, ROLES)}"
            )
        column, _, unit = (
            text.rpartition(":") if text not in columns and ":" in text else (text, "", "")
        )
        if column not in columns:
            raise MappingError(f"there is no column {column!r}.{did_you_mean(column, columns)}")
        known = EPOCH_UNITS if role in {"start", "end"} else UNITS
        if unit and (role not in {*DURATIONS, "start", "end"} or unit not in known):
            raise MappingError(f"{item!r}: unit {unit!r} must be one of {', '.join(known)}.")
        roles[role] = (column, unit or None)
    return roles


def _expressions(
    table: pl.DataFrame, roles: Mapping[str, tuple[str, str | None]]
) -> dict[str, pl.Expr]:
    def column(role: str, dtype: pl.DataType) -> pl.Expr:
        if role not in roles:
            return pl.lit(None, dtype=dtype)
        name, unit = roles[role]
        return (
            (pl.col(name).cast(pl.Float64) * UNITS[unit or "ns"]).cast(dtype)
            if (role in DURATIONS)
            else pl.col(name).cast(dtype)
        )

    calls = column("calls", pl.Int64())
    rate = column("error_rate", pl.Float64())
    if "availability" in roles:
        rate = 1.0 - column("availability", pl.Float64())
    errors = column("errors", pl.Int64())
    if "errors" not in roles and {"error_rate", "availability"} & set(roles):
        errors = (rate * calls).round().cast(pl.Int64)
    return {
        "service": column("service", pl.String()),
        "operation_key": column("operation", pl.String()),
        "operation_version": column("version", pl.String()),
        "window_start": _time(table, *roles["start"]),
        "window_end": _time(table, *roles["end"]) if "end" in roles else pl.lit(None, dtype=TIME),
        "calls": calls.fill_null(0),
        "errors": errors,
        "client_errors": column("client_errors", pl.Int64()),
        **{f"{name}_ns": column(name, pl.Float64()) for name in ("mean", "p50", "p95", "p99")},
        "max_ns": column("max", pl.Int64()),
    }


def _time(table: pl.DataFrame, name: str, unit: str | None) -> pl.Expr:
    dtype = table.schema[name]
    if dtype.is_numeric():
        if unit is None:
            raise MappingError(
                f"column {name!r} holds numbers; say their unit: {name}:s, :ms, :us or :ns."
            )
        scale = {"s": 1_000_000, "ms": 1_000, "us": 1}.get(unit)
        value = pl.col(name).cast(pl.Int64)
        micros = value * scale if scale is not None else value // 1_000
        return micros.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    if dtype == pl.String:
        zoned = table[name].drop_nulls().str.contains(r"(?:Z|[+-]\d\d:?\d\d)$").all()
        if not zoned:
            raise TimeZoneRequiredError(
                f"column {name!r} holds times without a zone; write them in UTC with a Z."
            )
        return pl.col(name).str.to_datetime(time_unit="us", time_zone="UTC")
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
        return pl.col(name).dt.convert_time_zone("UTC").dt.cast_time_unit("us")
    raise TimeZoneRequiredError(f"column {name!r} is {dtype}, must be a time with a zone.")


def _usual_distance(frame: pl.DataFrame) -> timedelta:
    distances = (
        frame.sort("window_start")
        .select(
            pl.col("window_start")
            .diff()
            .over("service", "operation_key", "operation_version")
            .alias("distance")
        )
        .drop_nulls()
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


def _complete(frame: pl.DataFrame) -> pl.DataFrame:
    identities = frame.select("service", "operation_key", "operation_version").unique()
    op_ids = [
        OperationRef(key or "", service=service, version=version).op_id if key else 0
        for service, key, version in identities.iter_rows()
    ]
    known = frame.join(
        identities.with_columns(op_id=pl.Series(op_ids, dtype=pl.Int64)),
        on=identities.columns,
        nulls_equal=True,
    )
    outcomes = pl.when(pl.col("errors").is_not_null()).then(pl.col("calls"))
    return (
        known.with_columns(
            calls_adjusted=pl.col("calls").cast(pl.Float64),
            outcomes=outcomes,
            error_rate=pl.when(pl.col("calls") > 0).then(pl.col("errors") / pl.col("calls")),
            top_errors=pl.lit(None, dtype=WINDOWS.columns["top_errors"].dtype.type),
            closed=pl.lit(value=True),
            final=pl.lit(value=True),
            revision=pl.lit(0, dtype=pl.Int32),
        )
        .sort("service", "operation_key", "operation_version", "window_start", nulls_last=False)
        .select(list(polars_schema(WINDOWS)))
    )
