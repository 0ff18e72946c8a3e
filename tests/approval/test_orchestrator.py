"""One contract for every repository: these tests run against each of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evolution_lab.approval import (
    InMemorySpecSuggestionRepository,
    SpecSuggestionOrchestrator,
    Submission,
)
from evolution_lab.config import EvolutionConfig
from evolution_lab.errors import (
    AlreadyDecidedError,
    AmbiguousNameError,
    InvalidSuggestionError,
    MissingNoteError,
    MissingReviewerError,
    StaleRevisionError,
    UnknownNameError,
)
from evolution_lab.export import FileSystemSuggestionWriter
from evolution_lab.records import EvidenceItem, SpecSuggestion

NOW = datetime(2026, 3, 3, 12, tzinfo=UTC)


def with_metadata(suggestion: SpecSuggestion, **more: object) -> SpecSuggestion:
    metadata = {**suggestion.proposal.metadata, **more}
    return replace(suggestion, proposal=replace(suggestion.proposal, metadata=metadata))


@pytest.fixture
def orchestrator(repository) -> SpecSuggestionOrchestrator:
    return SpecSuggestionOrchestrator(repository, clock=lambda: NOW)


def test_what_is_submitted_comes_back_equal(orchestrator, suggestion):
    submitted = suggestion()
    assert orchestrator.submit(submitted).outcome == "added"
    assert orchestrator.get(submitted.id) == submitted
    assert orchestrator.list() == (submitted,)


def test_submitting_the_same_again_adds_nothing(orchestrator, suggestion):
    orchestrator.submit(suggestion())
    again = orchestrator.submit(suggestion())
    assert again.outcome == "unchanged"
    assert again.suggestion.revision == 1
    assert len(orchestrator.list()) == 1


def test_new_numbers_make_a_revision_never_a_second_row(orchestrator, suggestion):
    orchestrator.submit(suggestion())
    revised = orchestrator.submit(suggestion(observed=0.5))
    assert (revised.outcome, revised.suggestion.revision) == ("revised", 2)
    (kept,) = orchestrator.list()
    assert kept.proposal.rationale == "Errors rose to 0.5."
    assert [item.data["observed"] for item in kept.evidence] == [0.5]


def test_evidence_of_another_signal_joins(orchestrator, suggestion):
    first, second = suggestion(), suggestion(signal="signal-2", observed=0.3)
    orchestrator.submit(first)
    kept = orchestrator.submit(second).suggestion
    assert kept.signal_ids == ("signal-1", "signal-2")
    assert [item.data["observed"] for item in kept.evidence] == [0.12, 0.3]
    assert orchestrator.submit(first).outcome == "unchanged"
    assert orchestrator.submit(second).outcome == "unchanged"


def test_evidence_a_person_added_is_kept_once(orchestrator, suggestion):
    note = EvidenceItem(type="user-feedback", description="Support was asked about it.")
    made = suggestion()
    orchestrator.submit(replace(made, evidence=(*made.evidence, note)))
    orchestrator.submit(replace(suggestion(observed=0.4), evidence=(*made.evidence, note)))
    assert orchestrator.get(made.id).evidence.count(note) == 1


def test_creation_time_and_creator_are_those_of_the_first_submission(orchestrator, suggestion):
    orchestrator.submit(suggestion(created_by="mia"))
    later = datetime(2026, 4, 1, tzinfo=UTC)
    kept = orchestrator.submit(suggestion(observed=0.5, created_at=later)).suggestion
    assert (kept.created_by, kept.created_at) == ("mia", suggestion().created_at)


def test_an_approval_is_kept_with_who_when_and_on_what(orchestrator, suggestion):
    orchestrator.submit(suggestion())
    orchestrator.submit(suggestion(observed=0.5))
    approved = orchestrator.approve(suggestion().id, reviewer=" mia ", notes="good")
    assert approved.status == "approved"
    (decision,) = orchestrator.get(approved.id).approvals
    assert (decision.reviewer, decision.notes, decision.revision) == ("mia", "good", 2)
    assert (decision.status, decision.decided_at) == ("approved", NOW)
    assert orchestrator.list("approved") == (approved,)
    assert orchestrator.list("pending") == ()


def test_what_is_approved_stays_as_it_was_approved(orchestrator, suggestion):
    orchestrator.submit(suggestion())
    approved = orchestrator.approve(suggestion().id, reviewer="mia")
    late = orchestrator.submit(suggestion(observed=0.9, strength=9.0))
    assert late.outcome == "decided"
    assert orchestrator.get(approved.id) == approved


def test_a_rejection_stands_until_the_effect_doubles_and_is_cited_then(orchestrator, suggestion):
    orchestrator.submit(suggestion(strength=0.1))
    orchestrator.reject(suggestion().id, reviewer="mia", notes="a load test")
    weaker = orchestrator.submit(suggestion(observed=0.3, strength=0.19))
    assert weaker.outcome == "decided"
    assert "a load test" in weaker.reason
    doubled = orchestrator.submit(suggestion(observed=0.4, strength=0.2))
    assert doubled.outcome == "reopened"
    kept = orchestrator.get(suggestion().id)
    assert (kept.status, kept.revision) == ("pending", 2)
    assert kept.proposal.metadata["citesRejection"]["notes"] == "a load test"
    orchestrator.reject(kept.id, reviewer="noa", notes="still")
    assert [d.reviewer for d in orchestrator.get(kept.id).approvals] == ["mia", "noa"]


@pytest.mark.parametrize("reviewer", ["", " \n"])
def test_a_decision_needs_a_reviewer(orchestrator, suggestion, reviewer):
    orchestrator.submit(suggestion())
    with pytest.raises(MissingReviewerError):
        orchestrator.approve(suggestion().id, reviewer=reviewer)
    with pytest.raises(MissingReviewerError):
        orchestrator.reject(suggestion().id, reviewer=reviewer, notes="no")
    assert orchestrator.get(suggestion().id).status == "pending"


@pytest.mark.parametrize("notes", ["", " \n"])
def test_a_rejection_needs_a_note(orchestrator, suggestion, notes):
    orchestrator.submit(suggestion())
    with pytest.raises(MissingNoteError):
        orchestrator.reject(suggestion().id, reviewer="mia", notes=notes)
    assert orchestrator.get(suggestion().id).approvals == ()


@pytest.mark.parametrize(("first", "second"), [("approve", "reject"), ("reject", "approve")])
def test_a_second_decision_is_refused_and_names_the_first(orchestrator, suggestion, first, second):
    orchestrator.submit(suggestion())
    getattr(orchestrator, first)(suggestion().id, reviewer="mia", notes="first")
    with pytest.raises(AlreadyDecidedError, match="by mia"):
        getattr(orchestrator, second)(suggestion().id, reviewer="noa", notes="second")
    assert len(orchestrator.get(suggestion().id).approvals) == 1


def test_a_decision_on_an_older_revision_is_refused(orchestrator, suggestion):
    orchestrator.submit(suggestion())
    orchestrator.submit(suggestion(observed=0.5))
    with pytest.raises(StaleRevisionError, match="must be 2"):
        orchestrator.approve(suggestion().id, reviewer="mia", revision=1)
    assert orchestrator.approve(suggestion().id, reviewer="mia", revision=2).status == "approved"


@pytest.mark.parametrize("unknown", ["", "'; DROP TABLE spec_suggestions; --%"])
def test_an_unknown_id_is_an_error(orchestrator, suggestion, unknown):
    """In the seed system rejecting an unknown id was silent."""
    orchestrator.submit(suggestion())
    with pytest.raises(UnknownNameError):
        orchestrator.get(unknown)
    with pytest.raises(UnknownNameError):
        orchestrator.approve(unknown, reviewer="mia")
    with pytest.raises(UnknownNameError):
        orchestrator.reject(unknown, reviewer="mia", notes="no")
    assert len(orchestrator.list("pending")) == 1


def test_the_beginning_of_an_id_is_enough_where_it_fits_one(orchestrator, suggestion):
    ids = sorted(suggestion(f"E{n}", key=f"op-{n}").id for n in range(20))
    orchestrator.submit_all(suggestion(f"E{n}", key=f"op-{n}") for n in range(20))
    first = ids[0]
    shared = next(i for i in range(1, 32) if sum(x.startswith(first[:i]) for x in ids) == 1)
    assert orchestrator.get(first[:shared]).id == first
    if shared > 1:
        with pytest.raises(AmbiguousNameError, match="ambiguous"):
            orchestrator.get(first[: shared - 1])


def test_an_invalid_suggestion_keeps_the_whole_batch_out(orchestrator, suggestion):
    broken = replace(suggestion("E2"), evidence=())
    with pytest.raises(InvalidSuggestionError, match="evidence") as caught:
        orchestrator.submit_all([suggestion(), broken])
    assert caught.value.reasons == ("there is no evidence, must be at least one fact.",)
    assert orchestrator.list() == ()


def test_status_revision_and_decisions_of_a_submission_are_not_believed(orchestrator, suggestion):
    forged = suggestion(status="approved", revision=7)
    kept = orchestrator.submit(forged).suggestion
    assert (kept.status, kept.revision, kept.approvals) == ("pending", 1, ())


def test_at_most_so_many_are_open_for_an_operation(repository, suggestion):
    config = EvolutionConfig(operations={"POST /*": {"max_suggestions_per_operation": 2}})
    orchestrator = SpecSuggestionOrchestrator(repository, config=config)
    done = orchestrator.submit_all(suggestion(f"E{n}") for n in range(3))
    assert [entry.outcome for entry in done.entries] == ["added", "added", "held"]
    other = orchestrator.submit(suggestion(key="GET /orders"))
    assert other.outcome == "added"
    orchestrator.reject(suggestion("E0").id, reviewer="mia", notes="no")
    assert orchestrator.submit(suggestion("E2")).outcome == "added"


AUTOMATIC = {"require_approval": False, "auto_approve_threshold": 0.25}


@pytest.mark.parametrize(
    ("settings", "changes", "approved"),
    [
        (AUTOMATIC, {}, True),
        (AUTOMATIC | {"never_auto_approve": ("POST /*",)}, {}, False),
        (AUTOMATIC | {"never_auto_approve": ("error-*",)}, {}, False),
        (AUTOMATIC | {"required_approvals": 2}, {}, False),
        (AUTOMATIC, {"created_by": "ai:model"}, False),
        (AUTOMATIC | {"require_approval": True}, {}, False),
        (AUTOMATIC | {"auto_approve_threshold": None}, {}, False),
        (AUTOMATIC, {"risk": 0.26}, False),
        (AUTOMATIC, {"risk": None}, False),
    ],
)
def test_only_little_risk_goes_without_a_person_and_only_when_asked(
    repository, suggestion, settings, changes, approved
):
    orchestrator = SpecSuggestionOrchestrator(repository, config=EvolutionConfig(**settings))
    submitted = with_metadata(suggestion(**changes), risk={"breaking": "compatible"})
    kept = orchestrator.submit(submitted).suggestion
    assert (kept.status == "approved") is approved
    assert [d.reviewer for d in kept.approvals] == (["auto-evolution"] if approved else [])


@pytest.mark.parametrize("breaking", ["breaking", "unknown", None])
def test_what_may_break_callers_never_goes_without_a_person(repository, suggestion, breaking):
    config = EvolutionConfig(**AUTOMATIC)
    orchestrator = SpecSuggestionOrchestrator(repository, config=config)
    submitted = with_metadata(suggestion(risk=0.01), risk={"breaking": breaking})
    assert orchestrator.submit(submitted).suggestion.status == "pending"


def test_what_is_approved_is_written_and_what_is_missing_is_restored(
    repository, suggestion, tmp_path
):
    directory = tmp_path / "generated"
    orchestrator = SpecSuggestionOrchestrator(
        repository, FileSystemSuggestionWriter(directory), clock=lambda: NOW
    )
    orchestrator.submit_all([suggestion("E1"), suggestion("E2")])
    assert not directory.exists()
    orchestrator.approve(suggestion("E1").id, reviewer="mia")
    (path,) = directory.iterdir()
    content = path.read_bytes()
    path.unlink()
    assert orchestrator.publish() == (path,)
    assert path.read_bytes() == content


def test_of_many_deciding_at_once_one_wins(repository, suggestion):
    orchestrator = SpecSuggestionOrchestrator(repository)
    orchestrator.submit(suggestion())

    def decide(number: int) -> str:
        try:
            orchestrator.approve(suggestion().id, reviewer=f"reviewer-{number}")
        except AlreadyDecidedError:
            return "told"
        return "won"

    with ThreadPoolExecutor(4) as pool:
        outcomes = sorted(pool.map(decide, range(6)))
    assert outcomes == ["told"] * 5 + ["won"]
    assert len(orchestrator.get(suggestion().id).approvals) == 1


def test_an_error_in_a_transaction_leaves_nothing_behind(repository, suggestion):
    def save_and_fail() -> None:
        with repository.transaction() as table:
            table.save(suggestion(), at=NOW)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        save_and_fail()
    with repository.transaction() as table:
        assert table.select() == ()
    orchestrator = SpecSuggestionOrchestrator(repository)
    assert orchestrator.submit(suggestion()).outcome == "added"


def test_submissions_show_themselves(orchestrator, suggestion):
    done = orchestrator.submit_all([suggestion(), suggestion("E2")])
    assert done.count("added") == 2
    assert "Declare E2." in str(done)
    assert "<td>added</td>" in done._repr_html_()


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 3)), max_size=8))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_submitting_a_history_twice_never_changes_anything(suggestion, history):
    """Whatever came before, submitting what was submitted last is idempotent."""
    orchestrator = SpecSuggestionOrchestrator(InMemorySpecSuggestionRepository())

    def take(step: tuple[str, int]) -> Submission:
        return orchestrator.submit(suggestion(signal=step[0], observed=step[1] / 10))

    for step in history:
        first: SpecSuggestion = take(step).suggestion
        second = take(step)
        assert second.outcome == "unchanged"
        assert second.suggestion == first


class _Failing:
    def write(self, suggestion: SpecSuggestion) -> Path:  # noqa: ARG002
        raise OSError("disk full")


def test_a_decision_stands_when_its_file_cannot_be_written(repository, suggestion):
    orchestrator = SpecSuggestionOrchestrator(repository, _Failing())
    orchestrator.submit(suggestion())
    with pytest.raises(OSError, match="disk full"):
        orchestrator.approve(suggestion().id, reviewer="mia")
    assert orchestrator.get(suggestion().id).status == "approved"
