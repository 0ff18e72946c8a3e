"""The whole line walked once over the bundled sample: no server, no key, the same end every time."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from evolution_lab.config import CONFIG_FILE
from evolution_lab.datasets import read_faults, sample_path
from evolution_lab.demo.scoring import Score, SuggestionScore, score_detection, score_suggestions
from evolution_lab.export import ReportFiles
from evolution_lab.lab import Lab
from evolution_lab.records import DetectionResult, SpecSuggestion
from evolution_lab.telemetry import LandingReport

OPENAPI_FILE: Final = "openapi.json"
TRAFFIC_FILE: Final = "traffic.har.zst"
REVIEWER: Final = "demo"
_NOTES: Final = "Approved by the demo, to show what an approval writes."
STEPS: Final = ("land the sample", "find what changed", "propose changes", "write the report")


@dataclass(frozen=True)
class Walkthrough:
    """What the demo did.

    Attributes:
        landing: What was landed; nothing new when run again.
        detection: What was found.
        score: The planted faults held against it.
        suggestions: All suggestions, the approved one among them.
        closed: The planted faults and gaps held against them.
        approved: The one that reviewer ``demo`` approved, now or in an earlier run.
        report: The files written.
    """

    landing: LandingReport
    detection: DetectionResult
    score: Score
    suggestions: tuple[SpecSuggestion, ...]
    closed: SuggestionScore
    approved: SpecSuggestion | None
    report: ReportFiles


def walk_through(
    data: Path, reports: Path, *, progress: Callable[[int, int], None] | None = None
) -> Walkthrough:
    """Land the sample, find its faults, suggest, approve one suggestion and write the report.

    Run again it adds no row and takes no decision.

    Args:
        data: The lab directory.
        reports: Where the report and the envelope go.
        progress: Called with (steps done, steps in all).

    Raises:
        LakeError: The lab directory cannot be used.
    """
    tell = progress or (lambda _done, _total: None)
    sample = sample_path()
    settings = sample / CONFIG_FILE
    data.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(settings, data / CONFIG_FILE)
    shutil.copyfile(sample / OPENAPI_FILE, data / OPENAPI_FILE)
    lab = Lab(data, config=settings, reports=reports)
    tell(0, len(STEPS))
    landing = lab.land(*sorted(sample.glob("*.jsonl*")))
    tell(1, len(STEPS))
    detection = lab.detect()
    tell(2, len(STEPS))
    lab.suggest(traffic=() if lab.lake.live_files("traffic") else sample / TRAFFIC_FILE)
    approved = _approve_one(lab)
    tell(3, len(STEPS))
    report = lab.report()
    tell(4, len(STEPS))
    labels = read_faults(sample)
    score = score_detection(detection, labels, quiet_until=min(fault.start for fault in labels))
    suggestions = lab.suggestions()
    closed = score_suggestions(suggestions, labels)
    return Walkthrough(landing, detection, score, suggestions, closed, approved, report)


def _approve_one(lab: Lab) -> SpecSuggestion | None:
    """Approve the most pressing suggestion, unless an earlier run did."""
    suggestions = lab.suggestions()
    for suggestion in suggestions:
        if any(decision.reviewer == REVIEWER for decision in suggestion.approvals):
            return suggestion
    rank = {"high": 0, "medium": 1, "low": 2}
    pending = [s for s in suggestions if s.status == "pending"]
    if not pending:
        return None
    first = min(pending, key=lambda s: (rank[s.priority], s.created_at, s.id))
    return lab.approve(first.id, reviewer=REVIEWER, notes=_NOTES)
