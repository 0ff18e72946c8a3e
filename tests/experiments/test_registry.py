"""What may happen to an experiment, and what serving processes are told of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolution_lab.contracts import OperationSpec
from evolution_lab.errors import (
    AmbiguousNameError,
    ExperimentStateError,
    FrozenDefinitionError,
    InvalidExperimentError,
    MissingNoteError,
    MissingReviewerError,
    UnknownNameError,
)
from evolution_lab.experiments import (
    STATE_IN_FORCE,
    Binding,
    ControlCounts,
    InForce,
    InMemoryExperimentRepository,
    Namespace,
    SpecExperiment,
    SpecExperimentRegistry,
    file_source,
    read_state,
    repository_outcomes,
    repository_source,
)
from evolution_lab.experiments.controller import SpecExperimentController
from evolution_lab.experiments.counters import ArmCounts, RolloutCounts, StageCounts
from evolution_lab.experiments.decisions import CountedOutcomes, RolloutDecision, replay
from evolution_lab.experiments.definition import TRANSITIONS, Guardrail
from evolution_lab.lab import Lab
from evolution_lab.records import from_json

ARM = {"operation": "checkout"}
DEFINITION = SpecExperiment(
    key="try",
    operation="checkout",
    control=Binding(version="1", **ARM),
    variant=Binding(version="2", **ARM),
)


@dataclass
class Clock:
    now: datetime = datetime(2026, 3, 2, 10, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def registry(tmp_path: Path, clock: Clock) -> SpecExperimentRegistry:
    return SpecExperimentRegistry(
        InMemoryExperimentRepository(), state_file=tmp_path / "state.json", clock=clock
    )


def served(
    registry: SpecExperimentRegistry, clock: Clock
) -> list[tuple[str, int, str, int | None]]:
    """What a serving process makes of the file, and of the row."""

    def read(source) -> list[tuple[str, int, str, int | None]]:
        in_force = InForce(source, clock=clock, background=False)
        in_force.refresh()
        return [
            (r.experiment.key, r.experiment.version, r.experiment.variant.version, r.stage)
            for r in in_force.runners("checkout")
        ]

    of_file = read(file_source(registry.state_file))
    assert read(repository_source(registry.repository)) == of_file
    return of_file


def test_a_rollout_from_draft_to_completed(registry: SpecExperimentRegistry, clock: Clock) -> None:
    assert registry.register(DEFINITION, actor="ada").status == "draft"
    assert served(registry, clock) == []
    clock.now += timedelta(minutes=1)
    started = registry.start("try", actor="ada")
    assert (started.status, started.stage, started.stage_since) == ("running", 0, clock.now)
    assert served(registry, clock) == [("try", 1, "2", 0)]
    clock.now += timedelta(hours=2)
    advanced = registry.advance("try", 1, actor="controller", reason="safe")
    assert advanced.stage_since == clock.now
    assert served(registry, clock) == [("try", 1, "2", 1)]
    registry.pause("try", actor="kim", reason="incident elsewhere")
    assert served(registry, clock) == [("try", 1, "2", 1)]
    clock.now += timedelta(minutes=5)
    assert registry.resume("try", actor="kim").stage_since == clock.now > advanced.stage_since
    with pytest.raises(ExperimentStateError, match="must be at its last, 3"):
        registry.complete("try", actor="controller", reason="done")
    registry.advance("try", 3, actor="kim", reason="by hand")
    registry.complete("try", actor="controller", reason="done")
    assert served(registry, clock) == [("try", 1, "2", 3)]
    history = registry.history("try")
    assert [e.action for e in history] == [
        "register", "start", "advance", "pause", "resume", "advance", "complete",
    ]  # fmt: skip
    assert [e.sequence for e in history] == list(range(1, 8))
    assert history[2].payload == {"from": 0, "to": 1}
    assert (history[3].actor, history[3].reason) == ("kim", "incident elsewhere")


@pytest.mark.parametrize("end", ["roll_back", "abort"])
def test_an_end_gives_everybody_the_control(
    registry: SpecExperimentRegistry, clock: Clock, end: str
) -> None:
    registry.register(DEFINITION, actor="ada")
    registry.start("try", actor="ada")
    getattr(registry, end)("try", actor="kim", reason="it fails")
    assert served(registry, clock) == []
    assert registry.get("try").status == "rolled_back"
    with pytest.raises(ExperimentStateError, match="which is its end"):
        registry.roll_back("try", actor="kim", reason="again")
    with pytest.raises(ExperimentStateError, match="must be paused"):
        registry.resume("try", actor="kim")


def test_a_started_definition_is_frozen_and_its_change_is_a_new_version(
    registry: SpecExperimentRegistry, clock: Clock
) -> None:
    registry.register(DEFINITION, actor="ada")
    changed = replace(DEFINITION, alpha=0.01)
    registry.register(changed, actor="ada", reason="stricter")  # Still a draft.
    assert [e.action for e in registry.history("try")] == ["register", "revise"]
    registry.start("try", actor="ada")
    assert registry.register(changed, actor="ada").status == "running"  # The same: nothing to do.
    assert len(registry.history("try")) == 3
    with pytest.raises(FrozenDefinitionError, match="register the change with version = 2"):
        registry.register(DEFINITION, actor="ada")
    second = replace(DEFINITION, version=2)
    assert registry.register(second, actor="ada").status == "draft"
    assert registry.get("try").definition == changed  # The one that runs.
    assert registry.get("try", version=2).definition == second
    with pytest.raises(ExperimentStateError, match="'try' version 1 is running"):
        registry.start("try", actor="ada")
    registry.abort("try", actor="ada", reason="the second is better")
    assert registry.start("try", actor="ada").definition.version == 2
    assert served(registry, clock) == [("try", 2, "2", 0)]
    registry.abort("try", actor="ada", reason="enough")
    registry.register(replace(DEFINITION, version=5), actor="ada")
    with pytest.raises(InvalidExperimentError, match="must be > 5"):
        registry.register(replace(DEFINITION, version=4), actor="ada")


def test_experiments_on_one_operation_are_kept_apart(registry: SpecExperimentRegistry) -> None:
    def named(key: str, name: str, start: float, end: float) -> SpecExperiment:
        return replace(DEFINITION, key=key, namespace=Namespace(name=name, start=start, end=end))

    for experiment in (
        named("low", "pricing", 0.0, 0.5),
        named("high", "pricing", 0.5, 1.0),
        named("middle", "pricing", 0.4, 0.6),
        named("elsewhere", "search", 0.5, 1.0),
        replace(DEFINITION, key="all"),
    ):
        registry.register(experiment, actor="ada")
    registry.start("low", actor="ada")
    registry.start("high", actor="ada")
    registry.pause("low", actor="ada", reason="wait")
    for key in ("middle", "elsewhere", "all"):
        with pytest.raises(ExperimentStateError, match=f"'{key}' cannot start: 'high'"):
            registry.start(key, actor="ada")
    other = replace(DEFINITION, key="other", operation="search",
                    control=Binding(operation="search", version="1"),
                    variant=Binding(operation="search", version="2"))  # fmt: skip
    registry.register(other, actor="ada")
    assert registry.start("other", actor="ada").status == "running"


def test_two_versions_that_run_must_be_told_apart(registry: SpecExperimentRegistry) -> None:
    # Only a repository filled by somebody else has them.
    registry.register(DEFINITION, actor="ada")
    registry.start("try", actor="ada")
    with registry.repository.transaction() as table:
        running = table.get("try", 1)
        table.save(replace(running, definition=replace(DEFINITION, version=2)))
    with pytest.raises(AmbiguousNameError, match="try@1, try@2"):
        registry.pause("try", actor="ada", reason="x")
    assert registry.get("try", version=2).status == "running"


def test_steps_name_who_takes_them_and_overrides_say_why(registry: SpecExperimentRegistry) -> None:
    with pytest.raises(MissingReviewerError):
        registry.register(DEFINITION, actor=" ")
    registry.register(DEFINITION, actor="ada")
    with pytest.raises(MissingReviewerError):
        registry.start("try", actor="")
    assert registry.get("try").status == "draft"
    registry.start("try", actor="ada")
    for step in (registry.pause, registry.abort, registry.roll_back):
        with pytest.raises(MissingNoteError):
            step("try", actor="ada", reason=" ")
    with pytest.raises(MissingNoteError):
        registry.advance("try", 1, actor="ada", reason="")
    for stage in (0, 4):
        with pytest.raises((ExperimentStateError, InvalidExperimentError)):
            registry.advance("try", stage, actor="ada", reason="x")
    assert len(registry.history("try")) == 2
    assert registry.note("try", "hold", actor="controller", payload={"n": 1}).sequence == 3


def test_an_unknown_key_offers_the_nearest(registry: SpecExperimentRegistry) -> None:
    registry.register(replace(DEFINITION, key="invoice-2"), actor="ada")
    with pytest.raises(UnknownNameError, match="Did you mean 'invoice-2'"):
        registry.get("invoce-2")
    with pytest.raises(UnknownNameError, match="invoice-2@1"):
        registry.get("invoice-2", version=7)


def test_targeting_that_nobody_can_meet_is_refused(registry: SpecExperimentRegistry) -> None:
    wrong = replace(DEFINITION, targeting={"country": {"$eqq": "NL"}})
    with pytest.raises(InvalidExperimentError, match=r"'\$eq'"):
        registry.register(wrong, actor="ada")


def test_revisions_never_go_back(registry: SpecExperimentRegistry, tmp_path: Path) -> None:
    def of_file() -> int:
        return read_state((tmp_path / "state.json").read_bytes()).revision

    first = registry.publish()
    assert first.revision == of_file() == 1
    other = replace(registry, repository=InMemoryExperimentRepository())  # A lost database
    assert other.publish().revision == of_file() == 2
    assert registry.publish().revision == of_file() == 3
    (tmp_path / "state.json").write_text("{")
    assert registry.publish().revision == 4


def test_a_document_is_good_for_three_intervals(
    registry: SpecExperimentRegistry, clock: Clock
) -> None:
    registry.register(replace(DEFINITION, interval=timedelta(minutes=2)), actor="ada")
    registry.start("try", actor="ada")
    assert registry.publish().stale_after == timedelta(minutes=6)
    assert registry.publish(interval=timedelta(seconds=10)).stale_after == timedelta(seconds=30)
    in_force = InForce(file_source(registry.state_file), clock=clock, background=False)
    in_force.refresh()
    assert in_force.runners("checkout")
    clock.now += timedelta(seconds=30)
    assert in_force.runners("checkout") == ()


def test_nothing_is_registered_where_a_step_fails(
    registry: SpecExperimentRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.register(DEFINITION, actor="ada")
    blocked = replace(registry, state_file=Path("/proc/none/state.json"))
    with pytest.raises(OSError, match="none"):
        blocked.start("try", actor="ada")
    assert registry.get("try").status == "draft"
    assert len(registry.history("try")) == 1


def test_a_document_that_readers_would_refuse_is_not_written(
    registry: SpecExperimentRegistry, clock: Clock
) -> None:
    spec = OperationSpec(key="checkout", version="2", kind="command", goal="x" * 4_000_000)
    huge = replace(DEFINITION, variant=Binding(version="2", spec=spec, **ARM))
    registry.register(huge, actor="ada")
    with pytest.raises(ExperimentStateError, match="must be <= 4000000"):
        registry.start("try", actor="ada")
    assert registry.get("try").status == "draft"
    assert served(registry, clock) == []


def test_a_lab_s_registry_may_be_the_team_s(postgres: str, tmp_path: Path) -> None:
    one = SpecExperimentRegistry.in_lab(tmp_path / "one", state_url=postgres)
    two = Lab(tmp_path / "two", state_url=postgres).experiments
    one.register(DEFINITION, actor="ada")
    one.start("try", actor="ada")
    assert two.get("try").status == "running"
    two.abort("try", actor="kim", reason="enough")
    assert [e.actor for e in one.history("try")] == ["ada", "ada", "kim"]
    revisions = [
        read_state((tmp_path / name / STATE_IN_FORCE).read_bytes()).revision
        for name in ("one", "two")
    ]
    assert revisions == [1, 2]


def test_what_runs_comes_before_what_was_completed(
    registry: SpecExperimentRegistry, clock: Clock
) -> None:
    def through(key: str, version: str) -> None:
        experiment = replace(DEFINITION, key=key, variant=Binding(version=version, **ARM))
        registry.register(experiment, actor="ada")
        registry.start(key, actor="ada")
        clock.now += timedelta(hours=1)

    for key, version in (("zero", "2"), ("one", "3")):
        through(key, version)
        registry.advance(key, 3, actor="ada", reason="r")
        registry.complete(key, actor="ada", reason="r")
    assert served(registry, clock) == [("one", 1, "3", 3)]
    through("two", "4")
    clock.now -= timedelta(hours=1)
    assert served(registry, clock) == [("two", 1, "4", 0), ("one", 1, "3", 3)]


def test_a_boundary_that_the_control_breaks_is_refused(registry: SpecExperimentRegistry) -> None:
    recent = ControlCounts(
        calls=20_000, judged=20_000, failed=1_600, slow={750.0: 10}, p99_bound_ms=400.0
    )
    with pytest.raises(InvalidExperimentError, match=r"0\.086 would be accepted\."):
        registry.register(DEFINITION, actor="ada", recent=recent)
    eased = replace(DEFINITION, guardrails=(Guardrail(metric="error_rate", boundary=0.086),))
    registry.register(eased, actor="ada", recent=recent)
    (entry,) = registry.history("try")
    assert entry.payload["boundaries"][0]["verdict"] == "kept"


def outcomes(clock: Clock, *, requests: int, failed: int) -> CountedOutcomes:
    stages = [StageCounts(stage.share) for stage in DEFINITION.stages]
    control = ArmCounts(requests=99 * requests, failed=requests, units=99 * requests)
    variant = ArmCounts(requests=requests, failed=failed, failed_units=failed, units=requests)
    stages[0] = StageCounts(DEFINITION.stages[0].share, control=control, variant=variant)
    return CountedOutcomes(counts=RolloutCounts(tuple(stages)), newest=clock.now)


def test_the_controller_s_steps_go_into_the_history_with_their_evidence(
    registry: SpecExperimentRegistry, clock: Clock
) -> None:
    registry.register(replace(DEFINITION, sticky=False), actor="ada")
    registry.start("try", actor="ada")
    rolled: list[str] = []
    controller = SpecExperimentController(
        registry,
        repository_outcomes(registry.repository),
        on_rollback=[lambda _, decision: rolled.append(decision.cause)],
        clock=clock,
    )
    for requests, failed in ((0, 0), (0, 0), (60, 1), (500, 200)):
        clock.now += timedelta(minutes=1)
        with registry.repository.transaction() as table:
            sequence = int(clock.now.timestamp())
            shard = outcomes(clock, requests=requests, failed=failed)
            table.put_counts("try", 1, "web-1", sequence, shard)
        controller.look_as_leader(interval=timedelta(minutes=1))
    assert rolled == ["harm"]
    assert served(registry, clock) == []
    history = registry.history("try")
    assert [e.action for e in history] == ["register", "start", "hold", "hold", "rollback"]
    assert [e.payload.get("cause") for e in history[2:4]] == ["no-traffic", "undecided"]
    decision = from_json(RolloutDecision, history[-1].payload["decision"])
    assert (decision.look, decision.action, decision.analysis.harm) == (4, "roll_back", True)
    assert (history[-1].actor, history[-1].reason) == ("controller", decision.reason)
    again = replay(registry.get("try").definition, registry.looks("try"))
    assert [d.cause for d in again] == ["no-traffic", "no-traffic", "undecided", "harm"]
    assert again[-1] == decision


def test_one_controller_leads_and_another_takes_over(
    registry: SpecExperimentRegistry, clock: Clock
) -> None:
    registry.register(DEFINITION, actor="ada")
    registry.start("try", actor="ada")
    minute = timedelta(minutes=1)
    first, second = (
        SpecExperimentController(registry, repository_outcomes(registry.repository), clock=clock)
        for _ in range(2)
    )
    assert first.look_as_leader(interval=minute) is not None
    assert second.look_as_leader(interval=minute) is None
    clock.now += 3 * minute
    assert second.look_as_leader(interval=minute) is not None
    assert first.look_as_leader(interval=minute) is None
    assert [look.number for look in registry.looks("try")] == [1, 2]


def test_a_lease_that_is_given_back_is_taken_at_once(registry: SpecExperimentRegistry) -> None:
    start = registry.clock()
    until = start + timedelta(minutes=3)
    assert registry.lease("once", until=until, at=start)
    assert not registry.lease("other", until=until, at=start)
    registry.release("other")
    assert not registry.lease("other", until=until, at=start)
    registry.release("once")
    assert registry.lease("other", until=until, at=start)


STEPS = st.sampled_from(["start", "pause", "resume", "advance", "complete", "roll_back", "abort"])


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), STEPS, st.integers(0, 4)), max_size=25))
def test_whatever_is_asked_rows_history_and_document_agree(
    steps: list[tuple[str, str, int]],
) -> None:
    """Each step is taken as a whole or not at all; nothing that has ended begins again."""
    registry = SpecExperimentRegistry(InMemoryExperimentRepository(), clock=Clock())
    for key in ("a", "b"):
        registry.register(replace(DEFINITION, key=key), actor="ada")
    taken, revision = {"a": ["register"], "b": ["register"]}, 0
    for key, step, stage in steps:
        before = registry.get(key)
        more = (stage,) if step == "advance" else ()
        why = {} if step == "start" else {"reason": "r"}
        try:
            after = getattr(registry, step)(key, *more, actor="ada", **why)
        except (ExperimentStateError, InvalidExperimentError):
            assert registry.get(key) == before
            continue
        taken[key].append(step.replace("_", ""))
        assert before.status not in {"completed", "rolled_back"}
        assert after.status == before.status or after.status in TRANSITIONS[before.status]
        assert after.stage >= before.stage
        with registry.repository.transaction() as table:
            found = table.state()
        assert found is not None
        document = read_state(found[1])
        assert found[0] == document.revision == revision + 1
        revision = document.revision
        rows = [e for e in registry.list() if e.status in {"running", "paused", "completed"}]
        active = [e for e in rows if e.status != "completed"]
        assert len(active) <= 1  # Both are on one operation.
        assert {e.experiment.key for e in document.experiments} <= {e.definition.key for e in rows}
        assert {e.definition.key for e in active} <= {
            e.experiment.key for e in document.experiments
        }
    for key, expected in taken.items():
        history = registry.history(key)
        assert [e.action for e in history] == expected
        assert [e.sequence for e in history] == list(range(1, len(expected) + 1))
