"""What the panel shows and what it may ask, wherever it is shown.

The panel sends messages of plain JSON and shows the answers as text. Who decides is said here, once,
and by nobody in the page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from evolution_lab.approval import SpecSuggestionOrchestrator
from evolution_lab.display import format_value
from evolution_lab.errors import EvolutionLabError, InputError
from evolution_lab.export.facts import (
    signal_facts,
    signal_title,
    suggestion_actions,
    suggestion_facts,
)
from evolution_lab.export.facts import target_name as name_of_target
from evolution_lab.export.series import SignalSeries
from evolution_lab.records import Decision, IntentSignal, SpecSuggestion

Evidence = Callable[[SpecSuggestion], Sequence[tuple[IntentSignal, SignalSeries | None]]]
"""Gives the signals behind a suggestion, each with the numbers of its chart."""

MOST_NOTES: Final = 4000
_MOST_CHARTS: Final = 3
_MOST_SAMPLES: Final = 5
_REASONS: Final = {"low": 0, "medium": 1, "high": 2, "critical": 3}


def _no_evidence(_: SpecSuggestion) -> tuple[()]:
    return ()


@dataclass
class ReviewBoard:
    """Answers the panel's messages.

    Attributes:
        orchestrator: Takes decisions, by its rules.
        reviewer: In whose name they are taken; blank shows without letting decide.
        evidence: Gives what a suggestion rests on.

    Examples:
        >>> from evolution_lab.approval import InMemorySpecSuggestionRepository
        >>> board = ReviewBoard(SpecSuggestionOrchestrator(InMemorySpecSuggestionRepository()))
        >>> board.handle({"kind": "list"})
        {'kind': 'list', 'reviewer': '', 'suggestions': []}
        >>> board.handle({"kind": "dance"})["error"]
        "kind == 'dance', must be list, detail or decide."
    """

    orchestrator: SpecSuggestionOrchestrator
    reviewer: str = ""
    evidence: Evidence = field(default=_no_evidence)

    def handle(self, message: Mapping[str, Any], *, reviewer: str | None = None) -> dict[str, Any]:
        """Return the answer to a message; what cannot be done is said in ``error``.

        Args:
            message: ``{"kind": "list"}``, ``{"kind": "detail", "id": …}`` or ``{"kind": "decide",
                "id": …, "decision": "approve" | "reject", "notes": …, "revision": …}``.
            reviewer: Who asks, where a server in front of this one says it.
        """
        who = self.reviewer if reviewer is None else reviewer
        try:
            if not isinstance(message, Mapping):
                raise InputError(f"a message is an object, not a {type(message).__name__}.")
            kind = message.get("kind")
            if kind == "list":
                return self._list(who)
            if kind == "detail":
                return self._detail(_text(message, "id"))
            if kind == "decide":
                return self._decide(message, who)
            raise InputError(f"kind == {kind!r}, must be list, detail or decide.")
        except EvolutionLabError as error:
            said = error.args[0] if error.args else str(error)
            return {"kind": "error", "error": str(said), "reason": type(error).__name__}

    def _list(self, reviewer: str) -> dict[str, Any]:
        rows = [_row(suggestion) for suggestion in self.orchestrator.list()]
        rows.sort(key=lambda row: (row["status"] != "pending", -row["urgency"], row["id"]))
        return {"kind": "list", "reviewer": reviewer, "suggestions": rows}

    def _detail(self, suggestion_id: str) -> dict[str, Any]:
        suggestion = self.orchestrator.get(suggestion_id)
        proposal = suggestion.proposal
        effect = proposal.metadata.get("specEffect")
        effect = effect if isinstance(effect, Mapping) else {}
        samples = proposal.metadata.get("samples", ())
        return {
            "kind": "detail",
            "suggestion": {
                **_row(suggestion),
                "rationale": proposal.rationale,
                "diff": proposal.diff or "",
                "facts": [list(fact) for fact in suggestion_facts(suggestion)],
                "actions": list(suggestion_actions(suggestion)),
                "refused": str(effect.get("overlayRefused") or ""),
                "evidence": [
                    {"type": each.type, "description": each.description}
                    for each in suggestion.evidence
                ],
                "signals": [
                    {
                        "title": signal_title(signal),
                        "facts": [list(fact) for fact in signal_facts(signal)],
                        "chart": None if series is None else _chart(signal, series),
                    }
                    for signal, series in list(self.evidence(suggestion))[:_MOST_CHARTS]
                ],
                "samples": [str(each)[:600] for each in samples][:_MOST_SAMPLES]
                if isinstance(samples, list | tuple)
                else [],
                "history": [_decision(each) for each in suggestion.approvals],
            },
        }

    def _decide(self, message: Mapping[str, Any], reviewer: str) -> dict[str, Any]:
        suggestion_id, decision = _text(message, "id"), message.get("decision")
        notes, revision = message.get("notes") or "", message.get("revision")
        if not isinstance(notes, str) or len(notes) > MOST_NOTES or not _can_be_kept(notes):
            raise InputError(f"notes are a text of at most {MOST_NOTES} characters.")
        if not isinstance(revision, int) or isinstance(revision, bool):
            raise InputError(f"revision == {revision!r}, must be the revision that was seen.")
        if decision == "approve":
            self.orchestrator.approve(
                suggestion_id, reviewer=reviewer, notes=notes or None, revision=revision
            )
        elif decision == "reject":
            self.orchestrator.reject(
                suggestion_id, reviewer=reviewer, notes=notes, revision=revision
            )
        else:
            raise InputError(f"decision == {decision!r}, must be approve or reject.")
        return {**self._detail(suggestion_id), "kind": "decided"}


def _text(message: Mapping[str, Any], name: str) -> str:
    value = message.get(name)
    if not isinstance(value, str) or not value or len(value) > 200 or not _can_be_kept(value):
        raise InputError(f"{name} must be a text.")
    return value


def _can_be_kept(text: str) -> bool:
    """Say whether databases take a text: no half of a surrogate pair, no NUL."""
    return "\x00" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _row(suggestion: SpecSuggestion) -> dict[str, Any]:
    return {
        "id": suggestion.id,
        "status": suggestion.status,
        "revision": suggestion.revision,
        "priority": suggestion.priority,
        "urgency": _REASONS.get(str(suggestion.priority), 0),
        "confidence": suggestion.confidence,
        "risk": suggestion.risk,
        "change": suggestion.proposal.change_type,
        "intent": suggestion.intent,
        "target": name_of_target(suggestion),
        "summary": suggestion.proposal.summary,
        "createdAt": suggestion.created_at.isoformat(),
        "createdBy": suggestion.created_by,
        "tags": list(suggestion.tags),
    }


def _decision(decision: Decision) -> dict[str, Any]:
    return {
        "status": decision.status,
        "reviewer": decision.reviewer,
        "notes": decision.notes or "",
        "at": f"{format_value(decision.decided_at)} UTC",
        "revision": decision.revision,
    }


def _chart(signal: IntentSignal, series: SignalSeries) -> dict[str, Any]:
    return {
        "label": series.label,
        "unit": series.unit,
        "start": series.start.isoformat(),
        "windowSeconds": series.window.total_seconds(),
        "lines": [
            {"label": line.label, "values": list(line.values), "main": line.main}
            for line in series.lines
        ],
        "baseline": series.baseline,
        "range": None if series.baseline_range is None else list(series.baseline_range),
        "from": series.position(signal.window_start),
        "to": series.position(signal.window_end),
    }
