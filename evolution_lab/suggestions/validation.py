"""Whether a suggestion can be proposed, and if not, why."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, Final, get_args

from evolution_lab.config import EvolutionConfig
from evolution_lab.records import ChangeType, Priority, SpecSuggestion, SuggestionStatus
from evolution_lab.suggestions.identity import canonical_json, points_into, suggestion_id

LONGEST_SUMMARY: Final = 2_000


def validate_suggestion(
    suggestion: SpecSuggestion, *, config: EvolutionConfig | None = None
) -> list[str]:
    """Return the reasons why a suggestion cannot be proposed; empty when it can.

    Each reason says the value and the rule it breaks. What is checked: the id is that of what is
    asked; the change is there, is JSON, and holds the member its path names; a new operation has a
    key, a kind and steps; there is evidence in words; the numbers are in their ranges.

    Args:
        suggestion: Written by the generator, by a person, or read from a file.
        config: With it, a calibrated confidence below ``min_confidence`` is a reason too.

    Examples:
        >>> from datetime import UTC, datetime
        >>> from evolution_lab.records import OperationRef, Proposal, Target
        >>> target = Target(operation=OperationRef("checkout"), path="/lifecycle")
        >>> proposal = Proposal(summary="Retire it.", rationale="Unused.", change_type="revision")
        >>> suggestion = SpecSuggestion(
        ...     id="", intent="throughput-drop", target=target, proposal=proposal, confidence=None,
        ...     risk=0.2, created_at=datetime(2026, 1, 1, tzinfo=UTC), evidence=(), priority="low")
        >>> validate_suggestion(suggestion)
        ['spec is empty, must hold the changed part.', 'there is no evidence, must be at least one fact.']
    """
    return list(_reasons(suggestion, config))


def _reasons(suggestion: SpecSuggestion, config: EvolutionConfig | None) -> Iterator[str]:
    yield from _broken_words(suggestion)
    if _holds_surrogates(suggestion):
        yield "a text holds lone surrogates, must be Unicode that UTF-8 can say."
    yield from _broken_numbers(suggestion, config)
    yield from _broken_change(suggestion)
    yield from _broken_evidence(suggestion)


def _broken_words(suggestion: SpecSuggestion) -> Iterator[str]:
    proposal = suggestion.proposal
    for name, value, known in (
        ("priority", suggestion.priority, get_args(Priority)),
        ("status", suggestion.status, get_args(SuggestionStatus)),
        ("changeType", proposal.change_type, get_args(ChangeType)),
    ):
        if value not in known:
            yield f"{name} == {value!r}, must be one of {', '.join(known)}."
    for name, text in (("summary", proposal.summary), ("rationale", proposal.rationale)):
        if not text.strip():
            yield f"{name} is empty, must say {'what' if name == 'summary' else 'why'}."
    if len(proposal.summary) > LONGEST_SUMMARY:
        yield (
            f"summary has {len(proposal.summary)} characters, must have at most {LONGEST_SUMMARY}."
        )


def _broken_numbers(suggestion: SpecSuggestion, config: EvolutionConfig | None) -> Iterator[str]:
    for name, value in (("confidence", suggestion.confidence), ("risk", suggestion.risk)):
        if value is not None and not 0 <= value <= 1:
            yield f"{name} == {value}, must be between 0 and 1."
    low = None if config is None else config.min_confidence
    confidence = suggestion.confidence
    if low is not None and confidence is not None and confidence < low:
        yield f"confidence == {confidence}, must be at least min_confidence == {low}."
    if suggestion.revision < 1:
        yield f"revision == {suggestion.revision}, must be >= 1."
    if suggestion.created_at.utcoffset() is None:
        yield "createdAt has no time zone, must be UTC."
    elif suggestion.created_at.utcoffset():
        yield f"createdAt == {suggestion.created_at.isoformat()}, must be UTC."


def _broken_change(suggestion: SpecSuggestion) -> Iterator[str]:
    proposal, target = suggestion.proposal, suggestion.target
    if not proposal.spec:
        yield "spec is empty, must hold the changed part."
        return
    for name, value in (("spec", proposal.spec), ("metadata", proposal.metadata)):
        reason = _not_json(value)
        if reason:
            yield f"{name} {reason}"
            return
    if proposal.change_type == "new-spec":
        yield from _broken_draft(suggestion)
    elif target.operation is None:
        yield f"target names no operation, must do so for a {proposal.change_type}."
    elif not points_into(proposal.spec, target.path):
        yield f"path == {target.path!r}, must name a member of the changed part."
    ask = proposal.metadata.get("ask")
    if not isinstance(ask, Mapping) or not ask:
        yield "metadata has no 'ask', must hold the canonical change."
        return
    expected = suggestion_id(target, proposal.change_type, ask)
    if suggestion.id != expected:
        yield f"id == {suggestion.id!r}, must be {expected!r}: the hash of what is asked."


def _broken_draft(suggestion: SpecSuggestion) -> Iterator[str]:
    draft = suggestion.proposal.spec or {}
    if suggestion.target.operation is not None:
        yield "target names an operation, must not do so for a new-spec."
    if not draft.get("key"):
        yield "a new-spec has no key, must name the operation it drafts."
    if not draft.get("version"):
        yield "a new-spec has no version, must say one."
    if suggestion.proposal.kind not in {"command", "query"}:
        yield f"kind == {suggestion.proposal.kind!r}, must be 'command' or 'query' for a new-spec."


def _broken_evidence(suggestion: SpecSuggestion) -> Iterator[str]:
    if not suggestion.evidence:
        yield "there is no evidence, must be at least one fact."
    for number, item in enumerate(suggestion.evidence, start=1):
        if not item.description.strip():
            yield f"evidence {number} has no description, must say what was seen."
        reason = _not_json(item.data)
        if reason:
            yield f"evidence {number} {reason}"


def _not_json(value: object) -> str | None:
    if _holds_not_finite(value):
        return "holds NaN or an infinity, must be JSON."
    try:
        canonical_json(value)
    except (TypeError, ValueError, RecursionError) as error:
        return f"is not JSON: {error}."
    return None


def _holds_surrogates(suggestion: SpecSuggestion) -> bool:
    text = json.dumps(asdict(suggestion), default=str, ensure_ascii=False)
    return any("\ud800" <= char <= "\udfff" for char in text)


def _holds_not_finite(value: Any) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, Mapping):
        return any(_holds_not_finite(item) for item in value.values())
    if isinstance(value, (list, tuple)):
        return any(_holds_not_finite(item) for item in value)
    return False
