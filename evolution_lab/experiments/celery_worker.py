"""Counts the tasks of a Celery worker, by Celery's own signals. Needs the extra ``celery``."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from evolution_lab.contracts import HandlerContext
from evolution_lab.experiments.adapter import SpecExperimentAdapter
from evolution_lab.experiments.resolver import Serving, serve

if TYPE_CHECKING:
    from celery import Celery, Task

TaskContextOf = Callable[["Task", Sequence[Any], Mapping[str, Any]], HandlerContext]
"""Says of a task, its positional and its named arguments who it is done for."""

_SUCCESS: Final = {"SUCCESS": True, "FAILURE": False, "RETRY": False}
_LATEST: Final = 10_000


@dataclass(eq=False)
class CountedTasks:
    """The tasks of one process; made by ``count_tasks``.

    Attributes:
        adapter: Counts outcomes.
        context_of: Says who a task is done for.
    """

    adapter: SpecExperimentAdapter
    context_of: TaskContextOf
    _running: dict[str, tuple[Serving, ExitStack, int]] = field(
        default_factory=dict, init=False, repr=False
    )

    def begins(
        self, task: Task, task_id: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> None:
        """Have ``current_variant`` answer in a task; its own name is an operation."""
        try:
            serving = self._serving(task, args, kwargs)
            stack = ExitStack()
            stack.enter_context(serve(serving))
            if len(self._running) >= _LATEST:  # Left by tasks that were broken off.
                self._running.pop(next(iter(self._running)))
            self._running[task_id] = (serving, stack, time.perf_counter_ns())
        except Exception as error:  # noqa: BLE001 - the task runs, whatever we cannot do
            self.adapter.failed("beginning a task", error)

    def ended(self, task: Task, task_id: str, state: str | None) -> None:
        """Count a task; one that is retried has failed, and the next try is another execution."""
        known = self._running.pop(task_id, None)
        if known is None:
            return
        serving, stack, begun = known
        duration = time.perf_counter_ns() - begun
        try:
            stack.close()
        except Exception as error:  # noqa: BLE001 - a pool that changes contexts under us
            self.adapter.failed("ending a task", error)
        if state is not None:  # Its process is being ended: the worker's own process counts that.
            self.adapter.end(
                serving,
                execution_id=f"{task_id}:{getattr(task.request, 'retries', 0)}",
                duration_ns=duration,
                success=_SUCCESS.get(state),
            )

    def was_killed(
        self,
        task: Task,
        task_id: str,
        error: BaseException | None,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> None:
        """Count a task whose process was killed under it: the worker's own process knows of it."""
        from billiard.exceptions import TimeLimitExceeded, WorkerLostError

        if task_id in self._running or not isinstance(error, TimeLimitExceeded | WorkerLostError):
            return
        try:
            serving = self._serving(task, args, kwargs)
        except Exception as failure:  # noqa: BLE001
            self.adapter.failed("a task that was killed", failure)
            return
        limit = error.args[0] if isinstance(error, TimeLimitExceeded) and error.args else 0
        self.adapter.end(
            serving,
            execution_id=f"{task_id}:killed",
            duration_ns=round(1e9 * limit) if isinstance(limit, int | float) else 0,
            success=False,
        )

    def _serving(self, task: Task, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Serving:
        try:
            context = self.context_of(task, args, kwargs)
        except Exception as error:  # noqa: BLE001 - whatever a stranger's code raises
            self.adapter.failed("context_of", error)
            context = HandlerContext()
        serving = self.adapter.begin(context)
        serving.assign(task.name)
        return serving


def count_tasks(
    app: Celery, adapter: SpecExperimentAdapter, context_of: TaskContextOf
) -> CountedTasks:
    """Count every task of an application's workers to the arm that it was given.

    Call it where the application is made: pools that fork take it with them. A task's name is the
    operation of its experiment; tasks ask ``current_variant(name)``, also for other operations.
    A task that hits its hard time limit or whose process dies counts as failed.

    Args:
        app: The application; other applications of the process are left alone.
        adapter: Counts outcomes.
        context_of: Says who a task is done for. A killed task is asked of in the worker's main
            process, where it has its arguments and no request.

    Returns:
        What listens; it is kept alive by the application.
    """
    from celery import signals

    tasks = CountedTasks(adapter, context_of)

    def mine(task: Any) -> bool:
        return getattr(task, "app", None) is app

    def prerun(
        task_id: str = "",
        task: Any = None,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> None:
        if mine(task):
            tasks.begins(task, task_id, args, kwargs or {})

    def postrun(task_id: str = "", task: Any = None, state: str | None = None, **_: Any) -> None:
        if mine(task):
            tasks.ended(task, task_id, state)

    def failure(
        sender: Any = None,
        task_id: str = "",
        exception: BaseException | None = None,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> None:
        if mine(sender):
            tasks.was_killed(sender, task_id, exception, args, kwargs or {})

    def leaving(**_: Any) -> None:
        adapter.close()  # A pool's processes end without running what waits for their exit.

    for signal, receiver in (
        (signals.task_prerun, prerun),
        (signals.task_postrun, postrun),
        (signals.task_failure, failure),
        (signals.worker_process_shutdown, leaving),
        (signals.worker_shutdown, leaving),
    ):
        signal.connect(
            receiver, weak=False, dispatch_uid=(id(tasks), receiver.__name__, id(signal))
        )
    return tasks
