"""Clients of a service under load: as fast as it answers, or on a timetable that waits for nobody."""

from __future__ import annotations

import asyncio
import collections
import json
import math
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import orjson

from evolution_lab.demo.sessions import draw_sessions
from evolution_lab.demo.shoppers import Shopper
from evolution_lab.demo.timeline import PLANNED_MINUTES

CONNECTIONS: Final = 16
_SPIN_SECONDS: Final = 0.0015
"""The event loop sleeps whole milliseconds: the last one before a request is waited out awake."""
_LONGEST_ANSWER: Final = 30.0
_LUA: Final = """
local requests = { %s }
local at = 0
request = function()
  at = at %% #requests + 1
  return requests[at]
end
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("\\n{\\"answers\\": %%d, \\"microseconds\\": %%d, \\"broken\\": %%d}\\n",
    summary.requests, summary.duration, e.connect + e.read + e.write + e.timeout))
end
"""


def drawn_requests(number: int, *, seed: int) -> tuple[bytes, ...]:
    """Draw requests in the mix of the shop's sessions, as they go over the wire.

    Args:
        number: How many.
        seed: Of who calls what.
    """
    rate = number / PLANNED_MINUTES / 60 * 2
    sessions = draw_sessions(seed, minutes=PLANNED_MINUTES, rate=rate)
    steps = sorted(
        ((step.at, at, step) for at, one in enumerate(sessions) for step in one.steps),
        key=lambda each: each[:2],
    )
    shoppers = [Shopper(session) for session in sessions]
    requests = []
    for _, at, step in steps[:number]:
        asked = shoppers[at].request(step)
        body = b"" if asked.body is None else orjson.dumps(asked.body)
        head = [f"{asked.method} {asked.path} HTTP/1.1", "Host: shop", "User-Agent: shop-client"]
        head += [f"{name}: {value}" for name, value in asked.headers.items()]
        if body:
            head += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        requests.append("\r\n".join([*head, "", ""]).encode() + body)
    return tuple(requests)


@dataclass(frozen=True)
class Throughput:
    """Answers in a time of asking as fast as they come.

    Attributes:
        answers: How many.
        seconds: Wall time.
        broken: Connections that failed, and answers that did not come.
    """

    answers: int
    seconds: float
    broken: int

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answers / self.seconds


