"""M8: the Numenta Anomaly Benchmark's standard profile, at one fixed threshold, beside simple rules.

The score of a file is the sum over its labelled windows of the best value of a detection in it, early
ones counting more, less 0.11 times a sigmoid of the distance for each detection outside; see
Lavin & Ahmad (2015), "Evaluating real-time anomaly detection algorithms". The detector's one tuned
number was chosen on the half of the files whose name hashes to an even number; both halves are told.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from evolution_lab.bench.targets import BenchReport, Peer, Target
from evolution_lab.config import EvolutionConfig
from evolution_lab.errors import PathNotFoundError
from evolution_lab.intents.value_change import QUIET_DAYS, value_changes

Floats = npt.NDArray[np.float64]
Rule = Callable[[Floats, int], tuple[int, ...]]

FALSE_WEIGHT: Final = 0.11
PROBATION_SHARE: Final = 0.15
LONGEST_PROBATION: Final = 750
NULL_FILES: Final = "artificialNoAnomaly/"
TRAILING: Final = 288
_DAY_SECONDS: Final = 86_400.0


@dataclass(frozen=True)
class Series:
    """One file of the benchmark.

    Attributes:
        name: Its path under ``data``.
        values: Values in order of time.
        per_day: Values a day.
        windows: Positions of the first and last value of each labelled window.
    """

    name: str
    values: Floats
    per_day: int
    windows: tuple[tuple[int, int], ...]

    @property
    def probation(self) -> int:
        """Values at the beginning that are not scored."""
        return min(int(PROBATION_SHARE * len(self.values)), LONGEST_PROBATION)


@dataclass(frozen=True)
class Scored:
    """What detections in some files are worth: raw score, labelled windows, found ones, false ones."""

    raw: float
    windows: int
    found: int
    false: int

    def __add__(self, other: Scored) -> Scored:
        return Scored(
            self.raw + other.raw,
            self.windows + other.windows,
            self.found + other.found,
            self.false + other.false,
        )

    @property
    def score(self) -> float:
        """100 for perfect detection, 0 for none at all."""
        return 100.0 * (self.raw + self.windows) / (2 * self.windows) if self.windows else 0.0


def nab(dataset: Path) -> BenchReport:
    """Score the package's detector of value changes, and simple rules, on a copy of the benchmark.

    Args:
        dataset: Folder with ``data`` and ``labels/combined_windows.json``.

    Raises:
        PathNotFoundError: The labels are missing.
    """
    series = read_series(dataset)
    budget = EvolutionConfig().false_alarms_per_operation_week

    def ours(values: Floats, per_day: int) -> tuple[int, ...]:
        return value_changes(values, per_day=per_day, level=budget / (7 * per_day)).onsets

    def none_of(rule: Rule) -> Scored:
        return sum(
            (score(s, rule(s.values, s.per_day)) for s in series if s.name.startswith(NULL_FILES)),
            _NOTHING,
        )

    rows = {name: score(s, ours(s.values, s.per_day)) for name, s in ((s.name, s) for s in series)}
    everything = sum(rows.values(), _NOTHING)
    chosen_on = sum((v for name, v in rows.items() if even(name)), _NOTHING)
    judged_on = sum((v for name, v in rows.items() if not even(name)), _NOTHING)
    null = sum((v for name, v in rows.items() if name.startswith(NULL_FILES)), _NOTHING)
    peers = []
    for name, rule in RULES.items():
        total = sum((score(s, rule(s.values, s.per_day)) for s in series), _NOTHING)
        peers.append(
            Peer(
                name=name, what="M8-nab", value=total.score,
                note=f"{total.found} windows found, {total.false} false, "
                f"{none_of(rule).false} in files without anomaly",
            )
        )  # fmt: skip
    return BenchReport(
        targets=(
            Target(
                id="M8-nab", value=everything.score, target=45.0, bound="at least",
                what=f"NAB standard profile on {len(series)} files at the default budget: "
                f"{everything.found} of {everything.windows} windows, {everything.false} false; "
                f"{chosen_on.score:.1f} on the half it was tuned on, {judged_on.score:.1f} on the other.",
            ),
            Target(
                id="M8-null-files", value=float(null.false), target=1.0, bound="at most",
                what="Alarms on the files without any anomaly.",
            ),
        ),
        peers=tuple(peers),
        tables={"NAB by category": tuple(_by_category(rows))},
    )  # fmt: skip


_NOTHING: Final = Scored(0.0, 0, 0, 0)


def read_series(dataset: Path) -> tuple[Series, ...]:
    """Read the benchmark's files, by name."""
    labels = dataset / "labels" / "combined_windows.json"
    if not labels.is_file():
        raise PathNotFoundError(labels)
    windows: Mapping[str, list[list[str]]] = json.loads(labels.read_text(encoding="utf-8"))
    found = []
    for name in sorted(windows):
        table = pl.read_csv(dataset / "data" / name).with_columns(
            pl.col("timestamp").str.to_datetime()
        )
        times = table["timestamp"]
        step = float(times.diff().dt.total_seconds().median() or 300.0)  # type: ignore[arg-type]
        found.append(
            Series(
                name=name,
                values=table["value"].cast(pl.Float64).to_numpy(),
                per_day=max(round(_DAY_SECONDS / step), 1),
                windows=tuple(
                    (
                        int((times < datetime.fromisoformat(start)).sum()),
                        int((times <= datetime.fromisoformat(end)).sum()) - 1,
                    )
                    for start, end in windows[name]
                ),
            )
        )
    return tuple(found)


