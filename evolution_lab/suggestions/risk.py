"""How urgent a suggestion is and how much could go wrong by applying it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from evolution_lab.records import ChangeType, IntentSignal, Priority
from evolution_lab.records.json_form import CAMEL_CASE

BASE_RISK: Final[Mapping[ChangeType, float]] = {
    "new-spec": 0.10,
    "revision": 0.20,
    "policy-update": 0.30,
    "schema-update": 0.40,
}
"""Where no spec is known to compare with: a new operation touches nobody; a changed policy changes
how calls behave; a changed schema may break callers."""

BreakingClass = Literal["breaking", "compatible", "unknown"]
CLASS_RISK: Final[Mapping[BreakingClass, float]] = {"breaking": 0.40, "compatible": 0.05}
BLAST_WEIGHT: Final = 0.40
COMMAND_RISK: Final = 0.10
LASTING_RISK: Final = 0.05
UNCERTAINTY_WEIGHT: Final = 0.10
UNSTATED_UNCERTAINTY: Final = 0.5
_ORDER: Final[tuple[Priority, ...]] = ("low", "medium", "high")


@dataclass(frozen=True, kw_only=True)
class Risk:
    """A risk between 0 and 1 with its parts.

    ``score = base + 0.4 * blast_radius + command + lasting + 0.1 * uncertainty``, cut at 1 and
    rounded to 2 digits. It is a rule of thumb for ordering and for the automatic approval's limit,
    not a probability.

    Attributes:
        score: 0 (nothing can go wrong) to 1.
        base: By ``breaking``: see ``CLASS_RISK``; by type of change where that is unknown.
        breaking: Whether callers that kept to the old spec may fail under the new one.
        blast_radius: Share of all calls seen that the operation takes, 0 to 1; None (counted as 1)
            where no windows were given.
        command: 0.1 when the operation changes something, else 0.
        lasting: 0.05 where taking the change back would break callers, else 0.
        uncertainty: 1 minus the calibrated confidence; 0.5 where that is not stated.
        explanation: The same in one sentence.
    """

    __pydantic_config__ = CAMEL_CASE

    score: float
    base: float
    breaking: BreakingClass
    blast_radius: float | None
    command: float
    lasting: float
    uncertainty: float
    explanation: str

    def to_dict(self) -> dict[str, Any]:
        """Return the parts under their JSON names."""
        return {
            "score": self.score,
            "base": self.base,
            "breaking": self.breaking,
            "blastRadius": self.blast_radius,
            "command": self.command,
            "lasting": self.lasting,
            "uncertainty": self.uncertainty,
            "explanation": self.explanation,
        }


def assess_risk(
    change_type: ChangeType,
    *,
    blast_radius: float | None,
    command: bool,
    breaking: BreakingClass = "unknown",
    lasting: bool = False,
    confidence: float | None = None,
) -> Risk:
    """Return the risk of a change.

    Args:
        change_type: What is changed.
        blast_radius: Share of all calls seen that it concerns; None when unknown, which counts as
            all. A new operation concerns no call that exists: 0.
        command: Whether the operation changes something.
        breaking: What comparing the specs says (``contracts.breaking``).
        lasting: Whether taking the change back would break callers: they may rely on it by then.
        confidence: Calibrated probability that the finding is true.

    Examples:
        >>> assess_risk("policy-update", blast_radius=0.25, command=True).score
        0.55
        >>> assess_risk("schema-update", blast_radius=0.1, command=False, breaking="compatible",
        ...             lasting=True, confidence=0.9).score
        0.15
    """
    base = CLASS_RISK.get(breaking, BASE_RISK[change_type])
    reach = 1.0 if blast_radius is None else blast_radius
    extra = COMMAND_RISK if command else 0.0
    kept = LASTING_RISK if lasting else 0.0
    doubt = UNSTATED_UNCERTAINTY if confidence is None else 1.0 - confidence
    score = base + BLAST_WEIGHT * reach + extra + kept + UNCERTAINTY_WEIGHT * doubt
    share = "an unknown share" if blast_radius is None else f"{blast_radius:.0%}"
    what = {
        "breaking": f"a {change_type} that may break callers",
        "compatible": f"a {change_type} that breaks no caller",
        "unknown": f"a {change_type}",
    }[breaking]
    explanation = (
        f"{base:.2f} for {what}, {BLAST_WEIGHT * reach:.2f} for reaching {share} of the calls, "
        f"{extra:.2f} for a {'command' if command else 'query'}, {kept:.2f} because taking it back "
        f"{'would break' if lasting else 'breaks no'} callers, {UNCERTAINTY_WEIGHT * doubt:.2f} for "
        f"{'a confidence that is not stated' if confidence is None else f'a confidence of {confidence:.0%}'}."
    )
    return Risk(
        score=round(min(1.0, score), 2),
        base=base,
        breaking=breaking,
        blast_radius=blast_radius,
        command=extra,
        lasting=kept,
        uncertainty=doubt,
        explanation=explanation,
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
