"""What a lab had said by the end of its last nightly run, so that the next one says what is new."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Final

from pydantic import ValidationError

from evolution_lab.display import ResultMixin
from evolution_lab.errors import CorruptFileError, FormatVersionError
from evolution_lab.golden.verdicts import DriftGroup
from evolution_lab.records import DetectionResult, IntentSignal, SpecSuggestion, Workflow
from evolution_lab.records.json_form import CAMEL_CASE, from_json, to_json
from evolution_lab.telemetry.publishing import publish_bytes

RUN_FORMAT_VERSION: Final = 1
_FILE: Final = "last_run.json"
_GRAVITY: Final = {"low": 0, "medium": 1, "high": 2}


@dataclass(frozen=True, kw_only=True)
class LastRun:
    """What had been said.

    Attributes:
        ended_at: When, UTC.
        data_digest: Of the lake as it was.
        signals: Severity and state by signal id.
        suggestions: Revision by suggestion id.
        workflows: Ids.
        drift: Names of groups of golden differences.
        format_version: Of this file.
    """

    __pydantic_config__ = CAMEL_CASE

    ended_at: datetime
    data_digest: str
    signals: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    suggestions: Mapping[str, int] = field(default_factory=dict)
    workflows: tuple[str, ...] = ()
    drift: tuple[str, ...] = ()
    format_version: int = RUN_FORMAT_VERSION


@dataclass(frozen=True, kw_only=True)
class News(ResultMixin):
    """What is said now and was not said by the end of the last run.

    Attributes:
        since: When the last run ended; None for the first one, to which everything is new.
        signals: New ones.
        worse: Signals that are graver than they were.
        recovered: Signals that were open and are no more.
        suggestions: New ones, and those with new evidence.
        workflows: New ones.
        drift: Golden differences that were not there.
    """

    __pydantic_config__ = CAMEL_CASE
    _title: ClassVar[str] = "New since the last run"

    since: datetime | None
    signals: tuple[IntentSignal, ...] = ()
    worse: tuple[IntentSignal, ...] = ()
    recovered: tuple[IntentSignal, ...] = ()
    suggestions: tuple[SpecSuggestion, ...] = ()
    workflows: tuple[Workflow, ...] = ()
    drift: tuple[DriftGroup, ...] = ()

    @property
    def summary(self) -> str:
        """How much is new, in one sentence."""
        counts = {
            "signals": len(self.signals),
            "grew worse": len(self.worse),
            "recovered": len(self.recovered),
            "suggestions": len(self.suggestions),
            "workflows": len(self.workflows),
            "golden differences": len(self.drift),
        }
        said = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        if self.since is None:
            return f"First run: {said or 'nothing found'}."
        return f"New since {self.since:%Y-%m-%d %H:%M} UTC: {said or 'nothing'}."

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one row a piece of news: ``what``, ``id``, ``about`` and ``said``."""
        rows = [
            {
                "what": what,
                "id": s.id[:8],
                "about": str(s.operation),
                "said": f"{s.severity} {s.kind}",
            }
            for what, signals in (
                ("signal", self.signals),
                ("worse", self.worse),
                ("recovered", self.recovered),
            )
            for s in signals
        ]
        rows += [
            {
                "what": "suggestion" if s.revision == 1 else "new evidence",
                "id": s.id[:8],
                "about": str(s.target.operation or "new operation"),
                "said": s.proposal.summary,
            }
            for s in self.suggestions
        ]
        rows += [
            {
                "what": "workflow",
                "id": w.id[:8],
                "about": " > ".join(step.key for step in w.steps),
                "said": f"{w.lift:.1f}x chance",
            }
            for w in self.workflows
        ]
        rows += [
            {"what": "drift", "id": "", "about": g.operation, "said": f"{g.path or '/'} {g.cause}"}
            for g in self.drift
        ]
        return rows


def news(
    last: LastRun | None,
    *,
    detection: DetectionResult,
    suggestions: Iterable[SpecSuggestion],
    drift: Iterable[DriftGroup] = (),
) -> News:
    """Hold what is said now against what had been said.

    Args:
        last: The end of the last run; None for the first one.
        detection: What is found now.
        suggestions: All that are kept now.
        drift: Golden differences of now.

    Examples:
        >>> news(None, detection=DetectionResult(), suggestions=()).summary
        'First run: nothing found.'
    """
    signals = last.signals if last is not None else {}
    said = last.suggestions if last is not None else {}
    chains = frozenset(last.workflows) if last is not None else frozenset()
    groups = frozenset(last.drift) if last is not None else frozenset()
    return News(
        since=None if last is None else last.ended_at,
        signals=tuple(s for s in detection.signals if s.id not in signals),
        worse=tuple(
            s
            for s in detection.signals
            if s.id in signals and _GRAVITY[s.severity] > _GRAVITY.get(signals[s.id][0], 0)
        ),
        recovered=tuple(
            s
            for s in detection.signals
            if s.state == "recovered" and s.id in signals and signals[s.id][1] == "open"
        ),
        suggestions=tuple(
            s for s in suggestions if s.status == "pending" and s.revision > said.get(s.id, 0)
        ),
        workflows=tuple(w for w in detection.workflows if w.id not in chains),
        drift=tuple(g for g in drift if g.group not in groups),
    )


def as_said(
    *,
    ended_at: datetime,
    data_digest: str,
    detection: DetectionResult,
    suggestions: Iterable[SpecSuggestion],
    drift: Iterable[DriftGroup] = (),
) -> LastRun:
    """Return what the next run is held against."""
    return LastRun(
        ended_at=ended_at,
        data_digest=data_digest,
        signals={s.id: (s.severity, s.state) for s in detection.signals},
        suggestions={s.id: s.revision for s in suggestions},
        workflows=tuple(sorted(w.id for w in detection.workflows)),
        drift=tuple(sorted(g.group for g in drift)),
    )


def read_last_run(data: Path) -> LastRun | None:
    """Return the end of the last run of a lab, None before the first.

    Raises:
        CorruptFileError: The file is damaged.
        FormatVersionError: A newer version of the package wrote it.
    """
    path = data / _FILE
    if not path.is_file():
        return None
    try:
        found = from_json(LastRun, path.read_bytes())
    except ValidationError as error:
        raise CorruptFileError(
            f"{path} cannot be read; remove it, and the next run takes everything for new."
        ) from error
    if found.format_version != RUN_FORMAT_VERSION:
        raise FormatVersionError(str(path), found.format_version, RUN_FORMAT_VERSION)
    return found


def write_last_run(data: Path, last: LastRun) -> None:
    """Keep the end of a run; it appears whole or not at all."""
    publish_bytes(data / _FILE, to_json(last, indent=1) + b"\n")
