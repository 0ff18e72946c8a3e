"""What new evidence makes of a suggestion that is kept already."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from evolution_lab.display import format_value
from evolution_lab.records import Decision, EvidenceItem, SpecSuggestion, to_json

_DONE = {"withdrawn": "taken back"}


def revise(known: SpecSuggestion, new: SpecSuggestion) -> SpecSuggestion:
    """Return the next revision of a suggestion, or ``known`` itself where ``new`` adds nothing.

    Evidence is kept per signal: what ``new`` says about a signal takes the place of what was known
    about it, and signals that ``new`` does not know (an earlier run saw another stretch of time)
    stay. So submitting the same again, or in turns with another stretch, adds no revision. Words,
    risk and priority are those of the newest evidence; creation time, creator and decisions stay.
    """
    evidence = _merge(known.evidence, new.evidence)
    signal_ids = tuple(dict.fromkeys((*known.signal_ids, *new.signal_ids)))
    candidate = replace(known, evidence=evidence, signal_ids=signal_ids)
    if to_json(candidate) == to_json(known) and new.proposal.diff == known.proposal.diff:
        return known
    return replace(
        candidate,
        intent=new.intent,
        proposal=new.proposal,
        confidence=new.confidence,
        risk=new.risk,
        priority=new.priority,
        tags=new.tags,
        overlay=new.overlay,
        revision=known.revision + 1,
    )


def _merge(known: Sequence[EvidenceItem], new: Sequence[EvidenceItem]) -> tuple[EvidenceItem, ...]:
    said: dict[str | None, list[EvidenceItem]] = {}
    for item in new:
        said.setdefault(_source(item), []).append(item)
    own = {to_json(item) for item in known if _source(item) is None}
    added = [item for item in said.pop(None, ()) if to_json(item) not in own]
    replaced: set[str | None] = set()
    merged: list[EvidenceItem] = []
    for item in known:
        source = _source(item)
        if source in said:
            replaced.add(source)
            merged += said.pop(source)
        elif source is None or source not in replaced:
            merged.append(item)
    return (*merged, *added, *itertools.chain.from_iterable(said.values()))


def _source(item: EvidenceItem) -> str | None:
    """Return the signal or workflow an item of evidence belongs to, None for a person's own."""
    source = item.data.get("signalId")
    return source if isinstance(source, str) else None


def strength_of(suggestion: SpecSuggestion) -> float | None:
    """Return the size of the effect behind a suggestion; None where it carries none."""
    strength = suggestion.proposal.metadata.get("strength")
    return float(strength) if isinstance(strength, (int, float)) else None


def standing(suggestion: SpecSuggestion) -> str:
    """Say a suggestion's status and, where a person decided, who, when and why."""
    metadata = suggestion.proposal.metadata
    if suggestion.status == "expired" and isinstance(expired := metadata.get("expired"), dict):
        return f"expired: {expired.get('why')}"
    if suggestion.status == "superseded":
        return f"superseded by {str(metadata.get('supersededBy', ''))[:8]}"
    if not suggestion.approvals:
        return suggestion.status
    last = suggestion.approvals[-1]
    why = f": {last.notes}" if last.notes else ""
    what = "" if last.status == suggestion.status else f", {_DONE.get(last.status, last.status)}"
    at = format_value(last.decided_at)
    return f"{suggestion.status}{what} by {last.reviewer} on {at} UTC{why}"


def citation(rejection: Decision | None) -> dict[str, Any] | None:
    """Return a rejection as a later revision cites it."""
    if rejection is None:
        return None
    return {
        "reviewer": rejection.reviewer,
        "notes": rejection.notes,
        "revision": rejection.revision,
        "decidedAt": rejection.decided_at.isoformat(),
    }
