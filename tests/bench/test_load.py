"""The benchmark of load: its client keeps its timetable, its counts add up, targets can be missed."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses

import pytest

from evolution_lab.bench.load import Plan, bench_load, uncounted
from evolution_lab.bench.load_clients import Clients, drawn_requests
from evolution_lab.bench.load_shop import Figures

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
STALL_SECONDS = 0.4
STALLED_REQUEST = 20
RATE = 200.0


def test_requests_are_drawn_from_the_sessions_of_a_seed():
    first = drawn_requests(300, seed=5)
    assert first == drawn_requests(300, seed=5) != drawn_requests(300, seed=6)
    assert len(first) == 300
    assert {each.split(b" ")[0] for each in first} == {b"GET", b"POST"}


async def _latencies_of_a_server_that_stalls_once() -> list[float]:
    answered, awake = 0, 0.0
    loop = asyncio.get_running_loop()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal answered, awake
        with contextlib.suppress(asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n"):
                answered += 1
                if answered == STALLED_REQUEST:
                    awake = loop.time() + STALL_SECONDS
                await asyncio.sleep(max(0.0, awake - loop.time()))
                writer.write(ANSWER)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    clients = await Clients.connected(server.sockets[0].getsockname()[1])
    got = await clients.on_time([b"GET / HTTP/1.1\r\n\r\n"], rate=RATE, seconds=1.0)
    await clients.close()
    server.close()
    await server.wait_closed()
    assert got.statuses == {200: int(RATE)}
    return [value / 1e9 for value in got.latencies_ns]


def test_a_stall_is_suffered_by_every_request_that_was_due_meanwhile():
    """Eighty were due; sixteen connections that each wait for their answer would tell of sixteen."""
    latencies = asyncio.run(_latencies_of_a_server_that_stalls_once())
    assert sum(value > STALL_SECONDS / 4 for value in latencies) >= RATE * STALL_SECONDS / 2
    assert max(latencies) < STALL_SECONDS * 2


def _last() -> Figures:
    kinds = {"written": 90, "duplicates": 0, "refused": 0, "dropped": 6, "lost": 4, "waiting": 0}
    recorded = {"written": 5, "duplicates": 0, "refused": 1, "dropped": 0, "lost": 0, "waiting": 0}
    return Figures(
        served=100,
        cpu_seconds=1.0,
        samples={"seen": 100, "sent": 94, **kinds},
        recorder={"seen": 100, "sampled": 4, "kept_errors": 1, "kept_rare": 1, **recorded},
    )


def test_counted_losses_are_no_uncounted_ones():
    assert uncounted(_last(), rows=90, stored=5) == 0


@pytest.mark.parametrize("name", ["written", "lost", "dropped", "seen"])
def test_a_sample_that_nothing_says_where_it_went_is_noticed(name):
    last = _last()
    last.samples[name] -= 1
    assert uncounted(last, rows=90, stored=5) > 0


def test_what_is_not_in_the_lake_is_noticed():
    assert uncounted(_last(), rows=89, stored=5) == 1
    assert uncounted(_last(), rows=90, stored=6) == 1
    assert uncounted(dataclasses.replace(_last(), served=101), rows=90, stored=5) == 2


@pytest.mark.slow
def test_a_short_run_loses_nothing_and_says_what_it_measured():
    report = bench_load(plan=Plan(pairs=2, block_seconds=1, turns=3, turn_seconds=0.5))
    targets = {target.id: target for target in report.targets}
    assert set(targets) == {
        "L1-added-p50-us",
        "L1-added-p99-ms",
        "L2-throughput-share",
        "L3-uncounted",
    }
    assert targets["L3-uncounted"].passed
    bare, watched = report.tables["load: the two shops"]
    assert bare["broken"] == watched["broken"] == bare["5xx"] == watched["5xx"] == 0
