"""Watches the tasks of a Celery worker, by Celery's own signals. Needs the extra ``celery``."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from evolution_lab.records import OperationRef, TelemetrySample
from evolution_lab.telemetry.middleware import TracingMiddleware

if TYPE_CHECKING:
    from celery import Celery, Task

Resolver = Callable[["Task", Sequence[Any], Mapping[str, Any]], str | None]
"""Says of a task, its positional and its named arguments whose it is."""

_SUCCESS: Final = {"SUCCESS": True, "FAILURE": False, "RETRY": False}
_LATEST: Final = 10_000
_LONGEST_MESSAGE: Final = 1_000


@dataclass(eq=False)
class WatchedTasks:
    """The tasks of one process; made by ``watch_tasks``.

    Attributes:
        tracing: Where samples go.
        tenant_of: Says whose a task is.
        actor_of: Says who asked for it; stored as a pseudonym.
    """

    tracing: TracingMiddleware
    tenant_of: Resolver | None = None
    actor_of: Resolver | None = None
    _running: dict[str, tuple[int, str | None, str | None]] = field(
        default_factory=dict, init=False, repr=False
    )

    def begins(
        self, task: Task, task_id: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> None:
        """Note when a task begins, and for whom."""
        if len(self._running) >= _LATEST:  # Left by tasks that were broken off.
            self._running.pop(next(iter(self._running)))
        tenant = self._told("tenant_of", self.tenant_of, task, args, kwargs)
        actor = self._told("actor_of", self.actor_of, task, args, kwargs)
        self._running[task_id] = (time.perf_counter_ns(), tenant, actor)

    def ended(self, task: Task, task_id: str, state: str | None, answer: object) -> None:
        """Hand on a task's sample; one that is retried has failed, and the next try is another."""
        known = self._running.pop(task_id, None)
        if known is None:
            return
        begun, tenant, actor = known
        took = time.perf_counter_ns() - begun
        error = answer if isinstance(answer, BaseException) else None
        maker = self.tracing.maker
        self.tracing.sampled(
            TelemetrySample(
                operation=OperationRef(task.name, maker.service, maker.version),
                timestamp=datetime.now(UTC) - timedelta(microseconds=took // 1_000),
                duration_ns=took,
                success=_SUCCESS.get(state or ""),
                kind="consumer",
                channel="worker",
                environment=maker.environment,
                error_code=type(error).__qualname__ if error is not None else None,
                error_message=str(error)[:_LONGEST_MESSAGE] if error is not None else None,
                tenant_id=tenant,
                actor_id=actor,
                name_source="mapped",
            )
        )

    def _told(
        self,
        name: str,
        resolver: Resolver | None,
        task: Task,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> str | None:
        if resolver is None:
            return None
        try:
            return resolver(task, args, kwargs)
        except Exception as error:  # noqa: BLE001 - the task runs, whatever we cannot know
            self.tracing.failed(name, error)
            return None


def watch_tasks(
    app: Celery,
    tracing: TracingMiddleware,
    *,
    tenant_of: Resolver | None = None,
    actor_of: Resolver | None = None,
) -> WatchedTasks:
    """Watch every task of an application's workers; a task's name is its operation.

    Call it where the application is made: pools that fork take it with them. A task whose process is
    killed under it is not seen.

    Args:
        app: The application; other applications of the process are left alone.
        tracing: Where samples go, made by ``create_tracing_middleware``.
        tenant_of: Says whose a task is.
        actor_of: Says who asked for it; stored as a pseudonym.

    Returns:
        What listens; it is kept alive by the application.
    """
    from celery import signals

    tasks = WatchedTasks(tracing, tenant_of, actor_of)

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

    def postrun(
        task_id: str = "",
        task: Any = None,
        state: str | None = None,
        retval: object = None,
        **_: Any,
    ) -> None:
        if mine(task):
            tasks.ended(task, task_id, state, retval)

    signals.task_prerun.connect(prerun, weak=False)
    signals.task_postrun.connect(postrun, weak=False)
    return tasks
