"""M1: how often detection cries wolf where nothing changes, by traffic, rhythm and noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from evolution_lab.bench.targets import BenchReport, Target, rate_interval
from evolution_lab.config import EvolutionConfig
from evolution_lab.datasets import CallShape, LatencyShape, null_samples
from evolution_lab.intents import IntentDetector
from evolution_lab.records import DetectionResult
from evolution_lab.windows import aggregate

WARM_UP: Final = 96
WEEK: Final = 672
WINDOW: Final = timedelta(minutes=15)
BATCH: Final = 10
"""Operations of one null lab; each lab has a budget of its own."""


@dataclass(frozen=True)
class Cell:
    """One kind of null traffic.

    Attributes:
        calls: Calls a window.
        shape: How calls vary from window to window.
        latency: How durations are distributed.
        error_rate: Probability that a call fails.
        weeks: Operation-weeks of the full run.
    """

    calls: float
    shape: CallShape
    latency: LatencyShape
    error_rate: float
    weeks: int


CELLS: Final = (
    Cell(3, "flat", "lognormal", 0.01, 100),
    Cell(3, "overdispersed", "gamma", 0.05, 100),
    Cell(3, "seasonal", "bimodal", 0.001, 100),
    Cell(3, "ar1", "lognormal", 0.05, 100),
    Cell(20, "flat", "lognormal", 0.001, 100),
    Cell(20, "seasonal", "gamma", 0.01, 100),
    Cell(20, "overdispersed", "lognormal", 0.05, 100),
    Cell(20, "ar1", "bimodal", 0.05, 100),
    Cell(200, "flat", "bimodal", 0.05, 30),
    Cell(200, "seasonal", "lognormal", 0.01, 30),
    Cell(200, "overdispersed", "lognormal", 0.001, 30),
    Cell(200, "ar1", "gamma", 0.01, 30),
    Cell(2_000, "seasonal", "lognormal", 0.01, 10),
)
QUICK_SHARE: Final = {3: 0.3, 20: 0.2, 200: 1 / 3, 2_000: 0.0}


def null_table(*, quick: bool, progress: Callable[[int, int], None] | None = None) -> BenchReport:
    """Count signals on null traffic at the package's defaults.

    Args:
        quick: A tenth of the operation-weeks, and no cell of 2,000 calls.
        progress: Called with (cells done, cells in all).
    """
    tell = progress or (lambda _done, _total: None)
    rows, alarms, weeks = [], 0, 0
    for number, cell in enumerate(CELLS):
        asked = round(cell.weeks * QUICK_SHARE[int(cell.calls)]) if quick else cell.weeks
        labs = round(asked / BATCH)
        found = sum(len(_null_lab(cell, seed).signals) for seed in range(labs))
        if labs:
            alarms, weeks = alarms + found, weeks + labs * BATCH
            low, high = rate_interval(found, labs * BATCH)
            rows.append(
                {
                    "calls a window": cell.calls,
                    "shape": cell.shape,
                    "latency": cell.latency,
                    "error rate": cell.error_rate,
                    "operation-weeks": labs * BATCH,
                    "alarms": found,
                    "per operation-week": found / (labs * BATCH),
                    "low": low,
                    "high": high,
                }
            )
        tell(number + 1, len(CELLS))
    budget = EvolutionConfig().false_alarms_per_operation_week
    worst = max(float(str(row["per operation-week"])) for row in rows)
    what = f"Signals of all detectors on {weeks} null operation-weeks in {len(rows)} cells"
    mean = alarms / weeks
    return BenchReport(
        targets=(
            Target(
                id="M1-mean", value=mean, interval=rate_interval(alarms, weeks), target=budget,
                bound="at most", what=f"{what}, per operation-week.",
            ),
            Target(
                id="M1-worst-cell", value=worst, target=0.2, bound="at most",
                what="The worst of these cells.",
            ),
            Target(
                id="M1-empirical-over-nominal", value=mean / budget, target=1.2, bound="at most",
                what="The mean as a share of the budget.",
            ),
        ),
        tables={"False alarms on null traffic (M1)": tuple(rows)},
    )  # fmt: skip


def null_lab(*, quick: bool, progress: Callable[[int, int], None] | None = None) -> BenchReport:
    """Count incidents of one large lab in which nothing changes.

    Args:
        quick: 150 operations rather than 1,000.
        progress: Called with (labs done, labs in all).
    """
    operations = 150 if quick else 1_000
    samples = null_samples(
        calls=5, windows=WARM_UP + WEEK, operations=operations, shape="overdispersed", seed=77
    )
    windows = aggregate(samples, window=WINDOW, latency_bins=True)
    found = len(IntentDetector().detect(windows).incidents)
    if progress is not None:
        progress(1, 1)
    return BenchReport(
        targets=(
            Target(
                id="M1-lab", value=float(found), interval=rate_interval(found, 1.0), target=1.2,
                bound="at most",
                what=f"Incidents of a week in a lab of {operations} null operations, 5 calls a window.",
            ),
        )
    )  # fmt: skip


def _null_lab(cell: Cell, seed: int) -> DetectionResult:
    samples = null_samples(
        calls=cell.calls,
        windows=WARM_UP + WEEK,
        operations=BATCH,
        shape=cell.shape,
        error_rate=cell.error_rate,
        latency=cell.latency,
        seed=10_000 + seed,
    )
    return IntentDetector().detect(aggregate(samples, window=WINDOW, latency_bins=True))