def saturate(port: int, requests: Sequence[bytes], seconds: int) -> Throughput:
    """Ask over all connections as soon as each is answered, with wrk where it is installed.

    Args:
        port: Where the service listens on 127.0.0.1.
        requests: Sent in turn.
        seconds: For how long.
    """
    wrk = shutil.which("wrk")
    if wrk is None:
        return asyncio.run(_saturate(port, requests, seconds))
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "requests.lua"
        script.write_text(_LUA % ",\n".join(_lua_text(each) for each in requests), "ascii")
        asked = subprocess.run(  # noqa: S603 - the program found on the path
            [
                *(wrk, "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "30s"),
                *("-s", str(script), f"http://127.0.0.1:{port}"),
            ],
            capture_output=True,
            text=True,
            check=True,
        )
    said = json.loads(asked.stdout.strip().rpartition("\n")[2])
    return Throughput(said["answers"], said["microseconds"] / 1e6, said["broken"])


def _lua_text(data: bytes) -> str:
    return '"' + "".join(f"\\{byte:03d}" for byte in data) + '"'


@dataclass(frozen=True)
class Answered:
    """What came of requests that were sent when they were due.

    Attributes:
        latencies_ns: From when each request was due to the end of its answer.
        statuses: Answers by HTTP status.
        latest_ns: The most that the client itself was late with a request it could have sent.
    """

    latencies_ns: list[int]
    statuses: collections.Counter[int]
    latest_ns: int


async def _saturate(port: int, requests: Sequence[bytes], seconds: float) -> Throughput:
    clients = await Clients.connected(port)
    began = time.perf_counter()
    number = 0
    while (now := time.perf_counter()) < began + seconds:
        while clients.idle:
            clients.idle.popleft().ask(requests[number % len(requests)], int(now * 1e9))
            number += 1
        await clients.any_idle()
    took = time.perf_counter() - began
    answers = len(clients.latencies_ns)
    await clients.all_answered()
    await clients.close()
    return Throughput(answers, took, 0)


@dataclass(eq=False)
class Clients:
    """Connections to a service that stay open, one request at a time on each."""

    idle: collections.deque[_Connection] = field(default_factory=collections.deque)
    latencies_ns: list[int] = field(default_factory=list)
    statuses: collections.Counter[int] = field(default_factory=collections.Counter)
    broken: list[str] = field(default_factory=list)
    _freed: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    async def connected(cls, port: int, connections: int = CONNECTIONS) -> Clients:
        """Open the connections."""
        clients, loop = cls(), asyncio.get_running_loop()
        for _ in range(connections):
            await loop.create_connection(lambda: _Connection(clients), "127.0.0.1", port)
        return clients

    async def any_idle(self) -> None:
        """Wait until a connection is free."""
        while not self.idle:
            self._freed.clear()
            async with asyncio.timeout(_LONGEST_ANSWER):
                await self._freed.wait()

    async def all_answered(self) -> None:
        """Wait until every request is answered."""
        while len(self.idle) < CONNECTIONS:
            self._freed.clear()
            async with asyncio.timeout(_LONGEST_ANSWER):
                await self._freed.wait()

    async def on_time(self, requests: Sequence[bytes], rate: float, seconds: float) -> Answered:
        """Send requests when they are due, and count their latency from then.

        One that is due while all connections are taken waits, and its waiting counts: slow answers
        do not thin out the questions (no coordinated omission).

        Args:
            requests: Sent in turn.
            rate: Requests a second.
            seconds: For how long.
        """
        self.latencies_ns, self.statuses = [], collections.Counter()
        began, latest = time.perf_counter_ns(), 0
        for number in range(max(1, math.floor(rate * seconds))):
            due = began + int(number / rate * 1e9)
            while (wait := due - time.perf_counter_ns()) > 0:
                await asyncio.sleep(max(0.0, wait / 1e9 - _SPIN_SECONDS))
            if self.idle:
                latest = max(latest, -wait)
            else:
                await self.any_idle()
            self.idle.popleft().ask(requests[number % len(requests)], due)
        await self.all_answered()
        if self.broken:
            raise ConnectionError(self.broken[0])
        return Answered(self.latencies_ns, self.statuses, latest)

    async def close(self) -> None:
        """Close the connections."""
        for each in self.idle:
            each.close()
        await asyncio.sleep(0.01)  # Transports say goodbye in a later turn of the loop.

    def freed(self, connection: _Connection) -> None:
        """Take note that a connection may be used again."""
        self.idle.append(connection)
        self._freed.set()


@dataclass(eq=False)
class _Connection(asyncio.Protocol):
    clients: Clients
    due: int = 0
    transport: asyncio.Transport | None = None
    buffer: bytearray = field(default_factory=bytearray)
    whole: int = 0
    closing: bool = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.clients.freed(self)

    def ask(self, request: bytes, due: int) -> None:
        assert self.transport is not None
        self.due, self.whole = due, 0
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if not self.whole:
            head = self.buffer.find(b"\r\n\r\n")
            if head < 0:
                return
            self.whole = head + 4 + _content_length(bytes(self.buffer[:head]))
        if len(self.buffer) >= self.whole:
            self.clients.latencies_ns.append(time.perf_counter_ns() - self.due)
            self.clients.statuses[int(self.buffer[9:12])] += 1
            self.buffer.clear()
            self.clients.freed(self)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.closing:
            self.clients.broken.append(f"the service closed a connection: {error}")

    def close(self) -> None:
        self.closing = True
        if self.transport is not None:
            self.transport.close()


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0
