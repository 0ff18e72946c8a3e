"""``evolution-lab bench golden``: what golden tests find, keep and notice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from evolution_lab.bench.golden_kill import kill
from evolution_lab.bench.golden_pact import agreement
from evolution_lab.bench.golden_pii import bench_pii, judged_corpus, judged_peers
from evolution_lab.bench.golden_recording import bench_recording
from evolution_lab.bench.golden_selection import selection
from evolution_lab.bench.golden_services import code, flake, pairs
from evolution_lab.bench.golden_speed import generation
from evolution_lab.bench.golden_volatile import single_recording
from evolution_lab.bench.targets import BenchReport
from evolution_lab.errors import UnknownNameError

Progress = Callable[[int, int], None]
Section = Callable[..., BenchReport]

SECTIONS: Final[Mapping[str, Section]] = {
    "recording": bench_recording,
    "pii": bench_pii,
    "flake": flake,
    "pairs": pairs,
    "code": code,
    "speed": generation,
}
"""Sections that need no recordings; each takes ``quick`` by name."""
ON_CORPORA: Final[Mapping[str, Section]] = {
    "volatile": single_recording,
    "pact": agreement,
    "selection": selection,
    "kill": kill,
    "pii-corpus": judged_corpus,
}
"""Sections that judge the corpora under ``--dataset``; each takes the folder, and ``quick`` by name."""
WHEN_ASKED: Final[Mapping[str, Section]] = {"pii-peers": judged_peers}
"""The same, run only when named: they install other tools into environments of their own."""


def bench_golden(
    *,
    quick: bool = False,
    dataset: Path | None = None,
    section: str | None = None,
    progress: Progress | None = None,
) -> BenchReport:
    """Measure golden tests.

    Args:
        quick: End within about two minutes, on fewer cases.
        dataset: A folder with corpora of recorded traffic, judged too.
        section: Only this section.
        progress: Called with (sections done, sections in all).

    Raises:
        UnknownNameError: There is no such section.
        PathNotFoundError: A corpus lacks a file.
    """
    known = (*SECTIONS, *ON_CORPORA, *WHEN_ASKED)
    if section is not None and section not in known:
        raise UnknownNameError("section", section, known)
    runs: list[Callable[[], BenchReport]] = [
        lambda measure=measure: measure(quick=quick)  # type: ignore[misc]
        for name, measure in SECTIONS.items()
        if section in {None, name}
    ]
    if dataset is not None:
        runs += [
            lambda judge=judge: judge(dataset, quick=quick)  # type: ignore[misc]
            for name, judge in {**ON_CORPORA, **WHEN_ASKED}.items()
            if section == name or (section is None and name in ON_CORPORA)
        ]
    report = BenchReport()
    for number, run in enumerate(runs):
        if progress is not None:
            progress(number, len(runs))
        report += run()
    if progress is not None:
        progress(len(runs), len(runs))
    return report
