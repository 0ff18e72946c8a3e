"""Which column of a table of ready windows says what, and in which unit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import polars as pl

from evolution_lab.errors import MappingError, TimeZoneRequiredError, did_you_mean, nearest

ROLES: Final[Mapping[str, tuple[str, ...]]] = {
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
REQUIRED: Final = ("start", "operation", "calls")
TIMES: Final = ("start", "end")
DURATIONS: Final = ("mean", "p50", "p95", "p99", "max")
RATES: Final = ("error_rate", "availability")
DURATION_UNITS: Final[Mapping[str, float]] = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}
RATE_UNITS: Final[Mapping[str, float]] = {"fraction": 1.0, "percent": 0.01}
TIME_UNITS: Final[Mapping[str, int]] = {"s": 1_000_000, "ms": 1_000, "us": 1, "ns": 0}
"""Microseconds in a unit of an epoch time; nanoseconds are divided instead."""


@dataclass(frozen=True)
class RoleColumn:
    """A column that plays a role.

    Attributes:
        column: Its name in the table.
        unit: Unit of its numbers, None where nobody said it.
    """

    column: str
    unit: str | None = None


Roles = Mapping[str, RoleColumn]


def column_roles(mapping: Iterable[str] | Mapping[str, str], columns: list[str]) -> Roles:
    """Return the column of each role: by its name, or by what the mapping says.

    Raises:
        MappingError: A role, column or unit is unknown, or a required role has no column.

    Examples:
        >>> column_roles(["p99=slow:ms"], ["start", "operation", "calls", "slow"])["p99"]
        RoleColumn(column='slow', unit='ms')
    """
    items = (
        [f"{role}={column}" for role, column in mapping.items()]
        if isinstance(mapping, Mapping)
        else list(mapping)
    )
    roles = {
        role: RoleColumn(next(name for name in names if name in columns))
        for role, names in ROLES.items()
        if any(name in columns for name in names)
    }
    roles.update(_mapped(item, columns) for item in items)
    for role in REQUIRED:
        if role not in roles:
            raise MappingError(
                f"no column is mapped to {role!r}; the columns are {', '.join(columns)}. "
                f"Say which: --map {role}=COLUMN"
            )
    return roles


def _mapped(item: str, columns: list[str]) -> tuple[str, RoleColumn]:
    role, separator, text = item.partition("=")
    if not separator or role not in ROLES:
        raise MappingError(
            f"{item!r} is no ROLE=COLUMN[:UNIT] of windows; roles are {', '.join(ROLES)}."
            f"{did_you_mean(role, ROLES)}"
        )
    # A column may itself be called "a:b": what is a column as a whole carries no unit.
    column, colon, unit = (text, "", "") if text in columns else text.rpartition(":")
    if not colon:
        column = text
    if column not in columns:
        raise MappingError(f"there is no column {column!r}.{did_you_mean(column, columns)}")
    if colon and unit not in _units(role):
        known = ", ".join(_units(role)) or "none: this role has no unit"
        raise MappingError(
            f"{item!r}: unit {unit!r} is unknown; units of {role!r} are {known}."
            + (f" Did you mean {match!r}?" if (match := nearest(unit, _units(role))) else "")
        )
    return role, RoleColumn(column, unit or None)


def _units(role: str) -> Iterable[str]:
    if role in TIMES:
        return TIME_UNITS
    if role in DURATIONS:
        return DURATION_UNITS
    return RATE_UNITS if role in RATES else ()


def time_expression(table: pl.DataFrame, source: RoleColumn) -> pl.Expr:
    """Return the column's times as UTC microseconds.

    Raises:
        MappingError: The column holds numbers and nobody said their unit.
        TimeZoneRequiredError: The times carry no zone.
    """
    name, unit = source.column, source.unit
    dtype = table.schema[name]
    column = pl.col(name)
    if dtype.is_numeric():
        if unit is None:
            raise MappingError(
                f"column {name!r} holds numbers; say their unit: {name}:s, :ms, :us or :ns."
            )
        scale = TIME_UNITS[unit]
        number = (
            column.cast(pl.Int64) if dtype.is_integer() else column.cast(pl.Float64).fill_nan(None)
        )
        micros = number * scale if scale else number // 1_000
        return micros.cast(pl.Int64).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    if dtype == pl.String:
        if not table[name].drop_nulls().str.contains(r"(?:Z|[+-]\d\d:?\d\d)$").all():
            raise TimeZoneRequiredError(
                f"column {name!r} holds times without a zone; write them in UTC with a Z."
            )
        return column.str.to_datetime(time_unit="us", time_zone="UTC")
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
        return column.dt.convert_time_zone("UTC").dt.cast_time_unit("us")
    raise TimeZoneRequiredError(f"column {name!r} is {dtype}, must be a time with a zone.")
