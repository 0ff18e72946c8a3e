"""Fits the map of confidence on planted changes, and says how well it holds on others.

Planted labs mix operations in which nothing changes with changes from hardly visible to plain, of all
kinds, at thin and at heavy traffic. Truth is known, so candidates that detection would never have
said are judged too: a map that only saw what passed the gate knows nothing of doubt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from evolution_lab.datasets import NULL_START, null_samples, plant
from evolution_lab.display import ResultMixin
from evolution_lab.intents.candidates import candidates
from evolution_lab.intents.confidence import FEATURES, ConfidenceMap, features
from evolution_lab.intents.detector import IntentDetector
from evolution_lab.intents.evidence import KINDS
from evolution_lab.intents.view import detection_view
from evolution_lab.windows import aggregate

WINDOW: Final = timedelta(minutes=15)
HISTORY: Final = 120
WINDOWS: Final = 170
OPERATIONS: Final = 40
BINS: Final = 5
RESAMPLES: Final = 1_000
FITTED_SEEDS: Final = tuple(range(100, 124))
JUDGED_SEEDS: Final = tuple(range(900, 912))
"""Labs that the map is judged on; none is fitted."""
_CALLS: Final = (4, 12, 40, 120)
_LASTING: Final = (1, 2, 4, 8, 16)
_EFFECTS: Final[tuple[tuple[str, float], ...]] = (
    ("error_points", 0.02),
    ("error_points", 0.05),
    ("error_points", 0.15),
    ("error_points", 0.4),
    ("latency_factor", 1.3),
    ("latency_factor", 1.6),
    ("latency_factor", 2.2),
    ("latency_factor", 4.0),
    ("calls_factor", 0.6),
    ("calls_factor", 0.3),
    ("calls_factor", 0.1),
    ("calls_factor", 0.0),
)
_KIND: Final = {
    "error_points": "error-spike",
    "latency_factor": "latency-regression",
    "calls_factor": "throughput-drop",
}
Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Cases:
    """Candidates with their truth.

    Attributes:
        metrics: Metric of each candidate.
        p_values: Its strongest p-value.
        n_obs: Calls behind that.
        truths: Whether a planted change explains it.
        labs: Number of the lab it comes from; candidates of one lab are not independent.
    """

    metrics: tuple[str, ...]
    p_values: npt.NDArray[np.float64]
    n_obs: npt.NDArray[np.float64]
    truths: npt.NDArray[np.bool_]
    labs: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Reliability(ResultMixin):
    """How well stated confidence agrees with truth.

    Attributes:
        rows: One dict a bin of stated confidence: its bounds, cases, mean stated and share true.
        expected_calibration_error: Mean distance of the two, weighed by cases.
        brier_skill: One less the Brier score over that of stating the mean share always.
        cases: Cases in all.
        error_interval: 95 % interval of the expected calibration error; None where labs are unknown.
        skill_interval: 95 % interval of the Brier skill; None where labs are unknown.
    """

    _title: ClassVar[str] = "Reliability"

    rows: tuple[dict[str, Any], ...]
    expected_calibration_error: float
    brier_skill: float
    cases: int
    error_interval: tuple[float, float] | None = None
    skill_interval: tuple[float, float] | None = None

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one dict a bin."""
        return list(self.rows)


def planted_cases(seeds: Sequence[int], *, progress: Progress | None = None) -> Cases:
    """Return the candidates of planted labs, one lab a seed.

    Args:
        seeds: Equal seeds give equal cases.
        progress: Called with (labs done, labs in all).
    """
    metrics: list[str] = []
    columns: dict[str, list[float]] = {"p": [], "n": [], "true": [], "lab": []}
    for done, seed in enumerate(seeds):
        for metric, p_value, n_obs, truth in _lab(seed):
            metrics.append(metric)
            for name, value in (
                ("p", p_value),
                ("n", n_obs),
                ("true", truth),
                ("lab", done),
            ):
                columns[name].append(float(value))
        if progress is not None:
            progress(done + 1, len(seeds))
    return Cases(
        tuple(metrics),
        np.array(columns["p"]),
        np.array(columns["n"]),
        np.array(columns["true"]).astype(bool),
        np.array(columns["lab"]).astype(np.int64),
    )


