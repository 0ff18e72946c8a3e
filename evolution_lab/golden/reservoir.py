"""A small share of the recording's budget for what sampling would miss: errors and rare shapes."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Final, Literal

KeptFor = Literal["error", "rare"]

RESERVED: Final = 0.2
"""Share of the rate that the reservoir may spend."""
MOST_SAVED: Final = 100.0
"""Snapshots that a quiet time may save up for a bad one."""
MOST_CLASSES: Final = 10_000
"""Classes told apart; strangers choose what is sent, and must not fill the memory."""


@dataclass(eq=False)
class Reservoir:
    """Says whether a call that sampling passed over is kept all the same.

    Each call pays ``rate`` of a snapshot in; each one kept takes a whole one out, so that at most
    ``rate * calls + 1`` are ever kept. Calls are told apart by class (operation, outcome, shape of the
    output). Of errors the first is kept, then the second, the fourth, the eighth …: a storm of one
    error leaves room for the next. Of other classes the first.

    Not safe for threads; its owner holds a lock.

    Attributes:
        rate: Share of calls that may be kept, fraction.
        calls: Calls counted so far.

    Examples:
        >>> reservoir = Reservoir(0.01)
        >>> boom = ("pay", "CardDeclined")
        >>> [reservoir.passes_over(boom) or reservoir.wanted(boom, failed=True) for _ in range(3)]
        ['error', None, True]
        >>> reservoir.rate_of(boom)
        0.3333333333333333
    """

    rate: float
    calls: int = field(default=0, init=False)
    _saved: float = field(default=1.0, init=False)
    _paid_at: int = field(default=0, init=False)
    _seen: dict[tuple[Hashable, ...], int] = field(default_factory=dict, init=False, repr=False)
    _kept: dict[tuple[Hashable, ...], int] = field(default_factory=dict, init=False, repr=False)

    def passes_over(self, kind: tuple[Hashable, ...]) -> bool:
        """Count one call of a class that sampling did not choose; say that nobody needs to ask more.

        The only thing that most calls pay for, so it does no more than it must.

        Args:
            kind: The class; its first part is the operation's key.
        """
        self.calls += 1
        seen = self._seen.get(kind, 0)
        if not seen:
            return False
        self._seen[kind] = seen = seen + 1
        return seen & (seen - 1) != 0

    def chosen(self, kind: tuple[Hashable, ...]) -> None:
        """Count one call of a class that sampling did choose."""
        self.calls += 1
        self._count(kind, self._seen)
        self._count(kind, self._kept)

    def wanted(self, kind: tuple[Hashable, ...], *, failed: bool) -> KeptFor | None:
        """Say what a call that ``passes_over`` did not dismiss is kept for; None where it is not.

        Args:
            kind: The class.
            failed: Whether the call ended in an error.
        """
        first = kind not in self._seen
        if first and not self._count(kind, self._seen):
            return None
        self._saved = min(self._saved + self.rate * (self.calls - self._paid_at), MOST_SAVED)
        self._paid_at = self.calls
        if not (first or failed) or self._saved < 1 or not self.rate:
            return None
        self._saved -= 1
        self._count(kind, self._kept)
        return "error" if failed else "rare"

    def _count(self, kind: tuple[Hashable, ...], counts: dict[tuple[Hashable, ...], int]) -> bool:
        seen = counts.get(kind, 0)
        if not seen and len(counts) >= MOST_CLASSES:
            return False
        counts[kind] = seen + 1
        return True

    def seen_by_operation(self) -> dict[str, int]:
        """Return how many calls of each operation were counted, sorted by key."""
        found: dict[str, int] = {}
        for kind, times in self._seen.items():
            found[str(kind[0])] = found.get(str(kind[0]), 0) + times
        return dict(sorted(found.items()))

    def rate_of(self, kind: tuple[Hashable, ...]) -> float:
        """Return the share of a class's calls that were kept so far, above 0."""
        return max(self._kept.get(kind, 0), 1) / max(self._seen.get(kind, 0), 1)
