"""What a recorder has done: why it chose a call, and where every call went."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from evolution_lab.records import OperationRef


class Choice(NamedTuple):
    """Why an exchange is recorded, its class, its operation, and its session where that chose."""

    reason: str
    kind: tuple[Any, ...]
    operation: OperationRef
    session: str | None


@dataclass(frozen=True, kw_only=True)
class RecorderCounts:
    """What a recorder has done since its process began; nothing is lost without being counted.

    ``seen == unsampled + sampled + kept_errors + kept_rare``, and the last three together are
    ``dropped + written + duplicates + refused + lost + waiting``; after ``close`` nothing waits.

    Attributes:
        seen: Calls.
        unsampled: Calls that were not chosen.
        sampled: Calls chosen by their trace.
        kept_errors: Errors that sampling had passed over.
        kept_rare: Rare outcomes that sampling had passed over.
        dropped: Chosen, but nobody could take them: reason and number.
        written: Stored.
        duplicates: Stored before.
        refused: Dropped where they are sanitised: they could not be, or no test could be made of them.
        lost: The writer was killed before it had stored them.
        waiting: On their way.
        operations: Calls seen by operation, sorted; what lies beyond 10,000 kinds is not told apart.
    """

    seen: int = 0
    unsampled: int = 0
    sampled: int = 0
    kept_errors: int = 0
    kept_rare: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    written: int = 0
    duplicates: int = 0
    refused: int = 0
    lost: int = 0
    waiting: int = 0
    operations: Mapping[str, int] = field(default_factory=dict)
