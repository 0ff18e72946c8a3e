"""``evolution-lab bench detection``: what detection finds, and how often it cries wolf."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from evolution_lab.bench.confidence import calibration
from evolution_lab.bench.deploys import deploy_attribution
from evolution_lab.bench.null_table import null_lab, null_table
from evolution_lab.bench.planted_effects import planted_effects
from evolution_lab.bench.recordings import judge_dataset, one_answer
from evolution_lab.bench.targets import BenchReport
from evolution_lab.bench.workflows import workflow_discovery
from evolution_lab.errors import UnknownNameError

Progress = Callable[[int, int], None]
Section = Callable[..., BenchReport]

SECTIONS: Final[Mapping[str, Section]] = {
    "null": null_table,
    "lab": null_lab,
    "planted": planted_effects,
    "answer": one_answer,
    "confidence": calibration,
    "workflows": workflow_discovery,
    "deploys": deploy_attribution,
}
"""Sections that need no recording; each takes ``quick`` by name."""
ON_RECORDINGS: Final[Mapping[str, Callable[[Path], BenchReport]]] = {
    "recording": judge_dataset,
}
"""Sections that judge the folder given as ``--dataset``."""


def bench_detection(
    *,
    quick: bool = False,
    dataset: Path | None = None,
    section: str | None = None,
    progress: Progress | None = None,
) -> BenchReport:
    """Measure detection at the package's defaults.

    Args:
        quick: End within about two minutes, on fewer cases.
        dataset: A folder with a labelled recording, judged too.
        section: Only this section.
        progress: Called with (sections done, sections in all).

    Raises:
        UnknownNameError: There is no such section.
        PathNotFoundError: The recording lacks a file.
    """
    known = (*SECTIONS, *ON_RECORDINGS)
    if section is not None and section not in known:
        raise UnknownNameError("section", section, known)
    runs: list[Callable[[], BenchReport]] = [
        lambda measure=measure: measure(quick=quick)  # type: ignore[misc]
        for name, measure in SECTIONS.items()
        if section in {None, name}
    ]
    if dataset is not None:
        runs += [
            lambda judge=judge: judge(dataset)  # type: ignore[misc]
            for name, judge in ON_RECORDINGS.items()
            if section in {None, name}
        ]
    report = BenchReport()
    for number, run in enumerate(runs):
        if progress is not None:
            progress(number, len(runs))
        report += run()
    if progress is not None:
        progress(len(runs), len(runs))
    return report
