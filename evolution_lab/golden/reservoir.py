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

    Examples:
        >>> reservoir = Reservoir(0.01)
        >>> [reservoir.wanted("boom", failed=True) for _ in range(3)]
        ['error', None, None]
        >>> reservoir.rate_of("boom")
        0.3333333333333333
    """

    rate: float
    _saved: float = field(default=1.0, init=False)
    _seen: dict[Hashable, int] = field(default_factory=dict, init=False, repr=False)
    _kept: dict[Hashable, int] = field(default_factory=dict, init=False, repr=False)

    @property
    def can_keep(self) -> bool:
        """Whether anything could be kept now."""
        return self._saved >= 1

    def pay_in(self) -> None:
        """Count one call."""
        self._saved = min(self._saved + self.rate, MOST_SAVED)

    def wanted(self, kind: Hashable, *, failed: bool) -> KeptFor | None:
        """Count one call of a class, and say what it is kept for; None where it is not.

        Args:
            kind: The class.
            failed: Whether the call ended in an error.
        """
        if kind not in self._seen and len(self._seen) >= MOST_CLASSES:
            return None
        seen = self._seen[kind] = self._seen.get(kind, 0) + 1
        due = seen & (seen - 1) == 0 if failed else seen == 1
        if not due or self._saved < 1 or not self.rate:
            return None
        self._saved -= 1
        self._kept[kind] = self._kept.get(kind, 0) + 1
        return "error" if failed else "rare"

    def rate_of(self, kind: Hashable) -> float:
        """Return the share of a class's calls that were kept so far, above 0."""
        return max(self._kept.get(kind, 0), 1) / max(self._seen.get(kind, 0), 1)
