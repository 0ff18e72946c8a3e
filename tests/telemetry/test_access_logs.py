"""Access logs: nginx and Apache lines, hostile request lines, lines without a time."""

from __future__ import annotations

import io
from datetime import UTC, datetime

from evolution_lab.config import EvolutionConfig
from evolution_lab.telemetry.access_logs import AccessLogReader
from evolution_lab.telemetry.reading import ReadOptions

HEAD = '203.0.113.7 - ann [10/Oct/2026:13:55:36 +0200] "{}" {} 612 "-" "curl/8 \\"x\\""'


def line(request="GET /users/7?q=1 HTTP/1.1", status="200", time=" 0.042"):
    return HEAD.format(request, status) + time


def read(*lines, end="\n"):
    content = ("\n".join(lines) + end).encode()
    options = ReadOptions(config=EvolutionConfig(), service="edge")
    chunks = list(AccessLogReader().read(io.BytesIO(content), options))
    rows = [row for chunk in chunks for row in chunk.rows.to_dicts()]
    rejects = [(r.line, r.reason) for chunk in chunks for r in chunk.rejects]
    return rows, rejects, sum(chunk.waiting_lines for chunk in chunks)


def test_a_line_of_nginx():
    (row,), rejects, waiting = read(line())
    assert (rejects, waiting) == ([], 0)
    assert row["timestamp"] == datetime(2026, 10, 10, 11, 55, 36, tzinfo=UTC)
    assert row["duration_ns"] == 42_000_000
    assert row["operation_key"] == "GET /users/{id}"
    assert (row["service"], row["kind"], row["channel"]) == ("edge", "server", "rest")
    assert (row["success"], row["status_code"], row["error_code"]) == (True, 200, None)
    assert (row["actor_id"], row["name_source"]) == ("203.0.113.7", "derived")
    assert (row["trace_id"], len(row["line_hash"])) == (None, 32)


def test_a_line_of_apache_counts_microseconds():
    (row,), _, _ = read(line(time=" 4242"))
    assert row["duration_ns"] == 4_242_000


def test_request_times_among_other_fields():
    times = [' "203.0.113.9" rt=1.5 uct="0.001"', " 1.500 0.700 .", ' "-" "1.500"']
    rows, rejects, _ = read(*(line(time=time) for time in times))
    assert rejects == []
    assert [row["duration_ns"] for row in rows] == [1_500_000_000] * 3


def test_outcomes():
    rows, _, _ = read(*(line(status=status) for status in ("204", "404", "503")))
    assert [row["success"] for row in rows] == [True, True, False]
    assert [row["error_code"] for row in rows] == [None, "404", "503"]


def test_a_server_name_may_come_first_and_whole_urls_lose_their_host():
    (row,), _, _ = read("shop.example:443 " + line("GET http://u:p@h/cart/9 HTTP/1.1"))
    assert row["operation_key"] == "GET /cart/{id}"


def test_what_is_no_request_is_refused_with_its_line():
    bad = [
        "not a log line",
        line(time=""),
        line(request="\\x16\\x03\\x01"),
        line(request="-", status="408"),
        line(status="99"),
        line().replace("10/Oct", "42/Oct"),
    ]
    rows, rejects, _ = read(line(), *bad, "", line())
    assert [row["line"] for row in rows] == [1, len(bad) + 3]
    assert [number for number, _ in rejects] == list(range(2, len(bad) + 2))
    assert "no request time" in rejects[1][1]


def test_an_unfinished_last_line_waits_even_if_it_looks_whole():
    rows, rejects, waiting = read(line(), line(time=" 0.0"), end="")
    assert (len(rows), rejects, waiting) == (1, [], 1)


def test_recognition():
    recognises = AccessLogReader().recognises
    assert recognises(("garbage\n" + line() + "\n").encode(), "x")
    assert recognises(line(time="").encode(), "access.log")
    assert not recognises(b'{"resourceSpans": []}\n', "access.log")
    assert not recognises(b"a,b,c\n1,2,3\n", "t.csv")


def test_a_line_of_more_than_ten_megabytes_is_refused_alone():
    rows, rejects, _ = read(line(), line(request="GET /" + "a" * 11_000_000), line())
    assert [row["line"] for row in rows] == [1, 3]
    assert rejects == [(2, "The line is longer than 10,000,000 bytes.")]
