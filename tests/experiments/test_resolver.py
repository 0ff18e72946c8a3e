"""The state in force, and what the runtime makes of it."""

import os
import time
from datetime import UTC, datetime, timedelta

import pytest

from evolution_lab.contracts import FALLBACK, HandlerContext, OperationRegistry, OperationSpec
from evolution_lab.errors import CorruptFileError, FormatVersionError
from evolution_lab.experiments import (
    Binding,
    ExperimentInForce,
    InForce,
    Serving,
    SpecExperiment,
    StateInForce,
    create_spec_variant_resolver,
    current_variant,
    file_source,
    read_state,
    serve,
    write_state,
)
from evolution_lab.records.json_form import to_json

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
SPEC = OperationSpec(
    key="checkout", version="1", kind="command", goal="Pay.", input_schema={"type": "object"}
)
NEXT = OperationSpec(
    key="checkout",
    version="2",
    kind="command",
    goal="Pay.",
    input_schema={"type": "object", "required": ["card"]},
)
USER = HandlerContext(user_id="u-7")


def an_experiment(**changes) -> SpecExperiment:
    values = {
        "key": "try",
        "operation": "checkout",
        "control": Binding(operation="checkout", version="1"),
        "variant": Binding(operation="checkout", version="2", spec=NEXT, handler="two"),
    }
    return SpecExperiment(**{**values, **changes})


def a_state(*, stage=3, status="running", revision=1, **changes) -> StateInForce:
    entry = ExperimentInForce(experiment=an_experiment(**changes), status=status, stage=stage)
    return StateInForce(
        revision=revision,
        written_at=NOW,
        stale_after=timedelta(minutes=3),
        experiments=(entry,),
    )


def knowing(state: StateInForce | None, clock=lambda: NOW) -> InForce:
    text = None if state is None else to_json(state)
    in_force = InForce(lambda: text, clock=clock, background=False)
    in_force.refresh()
    return in_force


def run(in_force: InForce, value=None, context=USER, two=None):
    """Execute checkout 1 with the resolver; return what it gave, and its sample."""
    registry, samples, ran = OperationRegistry(), [], []

    def first(value, context):
        ran.append("one")
        return "one"

    registry.register(SPEC, first)
    registry.on_sample(samples.append)

    def second(value, context):
        ran.append("two")
        return "two" if two is None else two()

    resolver = create_spec_variant_resolver(in_force, handlers={"two": second})
    called = HandlerContext(user_id=context.user_id, spec_variant_resolver=resolver)
    try:
        given = registry.execute("checkout", "1", {"card": 1} if value is None else value, called)
    except ZeroDivisionError as error:
        given = error
    return given, samples[0], ran


def test_the_variant_runs_first_and_is_labelled():
    given, sample, ran = run(knowing(a_state()))
    assert (given, sample.variant_id, ran) == ("two", "try@1:variant", ["two"])


def test_the_control_is_labelled_too():
    given, sample, _ = run(knowing(a_state(stage=0)))
    assert (given, sample.variant_id, sample.attributes) == ("one", "try@1:control", None)


def test_falls_back_before_the_handler_starts_and_counts_to_its_arm():
    given, sample, ran = run(knowing(a_state()), value={})
    assert (given, ran) == ("one", ["one"])
    assert (sample.variant_id, sample.attributes[FALLBACK]) == ("try@1:variant", "invalid-input")


def test_a_handler_that_is_not_there_falls_back_and_counts_to_its_arm():
    variant = Binding(operation="checkout", version="2", spec=NEXT, handler="three")
    given, sample, _ = run(knowing(a_state(variant=variant)))
    assert given == "one"
    assert (sample.variant_id, sample.attributes[FALLBACK]) == ("try@1:variant", "no-handler")


