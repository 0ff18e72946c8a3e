"""Drives the shop: an open loop of clients over loopback that keeps to its timetable."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

import httpx

from evolution_lab.demo.har import HarWriter
from evolution_lab.demo.sessions import Session, Step, draw_sessions
from evolution_lab.demo.shoppers import Shopper
from evolution_lab.demo.timeline import PLAN, PLANNED_MINUTES, Timeline
from evolution_lab.display import ResultMixin

STOPPED: Final = PLAN["stopped-operation"].operation.key
USER_AGENT: Final = "shop-client/1.8"
_TIMEOUT_SECONDS: Final = 30.0
_CONNECTIONS: Final = 50


@dataclass(frozen=True)
class LoadResult(ResultMixin):
    """What a load did.

    Attributes:
        calls: Calls that were answered, by operation and status.
        unanswered: Calls that got no answer at all.
        latest_ms: The most that a call was behind its timetable, milliseconds.
    """

    _title: ClassVar[str] = "Calls"

    calls: Counter[tuple[str, int]]
    unanswered: int
    latest_ms: float

    @property
    def answered(self) -> int:
        """Calls that were answered."""
        return self.calls.total()

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one dict per operation and status."""
        return [
            {"operation": key, "status": status, "calls": count}
            for (key, status), count in sorted(self.calls.items())
        ]


def planned_sessions(timeline: Timeline, *, seed: int, rate: float) -> tuple[Session, ...]:
    """Draw the sessions of a recording, with the workflow from its planned minute on."""
    first = PLAN["repeated-workflow"].first
    return draw_sessions(
        seed,
        minutes=timeline.minutes,
        rate=rate,
        workflow_from=first * timeline.minutes * 60 / PLANNED_MINUTES,
    )


async def run_load(
    url: str,
    sessions: Sequence[Session],
    timeline: Timeline,
    *,
    archive: HarWriter | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> LoadResult:
    """Make the calls of all sessions, each at its time, however long others take.

    A session makes its calls one after the other, as a client does: a call whose time has come
    waits for the answer to the one before.

    Args:
        url: Where the shop listens.
        sessions: Who calls what and when, in seconds since the timeline's start.
        timeline: From when to when clients misbehave.
        archive: Where exchanges are written.
        progress: Called with (sessions done, sessions in all).
    """
    load = _Load(timeline, archive)
    limits = httpx.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS)
    async with httpx.AsyncClient(
        base_url=url,
        headers={"User-Agent": USER_AGENT},
        timeout=_TIMEOUT_SECONDS,
        limits=limits,
        trust_env=False,
    ) as client:
        begun = time.monotonic() - (datetime.now(UTC) - timeline.start).total_seconds()
        async with asyncio.TaskGroup() as group:
            waiting = [
                group.create_task(load.visit(client, session, begun)) for session in sessions
            ]
            for done, ended in enumerate(asyncio.as_completed(waiting), start=1):
                await ended
                if progress is not None:
                    progress(done, len(sessions))
    return LoadResult(load.calls, load.unanswered, load.latest * 1000)


@dataclass
class _Load:
    """Counts what happens while a load runs."""

    timeline: Timeline
    archive: HarWriter | None
    calls: Counter[tuple[str, int]] = field(default_factory=Counter)
    unanswered: int = 0
    latest: float = 0.0

    async def visit(self, client: httpx.AsyncClient, session: Session, begun: float) -> None:
        shopper = Shopper(session)
        answered = begun
        for step in session.steps:
            await asyncio.sleep(max(0.0, begun + step.at - time.monotonic()))
            due = max(begun + step.at, answered)
            self.latest = max(self.latest, time.monotonic() - due)
            moment = datetime.now(UTC)
            if step.key == STOPPED and self.timeline.active("stopped-operation", moment):
                continue
            await self._call(client, shopper, step, moment)
            answered = time.monotonic()

    async def _call(
        self, client: httpx.AsyncClient, shopper: Shopper, step: Step, moment: datetime
    ) -> None:
        request = shopper.request(step, bulk=self.timeline.active("unbounded-list", moment))
        sent = time.monotonic()
        try:
            answer = await client.request(
                request.method, request.path, headers=dict(request.headers), json=request.body
            )
        except httpx.HTTPError:
            self.unanswered += 1
            return
        took = (time.monotonic() - sent) * 1000
        self.calls[step.key, answer.status_code] += 1
        if self.archive is not None:
            self.archive.add(answer, started=moment, milliseconds=took)
        if answer.is_success:
            shopper.learn(step, answer.json())
