# ruff: noqa: ARG002 - the registry of these tests takes what the protocol says
"""The controller does what is decided, once, by one leader, whatever hooks and people do."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from evolution_lab.errors import CorruptFileError, ExperimentStateError
from evolution_lab.experiments.controller import (
    RolloutRegistry,
    RolloutState,
    SpecExperimentController,
)
from evolution_lab.experiments.counters import ArmCounts, RolloutCounts, StageCounts
from evolution_lab.experiments.decisions import CountedOutcomes, Look, RolloutDecision, replay
from evolution_lab.experiments.definition import Binding, SpecExperiment, Stage

START = datetime(2026, 5, 4, tzinfo=UTC)
SHARES = (0.1, 1.0)


@dataclass
class Book:
    """A registry in memory that writes down what it is told."""

    states: dict[str, RolloutState] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    looks: list[tuple[Look, RolloutDecision]] = field(default_factory=list)
    leader: tuple[str, datetime] | None = None

    def under_way(self) -> list[RolloutState]:
        return [s for s in self.states.values() if s.status == "running"]

    def record(self, look: Look, decision: RolloutDecision) -> None:
        key = decision.analysis.key
        self.looks.append((look, decision))
        self.states[key] = replace(self.states[key], looks=look.number)

    def _move(self, key: str, what: str, **changes: Any) -> None:
        if self.states[key].status != "running":
            raise ExperimentStateError(f"experiment {key!r} is {self.states[key].status}.")
        self.states[key] = replace(self.states[key], **changes)
        self.told.append(f"{what} {key}")

    def advance(self, key: str, stage: int, *, actor: str, reason: str, at: datetime) -> None:
        self._move(key, "advance", stage=stage, entered_at=at)

    def complete(self, key: str, *, actor: str, reason: str, at: datetime) -> None:
        self._move(key, "complete", status="completed")

    def roll_back(self, key: str, *, actor: str, reason: str, at: datetime) -> None:
        self._move(key, "roll back", status="rolled_back")

    def pause(self, key: str, *, actor: str, reason: str, at: datetime) -> None:
        self._move(key, "pause", status="paused")

    def publish(self, *, at: datetime) -> None:
        self.told.append("publish")

    def lease(self, holder: str, *, until: datetime, at: datetime) -> bool:
        if self.leader is not None and self.leader[0] != holder and self.leader[1] > at:
            return False
        self.leader = (holder, until)
        return True


def experiment(key: str) -> SpecExperiment:
    stages = tuple(
        Stage(share=s, minimum_dwell=timedelta(0), maximum_dwell=timedelta(days=1)) for s in SHARES
    )
    return SpecExperiment(
        key=key,
        operation="checkout",
        control=Binding(operation="checkout", version="1"),
        variant=Binding(operation="checkout", version="2"),
        unit="request",
        stages=stages,
    )


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


GOOD = (
    ArmCounts(requests=5000, failed=50, slow=5, tail=5),
    ArmCounts(requests=45_000, failed=450, slow=45, tail=45),
)
BAD = ArmCounts(requests=500, failed=100), ArmCounts(requests=4500, failed=45)
THIN = ArmCounts(requests=50, failed=1), ArmCounts(requests=450, failed=5)


def counted(pair: tuple[ArmCounts, ArmCounts], stage: int = 0) -> CountedOutcomes:
    stages = [StageCounts(share) for share in SHARES]
    control = pair[1] if SHARES[stage] < 1 else ArmCounts()
    stages[stage] = StageCounts(SHARES[stage], control=control, variant=pair[0])
    return CountedOutcomes(counts=RolloutCounts(tuple(stages)), newest=START)


@pytest.fixture
def rollouts():
    """Make a controller of rollouts whose outcomes are given by key."""

    def make(**pairs: Any) -> tuple[SpecExperimentController, Book]:
        book = Book(
            {
                key: RolloutState(
                    experiment=experiment(key), status="running", stage=0, entered_at=START
                )
                for key in pairs
            }
        )
        registry: RolloutRegistry = book

        def outcomes(of: SpecExperiment) -> CountedOutcomes:
            found = pairs[of.key]
            if isinstance(found, Exception):
                raise found
            return counted(found, book.states[of.key].stage)

        return SpecExperimentController(registry, outcomes, clock=Clock()), book

    return make


def test_each_rollout_gets_its_own_decision(rollouts):
    controller, book = rollouts(good=GOOD, bad=BAD, thin=THIN)
    actions = {d.analysis.key: d.action for d in controller.look()}
    assert actions == {"good": "advance", "bad": "roll_back", "thin": "hold"}
    assert book.told == ["advance good", "roll back bad", "publish", "publish"]
    assert {k: (s.status, s.stage) for k, s in book.states.items()} == {
        "good": ("running", 1),
        "bad": ("rolled_back", 0),
        "thin": ("running", 0),
    }
    assert [d.action for d in controller.look()] == ["complete", "hold"]
    assert [d.look for d in controller.look()] == [3]


def test_what_was_recorded_replays(rollouts):
    controller, book = rollouts(good=GOOD)
    controller.look()
    controller.look()
    looks = [look for look, _ in book.looks]
    assert replay(experiment("good"), looks) == tuple(decision for _, decision in book.looks)


def test_a_person_is_asked_by_a_pause(rollouts):
    controller, book = rollouts(thin=THIN)
    controller.clock.now = START + timedelta(days=1)
    (decision,) = controller.look()
    assert decision.action == "ask"
    assert book.states["thin"].status == "paused"


def test_hooks_are_told_and_hold_up_nothing(rollouts):
    controller, book = rollouts(bad=BAD, good=GOOD)
    told: list[str] = []

    def broken(*_: object) -> None:
        raise RuntimeError("no network")

    controller.on_rollback = [broken, lambda e, d: told.append(f"{e.key} {d.cause}")]
    controller.on_advance = [lambda e, d: told.append(f"{e.key} {d.action}")]
    controller.look()
    assert told == ["bad harm", "good advance"]
    assert book.told[-1] == "publish"


def test_outcomes_that_cannot_be_read_leave_the_others_alone(rollouts, caplog):
    controller, _ = rollouts(broken=CorruptFileError("the counters are cut off."), bad=BAD)
    assert [d.analysis.key for d in controller.look()] == ["bad"]
    assert "broken could not be looked at" in caplog.text


def test_what_a_person_did_in_between_stands(rollouts):
    controller, book = rollouts(bad=BAD)
    record = book.record

    def faster(look: Look, decision: RolloutDecision) -> None:
        record(look, decision)
        book.states["bad"] = replace(book.states["bad"], status="paused")

    book.record = faster
    controller.look()
    assert book.states["bad"].status == "paused"


def test_one_controller_looks_and_another_takes_over(rollouts):
    controller, book = rollouts(good=GOOD)
    minute = timedelta(minutes=1)
    other = SpecExperimentController(book, controller.outcomes, clock=controller.clock)
    assert controller.look_as_leader(interval=minute)
    assert other.look_as_leader(interval=minute) is None
    controller.clock.now += 4 * minute
    assert other.look_as_leader(interval=minute) is not None
    assert controller.look_as_leader(interval=minute) is None


def test_the_loop_ends_when_it_is_told(rollouts):
    controller, _ = rollouts(good=GOOD)
    stopped, seen = threading.Event(), []

    def told(decisions: tuple[RolloutDecision, ...]) -> None:
        seen.append(decisions)
        if len(seen) == 2:
            stopped.set()

    controller.run(interval=timedelta(milliseconds=1), stopped=stopped, progress=told)
    assert [d.action for each in seen for d in each] == ["advance", "complete"]
