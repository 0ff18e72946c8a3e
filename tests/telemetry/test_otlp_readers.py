"""OTLP: official examples, odd spellings, broken neighbours, other signals."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from evolution_lab.config import EvolutionConfig
from evolution_lab.telemetry.otlp_json import OtlpJsonReader
from evolution_lab.telemetry.otlp_json_spans import hex_id
from evolution_lab.telemetry.otlp_protobuf import OtlpProtobufReader
from evolution_lab.telemetry.reading import RAW_SCHEMA, ReadOptions, Reject
from evolution_lab.telemetry.sampling import weight_of

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "otlp"
TRACE = "5b8efff798038103d269b633813fc60c"
SPAN = "eee19b7ec3c1b174"


def attributes(**values: object) -> list[dict[str, Any]]:
    def wrapped(value: object) -> dict[str, Any]:
        return {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}

    return [{"key": k.replace("__", "."), "value": wrapped(v)} for k, v in values.items()]


def span(**fields: Any) -> dict[str, Any]:
    return {
        "traceId": TRACE,
        "spanId": SPAN,
        "name": "op",
        "kind": 2,
        "startTimeUnixNano": "1741078800000000000",
        "endTimeUnixNano": "1741078800250000000",
        **fields,
    }


def request(*spans: object, **resource: object) -> bytes:
    return orjson.dumps(
        {
            "resourceSpans": [
                {
                    "resource": {"attributes": attributes(**resource)},
                    "scopeSpans": [{"spans": list(spans)}],
                }
            ]
        }
    )


def read(
    content: bytes, reader: Any = None, **options: Any
) -> tuple[pl.DataFrame, list[Reject], int]:
    chunks = list((reader or OtlpJsonReader()).read(io.BytesIO(content), ReadOptions(**options)))
    frame = pl.concat([chunk.rows for chunk in chunks])
    assert frame.schema == pl.Schema(RAW_SCHEMA)
    rejects = [reject for chunk in chunks for reject in chunk.rejects]
    return frame, rejects, sum(chunk.waiting_lines for chunk in chunks)


def one(*, kind: int | str = 2, resource: dict[str, object] | None = None, **fields: Any) -> Any:
    frame, rejects, _ = read(request(span(kind=kind, **fields), **(resource or {})))
    assert rejects == []
    return frame.row(0, named=True)


def test_a_span_becomes_a_row():
    row = one(
        attributes=attributes(
            http__request__method="GET",
            http__route="/users/{id}",
            http__response__status_code=200,
            tenant__id="acme",
            user__id="u-1",
        ),
        resource={"service__name": "accounts", "service__version": "1.4"},
        traceState="ot=th:c",
    )
    assert (row["service"], row["operation_key"], row["operation_version"]) == (
        "accounts",
        "GET /users/{id}",
        "1.4",
    )
    assert (row["trace_id"], row["span_id"], row["kind"]) == (TRACE, SPAN, "server")
    assert (row["duration_ns"], row["success"], row["status_code"]) == (250_000_000, True, 200)
    assert (row["tenant_id"], row["actor_id"], row["weight"]) == ("acme", "u-1", 4.0)
    assert row["attributes"] == '{"http.request.method":"GET","http.route":"/users/{id}"}'


@pytest.mark.parametrize(
    ("given_attributes", "key", "source"),
    [
        (
            {
                "http__method": "POST",
                "http__route": "/graphql",
                "graphql__operation__name": "Cart",
                "graphql__operation__type": "query",
            },
            "query Cart",
            "graphql",
        ),
        ({"http__method": "GET", "http__target": "/users/7?x=1"}, "GET /users/{id}", "derived"),
        ({"http__request__method": "_OTHER", "url__path": "/a"}, "HTTP /a", "derived"),
        ({"rpc__service": "shop.Cart", "rpc__method": "Add"}, "shop.Cart/Add", "rpc"),
        (
            {"messaging__destination__name": "orders", "messaging__operation__type": "process"},
            "process orders",
            "messaging",
        ),
        ({"db__operation__name": "SELECT", "db__collection__name": "users"}, "SELECT users", "db"),
        ({}, "op", "span"),
    ],
)
def test_names_say_as_much_as_they_can(given_attributes: dict[str, Any], key: str, source: str):
    row = one(attributes=attributes(**given_attributes))
    assert (row["operation_key"], row["name_source"]) == (key, source)


@pytest.mark.parametrize(
    ("kind", "status", "http", "success", "code"),
    [
        (2, 0, 404, True, "404"),
        (2, 2, 404, True, "404"),
        (3, 0, 404, False, "404"),
        (2, 0, 503, False, "503"),
        (2, 2, None, False, None),
        (1, 0, None, True, None),
        ("SPAN_KIND_SERVER", "STATUS_CODE_ERROR", 500, False, "500"),
    ],
)
def test_a_servers_4xx_is_a_client_error(
    kind: object, status: object, http: int | None, success: bool, code: str | None
):
    found = attributes(http__status_code=http) if http else []
    row = one(kind=kind, status={"code": status}, attributes=found)  # type: ignore[arg-type]
    assert (row["success"], row["error_code"]) == (success, code)


def test_error_type_says_more_than_a_status_and_an_exception_less():
    thrown = {"name": "exception", "attributes": attributes(exception__type="KeyError")}
    both = attributes(error__type="timeout", http__response__status_code=500)
    assert one(attributes=both, events=[thrown])["error_code"] == "timeout"
    assert one(status={"code": 2, "message": "no"}, events=[thrown])["error_code"] == "KeyError"
    assert one(status={"code": 2, "message": "no"})["error_message"] == "no"


def test_ids_are_hexadecimal_or_base64_by_their_length():
    as_base64 = span(
        traceId=base64.b64encode(bytes.fromhex(TRACE)).decode(),
        spanId=base64.b64encode(bytes.fromhex(SPAN)).decode(),
    )
    frame, rejects, _ = read(request(as_base64))
    assert rejects == []
    assert frame.select("trace_id", "span_id").row(0) == (TRACE, SPAN)


@given(st.binary(min_size=16, max_size=16))
def test_every_id_survives_both_spellings(raw: bytes):
    expected = raw.hex() if any(raw) else None
    assert hex_id(raw.hex().upper(), 16) == expected
    assert hex_id(base64.b64encode(raw).decode(), 16) == expected


def test_a_broken_span_refuses_itself_only():
    frame, rejects, _ = read(
        request(
            span(spanId="0" * 15 + "1"),
            span(traceId="xyz"),
            span(startTimeUnixNano=None),
            span(startTimeUnixNano=str(1 << 64)),
            "no span",
            span(spanId="0" * 15 + "2"),
        )
    )
    assert frame["span_id"].to_list() == ["0" * 15 + "1", "0" * 15 + "2"]
    assert [r.reason.partition(":")[0] for r in rejects] == ["not a span"] * 4


JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(1 << 63), (1 << 64) - 1),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=8),
        st.sampled_from(["1741078800000000000", "9" * 30, "GET", "/users/7", TRACE]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["key", "value", "stringValue", "code"]), inner),
    ),
    max_leaves=6,
)
FIELDS = st.sampled_from(
    ["traceId", "spanId", "parentSpanId", "name", "kind", "startTimeUnixNano", "endTimeUnixNano",
     "status", "attributes", "events", "traceState"]
)  # fmt: skip
ATTRIBUTES = st.lists(
    st.builds(
        lambda key, kind, value: {"key": key, "value": {kind: value}},
        st.sampled_from(
            ["http.request.method", "http.route", "http.status_code", "url.path", "rpc.method",
             "rpc.response.status_code", "db.operation", "tenant.id", "error.type"]
        ),
        st.sampled_from(["stringValue", "intValue", "arrayValue", "kvlistValue", "bytesValue"]),
        JSON,
    ),
    max_size=4,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(FIELDS, JSON, max_size=4), ATTRIBUTES)
def test_whatever_a_span_holds_its_neighbours_land(fields: dict[str, Any], odd: list[Any]):
    good = span(spanId="0" * 15 + "1")
    content = request(good, span(**{"attributes": odd, **fields}), good)
    frame, rejects, _ = read(content)
    assert frame.height + len(rejects) == 3
    assert frame["span_id"].to_list().count("0" * 15 + "1") >= 2


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(["resourceSpans", "scopeSpans", "spans", "resource"]), JSON)
def test_whatever_a_request_holds_the_next_line_is_read(name: str, value: object):
    wrapped: Any = orjson.loads(request(span()))
    holder = {
        "resourceSpans": wrapped,
        "scopeSpans": wrapped["resourceSpans"][0],
        "resource": wrapped["resourceSpans"][0],
        "spans": wrapped["resourceSpans"][0]["scopeSpans"][0],
    }[name]
    holder[name] = value
    frame, _, _ = read(orjson.dumps(wrapped) + b"\n" + request(span()) + b"\n")
    assert 2 in frame["line"].to_list()


def test_a_document_over_several_lines_is_one():
    document = orjson.dumps(orjson.loads(request(span(), span())), option=orjson.OPT_INDENT_2)
    assert read(b"\xef\xbb\xbf" + document)[0].height == 2
    several = b"[\n" + document + b",\n" + document + b"]"
    assert read(several)[0].height == 4


def test_a_broken_document_is_refused_once():
    document = orjson.dumps(orjson.loads(request(span())), option=orjson.OPT_INDENT_2)
    frame, rejects, waiting = read(document[:-40])
    assert (frame.height, waiting) == (0, 0)
    assert [(reject.line, reject.reason[:14]) for reject in rejects] == [(None, "not valid JSON")]


def test_a_broken_first_line_is_a_line():
    good = request(span())
    frame, rejects, _ = read(b'{"resourceSpans": [\n' + good + b"\n" + good + b"\n")
    assert frame["line"].to_list() == [2, 3]
    assert [reject.line for reject in rejects] == [1]


def test_other_signals_say_what_they_are():
    _, rejects, _ = read(b'{"resourceLogs":[]}\n{"resourceMetrics":[]}\n{"a":1}\n[1]\n')
    assert [(reject.line, reject.reason) for reject in rejects] == [
        (1, "no spans: this is OTLP logs."),
        (2, "no spans: this is OTLP metrics."),
        (3, "not an OTLP request: no spans."),
        (4, "not an OTLP request: the JSON is no object."),
    ]


def test_a_broken_line_keeps_its_neighbours():
    good = request(span())
    deep = b'{"resourceSpans":' + b"[" * 20_000 + b"]" * 20_000 + b"}"
    frame, rejects, waiting = read(b"\n".join([good, b'{"resourceSpans": [', deep, good]) + b"\n")
    assert frame["line"].to_list() == [1, 4]
    assert [r.line for r in rejects] == [2, 3]
    assert waiting == 0


def test_an_unfinished_last_line_waits():
    good = request(span())
    frame, rejects, waiting = read(good + b"\n" + good[: len(good) // 2])
    assert (frame.height, rejects, waiting) == (1, [], 1)
    whole, rejects, waiting = read(good + b"\n" + good)
    assert (whole.height, rejects, waiting) == (2, [], 0)


def test_a_line_over_ten_megabytes_is_passed_over():
    good = request(span())
    long = b'{"resourceSpans": [' + b" " * 10_000_001 + b"]}"
    frame, rejects, _ = read(b"\n".join([good, long, good]) + b"\n")
    assert frame["line"].to_list() == [1, 3]
    assert "longer than 10 MB" in rejects[0].reason


def test_spans_without_ids_are_told_apart_by_their_content():
    rows, _, _ = read(request(span(traceId="", name="a"), span(traceId="", name="b"), span()))
    hashes = rows["line_hash"].to_list()
    assert hashes[2] is None
    assert len({*hashes[:2]}) == 2


def test_missing_wrappers_and_snake_case_are_read():
    bare = orjson.dumps({"scopeSpans": [{"spans": [span()]}]})
    snake = orjson.dumps(
        {
            "resource_spans": [
                {
                    "scope_spans": [
                        {
                            "spans": [
                                {
                                    "trace_id": TRACE,
                                    "span_id": SPAN,
                                    "name": "op",
                                    "start_time_unix_nano": 1741078800000000000,
                                    "end_time_unix_nano": 1741078800000001000,
                                }
                            ]
                        }
                    ]
                }
            ]
        }
    )
    frame, rejects, _ = read(bare + b"\n" + snake + b"\n")
    assert (frame.height, rejects) == (2, [])


def test_only_allowed_attributes_are_kept_and_the_others_counted():
    content = request(span(attributes=attributes(secret="x", http__route="/a")))
    chunks = list(
        OtlpJsonReader().read(
            io.BytesIO(content), ReadOptions(config=EvolutionConfig(attributes=("http.route",)))
        )
    )
    assert chunks[0].rows["attributes"].to_list() == ['{"http.route":"/a"}']
    assert chunks[0].dropped_attributes == {"secret": 1}


def test_protobuf_and_json_give_the_same_row():
    message = TracesData()
    resource = message.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "accounts"
    raw = resource.scope_spans.add().spans.add(
        trace_id=bytes.fromhex(TRACE),
        span_id=bytes.fromhex(SPAN),
        name="op",
        kind=2,
        start_time_unix_nano=1741078800000000000,
        end_time_unix_nano=1741078800250000000,
    )
    raw.attributes.add(key="http.response.status_code").value.int_value = 503
    from_protobuf, rejects, _ = read(message.SerializeToString(), OtlpProtobufReader())
    assert rejects == []
    same = span(attributes=attributes(http__response__status_code=503))
    from_json, _, _ = read(request(same, service__name="accounts"))
    assert from_protobuf.equals(from_json)


def test_weight_without_a_readable_threshold_is_one():
    assert weight_of(None) == weight_of("ot=th:zz") == weight_of("other=th:8") == 1.0
    assert weight_of("ot=th:0") == 1.0


WITH_SPANS = {
    "multifile_valid_traces.jsonl",
    "otlp_traces.pb",
    "trace.json",
    "traces.pb",
    "traces_nulls.jsonl",
    "traces_simple.jsonl",
}
"""The files that hold a span with a start; the others are of other signals, broken or without."""

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="shared/data/otlp is absent")


@needs_shared
def test_the_official_example_keeps_its_trace_id():
    content = (SHARED / "examples" / "trace.json").read_bytes()
    frame, rejects, _ = read(content)
    assert rejects == []
    assert [len(bytes.fromhex(i)) for i in frame["trace_id"].to_list()] == [16]


@needs_shared
@pytest.mark.parametrize(
    "path",
    sorted(SHARED.rglob("*.*")) if SHARED.is_dir() else [],
    ids=lambda path: path.name,
)
def test_every_example_lands_or_says_why_not(path: Path):
    if path.suffix not in {".json", ".jsonl", ".pb"}:
        pytest.skip("documentation")
    content = path.read_bytes()
    reader = OtlpProtobufReader() if path.suffix == ".pb" else OtlpJsonReader()
    frame, rejects, waiting = read(content, reader)
    assert frame.height or rejects or waiting or not content.strip()
    assert all(reject.reason for reject in rejects)
    assert bool(frame.height) == (path.name in WITH_SPANS)
