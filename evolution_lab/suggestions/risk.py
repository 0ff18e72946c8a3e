"""How urgent a suggestion is and how much could go wrong by applying it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from evolution_lab.records import ChangeType, IntentSignal, Priority
from evolution_lab.records.json_form import CAMEL_CASE

BASE_RISK: Final[Mapping[ChangeType, float]] = {
    "new-spec": 0.10,
    "revision": 0.20,
    "policy-update": 0.30,
    "schema-update": 0.40,
}
"""A new operation touches nobody; a changed policy changes how calls behave; a changed schema may
break callers."""

BLAST_WEIGHT: Final = 0.40
COMMAND_RISK: Final = 0.10
_ORDER: Final[tuple[Priority, ...]] = ("low", "medium", "high")


@dataclass(frozen=True, kw_only=True)
class Risk:
    """A risk between 0 and 1 with its parts.

    ``score = base + 0.4 * blast_radius + command``, cut at 1 and rounded to 2 digits. It is a rule
    of thumb for ordering and for the automatic approval's limit, not a probability.

    Attributes:
        score: 0 (nothing can go wrong) to 1.
        base: By type of change, see ``BASE_RISK``.
        blast_radius: Share of all calls seen that the operation takes, 0 to 1; None (counted as 1)
            where no windows were given.
        command: 0.1 when the operation changes something, else 0.
        explanation: The same in one sentence.
    """

    __pydantic_config__ = CAMEL_CASE

    score: float
    base: float
    blast_radius: float | None
    command: float
    explanation: str

    def to_dict(self) -> dict[str, Any]:
        """Return the parts under their JSON names."""
        return {
            "score": self.score,
            "base": self.base,
            "blastRadius": self.blast_radius,
            "command": self.command,
            "explanation": self.explanation,
        }


def assess_risk(change_type: ChangeType, *, blast_radius: float | None, command: bool) -> Risk:
    """Return the risk of a change.

    Args:
        change_type: What is changed.
        blast_radius: Share of all calls seen that it concerns; None when unknown, which counts as
            all. A new operation concerns no call that exists: 0.
        command: Whether the operation changes something.

    Examples:
        >>> assess_risk("policy-update", blast_radius=0.25, command=True).score
        0.5
    """
    base = BASE_RISK[change_type]
    reach = 1.0 if blast_radius is None else blast_radius
    extra = COMMAND_RISK if command else 0.0
    score = round(min(1.0, base + BLAST_WEIGHT * reach + extra), 2)
    share = "an unknown share" if blast_radius is None else f"{blast_radius:.0%}"
    explanation = (
        f"{base:.2f} for a {change_type}, {BLAST_WEIGHT * reach:.2f} for reaching {share} of the "
        f"calls, {extra:.2f} for a {'command' if command else 'query'}."
    )
    return Risk(
        score=score, base=base, blast_radius=blast_radius, command=extra, explanation=explanation
    )


def priority_of(signal: IntentSignal) -> Priority:
    """Return how urgent a signal makes its suggestion.

    An error spike is high, as in the seed system; everything else has its severity, a burst of
    client errors too: there the operation itself answers as it should.
    """
    if signal.kind == "error-spike" and signal.error_class != "client":
        return "high"
    return signal.severity


def urgency(priority: Priority) -> int:
    """Return 0 for low, 1 for medium, 2 for high, for sorting.

    Examples:
        >>> max(("low", "high", "medium"), key=urgency)
        'high'
    """
    return _ORDER.index(priority)
