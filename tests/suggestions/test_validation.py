from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from evolution_lab.config import EvolutionConfig
from evolution_lab.records import DetectionResult, EvidenceItem, SpecSuggestion
from evolution_lab.suggestions import SpecGenerator, validate_suggestion


@pytest.fixture
def valid(signal) -> SpecSuggestion:
    (found,) = SpecGenerator().generate(DetectionResult(signals=(signal(),)))
    assert validate_suggestion(found) == []
    return found


@pytest.fixture
def draft(workflow, start) -> SpecSuggestion:
    (found,) = SpecGenerator().generate(DetectionResult(workflows=(workflow(),)), as_of=start)
    assert validate_suggestion(found) == []
    return found


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"id": "abc"}, "hash of what is asked"),
        ({"priority": "urgent"}, "priority == 'urgent', must be one of low, medium, high."),
        ({"status": "done"}, "status == 'done'"),
        ({"confidence": 1.2}, "confidence == 1.2, must be between 0 and 1."),
        ({"confidence": math.nan}, "confidence == nan"),
        ({"risk": -0.1}, "risk == -0.1, must be between 0 and 1."),
        ({"revision": 0}, "revision == 0, must be >= 1."),
        ({"evidence": ()}, "there is no evidence"),
        ({"evidence": (EvidenceItem(description=" "),)}, "evidence 1 has no description"),
        (
            {"evidence": (EvidenceItem(description="x", data={"a": [math.inf]}),)},
            "evidence 1 holds NaN or an infinity",
        ),
        ({"created_at": datetime(2026, 1, 1)}, "createdAt has no time zone"),  # noqa: DTZ001
        (
            {"created_at": datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=2)))},
            "must be UTC.",
        ),
        ({"intent": "a\ud800"}, "lone surrogates"),
    ],
)
def test_each_broken_rule_has_its_reason(valid, changes, reason):
    reasons = validate_suggestion(replace(valid, **changes))
    assert len(reasons) == 1
    assert reason in reasons[0]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"summary": " "}, "summary is empty"),
        ({"rationale": ""}, "rationale is empty"),
        ({"summary": "x" * 2001}, "summary has 2001 characters"),
        ({"spec": None}, "spec is empty"),
        ({"spec": {"policy": {}}}, "must name a member of the changed part"),
        ({"spec": {"policy": {"circuitBreaker": object()}}}, "spec is not JSON"),
        ({"metadata": {}}, "metadata has no 'ask'"),
        ({"metadata": {"ask": {"something": "else"}}}, "hash of what is asked"),
    ],
)
def test_each_broken_rule_of_the_change_has_its_reason(valid, changes, reason):
    reasons = validate_suggestion(replace(valid, proposal=replace(valid.proposal, **changes)))
    assert len(reasons) == 1
    assert reason in reasons[0]


def test_all_broken_rules_are_told_at_once(valid):
    assert len(validate_suggestion(replace(valid, evidence=(), priority="x", revision=0))) == 3


def test_a_change_type_outside_the_four_is_refused(valid):
    reasons = validate_suggestion(
        replace(valid, proposal=replace(valid.proposal, change_type="delete"))
    )
    assert any("changeType == 'delete'" in reason for reason in reasons)


def test_a_draft_needs_a_key_a_version_and_a_kind(draft):
    bare = replace(draft.proposal, kind=None, spec={"steps": []})
    reasons = " ".join(validate_suggestion(replace(draft, proposal=bare)))
    assert "no key" in reasons
    assert "no version" in reasons
    assert "kind == None" in reasons


def test_a_change_to_no_operation_is_refused(valid):
    nowhere = replace(valid, target=replace(valid.target, operation=None))
    assert any("names no operation" in reason for reason in validate_suggestion(nowhere))


def test_calibrated_confidence_has_a_floor_and_none_is_not_low(valid):
    config = EvolutionConfig(min_confidence=0.55)
    assert validate_suggestion(valid, config=config) == []
    assert validate_suggestion(replace(valid, confidence=0.55), config=config) == []
    (reason,) = validate_suggestion(replace(valid, confidence=0.5), config=config)
    assert "min_confidence == 0.55" in reason
