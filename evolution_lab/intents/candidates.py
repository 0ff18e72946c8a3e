"""Candidates: every stretch of suspicious evidence, also what was never said."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import polars as pl

CANDIDATE_LEVEL: Final = 0.01
"""Evidence at most this probable makes a candidate."""
GAP: Final = 2
"""Windows without such evidence that end a stretch."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One stretch of evidence on one metric of one operation, by its strongest window.

    Attributes:
        op_id: The operation.
        metric: One of ``schemas.METRICS``.
        first: Position of the stretch's first window.
        last: Position of its last window.
        p_value: Of the strongest window.
        n_obs: Calls behind it.
    """

    op_id: int
    metric: str
    first: int
    last: int
    p_value: float
    n_obs: int


def candidates(evidence: pl.DataFrame) -> tuple[Candidate, ...]:
    """Return the stretches of suspicious evidence, sorted by operation, metric and time.

    Args:
        evidence: An ``EVIDENCE`` frame.
    """
    starts = evidence["window_start"].unique().sort()
    place = {start: t for t, start in enumerate(starts)}
    rows = (
        evidence.filter(pl.col("p_value") <= CANDIDATE_LEVEL)
        .select("op_id", "metric", "window_start", "p_value", "n_obs")
        .sort("op_id", "metric", "window_start")
    )
    found: list[Candidate] = []
    for op_id, metric, start, p_value, n_obs in rows.iter_rows():
        t = place[start]
        before = found[-1] if found else None
        new = Candidate(op_id=op_id, metric=metric, first=t, last=t, p_value=p_value, n_obs=n_obs)
        if (
            before is not None
            and (before.op_id, before.metric) == (op_id, metric)
            and t - before.last <= GAP
        ):
            strongest = new if p_value < before.p_value else before
            found[-1] = replace(strongest, first=before.first, last=t)
        else:
            found.append(new)
    return tuple(found)
