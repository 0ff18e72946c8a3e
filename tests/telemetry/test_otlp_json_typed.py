from __future__ import annotations

import io
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolution_lab.config import EvolutionConfig
from evolution_lab.telemetry.otlp_json import OtlpJsonReader
from evolution_lab.telemetry.otlp_json_typed import TypedReader
from evolution_lab.telemetry.reading import Chunk, ReadOptions

CONFIG = EvolutionConfig(attributes=("region", "deep"))
NAMES = (
    "http.request.method", "http.route", "url.path", "http.response.status_code", "error.type",
    "rpc.method", "rpc.grpc.status_code", "messaging.system", "messaging.destination.name",
    "tenant.id", "user.id", "session.id", "region", "deep", "http.request.body.size",
    "feature_flag.key", "feature_flag.result.variant", "noise",
)  # fmt: skip

texts = st.sampled_from(("", " ", "GET", "/a/{id}", "200", "503", "14", "x y ", "é", "NOT_FOUND"))
values = st.one_of(
    texts.map(lambda text: {"stringValue": text}),
    st.integers(-3, 600).map(lambda number: {"intValue": str(number)}),
    st.integers(0, 600).map(lambda number: {"intValue": number}),
    st.sampled_from(
        (
            {"doubleValue": 2},
            {"doubleValue": 2.5},
            {"boolValue": True},
            {"bytesValue": "aGk="},
            {"arrayValue": {"values": [{"stringValue": "a"}, {"intValue": "3"}]}},
            {"kvlistValue": {"values": [{"key": "k", "value": {"boolValue": False}}]}},
            {"intValue": "many"},
            {"stringValue": None},
            {},
            {"int_value": 3},
        )
    ),
)
attributes = st.lists(
    st.fixed_dictionaries({"key": st.sampled_from(NAMES), "value": values}), max_size=6
)
ids = st.sampled_from(("ab" * 8, "AB" * 8, "0" * 16, "", "zz" * 8, "q80=", "ab" * 7))
spans = st.fixed_dictionaries(
    {
        "traceId": st.sampled_from(("cd" * 16, "CD" * 16, "0" * 32, "", "x")),
        "spanId": ids,
        "startTimeUnixNano": st.sampled_from(("1795405740233260242", 1795405740233260242, "9" * 19)),
        "endTimeUnixNano": st.sampled_from(("1795405740333260242", "17954057402", "never")),
        "attributes": attributes,
    },
    optional={
        "parentSpanId": ids,
        "name": st.sampled_from(("GET /users/7", "", "work")),
        "kind": st.sampled_from((0, 1, 2, 3, 5, "SPAN_KIND_SERVER", "2", 9, None)),
        "status": st.sampled_from(
            ({}, {"code": 2}, {"code": "STATUS_CODE_ERROR", "message": "broken"}, None)
        ),
        "events": st.sampled_from(
            (
                [],
                None,
                [{"name": "exception", "attributes": [
                    {"key": "exception.type", "value": {"stringValue": "E"}}]}],
            )
        ),
        "traceState": st.sampled_from(("ot=th:8", "", "x=y")),
        "flags": st.just(257),
    },
)  # fmt: skip
requests = st.fixed_dictionaries(
    {
        "resourceSpans": st.lists(
            st.fixed_dictionaries(
                {"scopeSpans": st.lists(st.fixed_dictionaries({"spans": st.lists(spans, max_size=4)}), max_size=2)},
                optional={
                    "resource": st.sampled_from(
                        (
                            {},
                            None,
                            {"attributes": [{"key": "service.name", "value": {"stringValue": " shop "}}]},
                        )
                    )
                },
            ),
            max_size=2,
        )
    }
)  # fmt: skip


def read(lines: list[dict[str, Any]]) -> list[Chunk]:
    content = b"\n".join(orjson.dumps(line) for line in lines) + b"\n"
    return list(OtlpJsonReader().read(io.BytesIO(content), ReadOptions(config=CONFIG)))


@settings(max_examples=60, deadline=None)
@given(st.lists(requests, min_size=1, max_size=3))
def test_typed_lines_give_the_rows_that_any_line_gives(lines: list[dict[str, Any]]) -> None:
    typed = read(lines)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TypedReader, "read", lambda *_: False)
        plain = read(lines)
    for one, other in zip(typed, plain, strict=True):
        key = ["line", "span_id", "duration_ns", "operation_key"]
        assert one.rows.sort(key).equals(other.rows.sort(key))
        assert one.rejects == other.rejects
        assert one.dropped_attributes == other.dropped_attributes


def test_the_lines_of_most_exporters_are_read_with_their_types_known() -> None:
    span = {
        "traceId": "cd" * 16,
        "spanId": "ab" * 8,
        "startTimeUnixNano": "1795405740233260242",
        "endTimeUnixNano": "1795405740333260242",
    }
    line = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evolution_lab.telemetry.otlp_json.span_of", lambda _: 1 / 0)
        (chunk,) = read([line])
    assert chunk.rows["trace_id"].to_list() == ["cd" * 16]
    assert chunk.tidy
