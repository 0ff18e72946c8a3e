"""Hooks and listeners: asked off the request path, their failures and delays are theirs alone."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time

import pytest

from evolution_lab.errors import ConfigError
from evolution_lab.records import OperationRef
from evolution_lab.telemetry import Lake, create_tracing_middleware
from evolution_lab.telemetry.hooks import HookThread


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"fine"]


def test_resolvers_name_operation_tenant_and_actor(tmp_path, get_wsgi):
    tracing = create_tracing_middleware(
        resolve_operation=lambda exchange: (
            OperationRef("billing.createInvoice", service="billing")
            if exchange.path == "/b"
            else None
        ),
        resolve_tenant=lambda exchange: exchange.status_code,
        resolve_actor=lambda exchange: exchange.header("x-user"),
        data=tmp_path,
        service="shop",
        version="2",
        environment="test",
    )
    get_wsgi(tracing.wsgi(app), "/a", "/b", headers={"X-User": "ann@example.com"})
    tracing.close()
    rows = Lake(tmp_path).samples().collect().sort("timestamp")
    assert rows["operation_key"].to_list() == ["GET /a", "billing.createInvoice"]
    assert rows["service"].to_list() == ["shop", "billing"]
    assert rows["operation_version"].to_list() == ["2", None]
    assert rows["name_source"].to_list() == ["derived", "mapped"]
    assert rows["tenant_id"].to_list() == ["200", "200"]
    assert all(actor.startswith("actor_") for actor in rows["actor_id"])
    everything = b"".join(path.read_bytes() for path in tmp_path.rglob("*.parquet"))
    assert b"ann@example.com" not in everything


def test_listeners_hear_the_same_exchange_and_do_not_disturb_each_other(get_wsgi, caplog):
    heard = []

    def broken(exchange):
        raise RuntimeError("recorder is full")

    async def later(exchange):
        await asyncio.sleep(0)
        heard.append(exchange)

    tracing = create_tracing_middleware(listeners=[heard.append, broken, later])
    get_wsgi(tracing.wsgi(app), "/a", "/b")
    counters = tracing.close()
    assert len(heard) == 4
    assert len({id(exchange) for exchange in heard}) == 2
    assert list(counters.hook_errors.values()) == [2]
    assert len([r for r in caplog.records if "broken failed" in r.getMessage()]) == 1


def test_a_hook_that_blocks_delays_no_request_and_what_waits_too_long_is_counted(get_wsgi):
    free = threading.Event()

    def blocked(sample):
        free.wait(10)

    tracing = create_tracing_middleware(on_sample=blocked)
    served = tracing.wsgi(app)
    began = time.perf_counter()
    get_wsgi(served, *["/a"] * 2_100)
    assert time.perf_counter() - began < 5
    assert tracing.counters.dropped >= 2_100 - 2_048 - 1
    free.set()
    counters = tracing.close()
    assert counters.seen == 2_100
    assert counters.waiting == 0


def test_hooks_that_never_return_are_given_up_and_counted(get_wsgi):
    free = threading.Event()

    def blocked(exchange):
        free.wait(10)

    tracing = create_tracing_middleware(resolve_tenant=blocked)
    get_wsgi(tracing.wsgi(app), "/a", "/b")
    counters = tracing.close(timeout=0.1)
    free.set()
    assert (counters.seen, counters.dropped, counters.waiting) == (2, 2, 0)
    get_wsgi(tracing.wsgi(app), "/c")  # It starts anew.
    counters = tracing.close()
    assert (counters.seen, counters.dropped, counters.waiting) == (3, 2, 0)


def test_awaited_hooks_that_take_too_long_have_failed(get_wsgi, monkeypatch):
    monkeypatch.setattr("evolution_lab.telemetry.hooks.HOOK_SECONDS", 0.05)
    samples = []

    async def stuck(exchange):
        await asyncio.sleep(60)

    tracing = create_tracing_middleware(resolve_tenant=stuck, on_sample=samples.append)
    get_wsgi(tracing.wsgi(app), "/a", "/b")
    counters = tracing.close()
    assert counters.hook_errors == {"resolve_tenant": 2}
    assert len(samples) == 2


def test_awaited_hooks_wait_side_by_side():
    done = []

    async def handle(item, loop):
        await asyncio.sleep(0.05)
        done.append(item)

    thread = HookThread(handle)
    began = time.perf_counter()
    assert all(thread.submit(number, None) for number in range(100))
    thread.close(5)
    assert time.perf_counter() - began < 2
    assert sorted(done) == list(range(100))
    assert not thread.submit(100, None)


@pytest.mark.parametrize("setting", [{"keep_bodies": -1}, {"flush_seconds": 0}])
def test_settings_out_of_range_are_refused(setting):
    with pytest.raises(ConfigError, match=next(iter(setting))):
        create_tracing_middleware(**setting)


def test_settings_of_the_lab_are_checked_before_the_first_request(tmp_path):
    (tmp_path / "evolution_lab.toml").write_text("widnow = '15m'")
    with pytest.raises(ConfigError, match="window"):
        create_tracing_middleware(data=tmp_path)


def test_a_service_does_not_load_what_only_the_writer_needs():
    heavy = ("polars", "pandera", "duckdb", "numpy", "pyarrow", "pandas")
    code = (
        "import sys; from evolution_lab.telemetry import create_tracing_middleware as make; "
        f"make(data='unused'); print([n for n in {heavy} if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_the_process_ends_though_nobody_closes_the_middleware(tmp_path):
    code = """
