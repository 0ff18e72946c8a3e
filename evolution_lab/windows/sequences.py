"""Sequences of operations: per trace, and per session of an actor.

A client's calls are usually one trace each, so what a client does in a row is seen only across
traces: calls of one session, or of one pseudonymous actor with less than ``session_gap`` between
them.
"""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from evolution_lab.schemas import SAMPLES, SEQUENCES, check, polars_schema
from evolution_lab.windows.spans import SpanTree, span_tree

_ORDER = ["timestamp", "row_id"]


def operation_sequences(
    samples: pl.LazyFrame | pl.DataFrame | SpanTree,
    *,
    session_gap: timedelta = timedelta(minutes=30),
) -> pl.DataFrame:
    """Return the sequences of two or more operations.

    Per trace: all its operations by their start. Per session: the entry operation of each of the
    actor's traces by its start; a gap of ``session_gap`` or more begins a new sequence.

    Args:
        samples: A ``SAMPLES`` frame, or the tree made of one.
        session_gap: Calls further apart are not one session.

    Returns:
        A ``SEQUENCES`` frame ordered by basis, sequence and position.

    Raises:
        FrameContractError: The samples break their contract.
    """
    tree = samples if isinstance(samples, SpanTree) else span_tree(check(samples.lazy(), SAMPLES))
    entry = pl.Series("entry", tree.callers() < 0)
    rows = tree.spans.with_columns(entry).filter(pl.Series(tree.operations))
    traces = rows.drop_nulls("trace_id").with_columns(
        basis=pl.lit("trace"), sequence_id=pl.col("trace_id")
    )
    result = pl.concat([_positions(_sessions(rows, session_gap)), _positions(traces)])
    return check(
        result.sort("basis", "sequence_id", "position").select(list(polars_schema(SEQUENCES))),
        SEQUENCES,
    )


def _sessions(rows: pl.DataFrame, session_gap: timedelta) -> pl.DataFrame:
    """Name the session of each entry call; calls of nobody in particular are left out."""
    who = pl.concat_str(
        [
            pl.coalesce(
                pl.lit("session:") + pl.col("session_id"), pl.lit("actor:") + pl.col("actor_id")
            ),
            pl.col("tenant_id").fill_null(""),
        ],
        separator="|",
    )
    calls = (
        rows.filter(pl.col("entry"))
        .with_columns(who=who)
        .drop_nulls("who")
        .sort("who", *_ORDER)
        .with_columns(
            begins=(pl.col("timestamp").diff() >= session_gap).fill_null(value=True).over("who")
        )
        .with_columns(session=pl.col("begins").cast(pl.Int64).cum_sum().over("who"))
    )
    started = pl.col("timestamp").first().over("who", "session").dt.epoch("us").cast(pl.String)
    return calls.with_columns(
        basis=pl.lit("session"),
        sequence_id=pl.concat_str([pl.col("who"), started], separator="@"),
    ).drop("who", "begins", "session")


def _positions(rows: pl.DataFrame) -> pl.DataFrame:
    return (
        rows.sort("sequence_id", *_ORDER)
        .with_columns(position=pl.int_range(pl.len(), dtype=pl.Int32).over("sequence_id"))
        .filter(pl.len().over("sequence_id") > 1)
        .select(list(polars_schema(SEQUENCES)))
    )
