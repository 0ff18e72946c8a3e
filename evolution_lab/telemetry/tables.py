"""Rows of a table, whose columns play the roles of a mapping, to raw rows.

What cannot be represented (a time that is no time, a status that is no number) rejects its row and
no other. What can be represented but not be true (a negative duration) is judged at landing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, cast

import polars as pl

from evolution_lab.errors import MappingError
from evolution_lab.schemas import CHANNELS, SPAN_KINDS
from evolution_lab.telemetry import cells
from evolution_lab.telemetry.guessing import needs_mapping
from evolution_lab.telemetry.mapping import ColumnMapping, RoleColumn
from evolution_lab.telemetry.naming import template_path
from evolution_lab.telemetry.reading import RAW_SCHEMA, Chunk, ReadOptions, Reject
from evolution_lab.telemetry.validation import plain_ids

_TEXT_ROLES: Final[Mapping[str, str]] = {
    "service": "service",
    "version": "operation_version",
    "environment": "environment",
    "error_message": "error_message",
    "tenant": "tenant_id",
    "actor": "actor_id",
    "session": "session_id",
    "trace_id": "trace_id",
    "span_id": "span_id",
    "parent": "parent_span_id",
    "variant": "variant_id",
}
_KIND_NUMBERS: Final = {str(n): kind for n, kind in zip((2, 3, 5, 4, 1), SPAN_KINDS, strict=True)}
_EXCERPT_CELLS: Final = 40


def table_mapping(
    columns: list[str],
    options: ReadOptions,
    first_rows: Callable[[], pl.DataFrame] | None = None,
) -> ColumnMapping:
    """Return the mapping in force for a table: given, confirmed before, or said by its names.

    Of the mappings confirmed before, the one with most columns is taken; the last of several.

    Args:
        columns: Names of the table's columns.
        options: What the caller said.
        first_rows: Reads the first rows, which a guess is made from where names do not say enough.

    Raises:
        MappingError: A mapped column is missing, or no mapping was given and the names do not say
            enough; the message holds a ``--map`` line to start from.
    """
    given = options.mapping
    if isinstance(given, ColumnMapping):
        given.check_columns(columns)
        return given
    if given is not None:
        raise MappingError(f"mapping == {given!r}, must be a ColumnMapping.")
    fitting = [kept for kept in options.kept if kept.fits(columns)]
    if fitting:
        return cast("ColumnMapping", max(reversed(fitting), key=lambda kept: len(kept.roles)))
    guessed = ColumnMapping.guess(columns)
    if guessed is None:
        raise needs_mapping(columns, first_rows)
    return guessed


def read_rows(
    table: pl.DataFrame, lines: pl.Series, mapping: ColumnMapping, options: ReadOptions
) -> Chunk:
    """Turn rows of a table into raw rows.

    Args:
        table: The table's own columns, text or typed.
        lines: Line (CSV) or row number (Parquet, frames) of each row, Int64, counted from 1.
        mapping: Which column plays which role; all its columns must be there.
        options: Zone and service where the table names none.

    Raises:
        MappingError: A time or duration column holds plain numbers and the mapping names no unit.
        TimeZoneRequiredError: A time carries no zone and the options name none.
    """
    columns = _Columns(table, mapping, options)
    values = columns.read()
    rows = pl.DataFrame({**values, "line": lines}).select(
        pl.col(name).cast(dtype) if name in values or name == "line" else _absent(name, dtype)
        for name, dtype in RAW_SCHEMA.items()
    )
    refused = pl.coalesce(pl.Series(reasons) for reasons in columns.problems())
    problem = rows.select(refused.alias("problem")).to_series()
    rejects = _rejects(table, lines, problem)
    rows = rows.filter(problem.is_null())
    zone = mapping.tz or options.tz
    return Chunk(
        rows=_with_line_hash(plain_ids(rows), table.filter(problem.is_null())),
        rejects=rejects,
        reading=mapping.to_settings() | ({"tz": zone} if zone else {}),
        tidy=True,
    )


@dataclass
class _Columns:
    """Reads one role after the other and collects what went wrong in each row."""

    table: pl.DataFrame
    mapping: ColumnMapping
    options: ReadOptions
    found: list[pl.Series] = field(default_factory=list)

    def read(self) -> dict[str, pl.Series]:
        texts = {
            name: cells.text(self._of(role))
            for role, name in _TEXT_ROLES.items()
            if role in self.mapping.roles
        }
        if self.options.service is not None:
            texts["service"] = texts.get("service", self._nulls()).fill_null(self.options.service)
        return {
            **texts,
            **self._names(),
            **self._times(),
            **self._outcome(),
            **self._vocabulary(),
            **self._numbers(),
        }

    def problems(self) -> list[pl.Series]:
        return [*self.found, self._nulls()]

    def _names(self) -> dict[str, pl.Series]:
        if "operation" in self.mapping.roles:
            key, source = cells.text(self._of("operation")), "mapped"
        else:
            key, source = _each(cells.text(self._of("path")), template_path), "derived"
        if "method" in self.mapping.roles:
            method = cells.text(self._of("method")).str.to_uppercase()
            both = method + pl.Series([" "]) + key
            key = both.zip_with(both.is_not_null(), key)
        return {
            "operation_key": key,
            "name_source": pl.Series([source]).new_from_index(0, len(key)),
        }

    def _times(self) -> dict[str, pl.Series]:
        zone = self.mapping.tz or self.options.tz
        start = cells.times(
            self._of("timestamp"), self.mapping.roles["timestamp"], zone, "timestamp"
        )
        self._refuse("timestamp", start.is_null(), "cannot be read as a time")
        if "duration" in self.mapping.roles:
            duration = cells.durations(self._of("duration"), self.mapping.roles["duration"])
            self._refuse("duration", duration.is_null(), "is not a number")
        else:
            end = cells.times(self._of("end"), self.mapping.roles["end"], zone, "end")
            self._refuse("end", end.is_null(), "cannot be read as a time")
            duration = end - start
        timestamp = (start // 1000).cast(pl.Datetime("us", "UTC"))
        return {"timestamp": timestamp, "duration_ns": duration}

    def _outcome(self) -> dict[str, pl.Series]:
        roles, status = self.mapping.roles, None
        if "status" in roles:
            status = cells.integer(self._of("status"))
            status = status.set((status < 0) | (status > 2**31 - 1), None)
            self._refuse("status", status.is_null(), "is not a whole number", optional=True)
        success = self._success()
        error, failed = self._error()
        if success is None and failed is not None:
            success = ~failed
        http = None if status is None else status.set((status < 100) | (status > 599), None)
        if success is None and http is not None:
            success = http < 500
        if error is None and http is not None:
            error = http.cast(pl.String).set((http < 400).fill_null(value=True), None)
        found = {"success": success, "status_code": status, "error_code": error}
        return {name: values for name, values in found.items() if values is not None}

    def _success(self) -> pl.Series | None:
        target = self.mapping.roles.get("success")
        if target is None:
            return None
        success = cells.truth(self._of("success"), target.condition)
        self._refuse("success", success.is_null(), _truth_rule(target), optional=True)
        return success

    def _error(self) -> tuple[pl.Series | None, pl.Series | None]:
        target = self.mapping.roles.get("error")
        if target is None:
            return None, None
        code = cells.text(self._of("error"))
        if target.condition is None:
            return code, code.is_not_null()
        failed = cells.truth(self._of("error"), target.condition)
        self._refuse("error", failed.is_null(), _truth_rule(target), optional=True)
        return code.set(~failed.fill_null(value=False), None), failed

    def _vocabulary(self) -> dict[str, pl.Series]:
        found = {}
        if "kind" in self.mapping.roles:
            words = cells.text(self._of("kind")).str.to_lowercase().str.strip_prefix("span_kind_")
            words = words.replace(_KIND_NUMBERS).replace(["unspecified", "0"], None)
            self._refuse("kind", ~words.is_in(SPAN_KINDS), f"is none of {', '.join(SPAN_KINDS)}")
            found["kind"] = words
        if "channel" in self.mapping.roles:
            words = cells.text(self._of("channel")).str.to_lowercase()
            self._refuse("channel", ~words.is_in(CHANNELS), f"is none of {', '.join(CHANNELS)}")
            found["channel"] = words
        return found

    def _numbers(self) -> dict[str, pl.Series]:
        weight = pl.Series([1.0]).new_from_index(0, self.table.height)
        if "weight" in self.mapping.roles:
            given = cells.number(self._of("weight"))
            weak = (given < 1.0) | given.is_null()
            self._refuse("weight", weak, "is not a number of at least 1", optional=True)
            weight = given.fill_null(1.0)
        found = {"weight": weight}
        if "payload" in self.mapping.roles:
            size = cells.integer(self._of("payload"))
            self._refuse("payload", size.is_null(), "is not a whole number", optional=True)
            found["payload_bytes"] = size
        return found

    def _refuse(self, role: str, bad: pl.Series, rule: str, *, optional: bool = False) -> None:
        """Note the rows where a role has a bad value; a missing one is bad unless optional."""
        bad = bad.fill_null(value=False)
        if not bad.any():
            return
        present = cells.text(self._of(role)).is_not_null()
        column = self.mapping.roles[role].column
        reason = pl.Series([f"The {role} (column {column!r}) {rule}."])
        missing = pl.Series([f"The {role} (column {column!r}) is missing."])
        nulls = self._nulls()
        self.found.append(reason.new_from_index(0, len(bad)).zip_with(bad & present, nulls))
        if not optional:
            self.found.append(missing.new_from_index(0, len(bad)).zip_with(bad & ~present, nulls))

    def _of(self, role: str) -> pl.Series:
        return self.table.get_column(self.mapping.roles[role].column)

    def _nulls(self) -> pl.Series:
        return pl.Series("none", [None], dtype=pl.String).new_from_index(0, self.table.height)


def _truth_rule(target: RoleColumn) -> str:
    if target.condition is not None:
        return f"is not a number that could be compared with {target.condition}"
    return "is neither true nor false; say which value means it: success=COLUMN:OK"


def _absent(name: str, dtype: pl.DataType) -> pl.Expr:
    return pl.lit(None, dtype=dtype).alias(name)


def _each(column: pl.Series, change: Callable[[str], str]) -> pl.Series:
    """Apply a function once to each distinct value."""
    values = column.drop_nulls().unique()
    return column.replace_strict(values, [change(v) for v in values], return_dtype=pl.String)


def _rejects(table: pl.DataFrame, lines: pl.Series, problem: pl.Series) -> tuple[Reject, ...]:
    bad = problem.is_not_null()
    if not bad.any():
        return ()
    excerpts = _joined(table.filter(bad).select(table.columns[:_EXCERPT_CELLS]), ",")
    found = zip(lines.filter(bad), problem.filter(bad), excerpts, strict=True)
    return tuple(Reject(line, reason, excerpt) for line, reason, excerpt in found)


def _with_line_hash(rows: pl.DataFrame, table: pl.DataFrame) -> pl.DataFrame:
    """Add a hash of all cells to the rows that lack an id."""
    lacking = rows.select(pl.col("trace_id").is_null() | pl.col("span_id").is_null()).to_series()
    if not lacking.any():
        return rows
    joined = _joined(table.filter(lacking), "\x1f")
    hashes = [hashlib.blake2b(t.encode(), digest_size=16).hexdigest() for t in joined]
    places = lacking.arg_true()
    column = rows.get_column("line_hash").scatter(places, hashes)
    return rows.with_columns(column)


def _joined(table: pl.DataFrame, separator: str) -> pl.Series:
    columns = [cells.text(column).fill_null("") for column in table.iter_columns()]
    return pl.DataFrame(columns).select(pl.concat_str(pl.all(), separator=separator)).to_series()