import sys
from evolution_lab.telemetry import create_tracing_middleware
def app(environ, start_response):
    start_response("200 OK", [])
    return [b""]
tracing = create_tracing_middleware(data=sys.argv[1], resolve_tenant=lambda exchange: "acme")
tracing.wsgi(app)({"PATH_INFO": "/a"}, lambda *_: None)
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0
    # A busy machine may need longer than the process waits; then it says so, and nothing else.
    assert done.stderr in {"", "the telemetry writer is still landing after 3 s\n"}
    deadline = time.monotonic() + 15
    while Lake(tmp_path).samples().collect().is_empty():
        assert time.monotonic() < deadline
        time.sleep(0.1)


class Chooser:
    """Wants every other exchange; counts what it was asked, told, and what passed it by."""

    def __init__(self) -> None:
        self.asked, self.told, self.missed = [], [], []

    def chooses(self, exchange):
        self.asked.append(threading.current_thread())
        return exchange.path == "/b"

    def passed_by(self, exchange):
        self.missed.append(exchange.path)

    def __call__(self, exchange):
        self.told.append((exchange.path, threading.current_thread()))


def test_headers_name_tenant_and_actor_without_a_thread(tmp_path, get_wsgi):
    tracing = create_tracing_middleware(
        resolve_tenant="X-Tenant", resolve_actor="x-user", data=tmp_path, service="shop"
    )
    get_wsgi(tracing.wsgi(app), "/a", headers={"X-Tenant": "acme", "X-User": "ann@example.com"})
    get_wsgi(tracing.wsgi(app), "/b")
    assert "telemetry-hooks" not in {thread.name for thread in threading.enumerate()}
    counters = tracing.close()
    assert (counters.seen, counters.written, counters.waiting) == (2, 2, 0)
    rows = Lake(tmp_path).samples().collect().sort("operation_key")
    assert rows["tenant_id"].to_list() == ["acme", None]
    assert rows["actor_id"][0].startswith("actor_")
    assert rows["actor_id"][1] is None


def test_a_listener_that_chooses_is_asked_in_the_request_and_told_outside_of_it(get_wsgi):
    one, other = Chooser(), Chooser()
    tracing = create_tracing_middleware(listeners=[one, other])
    get_wsgi(tracing.wsgi(app), "/a", "/b", "/a", "/b")
    counters = tracing.close()
    assert (counters.seen, counters.waiting, counters.dropped) == (4, 0, 0)
    for chooser in (one, other):
        assert chooser.asked == [threading.current_thread()] * 4
        assert [path for path, _ in chooser.told] == ["/b", "/b"]
        assert threading.current_thread() not in {thread for _, thread in chooser.told}
        assert chooser.missed == []


def test_what_a_listener_chose_and_cannot_be_told_passes_it_by(get_wsgi):
    free, chooser = threading.Event(), Chooser()

    def blocked(exchange):
        free.wait(10)

    tracing = create_tracing_middleware(listeners=[chooser, blocked])
    get_wsgi(tracing.wsgi(app), *["/b"] * 2_100)
    free.set()
    counters = tracing.close()
    assert len(chooser.missed) >= 2_100 - 2_048 - 4
    assert len(chooser.missed) + len(chooser.told) == 2_100
    assert (counters.seen, counters.dropped) == (2_100, 0)  # Samples wait for no listener.
