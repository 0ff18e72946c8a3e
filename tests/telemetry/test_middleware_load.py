"""What being watched costs a real server: requests at half of saturation, sent when they are due.

The two servers, one watched and one not, are asked in many short turns, so that whatever else the
machine does falls on both. ``-s`` shows the figures.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

TURN_SECONDS = 0.3
TURNS = 60
MOST_SECONDS = 240.0
MOST_NOISE = 0.01  # With more, nobody can tell a millisecond from the neighbours' work.
CONNECTIONS = 32
REQUEST = (
    b"GET /users/7 HTTP/1.1\r\nhost: shop\r\naccept: application/json\r\nx-tenant: acme\r\n\r\n"
)
SERVER = """
import sys
import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

async def user(request):
    return JSONResponse({"id": request.path_params["id"], "name": "x" * 200})

app = Starlette(routes=[Route("/users/{id}", user)])
if sys.argv[2] != "bare":
    from evolution_lab.telemetry import create_tracing_middleware
    hooks = {}
    if sys.argv[2] == "hooks":
        hooks = {"resolve_tenant": lambda exchange: exchange.header("x-tenant")}
    tracing = create_tracing_middleware(data=sys.argv[3] or None, service="shop", flush_seconds=2, **hooks)
    app = tracing.asgi(app)
uvicorn.run(app, fd=int(sys.argv[1]), log_level="critical", access_log=False,
            timeout_keep_alive=600)
if sys.argv[2] != "bare":
    counters = tracing.close()
    print(counters.seen, counters.written, counters.dropped, counters.lost)
"""


@dataclass(eq=False)
class Server:
    port: int
    process: subprocess.Popen
    counted: tuple[int, ...] = ()
    cpu_seconds: float = 0.0


@contextmanager
def server(kind: str, data: str) -> Iterator[Server]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        command = [sys.executable, "-c", SERVER, str(listening.fileno()), kind, data]
        process = subprocess.Popen(
            command, pass_fds=[listening.fileno()], stdout=subprocess.PIPE, text=True
        )
        served = Server(listening.getsockname()[1], process)
        try:
            yield served
        finally:
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=30)
            served.counted = tuple(int(word) for word in out.split())


@dataclass(eq=False)
class Client(asyncio.Protocol):
    """One connection; a request at a time, its latency counted from when it was due."""

    idle: list[Client]
    latencies: list[float]
    statuses: list[bytes]
    due: float = 0.0
    transport: asyncio.Transport | None = None
    buffer: bytearray = field(default_factory=bytearray)

    def connection_made(self, transport):
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.idle.append(self)

    def ask(self, due: float) -> None:
        self.due = due
        self.transport.write(REQUEST)

    def data_received(self, data):
        self.buffer += data
        if self.buffer.endswith(b"}"):  # The end of the answer's JSON.
            self.latencies.append(time.perf_counter() - self.due)
            self.statuses.append(bytes(self.buffer[9:12]))
            self.buffer.clear()
            self.idle.append(self)


@dataclass
class Clients:
    """The connections to one server, and what came over them."""

    idle: list[Client] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    statuses: list[bytes] = field(default_factory=list)

    async def connect(self, port: int) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(CONNECTIONS):
            await loop.create_connection(
                lambda: Client(self.idle, self.latencies, self.statuses), "127.0.0.1", port
            )

    async def all_answered(self) -> None:
        while len(self.idle) < CONNECTIONS:
            await asyncio.sleep(0.001)

    async def saturation(self, seconds: float) -> float:
        """Answers a second when each connection asks again as soon as it is answered."""
        self.latencies.clear()
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            while self.idle:
                self.idle.pop().ask(time.perf_counter())
            await asyncio.sleep(0)
        rate = len(self.latencies) / seconds
        await self.all_answered()
        self.latencies.clear()
        return rate

    async def open_loop(self, rate: float, seconds: float) -> None:
        """Send requests when they are due, whether or not others are answered."""
        began = time.perf_counter()
        for number in range(int(rate * seconds)):
            due = began + number / rate
            while (wait := due - time.perf_counter()) > 0 or not self.idle:
                await asyncio.sleep(max(0.0, wait - 0.0005))
            self.idle.pop(0).ask(due)
        await self.all_answered()

    def close(self) -> None:
        for client in self.idle:
            client.transport.close()

    def percentiles(self) -> tuple[float, float]:
        ordered = sorted(self.latencies)
        return ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100]


def cpu_seconds(process: subprocess.Popen) -> float:
    """User and system time of a process, without its children."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _measure(bare: Server, watched: Server) -> tuple[float, Clients, Clients]:
    """Return the rate of requests, and what came of them from either server."""
    asked = [(bare, Clients()), (watched, Clients())]
    for server_, clients in asked:
        await clients.connect(server_.port)
        await clients.saturation(1.0)  # It warms up; the writer starts.
    await asyncio.sleep(3.0)
    rate = await asked[0][1].saturation(2.0) / 2
    for _ in range(TURNS):
        for server_, clients in asked:
            began = cpu_seconds(server_.process)
            await clients.open_loop(rate, TURN_SECONDS)
            server_.cpu_seconds += cpu_seconds(server_.process) - began
    for _, clients in asked:
        clients.close()
    return rate, asked[0][1], asked[1][1]


async def _in_time(measuring):
    async with asyncio.timeout(MOST_SECONDS):
        return await measuring


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
@pytest.mark.parametrize("kind", ["watched", "hooks"])
def test_watching_costs_little_at_half_of_saturation(kind, tmp_path):
    with server("bare", "") as bare, server(kind, str(tmp_path)) as watched:
        rate, plain, seen = asyncio.run(_in_time(_measure(bare, watched)))
    assert set(plain.statuses) == set(seen.statuses) == {b"200"}
    (base50, base99), (p50, p99) = plain.percentiles(), seen.percentiles()
    work = (watched.cpu_seconds - bare.cpu_seconds) / len(seen.latencies)
    counted = dict(zip(("seen", "written", "dropped", "lost"), watched.counted, strict=True))
    print(
        f"\n{kind}: {rate:.0f} requests/s, {len(seen.latencies)} of them; "
        f"bare p50 {base50 * 1e6:.0f} us, p99 {base99 * 1e3:.2f} ms; "
        f"added p50 {(p50 - base50) * 1e6:.0f} us, p99 {(p99 - base99) * 1e3:.2f} ms, "
        f"processor time {work * 1e6:.0f} us a request; {counted}"
    )
    assert counted["seen"] == counted["written"] + counted["dropped"] + counted["lost"]
    if base99 > MOST_NOISE:
        pytest.skip(f"the machine is too busy: the bare server's p99 is {base99 * 1e3:.1f} ms")
    assert p50 - base50 <= 50e-6
    assert p99 - base99 <= 1e-3
