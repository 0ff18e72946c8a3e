"""What users hang into the middleware, run off the request path and never allowed to break it."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeGuard, TypeVar

log = logging.getLogger(__name__)

E = TypeVar("E")
Loop = asyncio.AbstractEventLoop

HOOK_SECONDS: Final = 5.0
"""An awaited hook that takes longer has failed."""
GATHER_SECONDS: Final = 0.02
"""How long requests gather before hooks are called: waking the thread for each delays the next."""
_ITEMS_AT_ONCE: Final = 4
_BREATH_SECONDS: Final = 5e-5
"""Between so many items the thread really sleeps: only then does a waiting request get its turn."""


@dataclass(eq=False)
class HookCalls:
    """Calls hooks, counts their failures and logs the first of each."""

    _errors: Counter[str] = field(default_factory=Counter, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    async def call(
        self, name: str, hook: Callable[[Any], Any], argument: object, loop: Loop | None
    ) -> Any:
        """Return what a hook says; None where it fails.

        Args:
            name: What the count and the log call it.
            hook: A plain function, or one that gives something to await.
            argument: What it is called with.
            loop: The server's event loop; what is to be awaited is awaited there, where the
                service's own connections live. Without one, here.
        """
        answer = self.begin(name, hook, argument)
        return await self.end(name, answer, loop) if is_awaitable(answer) else answer

    def begin(self, name: str, hook: Callable[[Any], Any], argument: object) -> Any:
        """Return what a hook says, perhaps something that ``end`` has to await; None if it fails."""
        try:
            return hook(argument)
        except Exception as error:  # noqa: BLE001 - whatever a stranger's code raises
            self.failed(name, error)
            return None

    async def end(self, name: str, answer: Awaitable[Any], loop: Loop | None) -> Any:
        """Await what a hook gave to await; None where that fails or takes too long."""
        try:
            return await asyncio.wait_for(_there(answer, loop), HOOK_SECONDS)
        except Exception as error:  # noqa: BLE001
            self.failed(name, error)
            return None

    def failed(self, name: str, error: BaseException) -> None:
        """Count a failure; log it if it is the first of this name."""
        with self._lock:
            self._errors[name] += 1
            first = self._errors[name] == 1
        if first:
            log.error("%s failed; further failures are only counted", name, exc_info=error)

    def errors(self) -> Mapping[str, int]:
        """Return the failures so far by hook, sorted."""
        with self._lock:
            return dict(sorted(self._errors.items()))


def is_awaitable(answer: object) -> TypeGuard[Awaitable[Any]]:
    """Say whether a hook's answer has to be awaited; quick for what hooks mostly say."""
    return answer is not None and type(answer) is not str and inspect.isawaitable(answer)


async def _wait(answer: Awaitable[Any]) -> Any:
    return await answer


def _there(answer: Awaitable[Any], loop: Loop | None) -> Awaitable[Any]:
    if loop is None or loop.is_closed() or not loop.is_running():
        return answer
    return asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_wait(answer), loop))


@dataclass(eq=False)
class HookThread:
    """A thread with an event loop that handles what requests leave behind; used once, then closed.

    Attributes:
        handle: Handles one item; called in the items' order. What it returns is awaited, that of
            many items at a time.
        most_waiting: Items that may wait; one more is not taken.
    """

    handle: Callable[[Any, Loop | None], Awaitable[None] | None]
    most_waiting: int = 2_048
    _changed: threading.Condition = field(default_factory=threading.Condition, init=False)
    _items: deque[tuple[Any, Loop | None]] = field(default_factory=deque, init=False, repr=False)
    _loop: Loop = field(default_factory=asyncio.new_event_loop, init=False, repr=False)
    _thread: threading.Thread = field(init=False, repr=False)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set, init=False, repr=False)
    _pending: int = field(default=0, init=False)
    _awake: bool = field(default=False, init=False)
    _closed: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(
            target=_serve, args=(self._loop,), daemon=True, name="telemetry-hooks"
        )
        self._thread.start()

    def submit(self, item: object, loop: Loop | None) -> bool:
        """Hand over an item, or return False where too many wait; never waits."""
        with self._changed:
            if self._closed or self._pending >= self.most_waiting:
                return False
            self._pending += 1
            self._items.append((item, loop))
            if not self._awake:
                self._awake = True
                self._loop.call_soon_threadsafe(self._loop.call_later, GATHER_SECONDS, self._take)
            return True

    def close(self, timeout: float) -> None:
        """Handle what waits and end the thread; what takes longer is given up."""
        with self._changed:
            self._closed = True
            self._changed.wait_for(lambda: self._pending == 0, timeout)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(1.0)  # A hook that never returns keeps its daemon thread.

    def _take(self) -> None:
        """Begin with a few items, and let the server's thread run before the next ones."""
        for _ in range(_ITEMS_AT_ONCE):
            with self._changed:
                if not self._items:
                    self._awake = False
                    return
                item, loop = self._items.popleft()
            self._begin(item, loop)
        time.sleep(_BREATH_SECONDS)
        self._loop.call_soon(self._take)

    def _begin(self, item: object, loop: Loop | None) -> None:
        rest = None
        try:
            rest = self.handle(item, loop)
        except Exception:
            log.exception("handling what a request left behind failed")
        if rest is None:
            self._done()
            return
        task = self._loop.create_task(self._finished(rest))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _finished(self, rest: Awaitable[None]) -> None:
        try:
            await rest
        finally:
            self._done()

    def _done(self) -> None:
        with self._changed:
            self._pending -= 1
            if not self._pending:
                self._changed.notify_all()


def _serve(loop: Loop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
