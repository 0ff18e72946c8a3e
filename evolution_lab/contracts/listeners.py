"""Who is told of executions. What listens never fails a call, and never keeps it waiting."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from evolution_lab.records import TelemetrySample
from evolution_lab.telemetry.forks import renew_when_forked
from evolution_lab.telemetry.hooks import HookCalls, HookThread, Loop

SampleListener = Callable[[TelemetrySample], Any]
"""Is told of each execution; plain, or gives something to await."""


@dataclass(eq=False)
class SampleListeners:
    """Tells listeners of samples, and counts their failures.

    Plain listeners are called where the operation ran and should be quick, as ``ingest`` of a
    pipeline is. What is to be awaited is awaited elsewhere: on the event loop that the operation ran
    on, or on one of our own.

    Attributes:
        listeners: Called in this order.
    """

    listeners: tuple[SampleListener, ...] = ()
    _calls: HookCalls = field(default_factory=HookCalls, init=False, repr=False)
    _thread: HookThread | None = field(default=None, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def __post_init__(self) -> None:
        renew_when_forked(self)

    def add(self, listener: SampleListener) -> None:
        """Tell one more listener from now on."""
        with self._lock:
            self.listeners = (*self.listeners, listener)

    def tell(self, sample: TelemetrySample) -> None:
        """Tell everybody of a sample; never raises an ``Exception``."""
        for listener in self.listeners:
            name = f"listener {getattr(listener, '__qualname__', type(listener).__qualname__)}"
            try:
                answer = listener(sample)
                if inspect.isawaitable(answer):
                    self._await_elsewhere(name, answer)
            except Exception as error:  # noqa: BLE001 - whatever a stranger's code raises
                self._calls.failed(name, error)

    def failed(self, name: str, error: BaseException) -> None:
        """Count a failure, and log it if it is the first of its name."""
        self._calls.failed(name, error)

    def errors(self) -> Mapping[str, int]:
        """Return the failures so far by name, sorted."""
        return self._calls.errors()

    def close(self, timeout: float) -> None:
        """Wait for what is being awaited; whoever tells again begins anew."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.close(timeout)

    def renew(self) -> None:
        """Begin anew in a forked process."""
        self._calls = HookCalls()
        self._thread = None
        self._lock = threading.Lock()

    def _await_elsewhere(self, name: str, answer: Any) -> None:
        try:
            loop: Loop | None = asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        with self._lock:
            if self._thread is None:
                self._thread = HookThread(self._awaited)
            taken = self._thread.submit((name, answer), loop)
        if not taken:
            if inspect.iscoroutine(answer):
                answer.close()
            raise RuntimeError("too many answers of listeners wait already; this one is given up.")

    async def _awaited(self, item: Any, loop: Loop | None) -> None:
        name, answer = item
        await self._calls.call(name, lambda _: answer, None, loop)
