"""Whether selected cases notice more than schema deduplication at its size.

A mutant changes the behaviour of one operation for all calls that share up to two exact values with a
call drawn at random (input, status or output; none, one or two, each as likely); a suite notices it if
it holds one of those calls. The deduplication keeps the first call of each signature: operation,
status, names and types of what is sent and of what comes back, as Keploy states its keys.

Beside each gain stands its ceiling: what a greedy choice gains that was made on other mutants drawn
in the very same way.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from evolution_lab.bench.golden_corpora import CORPORA, corpus
from evolution_lab.bench.targets import BenchReport, Target
from evolution_lab.golden.cases import Call, read_calls
from evolution_lab.golden.features import traits_of
from evolution_lab.golden.links import leaves_of
from evolution_lab.golden.matchers import json_type
from evolution_lab.golden.selection import choose
from evolution_lab.golden.suite import canonical_json

_MUTANTS: Final = 12_000
_SEED: Final = 20_230

Mutants = list[frozenset[int]]
"""For each mutant the calls that show it."""


def selection(dataset: Path, *, quick: bool = False) -> BenchReport:
    """Return the gain in noticed mutants at schema deduplication's size, and the share at 60 % of it.

    Args:
        dataset: The folder that holds the corpora.
        quick: A third of the mutants.
    """
    rows: list[Target] = []
    table: list[dict[str, Any]] = []
    ahead = 0
    for name in CORPORA:
        calls, _ = read_calls(corpus(dataset, name))
        count = _MUTANTS // (3 if quick else 1)
        mutants = conditional_mutants(calls, count, seed=_SEED)
        kept = schema_deduplicated(calls)
        traits = traits_of(calls)
        schema = _noticed(mutants, kept)
        ours = _noticed(mutants, [index for index, _ in choose(traits, len(kept))])
        fewer = [index for index, _ in choose(traits, int(0.6 * len(kept)))]
        short = _noticed(mutants, fewer)
        knowing = _knowing(conditional_mutants(calls, count, seed=_SEED + 1), len(kept), len(calls))
        best = _noticed(mutants, knowing)
        gain = ours - schema
        ahead += bool(gain.mean() >= 0.02 or short.mean() >= schema.mean())
        table.append(
            {
                "corpus": name,
                "calls": len(calls),
                "kept": len(kept),
                "schema": float(schema.mean()),
                "ours": float(ours.mean()),
                "ceiling": float(best.mean()),
                "kept of 60 %": len(fewer),
                "ours at 60 %": float(short.mean()),
            }
        )
        rows.append(
            Target(
                id=f"golden.selection.{name}",
                value=float(gain.mean()),
                interval=_interval(gain),
                target=0.0,
                bound="at least",
                what=f"Gain in noticed mutants over schema deduplication with {len(kept)} of "
                f"{len(calls)} calls; {(best - schema).mean():.4f} for a choice that knows how "
                "mutants are drawn.",
            )
        )
    rows.append(
        Target(
            id="golden.selection.corpora-ahead",
            value=float(ahead),
            target=3.0,
            bound="at least",
            what="Corpora of four with two points more at the same size, or as much at 60 % of it.",
        )
    )
    return BenchReport(targets=tuple(rows), tables={"Selection": tuple(table)})


def conditional_mutants(calls: Sequence[Call], count: int, *, seed: int) -> Mutants:
    """Return mutants as the calls that show them."""
    draw = random.Random(seed)  # noqa: S311 - no secret
    values = [sorted(set(_values(call))) for call in calls]
    sets = [set(each) for each in values]
    members: dict[str, list[int]] = defaultdict(list)
    for index, call in enumerate(calls):
        members[call.operation].append(index)
    mutants = []
    for _ in range(count):
        index = draw.randrange(len(calls))
        conditions = draw.sample(values[index], min(draw.randrange(3), len(values[index])))
        mutants.append(
            frozenset(
                other
                for other in members[calls[index].operation]
                if all(condition in sets[other] for condition in conditions)
            )
        )
    return mutants


def _values(call: Call) -> list[str]:
    snapshot = call.snapshot
    return [
        canonical_json([side, list(leaf.path), repr(leaf.value)])
        for side, value in (("in", snapshot.input), ("out", snapshot.output))
        for leaf in leaves_of(value)
    ]


def schema_deduplicated(calls: Sequence[Call]) -> list[int]:
    """Return the first call of each schema signature."""
    first: dict[str, int] = {}
    for index, call in enumerate(calls):
        snapshot = call.snapshot
        signature = [call.operation, call.outcome, _types(snapshot.input), _types(snapshot.output)]
        first.setdefault(canonical_json(signature), index)
    return sorted(first.values())


def _types(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _types(item) for key, item in value.items()}
    if isinstance(value, list):
        return sorted({canonical_json(_types(item)) for item in value})
    return json_type(value)


def _noticed(mutants: Mutants, kept: Collection[int]) -> np.ndarray:
    held = set(kept)
    return np.array([not held.isdisjoint(mutant) for mutant in mutants], dtype=np.float64)


def _knowing(mutants: Mutants, size: int, calls: int) -> list[int]:
    left = set(range(len(mutants)))
    shown: dict[int, set[int]] = {index: set() for index in range(calls)}
    for number, mutant in enumerate(mutants):
        for index in mutant:
            shown[index].add(number)
    kept: list[int] = []
    while len(kept) < size:
        index = max(sorted(shown.keys() - set(kept)), key=lambda i: len(shown[i] & left))
        kept.append(index)
        left -= shown[index]
    return kept


def _interval(differences: np.ndarray) -> tuple[float, float]:
    """Normal 95 % interval of a mean of paired differences."""
    half = 1.96 * float(differences.std(ddof=1)) / len(differences) ** 0.5
    mean = float(differences.mean())
    return mean - half, mean + half
