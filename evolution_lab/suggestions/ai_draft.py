"""A suggestion that a language model drafted: an id of its own, and marked as made by a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from evolution_lab.display import strip_controls
from evolution_lab.records import SpecSuggestion, Target, to_python
from evolution_lab.suggestions.ai_overlays import DraftedChange
from evolution_lab.suggestions.identity import json_ready, suggestion_id
from evolution_lab.suggestions.overlays import EXTENSION
from evolution_lab.suggestions.risk import BreakingClass, Risk, assess_risk

AI_CREATOR: Final = "ai:"
"""How ``created_by`` of every suggestion begins that a model wrote; its model's name follows."""
AI_TAG: Final = "ai-made"


def is_ai_made(suggestion: SpecSuggestion) -> bool:
    """Say whether a model wrote a suggestion: no rule may approve it without a person."""
    return suggestion.created_by.startswith(AI_CREATOR) or AI_TAG in suggestion.tags


def drafted_suggestion(
    source: SpecSuggestion,
    *,
    model: str,
    summary: str,
    rationale: str,
    change: DraftedChange | None,
) -> SpecSuggestion:
    """Return a suggestion of what a model drafted from another one, marked as made by a model.

    It has an id of its own, so that it never takes the place of what was computed, and the
    evidence, confidence and priority of its source.

    Args:
        source: The suggestion it was drafted from.
        model: The model's name.
        summary: One sentence: what to change.
        rationale: Why.
        change: The change of the document; None where only words were drafted.
    """
    proposal, target = source.proposal, source.target
    actions = [] if change is None else list(change.overlay["actions"])
    spec = dict(proposal.spec or {})
    if change is not None:
        drafted = proposal.change_type == "new-spec"
        target = target if drafted else Target(operation=target.operation, path="/overlay")
        spec = {**(spec if drafted else {}), "overlay": {"actions": actions}}
    ask = {"draftOf": source.id, "actions": actions, **({} if actions else {"words": summary})}
    identity = suggestion_id(target, proposal.change_type, ask)
    metadata = {**proposal.metadata, "ask": ask, "draftOf": source.id, "draftedBy": model}
    overlay, diff, risk = source.overlay, proposal.diff, source.risk
    if change is not None:
        about = {"suggestionId": identity}
        if target.operation is not None and target.operation.tenant_id is not None:
            about["tenantId"] = target.operation.tenant_id
        overlay, diff = {**change.overlay, EXTENSION: about}, change.diff
        assessed = _risk(source, change)
        risk = assessed.score
        breaking = any(difference.breaking for difference in change.differences)
        metadata |= {
            "risk": assessed.to_dict(),
            "specEffect": {
                "jsonPatch": json_ready(list(change.json_patch)),
                "differences": [to_python(difference) for difference in change.differences],
                "breaking": breaking,
            },
        }
    return replace(
        source,
        id=identity,
        target=target,
        proposal=replace(
            proposal,
            summary=summary,
            rationale=rationale,
            spec=spec,
            diff=diff,
            metadata=metadata,
        ),
        risk=risk,
        created_by=AI_CREATOR + " ".join(strip_controls(model).split()),
        status="pending",
        tags=tuple(sorted({*source.tags, AI_TAG})),
        revision=1,
        overlay=overlay,
        approvals=(),
    )


def _risk(source: SpecSuggestion, change: DraftedChange) -> Risk:
    told = source.proposal.metadata.get("risk")
    told = told if isinstance(told, Mapping) else {}
    reach = told.get("blastRadius")
    breaking: BreakingClass = (
        "breaking" if any(each.breaking for each in change.differences) else "compatible"
    )
    return assess_risk(
        source.proposal.change_type,
        blast_radius=reach if isinstance(reach, int | float) else None,
        command=told.get("command") != 0,
        breaking=breaking,
        lasting=change.lasting,
        confidence=source.confidence,
    )
