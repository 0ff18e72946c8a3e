"""Verdicts of thin traffic: what could not have been seen, and why.

Silence about an operation means two things that must not be mixed up: nothing changed, or nothing
could be told. For every operation and metric the smallest effect that one window could have shown at
the level in force is computed; where that is more than half of all calls (or no drop at all), the
verdict is ``insufficient-evidence``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl

from evolution_lab.intents.baseline import MINIMUM
from evolution_lab.intents.tails import beta_binomial_upper, negative_binomial_lower
from evolution_lab.intents.view import DetectionView
from evolution_lab.records import InsufficientEvidence

LARGEST_USEFUL_EFFECT: Final = 0.5
_SHARE_METRICS: Final = {
    "error-rate": "error-rate",
    "latency-median": "latency",
}


def insufficient_evidence(
    view: DetectionView, evidence: pl.DataFrame, *, level: float
) -> dict[str, tuple[InsufficientEvidence, ...]]:
    """Say for which operations a change of useful size could not have been seen.

    Args:
        view: The windows.
        evidence: What the detectors returned; its dispersions and baselines are used.
        level: The p-value one operation alone needs in one window.

    Returns:
        By metric (``error-rate``, ``latency``, ``throughput``), sorted by operation.
    """
    judged = (
        evidence.group_by("op_id", "metric")
        .agg(
            windows=pl.len(),
            dispersion=pl.col("dispersion").median(),
            baseline=pl.col("baseline").median(),
        )
        .sort("op_id", "metric")
    )
    known = {(r["op_id"], r["metric"]): r for r in judged.iter_rows(named=True)}
    found: dict[str, list[InsufficientEvidence]] = {
        "error-rate": [],
        "latency": [],
        "throughput": [],
    }
    for i, operation in enumerate(view.operations):
        calls = np.nan_to_num(view.calls[view.live[:, i], i])
        typical = float(np.median(calls)) if len(calls) else 0.0
        for metric, shown in (*_SHARE_METRICS.items(), ("throughput", "throughput")):
            row = known.get((operation.op_id, metric))
            if row is None:
                reason = _unjudged(view, metric, i, calls)
                smallest = None
            else:
                smallest = (
                    _smallest_drop(typical, row["dispersion"], level)
                    if metric == "throughput"
                    else _smallest_share(
                        typical,
                        row["baseline"] if metric == "error-rate" else 0.5,
                        row["dispersion"],
                        level,
                    )
                )
                useful = 1.0 if metric == "throughput" else LARGEST_USEFUL_EFFECT
                if smallest is not None and smallest <= useful:
                    continue
                reason = _thin(typical, smallest)
            found[shown].append(
                InsufficientEvidence(
                    operation=operation,
                    metric=shown,
                    windows=int(view.live[:, i].sum()) if row is None else int(row["windows"]),
                    calls_per_window=typical,
                    minimum_detectable_effect=smallest,
                    reason=reason,
                )
            )
    return {metric: tuple(items) for metric, items in found.items()}


def _unjudged(view: DetectionView, metric: str, i: int, calls: Sequence[float] | np.ndarray) -> str:
    if metric == "error-rate" and not np.nansum(view.outcomes[:, i]):
        return "not recorded: no call says whether it succeeded."
    if metric == "latency-median" and not view.has_bins and not view.values:
        return "not recorded: the windows carry no latency."
    windows = int((np.asarray(calls) > 0).sum())
    if windows < MINIMUM:
        return f"{windows} windows with calls so far; a baseline needs {MINIMUM}."
    return "no window could be judged."


def _thin(typical: float, smallest: float | None) -> str:
    if smallest is None:
        return (
            f"with {typical:.3g} calls a window no change could be told from chance in one window."
        )
    return (
        f"with {typical:.3g} calls a window only a change of {smallest * 100:.0f} points or more "
        "could be told from chance in one window."
    )


def _smallest_share(
    calls: float, baseline: float | None, dispersion: float, level: float
) -> float | None:
    """Return the smallest rise of a share that one window of ``calls`` shows at ``level``."""
    n = int(calls)
    if n < 1 or baseline is None:
        return None
    x = np.arange(1, min(n, 5_000) + 1, dtype=np.float64)
    trials = np.full_like(x, float(min(n, 5_000)))
    share = np.full_like(x, min(max(baseline, 1e-6), 1 - 1e-6))
    p = beta_binomial_upper(x, trials, share, np.full_like(x, min(max(dispersion, 1e-6), 0.9)))
    enough = np.nonzero(p <= level)[0]
    return float(x[enough[0]] / trials[0] - share[0]) if len(enough) else None


def _smallest_drop(calls: float, dispersion: float, level: float) -> float | None:
    """Return the smallest relative drop that one window shows at ``level``."""
    mean = max(calls, 1e-9)
    x = np.unique(np.linspace(0, mean, 201).round())
    p = negative_binomial_lower(x, np.full_like(x, mean), np.full_like(x, max(dispersion, 1e-6)))
    enough = np.nonzero(p <= level)[0]
    return float(1.0 - x[enough[-1]] / mean) if len(enough) else None
