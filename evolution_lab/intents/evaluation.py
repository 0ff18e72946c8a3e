"""Detection held against labels: what was found, how late, and what was said of nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any, ClassVar

import polars as pl
import scipy

from evolution_lab.datasets import read_faults
from evolution_lab.display import ResultMixin
from evolution_lab.errors import InputError, PathNotFoundError
from evolution_lab.records import DetectionResult, Incident


@dataclass(frozen=True, kw_only=True)
class Label:
    """Something that really happened.

    Attributes:
        start: When it began, UTC.
        end: When it was over, UTC.
        operation: Key of the operation it happened to; None for any.
    """

    start: datetime
    end: datetime
    operation: str | None = None


@dataclass(frozen=True)
class Evaluation(ResultMixin):
    """Incidents held against labels, each by its first detection.

    Attributes:
        labels: Labels in all.
        found: Labels that an incident found.
        false: Incidents that no label explains.
        incidents: Incidents in all.
        delays_seconds: From a label's start to its first incident, one a found label.
        alarms_outside: Signals first said where no label is near.
        quiet_operation_windows: Operation-windows where no label is near.
    """

    _title: ClassVar[str] = "Detection held against labels"

    labels: int
    found: int
    false: int
    incidents: int
    delays_seconds: tuple[float, ...]
    alarms_outside: int
    quiet_operation_windows: int

    @property
    def precision(self) -> float | None:
        """Share of incidents that a label explains; None without any."""
        return None if not self.incidents else (self.incidents - self.false) / self.incidents

    @property
    def recall(self) -> float | None:
        """Share of labels found; None without any."""
        return None if not self.labels else self.found / self.labels

    @property
    def f1(self) -> float | None:
        """Harmonic mean over events: ``2 found / (found + false + labels)``."""
        return None if not self.labels else 2 * self.found / (self.found + self.false + self.labels)

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one dict a figure, with its 95 % interval where it has one."""
        delays = sorted(self.delays_seconds)
        per_thousand = self.quiet_operation_windows / 1_000
        return [
            _figure("labels found", self.recall, _share(self.found, self.labels)),
            _figure(
                "incidents explained",
                self.precision,
                _share(self.incidents - self.false, self.incidents),
            ),
            _figure("F1 over events", self.f1, _f1(self.found, self.false, self.labels)),
            _figure(
                "incidents for each label",
                self.incidents / self.labels if self.labels else None,
                _rate(self.incidents, self.labels),
            ),
            _figure("median delay, s", median(delays) if delays else None, _of_median(delays)),
            _figure(
                "alarms per 1,000 quiet operation-windows",
                self.alarms_outside / per_thousand if per_thousand else None,
                _rate(self.alarms_outside, per_thousand),
            ),
        ]


def read_event_labels(source: Path) -> tuple[Label, ...]:
    """Read labels: a CSV with ``start``, ``end`` and, if wanted, ``operation``; or ``faults.json``.

    Times are ISO 8601; without a zone they are UTC.

    Raises:
        PathNotFoundError: There is no such file.
        InputError: A column is missing, or a time cannot be read; the line is named.
    """
    if source.is_dir():
        source = next(
            (source / name for name in ("labels.csv", "faults.json") if (source / name).is_file()),
            source / "labels.csv",
        )
    if not source.is_file():
        raise PathNotFoundError(source)
    if source.suffix == ".json":
        return tuple(
            Label(start=fault.start, end=fault.end, operation=fault.operation.key)
            for fault in read_faults(source)
            if fault.kind not in {"missing-operation", "schema-mismatch"}
        )
    table = pl.read_csv(source, infer_schema=False)
    for name in ("start", "end"):
        if name not in table.columns:
            raise InputError(f"{source} has columns {table.columns}, must have {name!r}.")
    labels = []
    for line, row in enumerate(table.iter_rows(named=True), start=2):
        start, end = (_moment(row[name], f"{source}, line {line}") for name in ("start", "end"))
        if end < start:
            raise InputError(f"{source}, line {line}: end {end} is before start {start}.")
        labels.append(Label(start=start, end=end, operation=row.get("operation") or None))
    return tuple(labels)


