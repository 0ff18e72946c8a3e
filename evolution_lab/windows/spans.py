"""The tree of spans as arrays: whose child a span is, how deep, and which operation is above it.

Spans are numbered once; walking up the tree is then integer indexing, however deep it goes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from evolution_lab.windows.operations import ANSWERING

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

NOBODY: Final = -1
_DEEPEST: Final = 1_000
"""Parents can be forged into a circle; nobody calls this deep."""


@dataclass(frozen=True, eq=False)
class SpanTree:
    """Spans in a fixed order and their parents.

    Attributes:
        spans: ``op_id``, ``trace_id``, ``timestamp``, ``duration_ns``, ``success``, ``tenant_id``,
            ``actor_id``, ``session_id``, ``row_id``, one row a span.
        parents: Row of each span's parent, ``NOBODY`` where it is not in the data.
        operations: Whether a span is an operation of the API.
    """

    spans: pl.DataFrame
    parents: Ints
    operations: Mask

    def depths(self) -> Ints:
        """Return how many spans are above each span."""
        depth = np.zeros(len(self.parents), dtype=np.int64)
        current = self.parents.copy()
        for _ in range(_DEEPEST):
            above = current >= 0
            if not above.any():
                break
            depth += above
            current[above] = self.parents[current[above]]
        return depth

    def callers(self) -> Ints:
        """Return the nearest span above each span that is an operation, ``NOBODY`` without."""
        current = self.parents.copy()
        for _ in range(_DEEPEST):
            passing = (current >= 0) & ~self.operations[current]
            if not passing.any():
                break
            current[passing] = self.parents[current[passing]]
        current[(current >= 0) & ~self.operations[current]] = NOBODY
        return current


def span_tree(samples: pl.LazyFrame | pl.DataFrame, *, all_spans: bool = False) -> SpanTree:
    """Number the spans of a ``SAMPLES`` frame and find their parents.

    Servers, consumers and roots are operations; where no row has a kind, every span is one.
    """
    spans = (
        samples.lazy()
        .select(
            "op_id",
            "kind",
            "trace_id",
            "span_id",
            "parent_span_id",
            "timestamp",
            "duration_ns",
            "success",
            "tenant_id",
            "actor_id",
            "session_id",
            "row_id",
        )
        .sort("timestamp", "row_id")
        .with_row_index("row")
        .collect()
    )
    known = (
        spans.lazy()
        .select(
            "trace_id", pl.col("span_id").alias("parent_span_id"), pl.col("row").alias("parent")
        )
        .drop_nulls()
        .unique(["trace_id", "parent_span_id"], keep="first", maintain_order=True)
    )
    parents = (
        spans.lazy()
        .select("row", "trace_id", "parent_span_id")
        .join(known, on=["trace_id", "parent_span_id"], how="left", maintain_order="left")
        .select(pl.col("parent").cast(pl.Int64).fill_null(NOBODY))
        .collect()
        .to_series()
        .to_numpy()
        .copy()
    )
    parents[parents == np.arange(len(parents))] = NOBODY
    kind = spans["kind"]
    if all_spans or kind.null_count() == len(kind):
        operations = np.ones(len(spans), dtype=bool)
    else:
        answering = (kind.is_null() | kind.is_in(ANSWERING)).to_numpy()
        operations = answering | (parents == NOBODY)
    return SpanTree(spans.drop("row", "kind", "span_id", "parent_span_id"), parents, operations)
