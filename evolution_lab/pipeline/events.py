"""What a pipeline tells, and whom."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from evolution_lab.telemetry.hooks import HookCalls, Loop

EventType = Literal["telemetry.window", "intent.detected"]
EVENTS: Final = ("intent.detected", "telemetry.window")

Listener = Callable[[Any], Any]
"""Is told of something; plain, or gives something to await."""


@dataclass(frozen=True)
class PipelineEvent:
    """Something a pipeline tells of.

    Attributes:
        type: ``telemetry.window`` or ``intent.detected``.
        payload: An ``IntentSignal``; for windows a mapping with ``sampleCount``, ``windowStart``,
            ``windowEnd``, ``windows``, ``operations`` and ``tested``.
    """

    type: EventType
    payload: Any


@dataclass(eq=False)
class PipelineListeners:
    """Listeners and how they are called: one after the other, failures counted and logged."""

    _listeners: dict[int, tuple[EventType | None, Listener]] = field(
        default_factory=dict, init=False
    )
    _next: int = field(default=0, init=False)
    _calls: HookCalls = field(default_factory=HookCalls, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def add(self, event: EventType | None, listener: Listener) -> Callable[[], None]:
        """Tell a listener of the payloads of one event, or of each ``PipelineEvent`` for None.

        Returns:
            A function that ends it.
        """
        with self._lock:
            number, self._next = self._next, self._next + 1
            self._listeners[number] = (event, listener)

        def end() -> None:
            with self._lock:
                self._listeners.pop(number, None)

        return end

    def tell(self, event: PipelineEvent, loop: Loop | None) -> None:
        """Tell of an event; see ``call``."""
        with self._lock:
            listeners = list(self._listeners.values())
        name = f"listener of {event.type}"
        self.call(
            [
                (name, listener, event if kind is None else event.payload)
                for kind, listener in listeners
                if kind in {None, event.type}
            ],
            loop,
        )

    def call(self, calls: Sequence[tuple[str, Listener, Any]], loop: Loop | None) -> None:
        """Call listeners and return when all have ended; never raises what they raise.

        Args:
            calls: Name, listener and what it is told.
            loop: Where to await what has to be awaited; a loop of our own without one.
        """
        if not calls:
            return
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:
            asyncio.run(self._call_all(calls, loop))
            return
        # The loop of this thread stands still meanwhile, so nothing may be awaited on it.
        elsewhere = None if loop is here else loop
        with ThreadPoolExecutor(1, thread_name_prefix="evolution-pipeline") as thread:
            thread.submit(asyncio.run, self._call_all(calls, elsewhere)).result()

    def failed(self, name: str, error: BaseException) -> None:
        """Count a failure, and log it if it is the first of its name."""
        self._calls.failed(name, error)

    def errors(self) -> Mapping[str, int]:
        """Return the failures so far by name, sorted."""
        return self._calls.errors()

    def renew(self) -> None:
        """Keep the listeners and begin anew otherwise, in a forked process."""
        self._lock = threading.Lock()
        self._calls = HookCalls()

    async def _call_all(
        self, calls: Sequence[tuple[str, Listener, Any]], loop: Loop | None
    ) -> None:
        for name, listener, argument in calls:
            await self._calls.call(name, listener, argument, loop)
