"""Cells of a table to times, durations, numbers and truth values; null means unreadable or empty.

Works on whole columns of text (CSV) or of typed values (Parquet, frames). Empty text and text of
spaces alone count as no value.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from evolution_lab.errors import MappingError, TimeZoneRequiredError
from evolution_lab.telemetry.mapping import TIME_UNITS, Condition, RoleColumn

TRUE_WORDS: Final = ("true", "t", "yes", "y", "1", "1.0")
FALSE_WORDS: Final = ("false", "f", "no", "n", "0", "0.0")

_MOST_NS: Final = 2**63 - 1
_MOST_US: Final = _MOST_NS // 1000
_ZONE: Final = r"\d{1,2}:\d{2}[^zZ+-]*(?:[zZ]| ?UTC|[+-]\d{2}(?::?\d{2})?)$"
_ISO: Final = "%Y-%m-%dT%H:%M:%S%.f"


def text(column: pl.Series) -> pl.Series:
    """Return the cells as text without surrounding spaces; no value where that leaves nothing."""
    dtype = column.dtype
    if isinstance(dtype, (pl.List, pl.Array, pl.Struct)):
        named = column.alias("value").to_frame()
        written = named.select(pl.struct("value").struct.json_encode()).to_series()
    elif dtype == pl.Binary:
        written = column.bin.encode("hex")
    elif dtype == pl.Object:
        written = column.map_elements(str, return_dtype=pl.String)
    else:
        written = column.cast(pl.String)
    trimmed = written.str.strip_chars().alias("text")
    return trimmed.set(trimmed == "", None).alias(column.name)


def number(column: pl.Series) -> pl.Series:
    """Return the cells as Float64; NaN and infinities count as unreadable."""
    dtype = column.dtype
    source = column if dtype.is_numeric() else text(column)
    value = source.cast(pl.Float64, strict=False)
    return value.set(~value.is_finite(), None)


def integer(column: pl.Series) -> pl.Series:
    """Return the cells as Int64: ``200`` and ``200.0``, but not ``200.5``."""
    value = number(column)
    exact = (column if column.dtype.is_integer() else text(column)).cast(pl.Int64, strict=False)
    whole = value.set((value != value.round()) | (value.abs() >= 2.0**53), None)
    return exact.zip_with(exact.is_not_null(), whole.cast(pl.Int64, strict=False))


def truth(column: pl.Series, condition: Condition | None) -> pl.Series:
    """Return whether each cell is true, or fulfils a condition."""
    if condition is None:
        if column.dtype == pl.Boolean:
            return column
        words = text(column).str.to_lowercase()
        known = words.is_in([*TRUE_WORDS, *FALSE_WORDS])
        return words.is_in(TRUE_WORDS).set(~known | words.is_null(), None)
    if condition.number is not None:
        value, bound = number(column), condition.number
        compared = {
            "<": value < bound,
            "<=": value <= bound,
            ">": value > bound,
            ">=": value >= bound,
        }
        return compared[condition.operator]
    words = text(column)
    if condition.operator == "!=":
        return words != condition.values[0]
    return words.is_in(condition.values)


def durations(column: pl.Series, target: RoleColumn) -> pl.Series:
    """Return durations in integer nanoseconds, rounded half to even.

    Raises:
        MappingError: The cells are plain numbers and the mapping names no unit.
    """
    if isinstance(column.dtype, pl.Duration):
        return column.dt.total_nanoseconds()
    if target.unit is None:
        raise MappingError(
            f"duration column {target.column!r} holds {_sample(column)}, which could be any unit: "
            f"write duration={target.column}:ms (or s, us, ns)."
        )
    return _scaled(column, TIME_UNITS[target.unit])


def times(column: pl.Series, target: RoleColumn, zone: str | None, role: str) -> pl.Series:
    """Return times in integer nanoseconds since 1970, UTC; null outside the years 1678 to 2261.

    Args:
        column: Numbers with a unit, ISO 8601 text, dates or datetimes.
        target: The mapping's column and unit.
        zone: Zone of times that carry none. A time that a change to winter time makes ambiguous
            is the earlier one; one that does not exist is unreadable.
        role: For messages: ``timestamp`` or ``end``.

    Raises:
        MappingError: The cells are plain numbers and the mapping names no unit.
        TimeZoneRequiredError: A time carries no zone and ``zone`` is None.
    """
    dtype = column.dtype
    if isinstance(dtype, pl.Datetime) or dtype == pl.Date:
        return _typed_times(column, zone)
    if target.unit is not None:
        return _scaled(column, TIME_UNITS[target.unit])
    if dtype.is_numeric():
        raise _unit_needed(column, target, role)
    return _iso_times(column, target, zone, role)


def _scaled(column: pl.Series, factor: int) -> pl.Series:
    """Multiply by a unit: exactly for integers, rounded to nanoseconds for fractions."""
    source = column if column.dtype.is_numeric() else text(column)
    exact = source.cast(pl.Int64, strict=False) if not source.dtype.is_float() else None
    value = number(source)
    scaled = value * factor
    fine = scaled.set(scaled.abs() >= 2.0**53, None).round().cast(pl.Int64, strict=False)
    # Beyond 2**53 a float has no single nanoseconds: take the nearest microsecond.
    coarse = (value * (factor / 1000)).set(scaled.abs() >= 2.0**63, None).round()
    scaled = fine.zip_with(fine.is_not_null(), coarse.cast(pl.Int64, strict=False) * 1000)
    if exact is None:
        return scaled
    exact = exact.set(exact.abs() > _MOST_NS // factor, None) * factor
    return exact.zip_with(exact.is_not_null(), scaled)


def _typed_times(column: pl.Series, zone: str | None) -> pl.Series:
    dtype = column.dtype
    if isinstance(dtype, pl.Datetime) and dtype.time_unit == "ns" and dtype.time_zone:
        return column.dt.timestamp("ns")
    named = column.cast(pl.Datetime("us", getattr(dtype, "time_zone", None)))
    extra = pl.Series([0], dtype=pl.Int64)
    if isinstance(dtype, pl.Datetime) and dtype.time_unit == "ns":
        extra = column.dt.timestamp("ns") % 1000
    if not getattr(dtype, "time_zone", None):
        if zone is None and column.null_count() < len(column):
            raise _zone_needed(column)
        named = _placed(named, zone)
    return _nanoseconds(named.dt.timestamp("us")) + extra


def _iso_times(column: pl.Series, target: RoleColumn, zone: str | None, role: str) -> pl.Series:
    words = text(column)
    if words.drop_nulls().head(1).str.contains(r"^-?\d{9,}(\.\d+)?$").any():
        raise _unit_needed(column, target, role)
    zoned = words.str.contains(_ZONE)
    naive = words.filter(~zoned & words.str.contains(r"^\d{4}-\d{2}-\d{2}"))
    if zone is None and len(naive):
        raise _zone_needed(naive)
    plain = (
        words.str.replace(r"^(\d{4}-\d{2}-\d{2})$", "${1}T00:00:00")
        .str.replace(r"^(.{10}) ", "${1}T")
        .str.replace(r"^(.{16})([^:0-9].*)?$", "${1}:00${2}")
        .str.replace(",", ".", literal=True)
        .str.replace(r" ?(?:[zZ]|UTC)$", "+00:00")
    )
    with_zone = plain.set(~zoned, None).str.to_datetime(
        f"{_ISO}%#z", time_unit="us", time_zone="UTC", strict=False
    )
    without = plain.set(zoned, None).str.to_datetime(_ISO, time_unit="us", strict=False)
    placed = with_zone if zone is None else with_zone.zip_with(zoned, _placed(without, zone))
    # Polars keeps microseconds here; an end minus a start shall keep its nanoseconds.
    beyond = plain.str.extract(r"\.\d{6}(\d{1,3})").str.pad_end(3, "0").cast(pl.Int64, strict=False)
    return _nanoseconds(placed.dt.timestamp("us")) + beyond.fill_null(0)


def _placed(local: pl.Series, zone: str | None) -> pl.Series:
    return local.dt.replace_time_zone(
        zone or "UTC", ambiguous="earliest", non_existent="null"
    ).dt.convert_time_zone("UTC")


def _nanoseconds(microseconds: pl.Series) -> pl.Series:
    return microseconds.set(microseconds.abs() > _MOST_US - 1, None) * 1000


def _unit_needed(column: pl.Series, target: RoleColumn, role: str) -> MappingError:
    digits = len(_sample(column).partition(".")[0].lstrip("-"))
    unit = "s" if digits <= 11 else "ms" if digits <= 14 else "us" if digits <= 17 else "ns"
    return MappingError(
        f"{role} column {target.column!r} holds {_sample(column)}, which could be any unit: "
        f"write {role}={target.column}:{unit} if it is {unit} (s, ms, us, ns)."
    )


def _zone_needed(column: pl.Series) -> TimeZoneRequiredError:
    return TimeZoneRequiredError(
        f"column {column.name!r} holds times without a zone, such as {_sample(column)}; "
        "say it: --tz UTC, or --tz Europe/Berlin."
    )


def _sample(column: pl.Series) -> str:
    present = column.drop_nulls()
    return str(present[0]) if len(present) else "no values"
