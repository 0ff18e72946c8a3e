"""Rows of spans, column by column, until they are a frame.

What many spans share (their operation and how they ended; their service) is kept once and pointed to.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

from evolution_lab.schemas import TIME
from evolution_lab.telemetry.reading import RAW_SCHEMA
from evolution_lab.telemetry.validation import trimmed

COLUMNS: Final = tuple(RAW_SCHEMA)
SERVED_BY: Final = ("service", "operation_version", "environment")
"""What a resource says of all its spans."""
ENDED: Final = (
    "operation_key", "kind", "success", "status_code", "error_code", "error_message", "channel",
    "variant_id", "name_source",
)  # fmt: skip
"""What spans of one operation that ended alike have in common."""
OWN: Final = tuple(name for name in COLUMNS if name not in {*SERVED_BY, *ENDED})
"""What each span has of its own."""
_FREE_TEXT: Final = frozenset({"tenant_id", "actor_id", "session_id"})
_AT: Final = {name: COLUMNS.index(name) for name in COLUMNS}


@dataclass(eq=False)
class SpanColumns:
    """Collects rows.

    Attributes:
        own: A list for each column of ``OWN``.
        service: Of each row, which of ``services`` it points to.
        ending: Of each row, which of ``endings`` it points to.
        services: Values of ``SERVED_BY``.
        endings: Values of ``ENDED``.
    """

    own: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in OWN})
    service: list[int] = field(default_factory=list)
    ending: list[int] = field(default_factory=list)
    services: list[tuple[Any, ...]] = field(default_factory=list)
    endings: list[tuple[Any, ...]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.ending)

    def add_row(self, row: tuple[Any, ...]) -> None:
        """Add a row that has all of ``COLUMNS``, the time in microseconds."""
        self.service.append(len(self.services))
        self.services.append(tuple(row[_AT[name]] for name in SERVED_BY))
        self.ending.append(len(self.endings))
        self.endings.append(tuple(row[_AT[name]] for name in ENDED))
        for name, values in self.own.items():
            values.append(row[_AT[name]])

    def frame(self) -> pl.DataFrame:
        """Return the rows, with the columns of ``RAW_SCHEMA``; tidy."""
        shared = [
            *_gathered(SERVED_BY, self.services, self.service),
            *_gathered(ENDED, self.endings, self.ending),
        ]
        columns = {series.name: series for series in shared}
        for name, values in self.own.items():
            dtype = pl.Int64() if name == "timestamp" else RAW_SCHEMA[name]
            column = pl.Series(name, values, dtype=dtype)
            columns[name] = trimmed(column) if name in _FREE_TEXT else column
        at = pl.col("timestamp").cast(pl.Datetime("us")).dt.replace_time_zone("UTC").cast(TIME)
        return pl.DataFrame([columns[name] for name in COLUMNS]).with_columns(at)


def _gathered(
    names: tuple[str, ...], rows: list[tuple[Any, ...]], places: list[int]
) -> list[pl.Series]:
    pointers = pl.Series(places, dtype=pl.UInt32)
    columns = zip(*rows, strict=True) if rows else ([] for _ in names)
    return [
        _tidy(name, list(values)).gather(pointers).alias(name)
        for name, values in zip(names, columns, strict=True)
    ]


def _tidy(name: str, values: list[Any]) -> pl.Series:
    column = pl.Series(name, values, dtype=RAW_SCHEMA[name])
    return trimmed(column) if column.dtype == pl.String else column
