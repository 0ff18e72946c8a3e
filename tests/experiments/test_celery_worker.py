"""Tasks are counted by real workers: those that end, are retried, hang, and take their process along."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from celery import Celery, signals
from celery.contrib.testing.worker import start_worker

from evolution_lab.contracts import HandlerContext
from evolution_lab.experiments import (
    STATE_IN_FORCE,
    Binding,
    ExperimentInForce,
    InForce,
    SpecExperiment,
    SpecExperimentAdapter,
    SpecExperimentRunner,
    StateInForce,
    current_variant,
    file_source,
    merged_counts,
    write_state,
)
from evolution_lab.experiments.celery_worker import count_tasks


def _leave_logging_alone(**_: object) -> None:
    """A worker sets logging up for its whole process, which here is that of all tests."""


def an_experiment(operation: str) -> SpecExperiment:
    return SpecExperiment(
        key=operation,
        operation=operation,
        control=Binding(operation=operation, version="1"),
        variant=Binding(operation=operation, version="2"),
    )


def in_force_at_half(data, *experiments: SpecExperiment) -> None:
    write_state(
        data / STATE_IN_FORCE,
        StateInForce(
            revision=1,
            written_at=datetime.now(UTC),
            stale_after=timedelta(hours=1),
            experiments=tuple(
                ExperimentInForce(experiment=each, status="running", stage=2)
                for each in experiments
            ),
        ),
    )


def counted(data, experiment):
    return merged_counts(data, experiment).counts.stages[2]


@pytest.mark.slow
def test_a_worker_counts_what_ends_well_and_badly(tmp_path, celery_worker):
    sent, retried = an_experiment("shop.sendInvoice"), an_experiment("shop.retried")
    in_force_at_half(tmp_path, sent, retried)
    users = [f"u-{k}" for k in range(20)]
    control = [u for u in users if SpecExperimentRunner(sent, 2).assign(u).arm == "control"]
    with celery_worker(tmp_path, "--pool=prefork", "--concurrency=1") as worker:
        tasks = worker.tasks

        def done(task, **arguments):
            result = worker.send(task, **arguments)
            result.get(timeout=60, propagate=False, interval=0.02)
            return result

        states = [done(tasks.send_invoice, user=user).state for user in users]
        assert done(tasks.retried, user=control[0]).result == "done"
        time.sleep(0.5)  # Counts are written every 0.2 s; who dies loses the rest.
        died = done(tasks.send_invoice, user=control[0], how="die")
        assert type(died.result).__name__ == "WorkerLostError", worker.log()
        hung = done(tasks.send_invoice, user=control[0], how="hang", time_limit=1)
        assert type(hung.result).__name__ == "TimeLimitExceeded"
    found = counted(tmp_path, sent)
    assert states.count("FAILURE") == 20 - len(control)
    assert found.variant.requests == found.variant.failed == states.count("FAILURE")
    assert found.control.requests == len(control) + 2
    assert (found.control.failed, found.control.slow) == (2, 1)
    again = counted(tmp_path, retried)
    both = again.variant + again.control
    assert (both.requests, both.failed, both.units) == (2, 1, 1)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_threads_of_a_pool_are_kept_apart(tmp_path):
    experiment = an_experiment("shop.work")
    in_force_at_half(tmp_path, experiment)
    in_force = InForce(file_source(tmp_path / STATE_IN_FORCE), background=False)
    in_force.refresh()
    adapter = SpecExperimentAdapter(in_force, tmp_path)
    app = Celery("shop", broker="memory://", backend="cache+memory://")
    signals.setup_logging.connect(_leave_logging_alone)
    count_tasks(app, adapter, lambda _, __, kwargs: HandlerContext(user_id=kwargs["user"]))
    other = Celery("other", broker="memory://")
    together = threading.Barrier(2, timeout=30)

    @app.task(name="shop.work", shared=False)
    def work(*, user):
        together.wait()  # Two at a time: each sees its own user's arm.
        before = current_variant("shop.work")
        time.sleep(0.01)
        assert current_variant("shop.work") is before
        if before.arm == "variant":
            raise ValueError(before.unit)
        return before.unit

    @other.task(name="other.work", shared=False)
    def not_ours(*, user):
        assert current_variant("shop.work") is None

    users = [f"u-{k}" for k in range(16)]
    with start_worker(app, pool="threads", concurrency=2, perform_ping_check=False, loglevel=50):
        results = [work.delay(user=user) for user in users]
        found = [result.get(timeout=30, propagate=False) for result in results]
    assert [str(each) for each in found] == users
    not_ours.apply(kwargs={"user": "u-1"}).get()
    assert adapter.close()
    n_failed = sum(isinstance(each, ValueError) for each in found)
    stage = counted(tmp_path, experiment)
    assert (stage.variant.requests, stage.variant.failed) == (n_failed, n_failed)
    assert (stage.control.requests, stage.control.failed) == (16 - n_failed, 0)
    assert adapter.errors == {}


def test_a_hook_that_fails_fails_no_task(tmp_path):
    experiment = an_experiment("shop.work")
    in_force_at_half(tmp_path, experiment)
    in_force = InForce(file_source(tmp_path / STATE_IN_FORCE), background=False)
    in_force.refresh()
    adapter = SpecExperimentAdapter(in_force, tmp_path)
    app = Celery("shop", broker="memory://")
    count_tasks(app, adapter, lambda _, __, kwargs: kwargs["no such"])

    @app.task(name="shop.work", shared=False)
    def work():
        return current_variant("shop.work").reason

    assert work.apply().get() == "no-unit"
    assert adapter.errors == {"context_of": 1}
    assert adapter.close()
    stage = counted(tmp_path, experiment)
    assert stage.control.requests + stage.variant.requests == 0
