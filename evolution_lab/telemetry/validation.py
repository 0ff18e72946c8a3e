"""What a raw row must be to be believed; rules over whole columns, reasons in sentences."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

import polars as pl

from evolution_lab.schemas import CHANNELS, NAME_SOURCES, SPAN_KINDS
from evolution_lab.telemetry.reading import Reject

EARLIEST: Final = datetime(1990, 1, 1, tzinfo=UTC)
"""Earlier times are clocks that were never set."""

CLOCK_TOLERANCE: Final = timedelta(days=1)
"""How far an event may lie after the landing time: clocks and zones err, but not by more."""

LONGEST: Final = timedelta(days=7)
"""The longest duration that is believed."""

_IDS: Final = ("trace_id", "span_id", "parent_span_id")
_PLAIN_ID: Final = "^[0-9a-f]*[1-9a-f][0-9a-f]*$"
_OPTIONAL_TEXT: Final = (
    *("service", "operation_version", "environment", "error_code", "error_message", "tenant_id"),
    *("actor_id", "session_id", *_IDS, "variant_id", "attributes"),
)
_SHOWN: Final = ("timestamp", "duration_ns", "service", "operation_key", "status_code", "weight")


def normalise(rows: pl.DataFrame) -> pl.DataFrame:
    """Bring equal things to one form: empty text to null, ids to lower hex without dashes.

    An id of zeros alone is no id (W3C Trace Context), and neither is a parent ``0``. Ids that are
    not hexadecimal keep their case, in which they may differ.
    """
    emptied = rows.with_columns(
        _emptied(name) for name in (*_OPTIONAL_TEXT, "operation_key")
    ).with_columns(pl.col("weight").fill_null(1.0), pl.col("name_source").fill_null("mapped"))
    return plain_ids(emptied)


def plain_ids(rows: pl.DataFrame) -> pl.DataFrame:
    """Bring the ids of rows to one form; most are in it already, and that is quickly seen.

    Examples:
        >>> ids = {"trace_id": ["AB-CD"], "span_id": ["00"], "parent_span_id": ["root"]}
        >>> plain_ids(pl.DataFrame(ids)).row(0)
        ('abcd', None, 'root')
    """
    found = rows.select(pl.col(name).str.contains(_PLAIN_ID).all() for name in _IDS).row(0)
    odd = [name for name, plain in zip(_IDS, found, strict=True) if not plain]
    return rows.with_columns(_identifier(name) for name in odd) if odd else rows


def validate(rows: pl.DataFrame, landed_at: datetime) -> tuple[pl.DataFrame, tuple[Reject, ...]]:
    """Part the rows that can be true from those that cannot.

    Args:
        rows: Normalised raw rows.
        landed_at: The landing time, UTC; kept in the batch record.

    Returns:
        The believable rows, and one reject for each other row.
    """
    found = [pl.when(bad).then(pl.lit(reason)) for bad, reason in _rules(landed_at)]
    problem = rows.select(pl.coalesce(found).alias("problem")).to_series()
    bad = problem.is_not_null()
    if not bad.any():
        return rows, ()
    refused = rows.filter(bad).with_columns(problem.filter(bad))
    excerpts = refused.select(pl.struct(_SHOWN).struct.json_encode()).to_series()
    rejects = tuple(
        Reject(line, reason, excerpt)
        for line, reason, excerpt in zip(refused["line"], refused["problem"], excerpts, strict=True)
    )
    return rows.filter(~bad), rejects


def _rules(landed_at: datetime) -> list[tuple[pl.Expr, str]]:
    time, duration = pl.col("timestamp"), pl.col("duration_ns")
    longest = LONGEST // timedelta(microseconds=1) * 1000
    weight = pl.col("weight")
    return [
        (pl.col("operation_key").is_null(), "The operation has no name."),
        (time.is_null(), "The timestamp is missing."),
        (time < EARLIEST, "The timestamp is before 1990."),
        (
            time > landed_at + CLOCK_TOLERANCE,
            "The timestamp is more than a day after the landing time.",
        ),
        (duration.is_null(), "The duration is missing."),
        (duration < 0, "The duration is negative."),
        (duration > longest, f"The duration is longer than {LONGEST.days} days."),
        (~weight.is_finite() | (weight < 1.0), "The weight is not a number of at least 1."),
        (pl.col("payload_bytes") < 0, "The payload's size is negative."),
        (~pl.col("kind").is_in(SPAN_KINDS), f"The kind is none of {', '.join(SPAN_KINDS)}."),
        (~pl.col("channel").is_in(CHANNELS), f"The channel is none of {', '.join(CHANNELS)}."),
        (~pl.col("name_source").is_in(NAME_SOURCES), "The source of the name is not known."),
    ]


def trimmed(column: pl.Series) -> pl.Series:
    """Return text without surrounding spaces; no value where that leaves nothing.

    Examples:
        >>> trimmed(pl.Series(["a ", " ", None])).to_list()
        ['a', None, None]
    """
    stripped = column.str.strip_chars()
    return stripped.set(stripped == "", None)


def _emptied(name: str) -> pl.Expr:
    trimmed = pl.col(name).str.strip_chars()
    return pl.when(trimmed != "").then(trimmed).alias(name)


def _identifier(name: str) -> pl.Expr:
    plain = pl.col(name).str.replace_all("-", "", literal=True)
    hexadecimal = plain.str.contains("^[0-9a-fA-F]+$")
    value = pl.when(hexadecimal).then(plain.str.to_lowercase()).otherwise(pl.col(name))
    return pl.when(~plain.str.contains("^0+$")).then(value).alias(name)
