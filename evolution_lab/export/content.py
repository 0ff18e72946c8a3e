"""What a report says and in which order; HTML and Markdown only lay it out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import polars as pl

from evolution_lab.export.facts import counted, listed, period, windows_query
from evolution_lab.export.rollouts import RolloutContent
from evolution_lab.export.series import SignalSeries, signal_series
from evolution_lab.intents.silences import Silences
from evolution_lab.records import (
    DetectionResult,
    Incident,
    InsufficientEvidence,
    IntentSignal,
    SpecSuggestion,
    Workflow,
)

_SEVERITIES: Final = ("high", "medium", "low")
_STATUSES: Final = (
    "pending",
    "approved",
    "adopted",
    "rejected",
    "superseded",
    "expired",
    "withdrawn",
)
_PRIORITIES: Final = ("high", "medium", "low")


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What gives the numbers of a report again.

    Attributes:
        command: The command that wrote the report.
        data_digest: Hash of the set of landed batches the numbers were computed from.
        package_version: The version of this package.
        suggestion_command: The command that shows a suggestion, ``{id}`` where its id goes.
        generated_at: When it was written; None keeps the clock out, so that the same state gives
            the same bytes.
    """

    command: str
    data_digest: str
    package_version: str
    suggestion_command: str = "evolution-lab suggestions show {id}"
    generated_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class SignalContent:
    """A signal with the windows around it.

    Attributes:
        signal: The claim.
        series: The windows to draw, None where the frame has none of the operation.
        query: SQL that gives the drawn windows again, None without a series.
        suggestion_ids: Suggestions that answer it, in the order of the report.
    """

    signal: IntentSignal
    series: SignalSeries | None
    query: str | None
    suggestion_ids: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class IncidentContent:
    """An incident and its signals in order of detection; None for signals outside of incidents."""

    incident: Incident | None
    signals: tuple[SignalContent, ...]


@dataclass(frozen=True, kw_only=True)
class ReportContent:
    """Everything a report says.

    Attributes:
        headline: One sentence: what was found.
        looked_at: One sentence: what was looked at.
        detection: The result as it was handed in.
        windows: The ``schemas.WINDOWS`` frame as it was handed in.
        incidents: In order of detection, signals outside of incidents last.
        suggestions: Pending ones first, then by priority.
        statuses: How many suggestions have which status.
        workflows: Strongest first.
        insufficient: Verdicts of thin traffic by metric.
        settings: Effective settings, sorted by name, without what was looked at.
        provenance: What gives the numbers again.
        rollouts: Experiments, as they were handed in.
        silences: Mutes and maintenance windows, as they were handed in.
    """

    headline: str
    looked_at: str
    detection: DetectionResult
    windows: pl.DataFrame
    incidents: tuple[IncidentContent, ...]
    suggestions: tuple[SpecSuggestion, ...]
    statuses: Mapping[str, int]
    workflows: tuple[Workflow, ...]
    insufficient: Mapping[str, tuple[InsufficientEvidence, ...]]
    settings: Mapping[str, Any]
    provenance: Provenance
    rollouts: tuple[RolloutContent, ...] = ()
    silences: Silences = field(default_factory=Silences)

    @property
    def signals(self) -> tuple[SignalContent, ...]:
        """All signals in the order of the report."""
        return tuple(signal for incident in self.incidents for signal in incident.signals)


