"""OpenFeature's client gives what our runner assigns, and the control whenever in doubt."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import Reason

from evolution_lab.contracts import HandlerContext
from evolution_lab.experiments import (
    Binding,
    InForce,
    InMemoryExperimentRepository,
    Serving,
    SpecExperiment,
    SpecExperimentRegistry,
    SpecExperimentRunner,
    repository_source,
    serve,
)
from evolution_lab.experiments.openfeature_provider import SpecExperimentProvider

ARM = {"operation": "checkout"}
DEFINITION = SpecExperiment(
    key="try",
    operation="checkout",
    control=Binding(version="1", **ARM),
    variant=Binding(version="2", handler="fast", **ARM),
    forced={"tester": "variant"},
    targeting={"country": {"$in": ["NL", "BE"]}},
)
NL = {"country": "NL"}


@dataclass
class Rollout:
    client: OpenFeatureClient
    registry: SpecExperimentRegistry
    in_force: InForce
    now: datetime

    def restart(self, stage: int) -> None:
        self.registry.advance("try", stage, actor="ada", reason="go on")
        self.in_force.refresh()


@pytest.fixture
def rollout() -> Iterator[Rollout]:
    start = datetime(2026, 3, 2, tzinfo=UTC)
    made: list[Rollout] = []
    registry = SpecExperimentRegistry(
        InMemoryExperimentRepository(), clock=lambda: made[0].now if made else start
    )
    source = repository_source(registry.repository)
    in_force = InForce(source, background=False, clock=registry.clock)
    registry.register(DEFINITION, actor="ada")
    registry.start("try", actor="ada")
    in_force.refresh()
    api.set_provider(SpecExperimentProvider(in_force), "rollouts")
    made.append(Rollout(api.get_client("rollouts"), registry, in_force, start))
    yield made[0]
    api.clear_providers()


def of(user: str | None, **attributes: Any) -> EvaluationContext:
    return EvaluationContext(targeting_key=user, attributes={**NL, **attributes})


def test_the_client_gives_what_the_runner_assigns(rollout: Rollout) -> None:
    rollout.restart(2)
    runner = SpecExperimentRunner(DEFINITION, 2)
    users = [f"user-{number}" for number in range(300)]
    arms = [rollout.client.get_string_value("try", "control", of(user)) for user in users]
    assert arms == [runner.assign(user, NL).arm for user in users]
    assert set(arms) == {"control", "variant"}
    served = [rollout.client.get_boolean_value("try", False, of(user)) for user in users]
    assert served == [arm == "variant" for arm in arms]
    user = users[arms.index("variant")]
    assert rollout.client.get_object_value("try", {}, of(user)) == {
        "operation": "checkout", "version": "2", "handler": "fast",
    }  # fmt: skip
    awaited = asyncio.run(rollout.client.get_string_value_async("try", "control", of(user)))
    assert awaited == "variant"


def test_details_say_why(rollout: Rollout) -> None:
    client = rollout.client
    split = client.get_string_details("try", "control", of("user-1"))
    assert (split.reason, split.variant) == (Reason.SPLIT, "control")
    assert split.flag_metadata == {"version": 1, "label": "try@1:control", "why": "assigned"}
    forced = client.get_boolean_details("try", False, of("tester"))
    assert (forced.value, forced.reason) == (True, Reason.TARGETING_MATCH)
    for asked, why in (
        (of("user-1", country="DE"), "targeting"),
        (of(None), "no-unit"),
        (of(""), "no-unit"),
        (EvaluationContext(), "no-unit"),
        (None, "no-unit"),
    ):
        told = client.get_boolean_details("try", True, asked)
        assert (told.value, told.reason) == (False, Reason.DEFAULT), why
        assert told.flag_metadata["why"] == why


def test_units_are_the_user_else_the_organisation_else_the_anonymous_id(rollout: Rollout) -> None:
    rollout.restart(2)
    runner = SpecExperimentRunner(DEFINITION, 2)
    for number in range(50):
        asked = of(None, organisation=f"acme-{number}", anonymous_id="x")
        expected = runner.assign(f"acme-{number}", NL).arm
        assert rollout.client.get_string_value("try", "control", asked) == expected
        asked = of(None, organisation=7, anonymous_id=f"anon-{number}")
        expected = runner.assign(f"anon-{number}", NL).arm
        assert rollout.client.get_string_value("try", "control", asked) == expected


def test_what_is_not_in_force_gives_the_caller_s_default(rollout: Rollout) -> None:
    unknown = rollout.client.get_string_details("other", "mine", of("user-1"))
    assert (unknown.value, unknown.error_code) == ("mine", ErrorCode.FLAG_NOT_FOUND)
    rollout.registry.abort("try", actor="ada", reason="enough")
    rollout.in_force.refresh()
    ended = rollout.client.get_boolean_details("try", False, of("tester"))
    assert (ended.value, ended.error_code) == (False, ErrorCode.FLAG_NOT_FOUND)


def test_a_stale_state_gives_the_control(rollout: Rollout) -> None:
    assert rollout.client.get_boolean_value("try", False, of("tester")) is True
    rollout.now += timedelta(minutes=3)
    stale = rollout.client.get_boolean_details("try", True, of("tester"))
    assert (stale.value, stale.reason, stale.variant) == (False, Reason.STALE, "control")


def test_numbers_are_refused(rollout: Rollout) -> None:
    for told in (
        rollout.client.get_integer_details("try", 3, of("user-1")),
        rollout.client.get_float_details("try", 3.0, of("user-1")),
    ):
        assert (told.value, told.error_code) == (3, ErrorCode.TYPE_MISMATCH)
        assert "must be asked for a boolean" in str(told.error_message)


def test_a_request_that_is_served_is_asked_for_and_counted(rollout: Rollout) -> None:
    context = HandlerContext(user_id="tester", metadata=NL)
    assigned: list[str] = []
    serving = Serving(rollout.in_force, context, on_assigned=lambda a: assigned.append(a.label))
    with serve(serving):
        assert rollout.client.get_string_value("try", "control") == "variant"
        assert rollout.client.get_string_value("try", "control", of("user-1")) == "control"
    assert assigned == ["try@1:variant"]


def test_of_two_experiments_on_an_operation_each_is_a_flag_of_its_own(rollout: Rollout) -> None:
    other = replace(DEFINITION, key="second", forced={"tester": "control"})
    with rollout.registry.repository.transaction() as table:
        table.save(replace(table.get("try", 1), definition=other))
    rollout.registry.publish()
    rollout.in_force.refresh()
    with serve(Serving(rollout.in_force, HandlerContext(user_id="tester", metadata=NL))):
        answers = {key: rollout.client.get_string_value(key, "none") for key in ("try", "second")}
    assert answers == {"try": "control", "second": "control"}  # Each request is in one of them.
