"""Drafts of language models: checked, marked, sanitised, and decided on by people alone."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.models.test import TestModel

from evolution_lab.approval import InMemorySpecSuggestionRepository, SpecSuggestionOrchestrator
from evolution_lab.config import EvolutionConfig
from evolution_lab.contracts import OpenApiDocument, bind_specs
from evolution_lab.errors import (
    ConfigError,
    InvalidOverlayError,
    MissingExtraError,
    MissingReviewerError,
    RefusedDraftError,
)
from evolution_lab.export import FileSystemSuggestionWriter
from evolution_lab.records import EvidenceItem, OperationRef, Proposal, SpecSuggestion, Target
from evolution_lab.redaction import LabKey
from evolution_lab.suggestions.ai_draft import is_ai_made
from evolution_lab.suggestions.ai_generator import AIDraft, AISpecGenerator
from evolution_lab.suggestions.ai_overlays import DraftedAction, check_draft
from evolution_lab.suggestions.identity import suggestion_id
from evolution_lab.suggestions.overlays import apply_overlay

KEY = LabKey(b"k" * 32)
GOOD = {
    "summary": "Limit pages of orders to 200.",
    "rationale": "Calls with a limit over 200 take 9.1 times as long.",
    "actions": [{"target": "$.paths['/orders'].get.parameters", "update": {
        "name": "offset", "in": "query", "schema": {"type": "integer", "minimum": 0}}}],
}  # fmt: skip


@pytest.fixture
def document() -> OpenApiDocument:
    item = {"type": "object", "properties": {"id": {"type": "string"}}}
    shared = {"type": "object", "properties": {"code": {"type": "string"}}}

    def answer(name: str) -> dict[str, Any]:
        schema = {"$ref": f"#/components/schemas/{name}"}
        return {"description": "Done.", "content": {"application/json": {"schema": schema}}}

    orders = {"200": answer("Order"), "400": answer("Fault")}
    limit = {"name": "limit", "in": "query", "schema": {"type": "integer"}}
    return OpenApiDocument.load({
        "openapi": "3.1.0",
        "info": {"title": "Shop", "version": "1"},
        "paths": {
            "/orders": {"get": {"operationId": "orders.list", "parameters": [limit], "responses": orders}},
            "/carts": {"get": {"responses": {"400": answer("Fault"), "200": {"description": "Done."}}}},
        },
        "components": {"schemas": {"Order": item, "Fault": shared}},
    })  # fmt: skip


@pytest.fixture
def suggestion() -> SpecSuggestion:
    target = Target(operation=OperationRef("orders.list", service="shop"), path="/request/limit")
    ask = {"limit": "limit"}
    return SpecSuggestion(
        id=suggestion_id(target, "schema-update", ask),
        intent="schema-mismatch",
        target=target,
        proposal=Proposal(
            summary="Limit limit.",
            rationale="Long pages are slow.",
            change_type="schema-update",
            spec={"request": {"limit": {"maximum": 200}}},
            metadata={"ask": ask, "strength": 9.1},
        ),
        confidence=0.9,
        risk=0.1,
        created_at=datetime(2026, 3, 2, tzinfo=UTC),
        evidence=(
            EvidenceItem(
                description="Calls with limit > 200 take 9.1 times as long, 320 of 4,000 calls.",
                data={
                    "sample": {"email": "ada.l@lovelace.name", "note": "please call Ada at home"}
                },
            ),
        ),
        priority="medium",
    )


def answers(*turns: dict[str, Any] | str, seen: list[str] | None = None) -> FunctionModel:
    """Make a model that proposes, or says, one thing a turn, then the last again."""
    left = list(turns)

    def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        if seen is not None:
            seen.append(str(messages))
        turn = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(turn, str):
            return ModelResponse(parts=[TextPart(turn)])
        return ModelResponse(parts=[ToolCallPart("propose_change", turn)])

    return FunctionModel(answer, model_name="fixed")


def acting(*actions: dict[str, Any]) -> dict[str, Any]:
    return {**GOOD, "actions": list(actions)}


def test_a_draft_is_a_suggestion_of_its_own_that_says_who_made_it(suggestion, document):
    draft = AISpecGenerator(model=answers(GOOD), key=KEY).draft(suggestion, document=document)
    made = draft.suggestion
    assert made.created_by == "ai:fixed"
    assert is_ai_made(made)
    assert not is_ai_made(suggestion)
    assert made.id != suggestion.id
    assert made.evidence == suggestion.evidence
    assert made.proposal.summary == GOOD["summary"]
    changed = apply_overlay(document.content, made.overlay)
    names = [each["name"] for each in changed["paths"]["/orders"]["get"]["parameters"]]
    assert names == ["limit", "offset"]
    assert '+            "name": "offset"' in made.proposal.diff
    assert made.proposal.metadata["specEffect"]["breaking"] is False
    again = AISpecGenerator(model=answers(GOOD), key=KEY).draft(suggestion, document=document)
    assert again.suggestion == made


def test_pydantic_ais_own_test_model_drafts_words(suggestion):
    # It calls the tool with made-up texts; without a document no action may be among them.
    model = TestModel()
    with pytest.raises(RefusedDraftError, match="there is no document"):
        AISpecGenerator(model=model, key=KEY).draft(suggestion)
    words = {**GOOD, "actions": []}
    made = AISpecGenerator(model=answers(words), key=KEY).draft(suggestion).suggestion
    assert made.proposal.rationale == GOOD["rationale"]
    assert made.proposal.spec == suggestion.proposal.spec


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        ({"target": "$.paths['/nowhere']", "update": {}}, "selects 0"),
        ({"target": "$.paths['/orders'].get", "update": {"deprecated": "yes"}}, "not valid"),
        ({"target": "$.paths['/orders'].get", "remove": True}, "must change GET /orders alone"),
        ({"target": "$.paths['/carts'].get", "update": {"deprecated": True}}, "alone"),
        ({"target": "$.info", "update": {"title": "Mine"}}, "it changes /info/title"),
        ({"target": "$.components.schemas.Fault", "update": {"title": "F"}}, "alone"),
        ({"target": "$.paths['/orders'].get", "update": {"security": []}}, "security"),
        ({"target": "$.paths['/orders'].get", "update": {"servers": [{"url": "/"}]}}, "servers"),
        ({"target": "$.paths", "update": {"/mine": {"get": {}}}}, "alone"),
        (
            {"target": "$.paths['/orders'].get.parameters", "update": {"$ref": "http://a.test/b"}},
            "must stay within the document",
        ),
        ({"target": "$.paths['/orders'].get", "update": {"deprecated": True}, "remove": True}, "both"),
        ({"target": "$.paths['/orders'].get", "update": {}}, "nothing changes"),
        (
            {"target": "$.paths['/orders'].get", "update": {"description": "[text 0123456789ab]"}},
            "personal data",
        ),
    ],
)  # fmt: skip
def test_what_does_not_stand_the_checks_is_refused_with_the_reason(
    action, reason, suggestion, document
):
    seen: list[str] = []
    generator = AISpecGenerator(model=answers(acting(action), seen=seen), key=KEY, retries=1)
    with pytest.raises(RefusedDraftError, match=reason):
        generator.draft(suggestion, document=document)
    assert len(seen) == 2
    assert "Refused: " in seen[1]


def test_a_model_may_mend_what_was_refused(suggestion, document):
    bad = acting({"target": "$.nowhere", "update": {}})
    draft = AISpecGenerator(model=answers(bad, GOOD), key=KEY).draft(suggestion, document=document)
    assert draft.suggestion.proposal.summary == GOOD["summary"]


def test_its_own_component_may_change_and_new_ones_may_come(document):
    own = DraftedAction(target="$.components.schemas.Order", update={"required": ["id"]})
    new = DraftedAction(target="$.components.schemas", update={"Page": {"type": "integer"}})
    change = check_draft([own, new], document, route="GET /orders", title="Say id.")
    assert len(change.json_patch) == 2
    assert change.lasting
    with pytest.raises(InvalidOverlayError, match="at most 50"):
        check_draft([own] * 51, document, route="GET /orders", title="Many.")


def test_words_alone_are_no_draft(suggestion):
    with pytest.raises(RefusedDraftError, match="must propose a change"):
        AISpecGenerator(model=answers("I would rather not."), key=KEY).draft(suggestion)


def test_two_changes_at_once_are_refused(suggestion, document):
    def both(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        return ModelResponse(parts=[ToolCallPart("propose_change", GOOD) for _ in range(2)])

    with pytest.raises(RefusedDraftError, match="2 changes at once"):
        AISpecGenerator(model=FunctionModel(both), key=KEY).draft(suggestion, document=document)


def test_nothing_personal_leaves(suggestion, document):
    seen: list[str] = []
    generator = AISpecGenerator(model=answers(GOOD, seen=seen), key=KEY)
    generator.draft(suggestion, document=document)
    for personal in ("lovelace", "please call", "ada.l"):
        assert personal not in seen[0]
    shown = json.loads(generator.prompt(suggestion, document=document))
    assert "9.1 times" in shown["suggestion"]["evidence"][0]["description"]
    assert set(shown["document"]["paths"]) == {"/orders"}
    assert set(shown["document"]["components"]["schemas"]) == {"Order", "Fault"}


def submitted(
    draft: AIDraft, config: EvolutionConfig | None = None
) -> tuple[SpecSuggestionOrchestrator, SpecSuggestion]:
    orchestrator = SpecSuggestionOrchestrator(
        InMemorySpecSuggestionRepository(), config=config or EvolutionConfig()
    )
    return orchestrator, orchestrator.submit(draft.suggestion).suggestion


def drafter(*turns: Any) -> Callable[..., tuple[AISpecGenerator, AIDraft]]:
    def make(suggestion: SpecSuggestion, document: OpenApiDocument):
        generator = AISpecGenerator(model=answers(*turns), key=KEY)
        return generator, generator.draft(suggestion, document=document)

    return make


def test_no_threshold_approves_what_a_model_made(suggestion, document):
    from dataclasses import replace

    generous = EvolutionConfig(require_approval=False, auto_approve_threshold=0.29)
    words = {**GOOD, "actions": []}
    target = Target(operation=OperationRef("orders.list"), path="/policy/timeoutMs")
    ask = {"timeout": True}
    harmless = replace(
        suggestion,
        id=suggestion_id(target, "policy-update", ask),
        target=target,
        proposal=replace(
            suggestion.proposal,
            change_type="policy-update",
            spec={"policy": {"timeoutMs": 500}},
            metadata={"ask": ask, "risk": {"breaking": "compatible"}},
        ),
    )
    orchestrator = SpecSuggestionOrchestrator(InMemorySpecSuggestionRepository(), config=generous)
    assert orchestrator.submit(harmless).suggestion.status == "approved"
    made = AISpecGenerator(model=answers(words), key=KEY).draft(harmless).suggestion
    assert orchestrator.submit(made).suggestion.status == "pending"


def test_a_person_decides_and_the_model_is_told(suggestion, document):
    generator, draft = drafter(GOOD, "Thank you.")(suggestion, document)
    orchestrator, kept = submitted(draft)
    with pytest.raises(RefusedDraftError, match="a person must decide first"):
        generator.conclude(draft, kept)
    with pytest.raises(MissingReviewerError, match="not a model"):
        orchestrator.approve(kept.id, reviewer="ai:fixed")
    approved = orchestrator.approve(kept.id, reviewer="ines")
    with pytest.raises(RefusedDraftError, match="must be"):
        generator.conclude(draft, suggestion)
    assert generator.conclude(draft, approved) == "Thank you."


def test_a_rejected_draft_may_be_mended_once_more(suggestion, document):
    better = {**GOOD, "summary": "Add an offset.", "actions": [
        {"target": "$.paths['/orders'].get", "update": {"x-page": 200}}]}  # fmt: skip
    generator, draft = drafter(GOOD, better)(suggestion, document)
    orchestrator, kept = submitted(draft)
    rejected = orchestrator.reject(kept.id, reviewer="ines", notes="ask ada.l@lovelace.name")
    mended = generator.conclude(draft, rejected)
    assert isinstance(mended, AIDraft)
    assert mended.suggestion.id != draft.suggestion.id
    assert "Rejected: ask" in str(mended.messages)
    assert "lovelace" not in str(mended.messages)


def test_it_works_where_a_loop_runs_already(suggestion, document):
    async def in_a_notebook() -> AIDraft:
        return AISpecGenerator(model=answers(GOOD), key=KEY).draft(suggestion, document=document)

    assert asyncio.run(in_a_notebook()).suggestion.created_by == "ai:fixed"


def test_without_the_extra_it_says_what_to_install(suggestion, monkeypatch):
    monkeypatch.setitem(sys.modules, "pydantic_ai", None)
    with pytest.raises(MissingExtraError, match=r"evolution-lab\[ai\]"):
        AISpecGenerator(model="anthropic:any", key=KEY).draft(suggestion)


@pytest.mark.parametrize("model", ["nobody:any", "anthropic:any"])
def test_a_model_that_cannot_be_used_is_named(model, suggestion, monkeypatch):
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    with pytest.raises(ConfigError, match=f"'{model}' cannot be used"):
        AISpecGenerator(model=model, key=KEY).draft(suggestion)


def test_a_model_that_gives_no_answer_is_told_from_one_that_is_refused(suggestion):
    from pydantic_ai.exceptions import ModelHTTPError

    def gone(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        raise ModelHTTPError(503, "fixed")

    with pytest.raises(RefusedDraftError, match="gave no answer"):
        AISpecGenerator(model=FunctionModel(gone), key=KEY).draft(suggestion)


def test_a_new_operation_is_only_added(document):
    new = DraftedAction(
        target="$.paths",
        update={"/checkout": {"post": {"responses": {"200": {"description": "Done."}}}}},
    )
    change = check_draft([new], document, route=None, title="Check out in one call.")
    assert [each["path"] for each in change.json_patch] == ["/paths/~1checkout"]
    changed = DraftedAction(target="$.paths['/orders'].get", update={"deprecated": True})
    with pytest.raises(InvalidOverlayError, match="nothing that is there already"):
        check_draft([new, changed], document, route=None, title="More.")


def test_an_approved_draft_is_written_with_the_changed_document(suggestion, document, tmp_path):
    specs = bind_specs([(None, document)], [("shop", "orders.list")])
    draft = AISpecGenerator(model=answers(GOOD), key=KEY).draft(suggestion, document=document)
    orchestrator = SpecSuggestionOrchestrator(
        InMemorySpecSuggestionRepository(),
        writer=FileSystemSuggestionWriter(tmp_path, specs=specs),
    )
    kept = orchestrator.submit(draft.suggestion).suggestion
    assert list(tmp_path.iterdir()) == []
    orchestrator.approve(kept.id, reviewer="ines")
    (changed,) = tmp_path.glob("*.changed.json")
    assert json.loads(changed.read_bytes()) == apply_overlay(document.content, kept.overlay)
    (envelope,) = tmp_path.glob("*.suggestion.json")
    assert b'"ai:fixed"' in envelope.read_bytes()
