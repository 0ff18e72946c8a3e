"""Sequences of operations: per trace, and per session of an actor.

A client's calls are usually one trace each, so what a client does in a row is seen only across
traces: calls of one session, or of one pseudonymous actor with less than ``session_gap`` between
them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import polars as pl

from evolution_lab.schemas import SEQUENCES, check, polars_schema
from evolution_lab.windows.spans import SpanTree, span_tree_of

_WHO: Final = ("session_id", "actor_id", "tenant_id")


def operation_sequences(
    samples: pl.LazyFrame | pl.DataFrame | SpanTree,
    *,
    session_gap: timedelta = timedelta(minutes=30),
    exclude: Sequence[str] = (),
) -> pl.DataFrame:
    """Return the sequences of two or more operations.

    Per trace: all its operations by their start, nested ones included. Per session: the entry
    operations (nobody in the data calls them) of one ``session_id``, or of one ``actor_id`` where
    there is no session, within one tenant and by their start; a gap of ``session_gap`` or more
    begins a new sequence. Equal starts are ordered by ``row_id``.

    Args:
        samples: A ``SAMPLES`` frame, or the tree made of one.
        session_gap: Calls this far apart, or further, are not one session.
        exclude: Globs of operation keys to pass over; a tree has passed over its own already.

    Returns:
        A ``SEQUENCES`` frame ordered by basis, sequence and position. A trace's ``sequence_id`` is
        the trace id, a session's the ``row_id`` of its first call.

    Raises:
        FrameContractError: The samples break their contract.
    """
    tree = span_tree_of(samples, exclude)
    entry = pl.Series("entry", tree.callers() < 0)
    rows = tree.spans.with_columns(entry).filter(pl.Series(tree.operations))
    traces = rows.drop_nulls("trace_id").with_columns(
        basis=pl.lit("trace"), sequence_id=pl.col("trace_id")
    )
    result = pl.concat([_positions(_sessions(rows, session_gap)), _positions(traces)])
    return check(result, SEQUENCES)


def _sessions(rows: pl.DataFrame, session_gap: timedelta) -> pl.DataFrame:
    """Name the session of each entry call; calls of nobody in particular are left out."""
    first_of_somebody = pl.any_horizontal(pl.col(_WHO).ne_missing(pl.col(_WHO).shift(1)))
    long_after = (pl.col("timestamp").diff() >= session_gap).fill_null(value=True)
    return (
        rows.filter(
            pl.col("entry")
            & (pl.col("session_id").is_not_null() | pl.col("actor_id").is_not_null())
        )
        .with_columns(
            actor_id=pl.when(pl.col("session_id").is_null()).then(pl.col("actor_id")),
        )
        .sort(*_WHO, "timestamp", "row_id")
        .with_columns(session=(first_of_somebody | long_after).cum_sum())
        .with_columns(basis=pl.lit("session"), sequence_id=pl.col("row_id").first().over("session"))
    )


def _positions(rows: pl.DataFrame) -> pl.DataFrame:
    return (
        rows.sort("sequence_id", "timestamp", "row_id")
        .with_columns(position=pl.int_range(pl.len(), dtype=pl.Int32).over("sequence_id"))
        .filter(pl.len().over("sequence_id") > 1)
        .select(list(polars_schema(SEQUENCES)))
    )
