"""Whom to tell of what happens to suggestions: files in a directory, and functions of yours."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from evolution_lab.errors import ConfigError, DeliveryError
from evolution_lab.export import FileSystemSuggestionWriter
from evolution_lab.export.envelopes import envelope_name
from evolution_lab.pipeline.suggestion_events import SuggestionEvent
from evolution_lab.records import SpecSuggestion

HOOK_SECONDS: Final = 30.0
"""A hook that is awaited for longer has failed."""


class Destination(Protocol):
    """Is told of what happens to suggestions, each event at least once.

    A process may end after a delivery and before it is marked: then the same event comes again,
    under the same key.
    """

    @property
    def name(self) -> str:
        """Names the destination in the outbox; the same after a restart, and no secret."""
        ...

    def wants(self, event: SuggestionEvent) -> bool:
        """Whether to be told of an event at all."""
        ...

    def deliver(self, event: SuggestionEvent, current: SpecSuggestion) -> None:
        """Take one event.

        Args:
            event: What happened.
            current: The suggestion as it stands now, which may be further on than the event.

        Raises:
            Exception: Any; the event is kept and tried again.
        """
        ...


def in_force(suggestion: SpecSuggestion) -> bool:
    """Whether files of a suggestion are written where there are none yet."""
    return suggestion.status in {"approved", "adopted"}


@dataclass(frozen=True)
class DirectoryDestination:
    """Keeps envelope, overlay and changed document of every approved suggestion in a directory.

    Files say how a suggestion stands now: one that is taken back keeps its envelope, which says so,
    and loses the others. Writing again changes nothing.

    Attributes:
        writer: Writes the files.
    """

    writer: FileSystemSuggestionWriter

    @property
    def name(self) -> str:
        """``directory:`` and the path as it was given."""
        return f"directory:{self.writer.directory}"

    def wants(self, event: SuggestionEvent) -> bool:
        """Whether the event may change a file: evidence alone does not."""
        return event.type not in {
            "suggestion.proposed",
            "suggestion.revised",
            "suggestion.seconded",
        }

    def deliver(self, event: SuggestionEvent, current: SpecSuggestion) -> None:  # noqa: ARG002
        """Write the files as they have to be now."""
        if in_force(current) or (self.writer.directory / envelope_name(current)).exists():
            self.writer.write_all(current)


@dataclass(frozen=True, kw_only=True)
class CallableHook:
    """Calls a function, plain or async, with each event.

    It may be called twice with the same ``event.key``: after a crash between the call and its mark.

    Attributes:
        function: Is called with a ``SuggestionEvent``; raising means "again later".
        name: Names the hook in the outbox, the same after a restart.
        events: The types to be told of; all without.
        since: Nothing that happened before is told, UTC.
    """

    function: Callable[[SuggestionEvent], Any]
    name: str
    events: Collection[str] | None = None
    since: datetime | None = None

    @classmethod
    def of(cls, function: Callable[[SuggestionEvent], Any]) -> CallableHook:
        """Return a hook that is named by its function.

        Raises:
            ConfigError: The function has no name that is the same after a restart.
        """
        name = getattr(function, "__qualname__", "")
        if not name or "<lambda>" in name:
            raise ConfigError(
                f"{function!r} has no lasting name, must be CallableHook(function=…, name=…)."
            )
        return cls(function=function, name=f"hook:{function.__module__}.{name}")

    def wants(self, event: SuggestionEvent) -> bool:
        """Whether the hook asked for events of this type and time."""
        return asked_for(event, self.events, self.since)

    def deliver(self, event: SuggestionEvent, current: SpecSuggestion) -> None:  # noqa: ARG002
        """Call the function, and await what it gives to await."""
        answer = self.function(event)
        if inspect.isawaitable(answer):
            awaited(answer)


def asked_for(
    event: SuggestionEvent, events: Collection[str] | None, since: datetime | None
) -> bool:
    """Whether an event is of the types and the time that were asked for."""
    return (events is None or event.type in events) and (since is None or event.at >= since)


async def _awaited(answer: Any) -> Any:
    return await answer


def awaited(answer: Any) -> None:
    """Await something, from a thread whose own event loop stands still meanwhile or that has none.

    Raises:
        DeliveryError: It took longer than ``HOOK_SECONDS``.
    """

    async def wait() -> None:
        try:
            await asyncio.wait_for(_awaited(answer), HOOK_SECONDS)
        except TimeoutError:
            raise DeliveryError(f"the hook took longer than {HOOK_SECONDS:.0f} s.") from None

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(wait())
        return
    with ThreadPoolExecutor(1, thread_name_prefix="evolution-hook") as thread:
        thread.submit(asyncio.run, wait()).result()
