"""What an assignment costs, and whether buckets are what they should be, on simulated ids."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Final

import numpy as np
import polars as pl
from scipy.stats import chi2

from evolution_lab.bench.targets import Target, share_interval
from evolution_lab.experiments import Binding, SpecExperiment, SpecExperimentRunner
from evolution_lab.experiments.hashing_many import places

EXPERIMENT: Final = SpecExperiment(
    key="bench",
    operation="checkout",
    control=Binding(operation="checkout", version="1"),
    variant=Binding(operation="checkout", version="2"),
)
_CELLS: Final = 100
_REPEATS: Final = 5


def bench_assignment(*, quick: bool = False) -> tuple[Target, ...]:
    """Measure assignment: speed (of CPU time), uniformity, monotone stages, independence.

    Args:
        quick: 200,000 ids and 100 salts instead of 1,000,000 and 1,000.
    """
    ids = pl.Series("unit", [f"user-{number}" for number in range(200_000 if quick else 1_000_000)])
    salts = 100 if quick else 1_000
    return (*_speed(ids), *_buckets(ids, salts))


def _speed(ids: pl.Series) -> tuple[Target, Target]:
    runner = SpecExperimentRunner(EXPERIMENT, 1)
    many = [_cpu_seconds(lambda: runner.assign_many(ids)) for _ in range(_REPEATS)]
    sample = ids.head(100_000).to_list()

    def singly() -> None:
        for unit in sample:
            runner.assign(unit)

    single = [_cpu_seconds(singly) / len(sample) * 1e6 for _ in range(_REPEATS)]
    rates = [len(ids) / seconds for seconds in many]
    return (
        Target(
            id="assignment-vectorised",
            value=float(np.median(rates)),
            interval=(min(rates), max(rates)),
            target=1e6,
            bound="at least",
            what=f"Assignments a CPU second over a column (median and range of {_REPEATS} runs).",
        ),
        Target(
            id="assignment-single",
            value=float(np.median(single)),
            interval=(min(single), max(single)),
            target=3.0,
            bound="at most",
            what=f"CPU microseconds of one assignment (median and range of {_REPEATS} runs).",
        ),
    )


def _buckets(ids: pl.Series, salts: int) -> tuple[Target, ...]:
    fits, grown, correlation = 0, 0, 0.0
    before: np.ndarray[tuple[int], np.dtype[np.bool_]] | None = None
    for salt in range(salts):
        where = places(ids, "growthbook", f"salt-{salt}")
        counts = np.bincount((where * _CELLS).astype(np.int64), minlength=_CELLS)
        expected = len(ids) / _CELLS
        statistic = float((((counts - expected) ** 2) / expected).sum())
        fits += bool(chi2.sf(statistic, _CELLS - 1) > 0.01)
        stages = [where < stage.share for stage in EXPERIMENT.stages]
        grown += sum(int((small & ~large).sum()) for small, large in itertools.pairwise(stages))
        if before is not None:
            correlation = max(correlation, abs(float(np.corrcoef(before, stages[2])[0, 1])))
        before = stages[2]
    return (
        Target(
            id="assignment-uniform",
            value=fits / salts,
            interval=share_interval(fits, salts),
            target=0.99 - 3 * (0.99 * 0.01 / salts) ** 0.5,
            bound="at least",
            what=f"Share of {salts} salts whose chi-square over {_CELLS} cells has p > .01; 99 % by "
            "chance, and the target is three standard errors below that.",
        ),
        Target(
            id="assignment-monotone",
            value=float(grown),
            target=0.0,
            bound="at most",
            what="Units that lost the variant when a stage grew, over all salts.",
        ),
        Target(
            id="assignment-independent",
            value=correlation,
            target=max(0.003, 4.5 / len(ids) ** 0.5),
            bound="at most",
            what="Largest correlation of the arms of two experiments at 50 % over all salts; the target "
            "is 0.003, or 4.5 standard errors of a correlation of this many ids where that is more.",
        ),
    )


def _cpu_seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started
