"""What is recorded, how much of it, and that no call ever notices."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import signal
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolution_lab.contracts import OperationRegistry, OperationSpec
from evolution_lab.contracts.context import HandlerContext
from evolution_lab.errors import ConfigError
from evolution_lab.golden import InMemoryTrafficStore, LakeTrafficStore, TrafficRecorder
from evolution_lab.golden.recorder_queue import FrameQueue
from evolution_lab.golden.reservoir import Reservoir
from evolution_lab.golden.sampling import SHARES, first_share, share_of
from evolution_lab.golden.store import Added
from evolution_lab.telemetry import Exchange, create_tracing_middleware

HERE = Path(__file__).parent
ALL: dict[str, Any] = {"sample_rate": 1.0, "allow_more_than_5_percent": "a test"}


class CardDeclined(Exception):  # noqa: N818 - what services call theirs
    code = "DECLINED"


def traces(number: int) -> list[str]:
    return [f"{secrets.randbits(128):032x}" for _ in range(number)]


def test_a_rate_above_five_percent_needs_words() -> None:
    store = InMemoryTrafficStore()
    with pytest.raises(ConfigError, match="allow_more_than_5_percent"):
        TrafficRecorder(store=store, sample_rate=0.06)
    with pytest.raises(ConfigError, match="allow_more_than_5_percent"):
        TrafficRecorder(store=store, sample_rate=0.06, allow_more_than_5_percent="  ")
    assert TrafficRecorder(store=store).sample_rate == 0.05
    with pytest.raises(ConfigError, match="one of them"):
        TrafficRecorder()


def test_stays_within_its_rate_and_says_the_rate() -> None:
    store = InMemoryTrafficStore()
    recorder = TrafficRecorder(store=store)
    for number, trace in enumerate(f"trace-{n}" for n in range(20_000)):
        error = CardDeclined("no") if number % 100 == 7 else None
        recorder.record("pay", {"n": number}, output={"ok": 1}, error=error, trace_id=trace)
    counts = recorder.close()
    kept = counts.seen - counts.unsampled
    assert counts.seen == 20_000
    assert counts.waiting == 0
    assert kept == counts.written == len(store)
    assert kept <= 0.05 * counts.seen + 1
    # Binomial(20,000, 0.04): five standard deviations are 139.
    assert abs(counts.sampled - 800) < 139
    assert 4 <= counts.kept_errors <= 9  # The 1st, 2nd, 4th … of 200, unless sampled already.
    sampled = [s for s in store.snapshots() if s.metadata["kept"] == "sampled"]
    assert {s.sample_rate for s in sampled} == {0.04}
    assert all(0 < s.sample_rate <= 1 for s in store.snapshots())


def test_equal_traces_are_recorded_together_everywhere() -> None:
    chosen = []
    for _ in range(2):
        store = InMemoryTrafficStore()
        recorder = TrafficRecorder(store=store)
        for n in range(3_000):
            for step in ("create", "get"):
                recorder.record(step, {"n": n}, output=step, trace_id=f"trace-{n}")
        recorder.close()
        chosen.append(
            {
                (s.operation.key, s.trace_id)
                for s in store.snapshots()
                if s.metadata["kept"] == "sampled"
            }
        )
    assert chosen[0] == chosen[1]
    by_trace = [trace for _, trace in chosen[0]]
    assert all(by_trace.count(trace) == 2 for trace in by_trace)


@given(st.text(min_size=1), st.floats(0, 1), st.floats(0, 1))
def test_a_lower_rate_keeps_a_part_of_what_a_higher_one_keeps(
    trace: str, one: float, other: float
) -> None:
    low, high = sorted((one, other))
    share = share_of(trace)
    assert 0 <= share < SHARES
    assert share >= first_share(high) or not share >= first_share(low)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=300))
def test_the_reservoir_never_keeps_more_than_it_was_paid(calls: list[tuple[int, bool]]) -> None:
    reservoir, kept = Reservoir(0.01), 0
    for kind, failed in calls:
        name = ("op", kind, failed)
        if not reservoir.passes_over(name):
            kept += reservoir.wanted(name, failed=failed) is not None
    assert kept <= 0.01 * len(calls) + 1


def test_whole_sessions_are_recorded_where_that_is_asked_for() -> None:
    store = InMemoryTrafficStore()
    recorder = TrafficRecorder(store=store, sample_by="session")
    for session in range(400):
        for trace in traces(3):
            recorder.record("step", {}, output=1, trace_id=trace, session_id=f"s{session}")
    recorder.close()
    found = [s.session_id for s in store.snapshots() if s.metadata["kept"] == "sampled"]
    assert found
    assert all(found.count(session) == 3 for session in found)


def test_what_is_recorded_is_what_was_at_the_time_of_the_call() -> None:
    store = InMemoryTrafficStore()
    recorder = TrafficRecorder(store=store, service="shop", version="2", **ALL)
    value = {"items": [1]}
    recorder.record("cart.add", value, output=value, tenant_id="acme", user_id="jane@example.org")
    value["items"].append(2)
    recorder.record("cart.add", {"n": 2}, error=CardDeclined("card of jane@example.org"))
    recorder.close()
    good, bad = store.snapshots()
    assert good.output == {"items": [1]}
    assert (str(good.operation), good.tenant_id) == ("shop · cart.add · 2", "acme")
    assert good.user_id is not None
    assert good.user_id.startswith("actor_")
    assert bad.error is not None
    assert (bad.error.name, bad.error.code) == ("CardDeclined", "DECLINED")
    assert bad.error.message is not None
    assert re.fullmatch(r"card of [a-z]{2}[0-9a-f]{14}@example\.com", bad.error.message)
    assert bad.metadata["standIns"] == ["errorMessage"]
    assert not bad.success


def test_odd_values_are_kept_faithfully_or_dropped_and_counted() -> None:
    store = InMemoryTrafficStore()
    recorder = TrafficRecorder(store=store, **ALL)
    when = datetime(2026, 1, 1, tzinfo=UTC)
    assert recorder.record("op", {"at": when, "big": 2**70}, output=[(1, 2), float("inf")])
    itself: list[Any] = []
    itself.append(itself)
    for unfit in (object(), itself, {1, 2}):
        recorder.record("op", {}, output=unfit)
    assert recorder.record("op", {}, output={"half": "\ud800"})
    counts = recorder.close()
    assert counts.seen == 5
    assert counts.written == 2
    assert counts.refused + sum(counts.dropped.values()) == 3
    first = next(s for s in store.snapshots() if s.input)
    assert first.input == {"at": "2026-01-01T00:00:00+00:00", "big": 2**70}
    assert first.output == [[1, 2], float("inf")]


def test_a_failing_sanitiser_drops_the_snapshot_and_counts_it() -> None:
    store = InMemoryTrafficStore()

    def picky(snapshot: Any) -> Any:
        if snapshot.input["n"] % 2:
            raise RuntimeError("no")
        return snapshot

    recorder = TrafficRecorder(store=store, sanitize=picky, **ALL)
    for n in range(6):
        recorder.record("op", {"n": n}, output=n)
    counts = recorder.close()
    assert (counts.written, counts.refused, counts.waiting) == (3, 3, 0)
    assert sorted(s.output for s in store.snapshots()) == [0, 2, 4]


def test_a_store_that_fails_reaches_no_call() -> None:
    class Broken(InMemoryTrafficStore):
        def add(self, snapshots: Any) -> Added:  # noqa: ARG002
            raise OSError("disk full")

    recorder = TrafficRecorder(store=Broken(), **ALL)
    assert recorder.record("op", {}, output=1)
    counts = recorder.close()
    assert (counts.lost, counts.written, counts.waiting) == (1, 0, 0)


def test_a_full_queue_drops_and_never_waits() -> None:
    go_on = threading.Event()
    queue = FrameQueue(lambda _: go_on.wait(5) and None, most_frames=10)
    began = time.monotonic()
    taken = sum(queue.put(b"x") for _ in range(500))
    assert time.monotonic() - began < 1
    assert 10 <= taken < 500
    go_on.set()
    assert queue.close(5)


def test_listens_to_operations() -> None:
    store = InMemoryTrafficStore()
    recorder = TrafficRecorder(store=store, service="shop", **ALL)
    registry = OperationRegistry("shop")
    spec = OperationSpec(
        key="cart.add", version="1", kind="command", goal="Add.", input_schema={"required": ["sku"]}
    )

    async def handler(value: Any, context: HandlerContext) -> Any:
        if value["sku"] == "none":
            raise CardDeclined("sold out")
        return {"added": value["sku"]}

    registry.register(spec, handler)
    registry.on_call(recorder.executed)
    registry.on_call(lambda _: 1 / 0)
    context = HandlerContext(trace_id="a" * 32, session_id="s", channel="worker")
    assert registry.execute("cart.add", None, {"sku": "A-1"}, context) == {"added": "A-1"}
    with pytest.raises(CardDeclined):
        registry.execute("cart.add", None, {"sku": "none"}, context)
    recorder.close()
    good, bad = store.snapshots()
    assert (good.input, good.output, good.channel) == ({"sku": "A-1"}, {"added": "A-1"}, "worker")
    assert good.trace_id == bad.trace_id == "a" * 32
    assert bad.error is not None
    assert registry.hook_errors == {"call listener": 2}


def test_listens_to_the_middleware() -> None:
    from starlette.applications import Starlette
    from starlette.middleware.gzip import GZipMiddleware
    from starlette.requests import Request
    from starlette.responses import JSONResponse, PlainTextResponse, Response
    from starlette.routing import Route

    async def add(request: Request) -> Response:
        body = await request.json()
        if body.get("sku") == "none":
            return JSONResponse({"error": "unknown sku"}, 404)
        return JSONResponse({"cart": request.path_params["cart"], "pad": "x" * 600}, 201)

    async def image(_: Request) -> Response:
        return Response(b"\x89PNG\x00\xff", media_type="image/png")

    async def large(_: Request) -> Response:
        return PlainTextResponse(os.urandom(300_000).hex())

    app = Starlette(
        routes=[
            Route("/carts/{cart}/items", add, methods=["POST"]),
            Route("/image", image),
            Route("/large", large),
        ]
    )
    store = InMemoryTrafficStore()
    recorder = TrafficRecorder(
        store=store,
        service="shop",
        resolve_user=lambda exchange: exchange.header("x-user"),
        **ALL,
    )
    tracing = create_tracing_middleware(
        service="shop", listeners=[recorder], keep_bodies=recorder.keep_bodies
    )
    headers = {"authorization": "Bearer abc", "accept": "application/json", "x-user": "u-1"}

    async def calls() -> None:
        transport = httpx.ASGITransport(tracing.asgi(GZipMiddleware(app)))
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            await client.post("/carts/7/items?tag=a&tag=b", json={"sku": "A-1"}, headers=headers)
            await client.post("/carts/7/items", json={"sku": "none"})
            await client.get("/image")
            await client.get("/large")
            await asyncio.sleep(0.2)  # Hooks are done before their loop is.

    asyncio.run(calls())
    tracing.close()
    counts = recorder.close()
    assert (counts.seen, counts.written, counts.refused) == (4, 2, 1)
    assert counts.dropped == {"large": 1}
    first, second = store.snapshots()
    assert str(first.operation) == "shop · POST /carts/{cart}/items"
    assert first.input == {
        "path": "/carts/7/items",
        "query": {"tag": ["a", "b"]},
        "headers": {"accept": "application/json", "content-type": "application/json"},
        "body": {"sku": "A-1"},
    }
    assert first.output["status"] == 201
    assert first.output["body"] == {"cart": "7", "pad": "x" * 600}
    assert "content-encoding" not in first.output["headers"]
    assert (first.user_id or "").startswith("actor_")
    assert (second.output["status"], second.success) == (404, True)


@pytest.fixture
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HERE))
    sys.modules.pop("recorder_hooks", None)


@pytest.mark.usefixtures("importable")
def test_a_process_of_its_own_sanitises_and_writes(tmp_path: Path) -> None:
    recorder = TrafficRecorder(data=tmp_path, sanitize="recorder_hooks:without_notes", **ALL)
    for n in range(30):
        recorder.record(
            "note.add",
            {"n": n, "note": "x", "private": n == 3, "mail": "jane@example.org"},
            output={"text": "call 203.0.113.7"},
            user_id="u-1",
        )
    counts = recorder.close(60)
    assert (counts.seen, counts.written, counts.refused, counts.waiting) == (30, 29, 1, 0)
    read = list(LakeTrafficStore(tmp_path).snapshots("note.add"))
    assert len(read) == 29
    assert all("note" not in s.input for s in read)
    files = [p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()]
    assert not any(b"jane@example.org" in content for content in files)
    assert not any("jane" in str(s) or "203.0.113" in str(s) for s in read)


@pytest.mark.usefixtures("importable")
def test_a_killed_writer_is_counted_and_followed_by_another(tmp_path: Path) -> None:
    recorder = TrafficRecorder(data=tmp_path, **ALL)
    assert recorder.record("op", {}, output=1)
    sink = recorder._sink
    for _ in range(500):
        if (pid := sink.writer_pid()) is not None:  # type: ignore[attr-defined]
            break
        time.sleep(0.01)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    time.sleep(0.1)
    recorder.record("op", {}, output=2)
    time.sleep(1.2)
    recorder.record("op", {}, output=3)
    counts = recorder.close(60)
    assert counts.seen == 3
    assert counts.written >= 1
    assert counts.written + counts.lost + sum(counts.dropped.values()) == 3
    assert LakeTrafficStore(tmp_path).operations()[0].snapshots == counts.written


def test_a_sanitiser_that_the_writer_cannot_import_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must be a function of a module"):
        TrafficRecorder(data=tmp_path, sanitize=lambda snapshot: snapshot)
    with pytest.raises(ConfigError, match="cannot be imported"):
        TrafficRecorder(data=tmp_path, sanitize="no_such_module:clean")


def test_what_cannot_be_handed_over_is_counted_whether_or_not_it_was_chosen():
    store = InMemoryTrafficStore()
    chosen = TrafficRecorder(store=store, sample_rate=1.0, allow_more_than_5_percent="a test")
    undecided = TrafficRecorder(
        store=store,
        sample_by="session",
        resolve_session=lambda _: None,
    )
    for recorder in (chosen, undecided):
        exchange = Exchange(
            protocol="asgi", method="GET", path="/users/7", route="/users/{id}", started_ns=0,
            duration_ns=1, status_code=200, trace_id="f" * 32, span_id="1" * 16, request={},
        )  # fmt: skip
        assert recorder.chooses(exchange)
        recorder.passed_by(exchange)
        counts = recorder.close()
        assert (counts.seen, counts.sampled, dict(counts.dropped)) == (1, 1, {"queue-full": 1})
        assert counts.waiting == 0