def _lab(seed: int) -> list[tuple[str, float, int, bool]]:
    rng = np.random.default_rng(seed)
    samples = null_samples(
        calls=_CALLS[seed % len(_CALLS)],
        windows=WINDOWS,
        operations=OPERATIONS,
        shape=("flat", "overdispersed", "seasonal", "ar1")[seed // len(_CALLS) % 4],
        error_rate=float(rng.choice([0.002, 0.01, 0.04])),
        latency=("lognormal", "gamma", "bimodal")[seed % 3],
        seed=seed,
    )
    operations = samples["op_id"].unique().sort().to_list()
    truths: dict[int, tuple[str, int, int]] = {}
    for number, op_id in enumerate(operations):
        if number % 4 == 0:
            continue  # Nothing changes here.
        name, size = _EFFECTS[int(rng.integers(len(_EFFECTS)))]
        lasting = int(rng.choice(_LASTING))
        first = int(rng.integers(HISTORY, WINDOWS - lasting))
        samples = plant(
            samples,
            start=NULL_START + WINDOW * first,
            end=NULL_START + WINDOW * (first + lasting),
            op_ids=[op_id],
            seed=seed * 1_000 + number,
            **{name: size},  # type: ignore[arg-type]
        )
        truths[op_id] = (_KIND[name], first, first + lasting)
    windows = aggregate(
        samples, window=WINDOW, latency_bins=True, as_of=NULL_START + WINDOW * WINDOWS
    ).with_columns(service=pl.col("operation_key"))
    view = detection_view(windows)
    evidence = IntentDetector().evidence(view)
    earliest: Any = evidence["window_start"].min()
    first_judged: int = (earliest - NULL_START) // WINDOW
    by_key = {
        key: op_id for op_id, key in samples.select("op_id", "operation_key").unique().iter_rows()
    }
    of_view = {o.op_id: by_key[o.key] for o in view.operations}
    found = []
    for c in candidates(evidence):
        kind, begins, ends = truths.get(of_view[c.op_id], ("", 0, 0))
        first, last = c.first + first_judged, c.last + first_judged
        truth = kind == KINDS[c.metric] and first < ends + 2 and last >= begins
        found.append((c.metric, c.p_value, c.n_obs, truth))
    return found


def fit_map(cases: Cases, *, provenance: dict[str, Any]) -> ConfidenceMap:
    """Fit the map by maximum likelihood (statsmodels' binomial GLM).

    Args:
        cases: Candidates with their truth.
        provenance: What they are, for whoever reads the map.
    """
    design = features(cases.metrics, cases.p_values, cases.n_obs)
    import statsmodels.api as sm

    result = sm.GLM(cases.truths.astype(float), design, family=sm.families.Binomial()).fit()
    return ConfidenceMap(
        coefficients=tuple(float(value) for value in result.params),
        provenance={
            **provenance,
            "cases": len(cases.truths),
            "true": int(cases.truths.sum()),
            "features": list(FEATURES),
        },
    )


def reliability(stated: npt.NDArray[np.float64], truths: npt.NDArray[np.bool_]) -> Reliability:
    """Hold stated confidence against truth, in five bins of equal width.

    Naeini, Cooper & Hauskrecht (2015), "Obtaining well calibrated probabilities": expected
    calibration error; Murphy (1973): Brier skill.

    Examples:
        >>> stated = np.array([0.1] * 10 + [0.9] * 10)
        >>> truths = np.array([True] + [False] * 9 + [True] * 9 + [False])
        >>> round(reliability(stated, truths).expected_calibration_error, 6)
        0.0
    """
    edges = np.linspace(0.0, 1.0, BINS + 1)
    place = np.minimum((stated * BINS).astype(int), BINS - 1)
    rows, error = [], 0.0
    for b in range(BINS):
        inside = place == b
        n = int(inside.sum())
        said = float(stated[inside].mean()) if n else float("nan")
        true = float(truths[inside].mean()) if n else float("nan")
        rows.append(
            {
                "from": float(edges[b]),
                "to": float(edges[b + 1]),
                "cases": n,
                "stated": said,
                "true": true,
            }
        )
        error += n * abs(said - true) if n else 0.0
    base = float(truths.mean())
    score = float(np.mean((stated - truths) ** 2))
    constant = base * (1 - base)
    return Reliability(
        tuple(rows),
        error / max(len(truths), 1),
        1.0 - score / constant if constant else float("nan"),
        len(truths),
    )


def judge_map(fitted: ConfidenceMap, cases: Cases, *, seed: int = 0) -> Reliability:
    """Say how well a map holds on cases, with intervals by a bootstrap over whole labs.

    The interval of the calibration error leans upwards: resampled bins are never nearer to what is
    stated than those seen.

    Args:
        fitted: The map.
        cases: Candidates with their truth, of two labs or more for an interval.
        seed: Of the bootstrap.
    """
    design = features(cases.metrics, cases.p_values, cases.n_obs)
    logits = fitted.shift + fitted.slope * (design @ np.asarray(fitted.coefficients))
    stated = 1.0 / (1.0 + np.exp(-np.clip(logits, -30, 30)))
    found = reliability(stated, cases.truths)
    of_lab = [np.nonzero(cases.labs == lab)[0] for lab in np.unique(cases.labs)]
    if len(of_lab) < 2:
        return found
    rng = np.random.default_rng(seed)
    again = []
    for _ in range(RESAMPLES):
        drawn = np.concatenate([of_lab[k] for k in rng.integers(len(of_lab), size=len(of_lab))])
        again.append(reliability(stated[drawn], cases.truths[drawn]))
    return replace(
        found,
        error_interval=_middle([r.expected_calibration_error for r in again]),
        skill_interval=_middle([r.brier_skill for r in again]),
    )


def _middle(values: Sequence[float]) -> tuple[float, float]:
    low, high = np.quantile(np.array(values), [0.025, 0.975])
    return float(low), float(high)
