"""Which samples are operations of the API, and which are only the calls between them.

All spans are landed with their kind. Servers and consumers answer somebody, and a root span has
nobody above it: these are the operations. Clients, producers and internal spans tell who calls whom.
A table that knows no kinds holds operations only.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence

import polars as pl

from evolution_lab.telemetry.projection.narrow import ANSWERING


def operation_samples(
    samples: pl.LazyFrame | pl.DataFrame,
    *,
    all_spans: bool = False,
    exclude: Sequence[str] = (),
) -> pl.LazyFrame:
    """Return the samples that are operations.

    These are servers, consumers, roots (the parent is null, or not in the data) and rows without a
    kind; so a table without any kinds holds operations only.

    Args:
        samples: A ``SAMPLES`` frame.
        all_spans: Take every span for an operation.
        exclude: Globs of operation keys to leave out. What an excluded operation calls stays what
            it was: leaving a span out makes no root of its children.

    Examples:
        >>> spans = pl.DataFrame(
        ...     {
        ...         "operation_key": ["GET /a", "query", "GET /health"],
        ...         "kind": ["server", "client", "server"],
        ...         "trace_id": ["t", "t", "u"],
        ...         "span_id": ["1", "2", "3"],
        ...         "parent_span_id": [None, "1", None],
        ...     }
        ... )
        >>> operation_samples(spans, exclude=["GET /health*"]).collect()["operation_key"].to_list()
        ['GET /a']
    """
    frame = samples.lazy()
    if not all_spans and _has_calls_between(frame):
        answering = pl.col("kind").is_null() | pl.col("kind").is_in(ANSWERING)
        frame = (
            _with_parent_known(frame)
            .filter(answering | ~pl.col("parent_known"))
            .drop("parent_known")
        )
    return without(frame, exclude)


def orphan_spans(samples: pl.LazyFrame | pl.DataFrame) -> pl.LazyFrame:
    """Return the spans that are operations only because their parent is not in the data.

    Args:
        samples: A ``SAMPLES`` frame.
    """
    frame = samples.lazy()
    inner = pl.col("kind").is_not_null() & ~pl.col("kind").is_in(ANSWERING)
    return (
        _with_parent_known(frame)
        .filter(inner & pl.col("parent_span_id").is_not_null() & ~pl.col("parent_known"))
        .drop("parent_known")
    )


def without(samples: pl.LazyFrame, exclude: Sequence[str]) -> pl.LazyFrame:
    """Leave out operations whose key matches one of the globs, as ``config.is_excluded`` does."""
    if not exclude:
        return samples
    keys = samples.select(pl.col("operation_key").unique()).collect().to_series()
    return samples.filter(~pl.col("operation_key").is_in(excluded_keys(keys, exclude)))


def excluded_keys(keys: pl.Series, exclude: Sequence[str]) -> list[str]:
    """Return the operation keys that match one of the globs, sorted.

    Examples:
        >>> excluded_keys(pl.Series(["GET /a", "GET /health/live"]), ["GET /health*"])
        ['GET /health/live']
    """
    names = keys.drop_nulls().unique().sort()
    return [key for key in names if any(fnmatch.fnmatchcase(key, glob) for glob in exclude)]


def _has_calls_between(samples: pl.LazyFrame) -> bool:
    """Say whether some row is a span that only its place in the trace could make an operation."""
    other = pl.col("kind").is_not_null() & ~pl.col("kind").is_in(ANSWERING)
    return bool(samples.select(other.any()).collect().item())


def _with_parent_known(samples: pl.LazyFrame) -> pl.LazyFrame:
    """Add ``parent_known``: whether the parent is another span of the same trace in the data."""
    spans = (
        samples.select("trace_id", pl.col("span_id").alias("parent_span_id"))
        .drop_nulls()
        .unique()
        .with_columns(parent_known=pl.lit(value=True))
    )
    known = pl.col("parent_known").fill_null(value=False)
    itself = pl.col("parent_span_id").eq_missing(pl.col("span_id"))
    return samples.join(spans, on=["trace_id", "parent_span_id"], how="left").with_columns(
        parent_known=known & ~itself
    )
