"""Executions are counted once, to their arm and stage, by the runtime and by hand."""

from __future__ import annotations

import os
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from evolution_lab.contracts import HandlerContext, OperationRegistry, OperationSpec
from evolution_lab.experiments import (
    Binding,
    ExperimentInForce,
    Guardrail,
    InForce,
    SpecExperiment,
    SpecExperimentAdapter,
    StateInForce,
    create_spec_variant_resolver,
    current_variant,
    fell_back,
    merged_counts,
)
from evolution_lab.experiments.outcome_counting import MOST_UNITS, OutcomeCounter
from evolution_lab.records.json_form import to_json

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


def an_experiment(**changes) -> SpecExperiment:
    values = {
        "key": "try",
        "operation": "checkout",
        "control": Binding(operation="checkout", version="1"),
        "variant": Binding(operation="checkout", version="2", spec=NEXT, handler="two"),
    }
    return SpecExperiment(**{**values, **changes})


def knowing(experiment: SpecExperiment, *, stage=2, status="running") -> InForce:
    state = StateInForce(
        revision=1,
        written_at=datetime.now(UTC),
        stale_after=timedelta(hours=1),
        experiments=(ExperimentInForce(experiment=experiment, status=status, stage=stage),),
    )
    in_force = InForce(lambda: to_json(state), background=False)
    in_force.refresh()
    return in_force


@pytest.fixture
def adapter_of(tmp_path):
    """Call with an experiment: an adapter that serves it at 50 %, closed in the end."""
    made = []

    def adapter(experiment, **changes):
        options = {"flush_seconds": 60.0, **changes}
        made.append(SpecExperimentAdapter(knowing(experiment), tmp_path, **options))
        return made[-1]

    yield adapter
    for each in made:
        each.close()


def counted(adapter, experiment, stage=2):
    assert adapter.flush()
    found = merged_counts(adapter.data, experiment).counts.stages
    assert all(each.variant.requests + each.control.requests == 0 for each in found[:stage])
    return found[stage]


def a_shop(adapter, ran=None):
    """Return a function that has a user pay through the runtime."""
    registry = OperationRegistry("shop")
    registry.register(SPEC, lambda *_: "one")
    registry.on_call(adapter.executed)

    def two(value, context):
        if value.get("breaks"):
            raise ZeroDivisionError
        return "two"

    resolver = create_spec_variant_resolver(adapter.in_force, handlers={"two": two})

    def pay(user, **value):
        context = HandlerContext(user_id=user, spec_variant_resolver=resolver)
        return registry.execute("checkout", "1", value, context)

    return pay


def test_the_runtime_counts_both_arms_by_unit(adapter_of):
    experiment = an_experiment()
    adapter = adapter_of(experiment)
    pay = a_shop(adapter)
    given = [pay(f"u-{k % 50}", card=1) for k in range(200)]
    found = counted(adapter, experiment)
    assert found.variant.requests == given.count("two")
    assert found.control.requests == given.count("one")
    assert found.variant.units + found.control.units == 50
    assert found.variant.request_squares == 16 * found.variant.units


def test_failures_and_fallbacks_count_to_the_assigned_arm(adapter_of):
    experiment = an_experiment(sticky=False)
    adapter = adapter_of(experiment)
    pay = a_shop(adapter)
    failed = 0
    for k in range(100):
        try:
            pay(f"u-{k}", card=1, breaks=True)
        except ZeroDivisionError:
            failed += 1
        assert pay(f"u-{k}") == "one"  # The variant wants a card: it falls back.
    found = counted(adapter, experiment)
    assert 30 < failed < 70
    assert (found.variant.failed, found.variant.fallbacks) == (failed, failed)
    assert found.variant.requests == 2 * failed
    assert (found.control.failed, found.control.fallbacks) == (0, 0)


def test_forced_and_unitless_calls_are_not_counted(adapter_of):
    experiment = an_experiment(forced={"u-1": "variant", "u-2": "control"})
    adapter = adapter_of(experiment)
    pay = a_shop(adapter)
    assert [pay(user, card=1) for user in ("u-1", "u-2", None)] == ["two", "one", "one"]
    with adapter.executing(HandlerContext()):
        assert current_variant("checkout").reason == "no-unit"
    found = counted(adapter, experiment)
    assert found.variant.requests + found.control.requests == 0


def test_slow_and_tail_are_counted_by_their_edges(adapter_of):
    latency = Guardrail(metric="latency_p99", boundary=750.0, reference=300.0)
    experiment = an_experiment(guardrails=(latency,))
    adapter = adapter_of(experiment)
    runner = adapter.in_force.runners("checkout")[0]
    unit = next(f"u-{k}" for k in range(99) if runner.assign(f"u-{k}").arm == "variant")
    for number, milliseconds in enumerate((300, 301, 750, 751)):
        assert adapter.track_outcome(
            experiment,
            runner.assign(unit),
            execution_id=str(number),
            duration_ns=milliseconds * 10**6,
            success=None,
        )
    variant = counted(adapter, experiment).variant
    assert (variant.requests, variant.tail, variant.slow, variant.failed) == (4, 3, 1, 0)


