"""Which cases are kept where not all can be: those that together have the most features.

Greedy maximum coverage (Nemhauser, Wolsey, Fisher 1978: at least 1 - 1/e of the best possible) over
weighted features and pairs of them. One case for each outcome of each operation comes first,
whatever the budget: a rare error that is not kept is never guarded. When everything is covered,
further cases cover it again, the least covered first.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from evolution_lab.golden.features import (
    Feature,
    Traits,
    describe,
    traits_of,
)
from evolution_lab.golden.scenarios import Chain
from evolution_lab.golden.suite import GoldenCase

_KEPT_FOR: Final = 3
_TIE: Final = 1e-12


@dataclass(frozen=True)
class Candidate:
    """A case with the calls it was made of.

    Attributes:
        case: The case.
        chain: Its calls; the last is what the case is about.
    """

    case: GoldenCase
    chain: Chain


@dataclass(frozen=True)
class Chosen:
    """What is kept, and which features were lost with the rest.

    Attributes:
        cases: Kept, with what each was kept for.
        lost: Features no kept case has, in words, with how many of them there are.
    """

    cases: tuple[GoldenCase, ...]
    lost: Mapping[str, int]


def select(candidates: Sequence[Candidate], *, budget: int | None) -> Chosen:
    """Return the cases to keep, of one operation or of many.

    Args:
        candidates: Cases that differ.
        budget: Most cases; None keeps all. One case of each outcome of each operation is kept
            beyond it.
    """
    ordered = sorted(candidates, key=lambda c: (c.case.steps[-1].operation, c.case.id))
    if budget is None or budget >= len(ordered):
        return Chosen(tuple(c.case for c in ordered), {})
    traits = traits_of([c.chain.last for c in ordered])
    picks = choose(traits, budget)
    kept = [replace(ordered[index].case, kept_for=tuple(why)) for index, why in picks]
    return Chosen(tuple(kept), _lost(traits, {index for index, _ in picks}))


def choose(traits: Sequence[Traits], budget: int) -> list[tuple[int, list[str]]]:
    """Return which calls to keep, in the order they are chosen, with their most telling features.

    Args:
        traits: Features of each call, in an order that follows from content (it breaks ties).
        budget: Most calls, beyond one for each outcome.
    """
    weights: dict[Feature, float] = {}
    for each in traits:
        for feature, share in each.shares.items():
            weights[feature] = weights.get(feature, 0.0) + share
    covered: Counter[Feature] = Counter()
    picks: list[tuple[int, list[str]]] = []
    left = set(range(len(traits)))
    waiting = {each.outcome for each in traits}
    level = 0
    heap = _heap(traits, weights, left, covered, level)
    while left and (waiting or len(picks) < budget):
        if not heap:
            level += 1
            heap = _heap(traits, weights, left, covered, level)
        _, index = heapq.heappop(heap)
        mine = traits[index]
        gain = _gain(mine, weights, covered, level)
        if heap and -heap[0][0] > gain + _TIE:
            heapq.heappush(heap, (-gain, index))
        elif gain <= _TIE:
            heap = []
        elif mine.outcome not in waiting and len(picks) + len(waiting) >= budget:
            left.discard(index)
        else:
            left.discard(index)
            waiting.discard(mine.outcome)
            new = [f for f in mine.shares if covered[f] <= level]
            covered.update(mine.shares.keys())
            picks.append((index, _why(new, weights)))
    return picks


def _gain(
    traits: Traits, weights: Mapping[Feature, float], covered: Mapping[Feature, int], level: int
) -> float:
    return sum(weights[f] for f in traits.shares if covered[f] <= level)


def _heap(
    traits: Sequence[Traits],
    weights: Mapping[Feature, float],
    left: Iterable[int],
    covered: Mapping[Feature, int],
    level: int,
) -> list[tuple[float, int]]:
    heap = [(-_gain(traits[i], weights, covered, level), i) for i in sorted(left)]
    heapq.heapify(heap)
    return heap


def _why(new: Sequence[Feature], weights: Mapping[Feature, float]) -> list[str]:
    singles = [f for f in new if f[0] not in {"pair", "class"}]
    telling = sorted(singles, key=lambda f: (-weights[f], f))
    return list(dict.fromkeys(describe(f) for f in telling))[:_KEPT_FOR]


def _lost(traits: Sequence[Traits], kept: set[int]) -> dict[str, int]:
    has = {f for index in kept for f in traits[index].shares}
    lost = {f for each in traits for f in each.shares} - has
    counts = Counter(describe(f) for f in lost if f[0] not in {"class", "pair"})
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
