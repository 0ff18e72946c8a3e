"""What the columns of an unknown table are probably for: by their names, and by what stands in them.

A guess is never landed by itself: it is shown, and a person says yes.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from typing import Final

import polars as pl

from evolution_lab.errors import MappingError
from evolution_lab.telemetry import cells
from evolution_lab.telemetry.mapping import TIME_UNITS, ColumnMapping, listed, named_roles

ROWS_LOOKED_AT: Final = 1000
_UNKNOWN: Final = "COLUMN"
_WORD: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_UNIT_WORDS: Final = {
    "ns": ("ns", "nano", "nanos", "nanoseconds"),
    "us": ("us", "micro", "micros", "microseconds"),
    "ms": ("ms", "milli", "millis", "milliseconds"),
    "s": ("s", "sec", "secs", "seconds"),
}
_OPERATIONS: Final = ("operation", "route", "endpoint", "spanname", "name", "path", "url", "uri")
_OPTIONAL: Final = {
    "trace_id": ("traceid",),
    "parent": ("parentspanid", "parentid"),
    "span_id": ("spanid",),
    "service": ("servicename",),
    "status": ("statuscode", "httpstatus"),
}
_RAW_PATHS: Final = frozenset({"path", "url", "uri", "requestpath", "requesturi", "rawpath"})
_METHODS: Final = ("method", "httpmethod", "requestmethod", "verb")
_YEARS: Final = (631_152_000, 4_102_444_800)
"""1990 to 2100 in seconds: times of telemetry lie between them, in one unit only."""
_AGREES: Final = 0.9
"""Share of rows on which a duration must be its end less its start for its unit to be known."""


def proposal(columns: Sequence[str], rows: pl.DataFrame | None = None) -> tuple[str, ...]:
    """Return ``ROLE=COLUMN[:UNIT]`` for each role that a column seems made for.

    The unit of a time follows from its size (a time of this century fits in one unit only), that of
    a duration from its name, or from start and end beside it; else milliseconds are supposed.

    Args:
        columns: Names of the table's columns.
        rows: The first rows, where they could be read.

    Examples:
        >>> rows = pl.DataFrame({"Begin": [1.7e12, 1.7e12], "End": [1.7e12 + 2, 1.7e12 + 9],
        ...                      "Took": [2000.0, 9000.0], "Url": ["/a", "/b"]})
        >>> proposal(["BeginTime", "EndTime", "Took", "Url"], rows.rename({"Begin": "BeginTime", "End": "EndTime"}))
        ('timestamp=BeginTime:ms', 'duration=Took:us', 'path=Url')
    """
    taken: set[str] = set()

    def first_of(*hints: str) -> str | None:
        free = [column for column in columns if column not in taken]
        found = next((c for hint in hints for c in free if hint in _plain(c)), None)
        if found is not None:
            taken.add(found)
        return found

    start = first_of("timestamp", "starttime", "start", "begin", "time", "date", "ts")
    start_unit = _unit_of_times(start, rows)
    parts = [f"timestamp={start or _UNKNOWN}{start_unit}"]
    ends = [c for c in columns if c not in taken and "endtime" in _plain(c)]
    ends = [c for c in ends if _unit_of_times(c, rows)]
    took = first_of("duration", "latency", "elapsed", "took", "responsetime", "time")
    measured = _measured_unit(start, ends[0] if ends else None, took, rows)
    if ends and not measured and not _unit_said(took):
        # Its unit is known, that of the duration is anybody's guess.
        taken.discard(took or "")
        taken.add(ends[0])
        parts.append(f"end={ends[0]}{_unit_of_times(ends[0], rows)}")
    elif _is_a(pl.Duration, took, rows):
        parts.append(f"duration={took}")
    else:
        parts.append(f"duration={took or _UNKNOWN}{measured or _unit_said(took) or ':ms'}")
    operation = first_of(*_OPERATIONS)
    raw = operation is not None and _plain(operation) in _RAW_PATHS
    parts.append(f"{'path' if raw else 'operation'}={operation or _UNKNOWN}")
    if raw and (method := next((c for c in columns if _plain(c) in _METHODS), None)) is not None:
        parts.append(f"method={method}")
    for role, hints in _OPTIONAL.items():
        column = first_of(*hints)
        if column is not None:
            parts.append(f"{role}={column}")
    return tuple(parts)


def example_line(columns: Sequence[str], rows: pl.DataFrame | None = None) -> str:
    """Return a ``--map`` line to start from, with the columns that look right.

    Examples:
        >>> example_line(["Id", "OperationName", "StartTime", "DurationMs"])
        '--map timestamp=StartTime --map duration=DurationMs:ms --map operation=OperationName'
        >>> example_line(["TraceID", "Name", "StartTimeUnixNano", "EndTimeUnixNano", "Duration"])
        '--map timestamp=StartTimeUnixNano:ns --map end=EndTimeUnixNano:ns --map operation=Name --map trace_id=TraceID'
    """
    return map_options(proposal(columns, rows))


def map_options(items: Sequence[str]) -> str:
    """Return items as the options of a command line, quoted for a shell."""
    return " ".join(f"--map {shlex.quote(item)}" for item in items)


def needs_mapping(
    columns: Sequence[str], first_rows: Callable[[], pl.DataFrame] | None = None
) -> MappingError:
    """Return the error for a table whose columns do not say their roles.

    Its ``proposal`` is a whole mapping where one could be guessed.

    Args:
        columns: Names of the table's columns.
        first_rows: Reads the first rows; what it raises is not the matter here.
    """
    rows = None if first_rows is None else first_rows().head(ROWS_LOOKED_AT)
    items = proposal(columns, rows)
    missing = ColumnMapping(named_roles(columns)).missing_roles()
    error = MappingError(
        f"no column says that it is the {' or the '.join(missing)}; "
        f"columns: {listed(columns)}. Name them, for example: {map_options(items)}"
    )
    if not any(item.partition("=")[2].startswith(_UNKNOWN) for item in items):
        error.proposal = items
    return error


def _unit_said(column: str | None) -> str:
    """Return the unit that the last word of a column's name says, with its colon; or nothing."""
    words = _WORD.findall(column or "")
    last = words[-1].lower() if words else ""
    return next((f":{unit}" for unit, names in _UNIT_WORDS.items() if last in names), "")


