"""Jaeger, Zipkin and HTTP archives: recognised, read, and what is broken stops nothing else."""

from __future__ import annotations

import copy
import io
import json
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from evolution_lab.schemas import SAMPLES, check
from evolution_lab.telemetry.formats import reader_named, recognise
from evolution_lab.telemetry.lake import Lake
from evolution_lab.telemetry.landing import land
from evolution_lab.telemetry.reading import ReadOptions, Reject

START = 1_741_078_800_000_000
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def tag(key: str, value: object, kind: str = "string") -> dict[str, Any]:
    return {"key": key, "type": kind, "value": value}


def jaeger_span(number: int, **fields: object) -> dict[str, Any]:
    return {
        "traceID": "00000000000000a1",
        "spanID": f"{number:x}",
        "operationName": "GET /orders/{id}",
        "references": [{"refType": "CHILD_OF", "traceID": "a1", "spanID": "f00"}],
        "startTime": START + number,
        "duration": 1_500,
        "tags": [tag("span.kind", "server"), tag("http.status_code", 200, "int64")],
        "logs": [],
        "processID": "p1",
        **fields,
    }


def jaeger(*spans: object) -> dict[str, Any]:
    process = {"serviceName": "cart", "tags": [tag("service.version", "1.4")]}
    return {"data": [{"traceID": "a1", "spans": list(spans), "processes": {"p1": process}}]}


def zipkin_span(number: int, **fields: object) -> dict[str, Any]:
    return {
        "traceId": TRACE,
        "id": f"{number:016x}",
        "kind": "SERVER",
        "name": "get /orders/{id}",
        "timestamp": START + number,
        "duration": 1_500,
        "localEndpoint": {"serviceName": "cart"},
        "tags": {"http.method": "GET", "http.path": f"/orders/{number}"},
        **fields,
    }


def har_entry(number: int, **fields: object) -> dict[str, Any]:
    return {
        "startedDateTime": f"2026-03-01T10:00:{number:02d}.250+01:00",
        "time": 12.5,
        "request": {
            "method": "GET",
            "url": f"https://shop.example/orders/{number}?token=s3cret",
            "headers": [{"name": "Cookie", "value": "sid=s3cret"}],
            "bodySize": 7,
        },
        "response": {"status": 200, "content": {"text": "]}{"}},
        **fields,
    }


def har(*entries: object) -> dict[str, Any]:
    return {
        "log": {
            "version": "1.2",
            "creator": {"name": "browser"},
            "pages": [{"id": "p", "title": 'x "entries": ['}],
            "entries": list(entries),
        }
    }


MADE = {
    "jaeger-json": (jaeger_span, jaeger, "spans.json"),
    "zipkin-json": (zipkin_span, lambda *each: list(each), "spans.json"),
    "har": (har_entry, har, "session.har"),
}
FORMATS = sorted(MADE)


def read(name: str, content: bytes, **options: Any) -> tuple[pl.DataFrame, list[Reject], int]:
    chunks = list(reader_named(name).read(io.BytesIO(content), ReadOptions(**options)))
    rejects = [reject for chunk in chunks for reject in chunk.rejects]
    return (
        pl.concat([chunk.rows for chunk in chunks]),
        rejects,
        sum(chunk.waiting_lines for chunk in chunks),
    )


