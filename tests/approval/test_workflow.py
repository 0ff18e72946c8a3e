"""Who may decide, how many it takes, and what becomes of a decision that is taken back."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from evolution_lab.approval import SpecSuggestionOrchestrator
from evolution_lab.config import EvolutionConfig
from evolution_lab.errors import (
    AlreadyDecidedError,
    ConfigError,
    MissingNoteError,
    MissingReviewerError,
    NotAReviewerError,
    StaleRevisionError,
)
from evolution_lab.export import FileSystemSuggestionWriter
from evolution_lab.records import SpecSuggestion
from evolution_lab.suggestions import suggestion_id

NOW = datetime(2026, 3, 3, 12, tzinfo=UTC)


def with_metadata(suggestion: SpecSuggestion, **more: Any) -> SpecSuggestion:
    metadata = {**suggestion.proposal.metadata, **more}
    return replace(suggestion, proposal=replace(suggestion.proposal, metadata=metadata))


@pytest.fixture
def deciding(repository, tmp_path):
    def make(**settings: Any) -> SpecSuggestionOrchestrator:
        return SpecSuggestionOrchestrator(
            repository,
            FileSystemSuggestionWriter(tmp_path / "generated"),
            config=EvolutionConfig(**settings),
            clock=lambda: NOW,
        )

    return make


def envelopes(tmp_path) -> list[dict[str, Any]]:
    files = sorted((tmp_path / "generated").glob("*.suggestion.json"))
    return [json.loads(file.read_text()) for file in files]


def test_two_people_have_to_approve_the_same_revision(deciding, suggestion, tmp_path):
    orchestrator = deciding(required_approvals=2)
    orchestrator.submit(suggestion())
    first = orchestrator.approve(suggestion().id, reviewer="Ada")
    assert (first.status, len(first.approvals)) == ("pending", 1)
    assert envelopes(tmp_path) == []
    with pytest.raises(AlreadyDecidedError, match="different people"):
        orchestrator.approve(suggestion().id, reviewer=" ada ")
    orchestrator.submit(suggestion(observed=0.4))  # A new revision: nobody has approved that one.
    assert orchestrator.approve(suggestion().id, reviewer="ada").status == "pending"
    assert orchestrator.approve(suggestion().id, reviewer="ben").status == "approved"
    (written,) = envelopes(tmp_path)
    assert [each["reviewer"] for each in written["approvals"]] == ["Ada", "ada", "ben"]


def test_one_of_two_is_enough_to_reject(deciding, suggestion):
    orchestrator = deciding(required_approvals=2)
    orchestrator.submit(suggestion())
    orchestrator.approve(suggestion().id, reviewer="ada")
    rejected = orchestrator.reject(suggestion().id, reviewer="ben", notes="no")
    assert rejected.status == "rejected"


def test_the_rule_of_two_can_hold_for_some_operations_only(deciding, suggestion):
    orchestrator = deciding(operations={"POST /*": {"required_approvals": 2}})
    other = suggestion(key="GET /orders")
    orchestrator.submit_all([suggestion(), other])
    assert orchestrator.approve(suggestion().id, reviewer="ada").status == "pending"
    assert orchestrator.approve(other.id, reviewer="ada").status == "approved"


@pytest.mark.parametrize(
    ("routing", "may"),
    [
        ({"owner": "billing"}, {"ada", "ben"}),
        ({"specTags": ["admin", "unknown"]}, {"cleo"}),
        ({"owner": "billing", "specTags": ["admin"]}, {"ada", "ben"}),
        ({"owner": "unknown", "specTags": ["admin"]}, {"cleo"}),
        ({"owner": "unknown"}, {"ada", "ben", "cleo", "dora"}),
        ({}, {"ada", "ben", "cleo", "dora"}),
    ],
)
def test_whose_operation_it_is_says_who_decides(deciding, suggestion, routing, may):
    orchestrator = deciding(owners={"billing": ("Ada", "ben"), "admin": ("cleo",)})
    for number, person in enumerate(("ada", "ben", "cleo", "dora")):
        one = with_metadata(suggestion(f"E{number}", key=f"GET /{number}"), **routing)
        orchestrator.submit(one)
        if person in may:
            assert orchestrator.approve(one.id, reviewer=person).status == "approved"
        else:
            with pytest.raises(NotAReviewerError, match="must be one of"):
                orchestrator.approve(one.id, reviewer=person)
            with pytest.raises(NotAReviewerError):
                orchestrator.reject(one.id, reviewer=person, notes="no")


def test_a_decision_taken_back_leaves_everything_in_the_history(deciding, suggestion, tmp_path):
    orchestrator = deciding()
    orchestrator.submit(suggestion())
    orchestrator.approve(suggestion().id, reviewer="ada", notes="fine")
    reopened = orchestrator.reopen(suggestion().id, reviewer="ben", why="not before the release")
    assert reopened.status == "pending"
    assert [each.status for each in reopened.approvals] == ["approved", "withdrawn"]
    assert orchestrator.get(reopened.id) == reopened
    (written,) = envelopes(tmp_path)
    assert written["status"] == "withdrawn"
    assert written["approvals"][-1]["notes"] == "not before the release"
    assert orchestrator.approve(reopened.id, reviewer="ada").status == "approved"
    assert [each["status"] for each in envelopes(tmp_path)] == ["approved"]


def test_a_rejection_taken_back_has_no_envelope(deciding, suggestion, tmp_path):
    orchestrator = deciding()
    orchestrator.submit(suggestion())
    orchestrator.reject(suggestion().id, reviewer="ada", notes="no")
    assert (
        orchestrator.reopen(suggestion().id, reviewer="ada", why="I was wrong").status == "pending"
    )
    assert envelopes(tmp_path) == []


def test_what_was_not_decided_is_not_reopened(deciding, suggestion):
    orchestrator = deciding()
    orchestrator.submit(suggestion())
    with pytest.raises(AlreadyDecidedError, match="must be approved or rejected"):
        orchestrator.reopen(suggestion().id, reviewer="ada", why="so")
    orchestrator.approve(suggestion().id, reviewer="ada")
    with pytest.raises(MissingNoteError, match="taken back"):
        orchestrator.reopen(suggestion().id, reviewer="ada", why=" ")
    with pytest.raises(MissingReviewerError):
        orchestrator.reopen(suggestion().id, reviewer="", why="so")
    orchestrator.adopt(suggestion().id)
    with pytest.raises(AlreadyDecidedError, match="adopted"):
        orchestrator.reopen(suggestion().id, reviewer="ada", why="so")


def test_an_approval_taken_back_counts_no_more(deciding, suggestion):
    orchestrator = deciding(required_approvals=2)
    orchestrator.submit(suggestion())
    for person in ("ada", "ben"):
        orchestrator.approve(suggestion().id, reviewer=person)
    orchestrator.reopen(suggestion().id, reviewer="ben", why="so")
    assert orchestrator.approve(suggestion().id, reviewer="ben").status == "pending"
    assert orchestrator.approve(suggestion().id, reviewer="cleo").status == "approved"


def test_missing_envelopes_of_what_was_taken_back_are_restored(deciding, suggestion, tmp_path):
    orchestrator = deciding()
    orchestrator.submit(suggestion())
    orchestrator.approve(suggestion().id, reviewer="ada")
    orchestrator.reopen(suggestion().id, reviewer="ada", why="so")
    (path,) = (tmp_path / "generated").glob("*.suggestion.json")
    before = path.read_bytes()
    path.unlink()
    assert orchestrator.publish() == (path,)
    assert path.read_bytes() == before


def test_adopted_with_the_effect_it_had(deciding, suggestion, tmp_path):
    orchestrator = deciding()
    orchestrator.submit(suggestion())
    with pytest.raises(AlreadyDecidedError, match="must be approved"):
        orchestrator.adopt(suggestion().id)
    orchestrator.approve(suggestion().id, reviewer="ada")
    effect = {"errorRate": -0.04, "interval": [-0.05, -0.03]}
    adopted = orchestrator.adopt(suggestion().id, realised_effect=effect)
    assert adopted.status == "adopted"
    assert orchestrator.get(adopted.id).proposal.metadata["realisedEffect"] == effect
    assert [each["status"] for each in envelopes(tmp_path)] == ["adopted"]
    assert orchestrator.submit(suggestion(observed=0.9, strength=9.0)).outcome == "decided"


def test_what_evidence_has_closed_new_evidence_opens_again(deciding, suggestion):
    orchestrator = deciding()
    orchestrator.submit(suggestion())
    expired = orchestrator.expire(suggestion().id, why="not seen since")
    assert expired.status == "expired"
    with pytest.raises(AlreadyDecidedError, match="not seen since"):
        orchestrator.expire(suggestion().id, why="again")
    with pytest.raises(AlreadyDecidedError, match="expired"):
        orchestrator.approve(suggestion().id, reviewer="ada")
    assert orchestrator.submit(suggestion()).outcome == "unchanged"
    again = orchestrator.submit(suggestion(signal="signal-2", observed=0.3))
    assert (again.outcome, again.suggestion.status, again.suggestion.revision) == (
        "reopened",
        "pending",
        2,
    )


def another_value(suggestion: Any, values: list[str], **changes: Any) -> SpecSuggestion:
    """Make a suggestion that asks to repeat on these codes, at one place."""
    made = suggestion(**changes)
    ask = {"retry-on": values}
    target = replace(made.target, path="/policy/retry")
    spec = {"policy": {"retry": {"on": values}}}
    proposal = replace(
        made.proposal,
        spec=spec,
        metadata={"ask": ask, "strength": 0.1},
        change_type="policy-update",
    )
    identity = suggestion_id(target, "policy-update", ask)
    return replace(made, id=identity, target=target, proposal=proposal)


def test_another_value_at_the_same_place_supersedes_what_is_open(deciding, suggestion):
    orchestrator = deciding(max_suggestions_per_operation=1)
    first, second = (another_value(suggestion, v) for v in (["503"], ["503", "504"]))
    orchestrator.submit(first)
    entry = orchestrator.submit(second)
    assert entry.outcome == "added"
    assert "supersedes" in entry.reason
    kept = orchestrator.get(first.id)
    assert kept.status == "superseded"
    with pytest.raises(AlreadyDecidedError, match=f"superseded by {second.id[:8]}"):
        orchestrator.approve(first.id, reviewer="ada")
    assert [each.id for each in orchestrator.list("pending")] == [second.id]


def test_what_is_asked_together_supersedes_nothing(deciding, suggestion):
    orchestrator = deciding()
    pair = [another_value(suggestion, v) for v in (["503"], ["503", "504"])]
    assert orchestrator.submit_all(pair).count("added") == 2
    assert orchestrator.submit_all(pair).count("unchanged") == 2


def test_approving_another_value_supersedes_the_approved_one(deciding, suggestion, tmp_path):
    orchestrator = deciding()
    first, second = (another_value(suggestion, v) for v in (["503"], ["503", "504"]))
    orchestrator.submit(first)
    orchestrator.approve(first.id, reviewer="ada")
    orchestrator.submit(second)
    assert orchestrator.get(first.id).status == "approved"
    orchestrator.approve(second.id, reviewer="ada")
    assert orchestrator.get(first.id).status == "superseded"
    assert sorted(each["status"] for each in envelopes(tmp_path)) == ["approved", "superseded"]


def test_a_rejection_stands_until_a_new_cause_appears(deciding, suggestion):
    def caused(tenant: str, **changes: Any) -> SpecSuggestion:
        made = suggestion(**changes)
        (item,) = made.evidence
        data = {**item.data, "attribution": {"tenantId": {"value": tenant, "carried": 0.9}}}
        return replace(made, evidence=(replace(item, data=data),))

    orchestrator = deciding()
    orchestrator.submit(caused("acme"))
    orchestrator.reject(suggestion().id, reviewer="ada", notes="acme's own fault")
    assert orchestrator.submit(caused("acme", signal="s-2", observed=0.13)).outcome == "decided"
    again = orchestrator.submit(caused("bolt", signal="s-3", observed=0.13))
    assert again.outcome == "reopened"
    assert "tenantId bolt" in again.reason
    assert again.suggestion.proposal.metadata["citesRejection"]["notes"] == "acme's own fault"


def test_a_stale_revision_is_refused_to_the_second_person_too(deciding, suggestion):
    orchestrator = deciding(required_approvals=2)
    orchestrator.submit(suggestion())
    orchestrator.approve(suggestion().id, reviewer="ada", revision=1)
    orchestrator.submit(suggestion(observed=0.5))
    with pytest.raises(StaleRevisionError, match="must be 2"):
        orchestrator.approve(suggestion().id, reviewer="ben", revision=1)


def test_settings_that_nobody_could_meet_are_refused():
    with pytest.raises(ConfigError, match="names nobody"):
        EvolutionConfig(owners={"billing": ()})
    with pytest.raises(ConfigError, match="required_approvals == 0"):
        EvolutionConfig(required_approvals=0)
