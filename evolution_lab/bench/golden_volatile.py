"""How well changing values are told from steady ones, against labels of people who had to know.

From one recording: the GitHub scenarios whose maintainers keep a raw and a normalised version of
each answer. What they had to rewrite is a changing value; that includes what changes only because
what is sent does, so values found to repeat or to be built from a changing input count as found.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Final

import numpy as np

from evolution_lab.bench.golden_corpora import corpus, volatile_labels
from evolution_lab.bench.targets import BenchReport, Target
from evolution_lab.golden.volatile import Exchange, KnownIds, find_changing

_DRAWS: Final = 2_000
_SEED: Final = 20_230


def single_recording(dataset: Path) -> BenchReport:
    """Return precision and recall of detection from one recording, over labelled leaves.

    Intervals come from drawing whole scenarios anew (2,000 times): leaves of one scenario are no
    independent cases.
    """
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
