"""How well changing values are told from steady ones, against labels of people who had to know.

From one recording: the GitHub scenarios whose maintainers keep a raw and a normalised version of
each answer. What they had to rewrite is a changing value; that includes what changes only because
what is sent does, so values found to repeat or to be built from a changing input count as found.

From two recordings: any service that can be recorded often. What differs in any of the recordings is a
changing value; the suite sees two of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from evolution_lab.bench.golden_corpora import corpus, volatile_labels
from evolution_lab.bench.targets import BenchReport, Target, share_interval
from evolution_lab.golden.expected_trees import pointer
from evolution_lab.golden.generator import GoldenTestGenerator
from evolution_lab.golden.links import leaves_of
from evolution_lab.golden.matchers import literal
from evolution_lab.golden.suite import canonical_json
from evolution_lab.golden.volatile import Exchange, KnownIds, find_changing
from evolution_lab.records.traffic import TrafficSnapshot

_DRAWS: Final = 2_000
_SEED: Final = 20_230


def single_recording(dataset: Path, *, quick: bool = False) -> BenchReport:
    """Return precision and recall of detection from one recording, over labelled leaves.

    Intervals come from drawing whole scenarios anew (2,000 times): leaves of one scenario are no
    independent cases.
    """
    del quick  # Takes a second as it is.
    labels = volatile_labels(dataset)
    by_scenario: dict[str, list[tuple[str, Exchange]]] = defaultdict(list)
    for snapshot in corpus(dataset, "github_octokit"):
        assert isinstance(snapshot.output, dict)
        exchange = Exchange(snapshot.input, snapshot.output["body"])
        by_scenario[snapshot.id.rpartition("/")[0]].append((snapshot.id, exchange))
    counts = []
    for members in by_scenario.values():
        known = KnownIds(exchange for _, exchange in members)
        right = wrong = missed = 0
        for call, exchange in members:
            if call not in labels:
                continue
            found = {path for _, path in find_changing([exchange], known)}
            volatile = {path for path, label in labels[call].items() if label}
            steady = labels[call].keys() - volatile
            right += len(found & volatile)
            wrong += len(found & steady)
            missed += len(volatile - found)
        counts.append((right, wrong, missed))
    return BenchReport(targets=_rows(np.array(counts, dtype=np.int64)))


def two_recordings(name: str, recordings: Sequence[Sequence[TrafficSnapshot]]) -> BenchReport:
    """Return how well two recordings tell what changes in any of many.

    Args:
        name: Of the service.
        recordings: The same calls in the same order against the same service, started anew each
            time; the first two make the suite, all of them say what changes. Steady inputs, so
            that a case is found by what it sends.
    """
    generator = GoldenTestGenerator(scenarios=False)
    suites = generator.generate_all(recordings[0], recordings=[recordings[1]])
    cases = {
        (case.steps[0].operation, canonical_json(case.steps[0].input)): case
        for suite in suites.values()
        for case in suite.cases
    }
    right = changing = wrong = steady = 0
    for calls in zip(*recordings, strict=True):
        first = calls[0]
        case = cases[first.operation.key, canonical_json(literal(first.input))]
        relaxed = {relaxation.path for relaxation in case.relaxations}
        others = [{leaf.path: leaf.value for leaf in leaves_of(c.output)} for c in calls[1:]]
        for leaf in leaves_of(first.output):
            loose = any(pointer(leaf.path[:cut]) in relaxed for cut in range(len(leaf.path) + 1))
            if all(leaf.path in o and o[leaf.path] == leaf.value for o in others):
                steady += 1
                wrong += loose
            else:
                changing += 1
                right += loose
    what = f"{name}: two recordings, truth from {len(recordings)}"
    return BenchReport(
        targets=(
            Target(
                id=f"golden.volatile.pair.{name}.recall",
                value=right / changing if changing else None,
                interval=share_interval(right, changing) if changing else None,
                target=0.98,
                bound="at least",
                what=f"Share of {changing} changing leaves that are let go; {what}.",
            ),
            Target(
                id=f"golden.volatile.pair.{name}.steady-relaxed",
                value=wrong / steady if steady else None,
                interval=share_interval(wrong, steady) if steady else None,
                target=0.01,
                bound="at most",
                what=f"Share of {steady} steady leaves wrongly let go; {what}.",
            ),
        )
    )


def _rows(counts: np.ndarray) -> tuple[Target, ...]:
    draws = np.random.default_rng(_SEED).integers(0, len(counts), (_DRAWS, len(counts)))
    drawn = counts[draws].sum(axis=1)
    right, wrong, missed = (int(v) for v in counts.sum(axis=0))
    leaves = f"{right + missed} changing leaves in {len(counts)} scenarios, one recording"
    rows = []
    for name, target, other, others in (
        ("precision", 0.95, wrong, drawn[:, 1]),
        ("recall", 0.75, missed, drawn[:, 2]),
    ):
        shares = drawn[:, 0] / np.maximum(drawn[:, 0] + others, 1)
        low, high = np.quantile(shares, [0.025, 0.975])
        rows.append(
            Target(
                id=f"golden.volatile.single.{name}",
                value=right / (right + other),
                interval=(float(low), float(high)),
                target=target,
                bound="at least",
                what=f"{name} of detection over {leaves}.",
            )
        )
    return tuple(rows)