def dumped(value: object, *, indented: bool = False) -> bytes:
    return json.dumps(value, indent=1 if indented else None).encode()


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("indented", [False, True])
def test_a_file_is_recognised_and_landed(name: str, indented: bool, tmp_path):
    make, wrap, file_name = MADE[name]
    content = dumped(wrap(make(1), make(2), make(3)), indented=indented)
    found = recognise(content, file_name)
    assert found is not None
    assert found.name == name
    path = tmp_path / file_name
    path.write_bytes(content)
    lake = Lake(tmp_path / "lab")
    report = land(lake, path)
    assert (report.rows_added, report.rows_quarantined) == (3, 0)
    landed = check(lake.samples().collect(), SAMPLES)
    assert landed["operation_key"].unique().to_list() == ["GET /orders/{id}"]
    assert set(landed["duration_ns"]) == {12_500_000 if name == "har" else 1_500_000}
    assert land(lake, path).rows_added == 0


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_valid_neighbour_is_never_lost(name: str, data: st.DataObject):
    make, wrap, _ = MADE[name]
    good = [make(number) for number in range(1, 5)]
    at = data.draw(st.integers(0, 4))
    spoilt = copy.deepcopy(make(9))
    junk = st.none() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=2)
    for field in data.draw(st.sets(st.sampled_from(sorted(spoilt)), max_size=3)):
        spoilt[field] = data.draw(junk | st.dictionaries(st.text(max_size=3), junk, max_size=2))
    bad = data.draw(st.just(spoilt) | junk)
    indented = data.draw(st.booleans())
    content = dumped(wrap(*good[:at], bad, *good[at:]), indented=indented)
    rows, rejects, _ = read(name, content)
    alone = read(name, dumped(wrap(*good), indented=indented))[0]
    identity = [n for n in alone.columns if n != "line"]
    kept = rows.select(identity).rows()
    assert all(row in kept for row in alone.select(identity).rows())
    assert rows.height + len(rejects) >= 4
    assert rows.height <= 5


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=80, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 400), st.booleans())
def test_random_bytes_never_stop_a_reader(name: str, noise: bytes, at: int, behind: bool):
    make, wrap, _ = MADE[name]
    content = dumped(wrap(make(1), make(2)))
    read(name, content[:at] + noise + (content[at:] if behind else b""))


def test_jaeger_says_who_called_whom_and_how_it_ended():
    failed = jaeger_span(
        2,
        tags=[
            tag("span.kind", "client"),
            tag("error", "true", "bool"),
            tag("rpc.service", "cart.Cart"),
            tag("rpc.method", "Add"),
        ],
        logs=[
            {
                "timestamp": START,
                "fields": [
                    tag("event", "error"),
                    tag("error.kind", "Timeout"),
                    tag("message", "too late"),
                ],
            }
        ],
        references=[{"refType": "FOLLOWS_FROM", "traceID": "a1", "spanID": "1"}],
    )
    rows, rejects, _ = read("jaeger-json", dumped(jaeger(jaeger_span(1), failed)))
    assert rejects == []
    first, second = rows.to_dicts()
    assert first["trace_id"] == f"{0xA1:032x}"
    assert (first["span_id"], first["parent_span_id"]) == (f"{1:016x}", f"{0xF00:016x}")
    assert (first["service"], first["operation_version"]) == ("cart", "1.4")
    assert (first["kind"], first["status_code"], first["success"]) == ("server", 200, True)
    assert first["timestamp"] == datetime.fromtimestamp(START / 1e6, UTC).replace(microsecond=1)
    assert second["operation_key"] == "cart.Cart/Add"
    assert (second["success"], second["error_code"], second["error_message"]) == (
        False,
        "Timeout",
        "too late",
    )
    assert second["parent_span_id"] == f"{1:016x}"


def test_jaeger_is_read_trace_by_trace_and_line_by_line():
    process = {"serviceName": "cart"}
    lines = b"\n".join(dumped(jaeger_span(n, process=process)) for n in (1, 2)) + b"\n"
    rows, rejects, waiting = read("jaeger-json", lines + b'{"traceID"')
    assert (rows["service"].to_list(), rejects, waiting) == (["cart"] * 2, [], 1)
    assert rows["line"].to_list() == [1, 2]
    answer = b'{"data":[],"total":0,"limit":0,"offset":0,"errors":null}'
    assert recognise(answer, "answer.json") is reader_named("jaeger-json")
    assert read("jaeger-json", answer)[0].height == 0


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("startTime", None, "startTime is missing"),
        ("duration", "soon", "duration == 'soon', must be microseconds"),
        ("duration", 1e300, "must fit 63 bits"),
        ("spanID", "xyz", "spanID == 'xyz', must be at most 16 hex digits"),
    ],
)
def test_jaeger_says_why_a_span_is_refused(field: str, value: object, reason: str):
    _, rejects, _ = read("jaeger-json", dumped(jaeger(jaeger_span(1, **{field: value}))))
    assert [reason in reject.reason for reject in rejects] == [True]


def test_zipkin_keeps_both_sides_of_a_shared_span():
    client = zipkin_span(1, kind="CLIENT", localEndpoint={"serviceName": "front"}, tags={})
    server = zipkin_span(1, shared=True)
    below = zipkin_span(2, kind=None, parentId=f"{1:016x}", tags={}, name="query")
    beside = zipkin_span(3, parentId=f"{1:016x}", localEndpoint={"serviceName": "front"})
    for content in (
        dumped([client, server, below, beside]),
        dumped([[client, server, below, beside]], indented=True),
    ):
        rows, rejects, _ = read("zipkin-json", content)
        assert rejects == []
        ids = rows["span_id"].to_list()
        assert len(set(ids)) == 4
        assert rows["parent_span_id"].to_list() == [None, ids[0], ids[1], ids[0]]
        assert rows["kind"].to_list() == ["client", "server", "internal", "server"]


