"""The load generator against a served shop, and the archive of what it exchanged."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import zstandard

from evolution_lab.demo.har import HarWriter
from evolution_lab.demo.load import planned_sessions, run_load
from evolution_lab.demo.sessions import Session, Step
from evolution_lab.demo.shop import ServedApp, ShopSettings, create_shop
from evolution_lab.demo.timeline import PLAN, PLANNED_MINUTES, Timeline


def read(path):
    return json.loads(zstandard.ZstdDecompressor().decompressobj().decompress(path.read_bytes()))


def test_every_planned_call_is_made_at_its_time_and_archived(tmp_path):
    path = tmp_path / "traffic.har.zst"
    timeline = Timeline(start=datetime.now(UTC) + timedelta(seconds=0.5), minutes=0.05)
    sessions = planned_sessions(timeline, seed=1, rate=30.0)
    told = []
    with ServedApp(create_shop()) as shop, HarWriter(path) as archive:
        result = asyncio.run(
            run_load(
                shop.url,
                sessions,
                timeline,
                archive=archive,
                progress=lambda *done: told.append(done),
            )
        )
    assert result.unanswered == 0
    assert told[-1] == (len(sessions), len(sessions))
    stop = PLAN["stopped-operation"]
    stopped = [
        step.at
        for session in sessions
        for step in session.steps
        if step.key == stop.operation.key and step.at > 3 * stop.first / PLANNED_MINUTES
    ]
    planned = sum(len(session.steps) for session in sessions)
    assert planned - len(stopped) <= result.answered <= planned
    entries = read(path)["log"]["entries"]
    assert len(entries) == result.answered
    sent = [datetime.fromisoformat(entry["startedDateTime"]) for entry in entries]
    assert min(sent) >= timeline.start - timedelta(milliseconds=2)
    assert all(entry["time"] > 0 for entry in entries)
    urls = {entry["request"]["url"].split("/")[2] for entry in entries}
    assert urls == {"shop.example.com"}
    names = {header["name"] for entry in entries for header in entry["request"]["headers"]}
    assert names == {"x-tenant-id", "x-user-id", "x-session-id", "user-agent", "content-type"}


def test_a_slow_answer_delays_its_own_session_and_no_other():
    begun = datetime.now(UTC)
    timeline = Timeline(start=begun, minutes=0.02)
    slow = Session("s-1", "acme", 1, 1, (Step(0.0, "POST /checkout"), Step(0.1, "GET /orders")))
    others = tuple(
        Session(f"s-{n}", "acme", 2, n, (Step(0.02 * n, "GET /products"),)) for n in range(2, 12)
    )
    with ServedApp(create_shop(ShopSettings(pace=5.0))) as shop:
        result = asyncio.run(run_load(shop.url, (slow, *others), timeline))
    took = datetime.now(UTC) - begun
    assert result.answered == 12
    assert took < timedelta(seconds=3)


def test_a_shop_that_is_not_there_is_counted_and_ends_nothing():
    with ServedApp(create_shop()) as shop:
        url = shop.url
    timeline = Timeline(start=datetime.now(UTC), minutes=0.01)
    sessions = (Session("s-1", "acme", 1, 1, (Step(0.0, "GET /orders"), Step(0.1, "GET /orders"))),)
    result = asyncio.run(run_load(url, sessions, timeline))
    assert (result.answered, result.unanswered) == (0, 2)


def test_bodies_and_queries_are_archived_as_they_were_sent(tmp_path, serve):
    path = tmp_path / "one.har.zst"
    body = {"sku": "sku-0001", "note": "</script> \u2028 🙂"}
    with serve() as (_app, client), HarWriter(path) as archive:
        for answer in (
            client.get("/products", params={"q": "a&b=c", "limit": "5"}),
            client.post("/carts/cart-acme-0001/items", json=body),
        ):
            archive.add(answer, started=datetime(2025, 3, 4, 9, tzinfo=UTC), milliseconds=1.25)
    search, add = read(path)["log"]["entries"]
    assert search["request"]["queryString"] == [
        {"name": "q", "value": "a&b=c"},
        {"name": "limit", "value": "5"},
    ]
    assert search["startedDateTime"] == "2025-03-04T09:00:00.000Z"
    assert json.loads(add["request"]["postData"]["text"]) == body
    assert add["response"]["status"] == 201
    assert json.loads(add["response"]["content"]["text"])["id"] == "cart-acme-0001"


def test_an_archive_of_nothing_is_an_archive(tmp_path):
    path = tmp_path / "none.har.zst"
    with HarWriter(path):
        pass
    assert read(path)["log"]["entries"] == []
