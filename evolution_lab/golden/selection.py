"""Which cases are kept where not all can be: those that together have the most features.

Greedy maximum coverage (Nemhauser, Wolsey, Fisher 1978: at least 1 - 1/e of the best possible) over
weighted features and pairs of them. One case for each outcome of each operation comes first,
whatever the budget: a rare error that is not kept is never guarded. When everything is covered,
further cases cover it again, the least covered first.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from evolution_lab.golden.cases import Call
from evolution_lab.golden.features import Feature, Traits, describe, traits_of, with_lines

_KEPT_FOR: Final = 3
_TIE: Final = 1e-12


@dataclass(frozen=True)
class Chosen:
    """What is kept, and which features were lost with the rest.

    Attributes:
        kept: Positions of the calls kept, in the order they were chosen, each with the features it
            was chosen for, most telling first.
        lost: Features no kept call has, in words, with how many of them there are.
    """

    kept: Mapping[int, tuple[str, ...]]
    lost: Mapping[str, int]


def select(
    calls: Sequence[Call],
    *,
    budget: int | None,
    reached: Sequence[Collection[tuple[str, int]]] = (),
) -> Chosen:
    """Return which of some calls to keep, of one operation or of many.

    Args:
        calls: Calls that differ, in an order that follows from their content: it breaks ties.
        budget: Most calls; None keeps all. One call of each outcome of each operation is kept
            beyond it.
        reached: Files and lines that each call runs, where the system is Python and was watched.
    """
    if budget is None or budget >= len(calls):
        return Chosen(dict.fromkeys(range(len(calls)), ()), {})
    traits = traits_of(calls)
    if reached:
        traits = [with_lines(t, lines) for t, lines in zip(traits, reached, strict=True)]
    picks = choose(traits, budget)
    return Chosen(
        {index: tuple(why) for index, why in picks}, _lost(traits, {index for index, _ in picks})
    )


def choose(traits: Sequence[Traits], budget: int) -> list[tuple[int, list[str]]]:
    """Return which calls to keep, in the order they are chosen, with their most telling features.

    Args:
        traits: Features of each call.
        budget: Most calls, beyond one for each outcome.
    """
    return _Choice(traits).greedy(budget)


class _Choice:
    """Lazy greedy coverage: gains only shrink, so a stale one that leads is all that is redone."""

    def __init__(self, traits: Sequence[Traits]) -> None:
        self.traits = traits
        numbers: dict[Feature, int] = {}
        self.owned: list[npt.NDArray[np.int64]] = [
            np.array([numbers.setdefault(f, len(numbers)) for f in each.shares], dtype=np.int64)
            for each in traits
        ]
        self.features = list(numbers)
        self.weights = np.zeros(len(numbers))
        for each, own in zip(traits, self.owned, strict=True):
            self.weights[own] += np.fromiter(each.shares.values(), dtype=np.float64)
        self.remaining = self.weights.copy()
        self.covered = np.zeros(len(numbers), dtype=np.int64)
        self.level = 0

    def gain(self, index: int) -> float:
        return float(self.remaining[self.owned[index]].sum())

    def heap(self, left: Iterable[int]) -> list[tuple[float, int]]:
        heap = [(-self.gain(index), index) for index in sorted(left)]
        heapq.heapify(heap)
        return heap

    def again(self) -> None:
        """Everything left is covered: what was covered least counts again."""
        self.level += 1
        self.remaining = np.where(self.covered <= self.level, self.weights, 0.0)

    def take(self, index: int) -> list[str]:
        own = self.owned[index]
        new = own[self.remaining[own] > 0]
        self.covered[own] += 1
        self.remaining[own[self.covered[own] > self.level]] = 0.0
        return self.why(new)

    def why(self, new: npt.NDArray[np.int64]) -> list[str]:
        telling = sorted((-self.weights[i], self.features[i]) for i in new.tolist())
        words = (describe(f) for _, f in telling if f[0] not in {"pair", "class"})
        return list(dict.fromkeys(words))[:_KEPT_FOR]

    def greedy(self, budget: int) -> list[tuple[int, list[str]]]:
        picks: list[tuple[int, list[str]]] = []
        left = set(range(len(self.traits)))
        waiting = {each.outcome for each in self.traits}
        heap = self.heap(left)
        while left and (waiting or len(picks) < budget):
            if not heap:
                self.again()
                heap = self.heap(left)
            _, index = heapq.heappop(heap)
            outcome = self.traits[index].outcome
            gain = self.gain(index)
            if heap and -heap[0][0] > gain + _TIE:
                heapq.heappush(heap, (-gain, index))
            elif gain <= _TIE:
                heap = []
            else:
                left.discard(index)
                if outcome in waiting or len(picks) + len(waiting) < budget:
                    waiting.discard(outcome)
                    picks.append((index, self.take(index)))
        return picks


def _lost(traits: Sequence[Traits], kept: set[int]) -> dict[str, int]:
    has = {f for index in kept for f in traits[index].shares}
    lost = {f for each in traits for f in each.shares} - has
    counts = Counter(describe(f) for f in lost if f[0] not in {"class", "pair"})
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