def test_zipkin_reads_errors_and_names():
    said = zipkin_span(1, tags={"error": "broken pipe", "http.method": "POST", "http.path": "/a/7"})
    plain = zipkin_span(2, tags={"error": ""}, name="settle")
    none = zipkin_span(3, tags={"error": "false"}, name="settle")
    rows = read("zipkin-json", dumped([said, plain, none]))[0]
    assert rows["success"].to_list() == [False, False, True]
    assert rows["error_message"].to_list() == ["broken pipe", None, None]
    assert rows["operation_key"].to_list() == ["POST /a/{id}", "settle", "settle"]
    incomplete = zipkin_span(4)
    del incomplete["duration"]
    assert "duration is missing" in read("zipkin-json", dumped([incomplete]))[1][0].reason


def test_har_takes_no_secret_and_knows_what_it_does_not_know():
    refused = har_entry(2, response={"status": 404})
    failed = har_entry(3, response={"status": 0, "_error": "net::ERR_TIMED_OUT"})
    unknown = har_entry(4, response={"status": 0})
    bare = har_entry(5, startedDateTime="2026-03-01T10:00:05")
    content = dumped(har(har_entry(1), refused, failed, unknown, bare))
    rows, rejects, _ = read("har", content)
    assert rows["success"].to_list() == [True, True, False, None]
    assert rows["error_code"].to_list() == [None, "404", "net::ERR_TIMED_OUT", None]
    assert rows["service"].to_list() == ["shop.example"] * 4
    assert read("har", content, service="shop")[0]["service"].unique().to_list() == ["shop"]
    assert rows["timestamp"][0] == datetime(2026, 3, 1, 9, 0, 1, 250_000, UTC)
    assert rows["payload_bytes"].to_list() == [7] * 4
    assert "s3cret" not in str(rows.to_dicts())
    assert "with its zone" in rejects[0].reason
    assert "Cookie" not in rejects[0].excerpt


def collector_message(*numbers: int) -> TracesData:
    data = TracesData()
    scope = data.resource_spans.add().scope_spans.add()
    for number in numbers:
        scope.spans.add(
            trace_id=b"t" * 16,
            span_id=number.to_bytes(8),
            name="settle",
            start_time_unix_nano=START * 1000,
            end_time_unix_nano=START * 1000 + 7,
        )
    return data


def framed(*messages: bytes) -> bytes:
    return b"".join(len(each).to_bytes(4) + each for each in messages)


def test_the_collectors_own_compression_is_read_message_by_message(tmp_path):
    pack = zstandard.ZstdCompressor().compress
    proto = [collector_message(1, 2).SerializeToString(), collector_message(3).SerializeToString()]
    span = {
        "traceId": TRACE,
        "spanId": "00f067aa0ba902b7",
        "name": "settle",
        "startTimeUnixNano": str(START * 1000),
        "endTimeUnixNano": str(START * 1000 + 9),
    }
    text = dumped({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]})
    damaged = pack(proto[0])[:-4]
    content = framed(pack(proto[0]), damaged, pack(text), pack(b"\xff\xff"), pack(proto[1]))
    reader = recognise(content, "traces")
    assert reader is not None
    assert reader.name == "otlp-protobuf"
    rows, rejects, waiting = read("otlp-protobuf", content + b"\0\0\1")
    assert rows.height == 4
    assert rows["line"].to_list() == [1, 2, 3, 4]
    assert len(rejects) == 2
    assert waiting == 1
    path = tmp_path / "traces"
    path.write_bytes(content)
    assert land(Lake(tmp_path / "lab"), path).rows_added == 4


def test_length_prefixed_protobuf_is_told_by_its_form():
    content = framed(collector_message(1).SerializeToString())
    reader = recognise(content, "traces.dat")
    assert reader is not None
    assert reader.name == "otlp-protobuf"
    assert recognise(b"\0\0\0\x05\x0a\xff\xff\xff\xff", "other.dat") is None
