from datetime import UTC, datetime, timedelta

import pytest

from evolution_lab.demo.shop import openapi_document
from evolution_lab.demo.timeline import PLAN, PLANNED_MINUTES, WORKFLOW, Faults, Timeline
from evolution_lab.errors import InputError, UnknownNameError

START = datetime(2025, 3, 4, 9, tzinfo=UTC)


def test_the_first_third_is_quiet_and_every_fault_ends_by_the_end():
    for minutes in (1, PLANNED_MINUTES, 90):
        timeline = Timeline(start=START, minutes=minutes)
        assert timeline.quiet_until - START >= timedelta(minutes=minutes) / 3
        for fault in timeline.faults:
            assert timeline.quiet_until <= fault.start < fault.end <= timeline.end


def test_a_fault_is_on_from_its_start_until_just_before_its_end():
    timeline = Timeline(start=START, minutes=PLANNED_MINUTES)
    for fault in timeline.faults:
        moment = timedelta(microseconds=1)
        assert not timeline.active(fault.name, fault.start - moment)
        assert timeline.active(fault.name, fault.start)
        assert timeline.active(fault.name, fault.end - moment)
        assert not timeline.active(fault.name, fault.end)


def test_labels_name_operations_the_shop_has():
    paths = openapi_document()["paths"]
    served = {f"{method.upper()} {path}" for path, item in paths.items() for method in item}
    for fault in PLAN.values():
        named = [fault.operation, *fault.steps, *fault.affected]
        assert {ref.key for ref in named if ref.service == "shop"} <= served
    assert set(WORKFLOW) <= served


def test_signal_faults_are_on_operations_of_their_own():
    """Else one could be taken for the other when detection is held against the labels."""
    timed = [f.operation.key for f in PLAN.values() if f.kind != "missing-operation"]
    assert len(timed) == len(set(timed))


def test_faults_follow_the_clock_or_the_hand():
    now = [START]
    faults = Faults(Timeline(start=START, minutes=40), clock=lambda: now[0])
    assert not faults.active("slow-dependency")
    now[0] = START + timedelta(minutes=16)
    assert faults.active("slow-dependency")
    assert not faults.active("bad-version")
    faults.plant("bad-version")
    assert faults.active("bad-version")
    faults.lift("bad-version")
    assert not faults.active("bad-version")


def test_an_unknown_fault_is_refused_with_the_nearest_name():
    for use in (Faults().active, Faults().plant):
        with pytest.raises(UnknownNameError, match="Did you mean 'bad-version'"):
            use("bad-versoin")


@pytest.mark.parametrize(
    ("start", "minutes"), [(START.replace(tzinfo=None), 40), (START, 0), (START, float("nan"))]
)
def test_a_timeline_that_cannot_be_is_refused(start, minutes):
    with pytest.raises(InputError):
        Timeline(start=start, minutes=minutes)
