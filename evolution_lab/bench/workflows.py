"""M10: workflows found where they were planted, and nowhere else."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from evolution_lab.bench.targets import BenchReport, Target, share_interval
from evolution_lab.intents.workflows import find_workflows
from evolution_lab.records import OperationRef, Workflow
from evolution_lab.schemas import EDGES, SEQUENCES, empty, polars_schema

OPERATIONS: Final = 40
SEQUENCE_COUNT: Final = 3_000
LENGTHS: Final = (3, 4, 5, 6)
SUPPORTS: Final = (0.005, 0.01, 0.05)
NOISE: Final = (0.0, 0.2)
_EPOCH: Final = datetime(2025, 3, 3, tzinfo=UTC)
Rows = list[list[int]]


def workflow_discovery(
    *, quick: bool, progress: Callable[[int, int], None] | None = None
) -> BenchReport:
    """Count chains reported of shuffled and of Markov traffic, and planted chains found.

    Args:
        quick: 30 null runs of each kind rather than 100, and two planted runs a cell rather than ten.
        progress: Called with (runs done, runs in all).
    """
    null_runs, planted_runs = (30, 2) if quick else (100, 10)
    tell = progress or (lambda _done, _total: None)
    total = 3 * null_runs + planted_runs * len(LENGTHS) * len(SUPPORTS) * len(NOISE)
    done = 0
    targets = []
    for name, draw, label in (
        ("within", _shuffled_within, None),
        ("global", _shuffled_over_all, None),
        ("markov", _markov, "chain"),
    ):
        wrong = 0
        for seed in range(null_runs):
            rng = np.random.default_rng([seed, len(name)])
            found = _find(draw(rng))
            wrong += any(label is None or workflow.label == label for workflow in found)
            done += 1
            tell(done, total)
        targets.append(
            Target(
                id=f"M10-fwer-{name}", value=wrong / null_runs,
                interval=share_interval(wrong, null_runs), target=0.05, bound="at most",
                what=f"Runs of {null_runs} on {name} nulls with any workflow"
                f"{' labelled chain' if label else ''}.",
            )
        )  # fmt: skip
    cells = []
    for length in LENGTHS:
        for support in SUPPORTS:
            for noise in NOISE:
                hits = reported = right = 0
                for seed in range(planted_runs):
                    rng = np.random.default_rng([seed, length, round(1e4 * support)])
                    rows, chain = _planted(rng, length, support, noise)
                    steps = [[_code(step) for step in w.steps] for w in _find(rows)]
                    hits += chain in steps
                    reported += len(steps)
                    right += sum(found == chain for found in steps)
                    done += 1
                    tell(done, total)
                cells.append(
                    {
                        "length": length,
                        "support": support,
                        "noise": noise,
                        "runs": planted_runs,
                        "found": hits,
                        "reported": reported,
                        "right": right,
                    }
                )
    return BenchReport(
        targets=(*targets, *_recall_and_precision(cells)),
        tables={"Planted workflows (M10)": tuple(cells)},
    )


def _recall_and_precision(cells: Sequence[dict[str, Any]]) -> tuple[Target, Target]:
    enough = [cell for cell in cells if cell["support"] >= 0.01]
    runs, found = sum(c["runs"] for c in enough), sum(c["found"] for c in enough)
    reported, right = sum(c["reported"] for c in enough), sum(c["right"] for c in enough)
    return (
        Target(
            id="M10-recall", value=found / runs, interval=share_interval(found, runs),
            target=0.95, bound="at least",
            what=f"Planted chains of support 1 % and more found exactly ({found} of {runs}).",
        ),
        Target(
            id="M10-precision", value=right / reported if reported else None,
            interval=share_interval(right, reported) if reported else None,
            target=0.95, bound="at least",
            what=f"Reported workflows that are the planted chain ({right} of {reported}).",
        ),
    )  # fmt: skip


def _find(rows: Rows) -> tuple[Workflow, ...]:
    refs = {o.op_id: o for o in (OperationRef(f"op{n:02d}") for n in range(OPERATIONS))}
    ids = [OperationRef(f"op{n:02d}").op_id for n in range(OPERATIONS)]
    lengths = [len(row) for row in rows]
    count = sum(lengths)
    flat = np.concatenate([np.asarray(row, dtype=np.int64) for row in rows])
    position = np.concatenate([np.arange(n) for n in lengths])
    frame = pl.DataFrame(
        {
            "basis": pl.repeat("session", count, eager=True),
            "sequence_id": np.repeat(np.arange(len(rows)), lengths),
            "position": position,
            "op_id": np.asarray(ids)[flat],
            "timestamp": pl.Series(
                np.arange(count) * 1_000_000 + int(_EPOCH.timestamp() * 1e6)
            ).cast(pl.Datetime("us", "UTC")),
            "duration_ns": pl.repeat(1_000_000, count, eager=True),
            "success": pl.repeat(True, count, eager=True),  # noqa: FBT003
            "tenant_id": pl.repeat("acme", count, eager=True),
        }
    ).with_columns(pl.col("sequence_id").cast(pl.String))
    wanted = polars_schema(SEQUENCES)
    frame = frame.select(pl.col(name).cast(kind) for name, kind in wanted.items())
    return find_workflows(frame, edges=empty(EDGES), operations=refs)


def _code(step: OperationRef) -> int:
    return int(step.key.removeprefix("op"))


def _background(rng: np.random.Generator) -> Rows:
    """Draw calls in random order, some operations far more frequent than others."""
    shares = _shares(rng)
    lengths = 2 + rng.poisson(5, SEQUENCE_COUNT)
    return [rng.choice(OPERATIONS, n, p=shares).tolist() for n in lengths]


def _shares(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    weights = rng.gamma(1.0, 1.0, OPERATIONS) + 0.1
    shares: npt.NDArray[np.float64] = weights / weights.sum()
    return shares


def _structured(rng: np.random.Generator) -> Rows:
    """Draw traffic with real order in it: what the shuffles then destroy."""
    rows, _ = _planted(rng, 4, 0.2, 0.0)
    return rows


def _shuffled_within(rng: np.random.Generator) -> Rows:
    return [rng.permutation(row).tolist() for row in _structured(rng)]


def _shuffled_over_all(rng: np.random.Generator) -> Rows:
    rows = _structured(rng)
    flat = rng.permutation(np.concatenate([np.asarray(row) for row in rows]))
    edges = np.cumsum([0, *(len(row) for row in rows)])
    return [flat[a:b].tolist() for a, b in itertools.pairwise(edges)]


def _markov(rng: np.random.Generator) -> Rows:
    """Draw from a Markov chain of order 1 in which a few links are strong."""
    links = np.tile(_shares(rng), (OPERATIONS, 1))
    for _ in range(12):
        a, b = rng.integers(OPERATIONS, size=2)
        links[a] *= 0.4
        links[a, b] += 0.6
    np.fill_diagonal(links, 0.0)
    links /= links.sum(axis=1, keepdims=True)
    cumulative = links.cumsum(axis=1)
    rows = []
    for length in 2 + rng.poisson(5, SEQUENCE_COUNT):
        row = [int(rng.integers(OPERATIONS))]
        for draw in rng.random(length - 1):
            row.append(min(int(np.searchsorted(cumulative[row[-1]], draw)), OPERATIONS - 1))
        rows.append(row)
    return rows


def _planted(
    rng: np.random.Generator, length: int, support: float, noise: float
) -> tuple[Rows, list[int]]:
    """Insert a chain into a share of sequences; with noise, another call may stand inside it."""
    rows = _background(rng)
    chain = rng.choice(OPERATIONS, length, replace=False).tolist()
    # Outside the chain its operations occur at least as often as in it.
    share = support / (1.0 - noise)
    for at in rng.choice(len(rows), round(share * len(rows)), replace=False):
        inserted = list(chain)
        if rng.random() < noise:
            inserted.insert(int(rng.integers(1, length)), int(rng.integers(OPERATIONS)))
        place = int(rng.integers(len(rows[at]) + 1))
        rows[at][place:place] = inserted
    return rows, chain