def score(series: Series, detections: tuple[int, ...]) -> Scored:
    """Score detections by the standard profile.

    Examples:
        >>> series = Series("a", np.zeros(1_000), 288, ((500, 599),))
        >>> score(series, (500,)).score > 99.9, score(series, ()).score
        (True, 0.0)
    """
    best: dict[int, float] = {}
    lost, false = 0.0, 0
    for at in detections:
        if at < series.probation:
            continue
        inside = [k for k, (a, b) in enumerate(series.windows) if a <= at <= b]
        if inside:
            start, end = series.windows[inside[0]]
            value = _sigmoid(-(end - at + 1) / (end - start + 1)) / 0.98661
            best[inside[0]] = max(best.get(inside[0], -1.0), value)
            continue
        false += 1
        before = [(a, b) for a, b in series.windows if b < at]
        if before:
            start, end = max(before, key=lambda window: window[1])
            lost += FALSE_WEIGHT * -_sigmoid(min((at - end) / max(end - start, 1), 3.0))
        else:
            lost += FALSE_WEIGHT
    raw = sum(best.get(k, -1.0) for k in range(len(series.windows))) - lost
    return Scored(raw, len(series.windows), len(best), false)


def _sigmoid(y: float) -> float:
    return 2.0 / (1.0 + math.exp(5.0 * y)) - 1.0


def even(name: str) -> bool:
    """Say whether a file belongs to the half that the detector was tuned on."""
    return int(hashlib.sha256(name.encode()).hexdigest(), 16) % 2 == 0


def _by_category(rows: Mapping[str, Scored]) -> list[dict[str, Any]]:
    categories: dict[str, Scored] = {}
    for name, scored in rows.items():
        category = name.partition("/")[0]
        categories[category] = categories.get(category, _NOTHING) + scored
    return [
        {
            "category": name,
            "score": s.score,
            "windows": s.windows,
            "found": s.found,
            "false": s.false,
        }
        for name, s in categories.items()
    ]


def three_sigma(values: Floats, per_day: int) -> tuple[int, ...]:
    """Return values further than three standard deviations from the trailing mean."""
    series = pl.Series(values).shift(1)
    mean = series.rolling_mean(TRAILING, min_samples=48).to_numpy()
    deviation = series.rolling_std(TRAILING, min_samples=48).to_numpy()
    with np.errstate(invalid="ignore"):
        return _positions(np.abs(values - mean) > 3 * deviation, per_day)


def median_deviation(values: Floats, per_day: int) -> tuple[int, ...]:
    """Return values further than 3.5 median absolute deviations from the trailing median."""
    series = pl.Series(values)
    centre = series.shift(1).rolling_median(TRAILING, min_samples=48)
    away = (series - centre).abs()
    scale = 1.4826 * away.shift(1).rolling_median(TRAILING, min_samples=48)
    with np.errstate(invalid="ignore"):
        return _positions(away.to_numpy() > 3.5 * scale.to_numpy(), per_day)


def _positions(hits: npt.NDArray[np.bool_], per_day: int) -> tuple[int, ...]:
    """Return where hits begin after as much quiet as our own detector asks for."""
    quiet = max(round(QUIET_DAYS * per_day), 1)
    begins, last = [], -quiet - 1
    for at in np.nonzero(hits)[0]:
        if at - last > quiet:
            begins.append(int(at))
        last = int(at)
    return tuple(begins)


RULES: Final[Mapping[str, Rule]] = {"3 sigma": three_sigma, "3.5 MAD": median_deviation}
