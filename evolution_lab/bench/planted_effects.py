"""M4: delay and power on planted effects, beside an oracle that knows what to look for.

The oracle is the log-likelihood-ratio CUSUM (Page 1954) of the very effect that was planted, with all
parameters known; no procedure of its false alarm rate is faster (Moustakides 1986). Its threshold is
``ln(ARL)``, which keeps its mean time between false alarms at the budget's (Lorden 1971).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from evolution_lab.bench.targets import BenchReport, Target
from evolution_lab.config import EvolutionConfig
from evolution_lab.datasets import NULL_START, null_samples, plant
from evolution_lab.intents import IntentDetector
from evolution_lab.windows import aggregate

WINDOW: Final = timedelta(minutes=15)
HISTORY: Final = 200
AFTER: Final = 20
ERROR_RATE: Final = 0.01
LOG_SD: Final = 0.8
"""Standard deviation of the logarithm of null latencies."""
VARIANCE_OVER_MEAN: Final = 3.0
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Effect:
    """One effect: exactly one of the three is not at its default."""

    latency_factor: float = 1.0
    error_points: float = 0.0
    calls_factor: float = 1.0

    @property
    def kind(self) -> str:
        """The kind of signal that should be raised."""
        if self.error_points:
            return "error-spike"
        return "latency-regression" if self.latency_factor != 1 else "throughput-drop"

    def __str__(self) -> str:
        if self.error_points:
            return f"errors +{100 * self.error_points:g} points"
        if self.latency_factor != 1:
            return f"latency x{self.latency_factor:g}"
        return f"calls x{self.calls_factor:g}"


EFFECTS: Final = (
    Effect(latency_factor=1.2),
    Effect(latency_factor=1.5),
    Effect(latency_factor=2.0),
    Effect(error_points=0.01),
    Effect(error_points=0.05),
    Effect(calls_factor=0.5),
    Effect(calls_factor=0.2),
    Effect(calls_factor=0.0),
)
LASTING: Final = (1, 4, 16)
CALLS: Final = (20, 200)


def planted_effects(
    *, quick: bool, progress: Callable[[int, int], None] | None = None
) -> BenchReport:
    """Plant effects into quiet traffic and count who finds them, and when.

    Args:
        quick: 20 operations an effect rather than 60, lasting 4 and 16 windows.
        progress: Called with (effects done, effects in all).
    """
    tell = progress or (lambda _done, _total: None)
    operations = 20 if quick else 60
    plan = [
        (calls, effect, lasting)
        for calls in CALLS
        for effect in EFFECTS
        for lasting in (LASTING[1:] if quick else LASTING)
    ]
    rows = []
    for number, (calls, effect, lasting) in enumerate(plan):
        rows.append(_measure(calls, effect, lasting, operations))
        tell(number + 1, len(plan))
    seen = [row for row in rows if row["oracle power"] >= 0.5 and row["power"] > 0]
    ratios = [row["delay"] / row["oracle delay"] for row in seen]
    lost = [row["oracle power"] - row["power"] for row in rows]
    thin = next(
        row
        for row in rows
        if row["calls"] == CALLS[0] and row["effect"] == str(EFFECTS[4]) and row["lasting"] == 4
    )
    return BenchReport(
        targets=(
            Target(
                id="M4-delay", value=float(np.median(ratios)) if ratios else None, target=1.5,
                bound="at most",
                what="Median over effects of our median delay over the oracle's.",
            ),
            Target(
                id="M4-power", value=float(np.mean(lost)), target=0.05, bound="at most",
                what="Mean over effects of the oracle's power less ours.",
            ),
            Target(
                id="M4-thin", value=thin["power"], target=0.5, bound="at least",
                what="Share of +5 points at 20 calls a window (1 % before) found within 4 windows; "
                f"the oracle finds {thin['oracle power']:.2f}.",
            ),
        ),
        tables={"Planted effects beside the oracle (M4)": tuple(rows)},
    )  # fmt: skip


def _measure(calls: int, effect: Effect, lasting: int, operations: int) -> dict[str, Any]:
    windows = HISTORY + lasting + AFTER
    quiet = null_samples(
        calls=calls, windows=windows, operations=operations, shape="overdispersed",
        error_rate=ERROR_RATE, seed=4_000 + lasting,
    )  # fmt: skip
    start = NULL_START + WINDOW * HISTORY
    planted = plant(
        quiet,
        start=start,
        end=start + WINDOW * lasting,
        latency_factor=effect.latency_factor,
        error_points=effect.error_points,
        calls_factor=effect.calls_factor,
        seed=lasting,
    )
    frame = aggregate(
        planted, window=WINDOW, latency_bins=True, as_of=NULL_START + WINDOW * windows
    ).with_columns(service=pl.col("operation_key"))  # Nothing connects them.
    found: dict[str, float] = {}
    for signal in IntentDetector().detect(frame).signals:
        delay = (signal.detected_at - start) / WINDOW
        if signal.kind == effect.kind and 0 < delay <= lasting:
            found.setdefault(signal.operation.key, delay)
    oracle = _oracle(planted, effect, calls=calls, windows=windows, lasting=lasting)
    return {
        "calls": calls,
        "effect": str(effect),
        "lasting": lasting,
        "power": len(found) / operations,
        "oracle power": len(oracle) / operations,
        "delay": float(np.median(list(found.values()))) if found else math.nan,
        "oracle delay": float(np.median(oracle)) if oracle else math.nan,
    }


def _oracle(
    samples: pl.DataFrame, effect: Effect, *, calls: int, windows: int, lasting: int
) -> list[float]:
    """Return the delays of the operations that the CUSUM of the effect finds while it lasts."""
    budget = EvolutionConfig().false_alarms_per_operation_week
    threshold = math.log(timedelta(weeks=1) / WINDOW / budget)
    table = (
        samples.with_columns(
            t=(pl.col("timestamp") - NULL_START).dt.total_microseconds()
            // (WINDOW // timedelta(microseconds=1)),
            log=pl.col("duration_ns").cast(pl.Float64).log(),
        )
        .group_by("op_id", "t")
        .agg(n=pl.len(), x=(~pl.col("success")).sum(), log=pl.col("log").sum())
    )
    before = table.filter(pl.col("t") < HISTORY)
    mean_log = float(before["log"].sum()) / float(before["n"].sum())
    delays = []
    for part in table.partition_by("op_id"):
        n, x, log = (np.zeros(windows) for _ in range(3))
        at = part["t"].to_numpy()
        n[at], x[at], log[at] = part["n"], part["x"], part["log"]
        ratios = _ratios(effect, calls, n, x, log, mean_log)
        level = 0.0
        for t in range(windows):
            level = max(0.0, level + ratios[t])
            if level >= threshold:
                if HISTORY <= t < HISTORY + lasting:
                    delays.append(float(t - HISTORY + 1))
                level = 0.0
                if t >= HISTORY:
                    break
    return delays


def _ratios(
    effect: Effect, calls: float, n: Floats, x: Floats, log: Floats, mean_log: float
) -> Floats:
    """Return the log-likelihood ratio of each window, effect against none."""
    if effect.error_points:
        p, q = ERROR_RATE, ERROR_RATE + effect.error_points
        return x * math.log(q / p) + (n - x) * math.log((1 - q) / (1 - p))
    if effect.latency_factor != 1:
        shift = math.log(effect.latency_factor)
        ratio: Floats = ((log - n * mean_log) * shift - n * shift**2 / 2) / LOG_SD**2
        return ratio
    size = calls / (VARIANCE_OVER_MEAN - 1)
    thinned = max(effect.calls_factor, 1e-6) * calls
    per_call = math.log(thinned * (size + calls) / (calls * (size + thinned)))
    drop: Floats = n * per_call - size * math.log((size + thinned) / (size + calls))
    return drop