def test_an_execution_is_counted_once(adapter_of):
    experiment = an_experiment()
    adapter = adapter_of(experiment)
    for execution in ("a", "a", "b"):
        with adapter.executing(HandlerContext(user_id="u-7"), execution_id=execution):
            current_variant("checkout")
            current_variant("checkout")
            current_variant("refund")
    found = counted(adapter, experiment)
    assert found.variant.requests + found.control.requests == 2


def test_what_the_runtime_counts_is_not_counted_around_it(adapter_of):
    experiment = an_experiment()
    adapter = adapter_of(experiment)
    pay = a_shop(adapter)
    with adapter.executing(HandlerContext(user_id="u-7")):
        current_variant("checkout")
        pay("u-7", card=1)
    found = counted(adapter, experiment)
    assert found.variant.requests + found.control.requests == 1


def test_a_fallback_of_ones_own_is_counted(adapter_of):
    experiment = an_experiment()
    adapter = adapter_of(experiment)

    def handler():
        with adapter.executing(HandlerContext(user_id="u-7")):
            current_variant("checkout")
            fell_back("checkout")
            raise KeyError

    with pytest.raises(KeyError):
        handler()
    found = counted(adapter, experiment)
    one = found.variant + found.control
    assert (one.requests, one.failed, one.fallbacks) == (1, 1, 1)
    fell_back("checkout")  # Outside a request it says nothing to anybody.


def test_hooks_that_fail_serve_the_control_and_fail_nobody(adapter_of, caplog):
    def fails(*_):
        raise RuntimeError("broken hook")

    experiment = an_experiment()
    adapter = adapter_of(experiment, attributes=fails)
    with adapter.executing(HandlerContext(user_id="u-7")):
        assert current_variant("checkout") is None
    assert "could not be assigned" in caplog.text
    found = counted(adapter, experiment)
    assert found.variant.requests + found.control.requests == 0


def test_is_written_in_the_background(adapter_of):
    experiment = an_experiment()
    adapter = adapter_of(experiment, flush_seconds=0.02)
    with adapter.executing(HandlerContext(user_id="u-7")):
        current_variant("checkout")
    for _ in range(500):
        if merged_counts(adapter.data, experiment).newest is not None:
            break
        time.sleep(0.01)
    stage = merged_counts(adapter.data, experiment).counts.stages[2]
    assert stage.variant.requests + stage.control.requests == 1


def test_a_disk_that_is_full_costs_nothing_that_fits_into_memory(adapter_of, caplog):
    experiment = an_experiment()
    adapter = adapter_of(experiment)
    folder = adapter.data / "lake"
    folder.write_text("in the way")
    for number in range(10):
        with adapter.executing(HandlerContext(user_id=f"u-{number}")):
            current_variant("checkout")
        assert not adapter.flush()
    assert adapter.errors == {"writing outcomes": 10}
    assert caplog.text.count("writing outcomes failed") == 1
    folder.unlink()
    found = counted(adapter, experiment)
    assert found.variant.requests + found.control.requests == 10


def test_memory_is_bounded(adapter_of, monkeypatch):
    experiment = an_experiment()
    adapter = adapter_of(experiment)
    runner = adapter.in_force.runners("checkout")[0]
    monkeypatch.setattr("evolution_lab.experiments.outcome_counting.FLUSH_FROM", MOST_UNITS + 1)
    for number in range(MOST_UNITS + 3):
        adapter.track_outcome(
            experiment,
            runner.assign(f"u-{number}"),
            execution_id=str(number),
            duration_ns=1,
            success=True,
        )
    assert adapter.errors == {"given up": 3}
    found = counted(adapter, experiment)
    assert found.variant.units + found.control.units == MOST_UNITS


def test_threads_lose_nothing(adapter_of):
    experiment = an_experiment()
    adapter = adapter_of(experiment, flush_seconds=0.005)

    def serve_some(worker):
        for number in range(400):
            with adapter.executing(HandlerContext(user_id=f"u-{number % 40}")):
                current_variant("checkout")

    threads = [threading.Thread(target=serve_some, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = counted(adapter, experiment)
    assert found.variant.requests + found.control.requests == 1600
    assert found.variant.units + found.control.units == 40


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forked_processes_count_for_themselves(adapter_of):
    experiment = an_experiment()
    adapter = adapter_of(experiment)
    for user in ("u-1", "u-2"):
        with adapter.executing(HandlerContext(user_id=user)):
            current_variant("checkout")
    children = []
    for _ in range(3):
        pid = os.fork()
        if pid == 0:
            try:
                with adapter.executing(HandlerContext(user_id="u-2")):
                    current_variant("checkout")
                adapter.close()
            finally:
                os._exit(0)
        children.append(pid)
    for pid in children:
        assert os.waitpid(pid, 0)[1] == 0
    found = counted(adapter, experiment)
    assert found.variant.requests + found.control.requests == 5
    assert found.variant.units + found.control.units == 2


def test_a_counter_that_nobody_holds_leaves_no_thread(tmp_path):
    experiment = an_experiment()
    runner = knowing(experiment).runners("checkout")[0]
    counter = OutcomeCounter(tmp_path, flush_seconds=0.01)
    counter.count(experiment, runner.assign("u-1"), execution_id="1", duration_ns=1, success=True)
    thread = counter._thread
    del counter
    thread.join(5)
    assert not thread.is_alive()