def _unit_of_times(column: str | None, rows: pl.DataFrame | None) -> str:
    """Return the unit in which a column's numbers are times of these decades; or what its name says."""
    if column is None or rows is None or column not in rows.columns:
        return _unit_said(column)
    values = rows.get_column(column)
    if values.dtype.is_temporal():
        return ""
    middle = cells.number(values).median()
    if not isinstance(middle, float):
        return "" if values.null_count() < len(values) else _unit_said(column)
    first, last = _YEARS
    fitting = [u for u, size in TIME_UNITS.items() if first <= middle * size / 10**9 < last]
    return f":{fitting[0]}" if len(fitting) == 1 else _unit_said(column)


def _measured_unit(
    start: str | None, end: str | None, took: str | None, rows: pl.DataFrame | None
) -> str:
    """Return the unit in which a duration is its end less its start, where both are known."""
    if rows is None or start is None or end is None or took is None:
        return ""
    units = [_unit_of_times(name, rows)[1:] for name in (start, end)]
    if not all(units) or not {start, end, took} <= set(rows.columns):
        return ""
    begun, ended = (
        cells.number(rows.get_column(name)) * float(TIME_UNITS[unit])
        for name, unit in zip((start, end), units, strict=True)
    )
    gap, said = ended - begun, cells.number(rows.get_column(took))
    coarse = float(max(TIME_UNITS[unit] for unit in units))
    for unit, size in TIME_UNITS.items():
        near = (said * float(size) - gap).abs() <= 0.01 * gap + coarse
        distinct = (said * float(size) >= 2 * coarse) & (gap > 0)
        known = (near & distinct).drop_nulls()
        if len(known) and known.sum() >= _AGREES * max(int(distinct.drop_nulls().sum()), 1):
            return f":{unit}" if known.sum() else ""
    return ""


def _is_a(dtype: type[pl.DataType], column: str | None, rows: pl.DataFrame | None) -> bool:
    return rows is not None and column in rows.columns and isinstance(rows.schema[column], dtype)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