def report_content(
    *,
    detection: DetectionResult,
    windows: pl.DataFrame,
    suggestions: Sequence[SpecSuggestion],
    provenance: Provenance,
    rollouts: Sequence[RolloutContent] = (),
    silences: Silences | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ReportContent:
    """Arrange what a report says.

    Args:
        detection: What was found.
        windows: The ``schemas.WINDOWS`` frame it was found in.
        suggestions: All suggestions, of any status.
        provenance: What gives the numbers again.
        rollouts: Experiments with what was decided of them.
        silences: Of which operations nobody wanted to be told.
        progress: Called with (signals done, signals in all).
    """
    ordered = tuple(sorted(suggestions, key=_most_pressing))
    answers: dict[str, list[str]] = {}
    for suggestion in ordered:
        for signal_id in suggestion.signal_ids:
            answers.setdefault(signal_id, []).append(suggestion.id)
    contents: dict[str, SignalContent] = {}
    concerned = _concerned(windows, detection.signals)
    for number, signal in enumerate(detection.signals, start=1):
        series = signal_series(signal, concerned)
        contents[signal.id] = SignalContent(
            signal=signal,
            series=series,
            query=None if series is None else windows_query(signal, series),
            suggestion_ids=tuple(answers.get(signal.id, ())),
        )
        if progress is not None:
            progress(number, len(detection.signals))
    statuses = Counter(suggestion.status for suggestion in ordered)
    return ReportContent(
        headline=_headline(detection),
        looked_at=_looked_at(detection, windows),
        detection=detection,
        windows=windows,
        incidents=_incidents(detection, contents),
        suggestions=ordered,
        statuses={status: statuses[status] for status in _STATUSES if statuses[status]},
        workflows=detection.workflows,
        insufficient={
            name: detection.insufficient[name] for name in sorted(detection.insufficient)
        },
        settings={
            name: detection.settings[name]
            for name in sorted(detection.settings)
            if name != "looked_at"
        },
        provenance=provenance,
        rollouts=tuple(rollouts),
        silences=silences or Silences(),
    )


def _concerned(windows: pl.DataFrame, signals: Sequence[IntentSignal]) -> pl.DataFrame:
    """Return the windows of operations with signals: few of a large lab's."""
    names = sorted({(s.operation.service or "", s.operation.key) for s in signals})
    # A frame holds no lone surrogates; a name that does is in none.
    names = [name for name in names if all(_is_unicode(part) for part in name)]
    keys = pl.DataFrame(
        names, schema={"service": pl.String, "operation_key": pl.String}, orient="row"
    ).with_columns(pl.col("service").replace("", None))
    return windows.join(keys, on=["service", "operation_key"], how="semi", nulls_equal=True)


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)


def _incidents(
    detection: DetectionResult, contents: Mapping[str, SignalContent]
) -> tuple[IncidentContent, ...]:
    placed: set[str] = set()
    incidents = []
    for incident in detection.incidents:
        members = [i for i in incident.signal_ids if i in contents]
        placed.update(members)
        incidents.append(
            IncidentContent(incident=incident, signals=tuple(contents[i] for i in members))
        )
    loose = tuple(c for signal_id, c in contents.items() if signal_id not in placed)
    if loose:
        incidents.append(IncidentContent(incident=None, signals=loose))
    return tuple(incidents)


def _most_pressing(suggestion: SpecSuggestion) -> tuple[int, int, datetime, str]:
    return (
        _STATUSES.index(suggestion.status),
        _PRIORITIES.index(suggestion.priority),
        suggestion.created_at,
        suggestion.id,
    )


def _headline(detection: DetectionResult) -> str:
    if not detection.signals and not detection.workflows:
        return "Nothing changed beyond chance."
    parts = []
    if detection.incidents:
        by_severity = Counter(incident.severity for incident in detection.incidents)
        split = listed([f"{by_severity[s]} {s}" for s in _SEVERITIES if by_severity[s]])
        still = sum(incident.state == "open" for incident in detection.incidents)
        text = f"{counted(len(detection.incidents), 'incident')} ({split} severity"
        parts.append(text + (f"; {still} still open)" if still else "; all recovered)"))
    elif detection.signals:
        parts.append(counted(len(detection.signals), "signal"))
    if detection.workflows:
        parts.append(counted(len(detection.workflows), "repeated workflow"))
    return f"{listed(parts)} found."


def _looked_at(detection: DetectionResult, windows: pl.DataFrame) -> str:
    if windows.is_empty():
        return f"{detection.operation_windows:,} operation windows were judged."
    first, last = windows["window_start"].min(), windows["window_end"].max()
    assert isinstance(first, datetime)
    assert isinstance(last, datetime)
    operations = windows.select("service", "operation_key").n_unique()
    return (
        f"{int(windows['calls'].sum()):,} calls of {counted(operations, 'operation')}, "
        f"{period(first, last)}, in windows of {detection.settings.get('window', 'one length')}; "
        f"{detection.operation_windows:,} operation windows were judged."
    )