def evaluate(
    result: DetectionResult,
    labels: Sequence[Label],
    windows: pl.DataFrame,
    *,
    grace: timedelta | None = None,
) -> Evaluation:
    """Hold what detection said against labels.

    An incident finds a label when it was first detected between a window before the label's start,
    for clocks that differ, and ``grace`` after its end, and, where the label names an operation,
    concerns it.

    Args:
        result: What was said.
        labels: What happened.
        windows: The ``WINDOWS`` frame that was judged.
        grace: Two windows unless given.
    """
    length = windows.select((pl.col("window_end") - pl.col("window_start")).max()).item()
    early: timedelta = length or timedelta(0)
    late = grace if grace is not None else 2 * early
    delays: dict[int, float] = {}
    false = 0
    for incident in result.incidents:
        near = [i for i, label in enumerate(labels) if _finds(incident, label, early, late)]
        false += not near
        for i in near:
            delay = (incident.detected_at - labels[i].start).total_seconds()
            delays[i] = min(delays.get(i, delay), delay)
    outside = windows
    for label in labels:
        outside = outside.filter(
            (pl.col("window_end") <= label.start - early)
            | (pl.col("window_start") >= label.end + late)
        )
    alarms = sum(
        not any(label.start - early <= s.detected_at <= label.end + late for label in labels)
        for s in result.signals
    )
    return Evaluation(
        labels=len(labels),
        found=len(delays),
        false=false,
        incidents=len(result.incidents),
        delays_seconds=tuple(delays[i] for i in sorted(delays)),
        alarms_outside=alarms,
        quiet_operation_windows=outside.height,
    )


def _finds(incident: Incident, label: Label, early: timedelta, late: timedelta) -> bool:
    in_time = label.start - early <= incident.detected_at <= label.end + late
    return in_time and (
        label.operation is None or any(o.key == label.operation for o in incident.operations)
    )


def _moment(text: str | None, place: str) -> datetime:
    try:
        moment = datetime.fromisoformat((text or "").strip())
    except ValueError:
        raise InputError(
            f"{place}: {text!r} is no time, must be like 2025-03-04T12:00:00Z."
        ) from None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _figure(what: str, value: float | None, interval: tuple[float, float] | None) -> dict[str, Any]:
    low, high = interval if interval is not None else (None, None)
    return {"what": what, "value": value, "low": low, "high": high}


def _share(count: int, n: int, *, miss: float = 0.05) -> tuple[float, float] | None:
    """Return the interval of a share by Clopper & Pearson (1934)."""
    if not n:
        return None
    low = float(scipy.stats.beta.ppf(miss / 2, count, n - count + 1)) if count else 0.0
    return low, float(
        scipy.stats.beta.ppf(1 - miss / 2, count + 1, n - count)
    ) if count < n else 1.0


def _rate(count: int, exposure: float, *, miss: float = 0.05) -> tuple[float, float] | None:
    """Return the interval of a Poisson rate by Garwood (1936)."""
    if not exposure:
        return None
    low = float(scipy.stats.chi2.ppf(miss / 2, 2 * count)) / 2 if count else 0.0
    return low / exposure, float(scipy.stats.chi2.ppf(1 - miss / 2, 2 * count + 2)) / 2 / exposure


def _f1(found: int, false: int, labels: int) -> tuple[float, float] | None:
    """Return an interval of F1 that holds at least: recall and false incidents share the miss.

    F1 rises with recall and falls with false incidents, so its ends are those of the two.
    """
    recall, wrong = _share(found, labels, miss=0.025), _rate(false, 1.0, miss=0.025)
    if recall is None or wrong is None:
        return None
    ends = (
        2 * labels * share / (labels * share + more + labels)
        for share, more in zip(recall, reversed(wrong), strict=True)
    )
    low, high = ends
    return low, high


def _of_median(ordered: Sequence[float]) -> tuple[float, float] | None:
    """Return the interval of a median by order statistics; None for fewer than six values."""
    n = len(ordered)
    rank = int(scipy.stats.binom.ppf(0.025, n, 0.5)) if n else 0
    return None if rank < 1 else (ordered[rank - 1], ordered[n - rank])
