"""Who calls whom: edges between operations through the client spans that lie between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl
from scipy.sparse import coo_array

from evolution_lab.schemas import EDGES, check, empty, polars_schema
from evolution_lab.windows.spans import SpanTree, span_tree_of


def call_edges(
    samples: pl.LazyFrame | pl.DataFrame | SpanTree, *, exclude: Sequence[str] = ()
) -> pl.DataFrame:
    """Count calls between different operations.

    The caller is the nearest span above that is an operation; client and internal spans between the
    two are passed over, and a parent that is not in the data marks a root. An operation that calls
    itself makes no edge.

    Args:
        samples: A ``SAMPLES`` frame, or the tree made of one.
        exclude: Globs of operation keys to pass over; a tree has passed over its own already.

    Returns:
        An ``EDGES`` frame ordered by caller and callee.

    Raises:
        FrameContractError: The samples break their contract.
    """
    tree = span_tree_of(samples, exclude)
    callers = tree.callers()
    called = tree.operations & (callers >= 0)
    op_ids = tree.spans["op_id"].to_numpy()
    pairs = pl.DataFrame(
        {"caller_op_id": op_ids[callers[called]], "callee_op_id": op_ids[called]},
        schema={"caller_op_id": pl.Int64(), "callee_op_id": pl.Int64()},
    )
    edges = (
        pairs.filter(pl.col("caller_op_id") != pl.col("callee_op_id"))
        .group_by("caller_op_id", "callee_op_id")
        .agg(calls=pl.len().cast(pl.Int64))
        .sort("caller_op_id", "callee_op_id")
    )
    return check(edges, EDGES)


COMPANIONS_FROM: Final = 0.5
"""Two operations keep company when they share this part of the traces of the rarer one."""


def trace_companions(
    samples: pl.LazyFrame | pl.DataFrame | SpanTree, *, exclude: Sequence[str] = ()
) -> pl.DataFrame:
    """Return which operations occur in the same traces, for traces that do not tell who calls whom.

    Args:
        samples: A ``SAMPLES`` frame, or the tree made of one.
        exclude: Globs of operation keys to leave out.

    Returns:
        An ``EDGES`` frame, one row a pair: ``caller_op_id`` is the smaller id (nothing says who
        calls), ``calls`` the number of traces that hold both.

    Raises:
        FrameContractError: The samples break their contract.
    """
    tree = span_tree_of(samples, exclude)
    present = (
        tree.spans.select("trace_id", "op_id")
        .filter(pl.Series(tree.operations))
        .drop_nulls()
        .unique()
        .sort("op_id", "trace_id")
    )
    traces = present["trace_id"].rank("dense").to_numpy().astype(np.int64) - 1
    op_ids, columns = np.unique(present["op_id"].to_numpy(), return_inverse=True)
    if not len(traces):
        return empty(EDGES)
    ones = np.ones(len(traces), dtype=np.int64)
    held = coo_array((ones, (traces, columns)), shape=(traces.max() + 1, len(op_ids))).tocsr()
    shared = (held.T @ held).tocoo()
    alone = held.sum(axis=0)
    a, b = shared.coords
    together = (a < b) & (shared.data >= COMPANIONS_FROM * np.minimum(alone[a], alone[b]))
    pairs = pl.DataFrame(
        {
            "caller_op_id": op_ids[a[together]],
            "callee_op_id": op_ids[b[together]],
            "calls": shared.data[together],
        },
        schema=polars_schema(EDGES),
    )
    return check(pairs.sort("caller_op_id", "callee_op_id"), EDGES)


def call_depth(
    samples: pl.LazyFrame | pl.DataFrame | SpanTree, *, exclude: Sequence[str] = ()
) -> pl.DataFrame:
    """Return how deep each operation is called: the median number of spans above its spans.

    Args:
        samples: A ``SAMPLES`` frame, or the tree made of one.
        exclude: Globs of operation keys to leave out.

    Returns:
        Columns ``op_id`` (Int64) and ``depth`` (Int32), ordered by ``op_id``; half a span is
        rounded to even.

    Raises:
        FrameContractError: The samples break their contract.
    """
    tree = span_tree_of(samples, exclude)
    return (
        tree.spans.select("op_id")
        .with_columns(depth=pl.Series(tree.depths()))
        .filter(pl.Series(tree.operations))
        .group_by("op_id")
        .agg(pl.col("depth").median().round().cast(pl.Int32))
        .sort("op_id")
    )