def test_never_falls_back_after_the_handler_started():
    given, sample, ran = run(knowing(a_state()), two=lambda: 1 // 0)
    assert isinstance(given, ZeroDivisionError)
    assert (ran, sample.variant_id, sample.success) == (["two"], "try@1:variant", False)


@pytest.mark.parametrize("status", ["draft", "rolled_back"])
def test_what_does_not_run_serves_the_control(status):
    given, sample, _ = run(knowing(a_state(status=status)))
    assert (given, sample.variant_id) == ("one", None)


@pytest.mark.parametrize("status", ["paused", "completed"])
def test_what_was_given_stays_given(status):
    assert run(knowing(a_state(status=status)))[0] == "two"


def test_no_unit_is_the_control_and_not_counted():
    given, sample, _ = run(knowing(a_state()), context=HandlerContext())
    assert (given, sample.variant_id) == ("one", None)


def test_forced_units_get_their_arm_under_a_label_that_is_not_counted():
    given, sample, _ = run(knowing(a_state(stage=0, forced={"u-7": "variant"})))
    assert (given, sample.variant_id) == ("two", "try@1:variant:forced")


def test_one_spec_object_is_handed_out_however_often_the_state_is_rewritten():
    texts = [to_json(a_state(revision=n)) for n in (1, 2)]
    in_force = InForce(lambda: texts[0], clock=lambda: NOW, background=False)
    resolver = create_spec_variant_resolver(in_force, handlers={"two": print})
    in_force.refresh()
    first = resolver(SPEC, USER).spec
    texts.pop(0)
    in_force.refresh()
    assert in_force.revision == 2
    assert resolver(SPEC, USER).spec is first


# The state in force


def test_stale_state_is_the_control():
    times = [NOW]
    in_force = knowing(a_state(), clock=lambda: times[-1])
    assert in_force.runners("checkout")
    times.append(NOW + timedelta(minutes=3))
    assert not in_force.runners("checkout")
    in_force.refresh()
    assert "stale" in in_force.why_control
    assert run(in_force)[0] == "one"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "no state"),
        (b"", "CorruptFileError"),
        (b"{}", "CorruptFileError"),
        (to_json(a_state()).replace(b'"alpha":0.05', b'"alpha":5'), "CorruptFileError"),
        (to_json(a_state()).replace(b'"formatVersion":1', b'"formatVersion":2'), "format_version"),
        (to_json(a_state()).replace(b'"stage":3', b'"stage":9'), "stage == 9"),
        (to_json(a_state()).replace(b"2026-03", b"2027-03"), "future"),
    ],
)
def test_missing_or_invalid_state_is_the_control(text, said):
    texts = [to_json(a_state())]
    in_force = InForce(lambda: texts[-1], clock=lambda: NOW, background=False)
    in_force.refresh()
    assert in_force.runners("checkout")
    texts.append(text)
    in_force.refresh()
    assert not in_force.runners("checkout")
    assert said in in_force.why_control
    texts.append(to_json(a_state()))
    in_force.refresh()
    assert in_force.runners("checkout")


def test_a_source_that_fails_is_the_control():
    def fails():
        raise OSError("gone")

    in_force = InForce(fails, background=False)
    in_force.refresh()
    assert "gone" in in_force.why_control


def test_an_older_revision_is_not_gone_back_to():
    texts = [to_json(a_state(revision=2))]
    in_force = InForce(lambda: texts[-1], clock=lambda: NOW, background=False)
    in_force.refresh()
    texts.append(to_json(a_state(revision=1)))
    in_force.refresh()
    assert "went back" in in_force.why_control


def test_is_read_again_in_the_background(tmp_path):
    path = tmp_path / "in-force.json"
    write_state(path, a_state())
    in_force = InForce(file_source(path), clock=lambda: NOW, reread_seconds=0.01)
    try:
        assert in_force.runners("checkout")
        write_state(path, a_state(revision=2, status="rolled_back"))
        for _ in range(500):
            if in_force.revision == 2:
                break
            in_force._stopped.wait(0.01)
        assert not in_force.runners("checkout")
    finally:
        in_force.close()
    assert [p.name for p in tmp_path.iterdir()] == ["in-force.json"]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_reads_for_itself(tmp_path):
    path = tmp_path / "in-force.json"
    write_state(path, a_state())
    in_force = InForce(file_source(path), clock=lambda: NOW, reread_seconds=0.01)
    assert in_force.runners("checkout")
    with in_force._lock, in_force._stopped._cond:  # Held by the parent's threads at the fork.
        pid = os.fork()
        if pid == 0:
            seen = 1
            try:
                in_force.runners("checkout")
                write_state(path, a_state(revision=2, status="rolled_back"))
                for _ in range(500):
                    if not in_force.runners("checkout"):
                        seen = 0
                        break
                    time.sleep(0.01)
            finally:
                os._exit(seen)
    assert os.waitpid(pid, 0)[1] == 0
    in_force.close()


def test_reading_says_what_is_wrong():
    with pytest.raises(CorruptFileError, match="bytes"):
        read_state(b" " * 4_000_001)
    with pytest.raises(FormatVersionError):
        read_state(to_json(a_state()).replace(b'"formatVersion":1', b'"formatVersion":0'))
    assert read_state(to_json(a_state())) == a_state()


# A service with its own framework


def test_current_variant_answers_for_the_request_being_served():
    assert current_variant("checkout") is None
    serving = Serving(knowing(a_state()), USER)
    with serve(serving):
        assert current_variant("checkout").arm == "variant"
        assert current_variant("refund") is None
    assert serving.assignments["checkout"].label == "try@1:variant"
    assert serving.assignments["refund"] is None
    assert current_variant("checkout") is None
