"""Which samples are operations of the API, and which are only the calls between them.

All spans are landed with their kind. Servers and consumers answer somebody, and a root span has
nobody above it: these are the operations. Clients, producers and internal spans tell who calls whom.
A table that knows no kinds holds operations only.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

ANSWERING = ("server", "consumer")


def is_root() -> pl.Expr:
    """Return whether a span has no parent in the data; needs the column ``parent_known``."""
    return pl.col("parent_span_id").is_null() | ~pl.col("parent_known")


def with_parent_known(samples: pl.LazyFrame) -> pl.LazyFrame:
    """Add ``parent_known``: whether the parent span of a row is in the data, in the same trace."""
    spans = (
        samples.select("trace_id", pl.col("span_id").alias("parent_span_id"))
        .drop_nulls()
        .unique()
        .with_columns(parent_known=pl.lit(value=True))
    )
    return samples.join(spans, on=["trace_id", "parent_span_id"], how="left").with_columns(
        pl.col("parent_known").fill_null(value=False)
    )


def operation_samples(
    samples: pl.LazyFrame | pl.DataFrame,
    *,
    all_spans: bool = False,
    exclude: Sequence[str] = (),
) -> pl.LazyFrame:
    """Return the samples that are operations.

    Args:
        samples: A ``SAMPLES`` frame.
        all_spans: Take every span for an operation.
        exclude: Globs of operation keys to leave out.
    """
    frame = without(samples.lazy(), exclude)
    if all_spans:
        return frame
    kinds = frame.select(
        known=pl.col("kind").is_not_null().any(),
        others=(pl.col("kind").is_not_null() & ~pl.col("kind").is_in(ANSWERING)).any(),
    ).collect()
    if not kinds["known"].item() or not kinds["others"].item():
        return frame
    answering = pl.col("kind").is_null() | pl.col("kind").is_in(ANSWERING)
    return with_parent_known(frame).filter(answering | is_root()).drop("parent_known")


def without(samples: pl.LazyFrame, exclude: Sequence[str]) -> pl.LazyFrame:
    """Leave out operations whose key matches one of the globs (``*`` and ``?``)."""
    for glob in exclude:
        samples = samples.filter(~pl.col("operation_key").str.contains(glob_pattern(glob)))
    return samples


def glob_pattern(glob: str) -> str:
    r"""Return a glob as a regular expression that matches the whole text.

    Examples:
        >>> glob_pattern("GET /health*")
        '^(?s:GET\\ /health.*)$'
    """
    special = set(r"\.+()[]{}^$|#&-~ ")
    parts = []
    for character in glob:
        if character == "*":
            parts.append(".*")
        elif character == "?":
            parts.append(".")
        else:
            parts.append(f"\\{character}" if character in special else character)
    return f"^(?s:{''.join(parts)})$"
