"""The tree of spans as arrays: whose child a span is, how deep, and which operation is above it.

Spans are numbered once. Walking up the tree is then pointer doubling: each round looks twice as far
up, so that the deepest possible tree takes ``log2(spans)`` rounds, and so does a forged circle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from evolution_lab.telemetry.projection.narrow import ANSWERING
from evolution_lab.windows.operations import excluded_keys
from evolution_lab.windows.sample_frames import checked_samples

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

NOBODY: Final = -1
"""The row of a parent or caller that is not there."""
_COLUMNS: Final = (
    "op_id",
    "operation_key",
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


@dataclass(frozen=True, eq=False)
class SpanTree:
    """Spans in a fixed order and their parents.

    Attributes:
        spans: ``op_id``, ``trace_id``, ``timestamp``, ``duration_ns``, ``success``, ``tenant_id``,
            ``actor_id``, ``session_id``, ``row_id``, one row a span, by ``timestamp`` and
            ``row_id``.
        parents: Row of each span's parent, ``NOBODY`` where it is not in the data.
        operations: Whether a span is an operation of the API that is looked at.
    """

    spans: pl.DataFrame
    parents: Ints
    operations: Mask

    def depths(self) -> Ints:
        """Return how many spans are above each span; 0 in a forged circle of parents."""
        depth = (self.parents >= 0).astype(np.int64)
        above = self.parents.copy()
        for _ in range(self._rounds()):
            climbing = np.flatnonzero(above >= 0)
            if not climbing.size:
                return depth
            depth[climbing] += depth[above[climbing]]
            above[climbing] = above[above[climbing]]
        depth[above >= 0] = 0
        return depth

    def callers(self) -> Ints:
        """Return the nearest span above each span that is an operation, ``NOBODY`` without."""
        here = np.arange(len(self.parents))
        # An operation answers for itself; everything else refers to whoever is above it.
        answer = np.where(self.operations, here, self.parents)
        for _ in range(self._rounds()):
            passing = np.flatnonzero((answer >= 0) & ~self.operations[answer])
            if not passing.size:
                break
            answer[passing] = answer[answer[passing]]
        answer[(answer >= 0) & ~self.operations[answer]] = NOBODY
        called = self.parents >= 0
        callers = np.full(len(here), NOBODY, dtype=np.int64)
        callers[called] = answer[self.parents[called]]
        return callers

    def _rounds(self) -> int:
        return len(self.parents).bit_length() + 1


def span_tree(
    samples: pl.LazyFrame | pl.DataFrame,
    *,
    all_spans: bool = False,
    exclude: Sequence[str] = (),
) -> SpanTree:
    """Number the spans of a ``SAMPLES`` frame and find their parents.

    Servers, consumers, roots and spans without a kind are operations, as in ``operation_samples``.
    A parent is looked for in the same trace; of two spans of one id the earlier one counts.

    Args:
        samples: A ``SAMPLES`` frame.
        all_spans: Take every span for an operation.
        exclude: Globs of operation keys that are no operations here; they are passed over.
    """
    spans = (
        samples.lazy().select(_COLUMNS).sort("timestamp", "row_id").with_row_index("row").collect()
    )
    parents = _parents(spans)
    answering = spans["kind"].is_null() | spans["kind"].is_in(ANSWERING)
    operations = all_spans | answering.to_numpy() | (parents == NOBODY)
    if exclude:
        left_out = excluded_keys(spans["operation_key"], exclude)
        operations &= ~spans["operation_key"].is_in(left_out).to_numpy()
    kept = spans.drop("row", "operation_key", "kind", "span_id", "parent_span_id")
    return SpanTree(kept, parents, operations)


def span_tree_of(
    samples: pl.LazyFrame | pl.DataFrame | SpanTree, exclude: Sequence[str] = ()
) -> SpanTree:
    """Return the tree of a ``SAMPLES`` frame, checked, or the tree that was handed in.

    Raises:
        FrameContractError: The samples break their contract.
    """
    if isinstance(samples, SpanTree):
        return samples
    return span_tree(checked_samples(samples), exclude=exclude)


def _parents(spans: pl.DataFrame) -> Ints:
    known = (
        spans.lazy()
        .select("trace_id", pl.col("span_id").alias("parent_span_id"), parent="row")
        .drop_nulls()
        .unique(["trace_id", "parent_span_id"], keep="first", maintain_order=True)
    )
    parents: Ints = (
        spans.lazy()
        .select("trace_id", "parent_span_id")
        .join(known, on=["trace_id", "parent_span_id"], how="left", maintain_order="left")
        .select(pl.col("parent").cast(pl.Int64).fill_null(NOBODY))
        .collect()
        .to_series()
        .to_numpy()
        .copy()
    )
    parents[parents == np.arange(len(parents))] = NOBODY
    return parents
