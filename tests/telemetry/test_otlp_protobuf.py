"""OTLP as protobuf: plain and length-prefixed, cut off, of other signals, at random."""

from __future__ import annotations

import io

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.logs.v1.logs_pb2 import LogsData
from opentelemetry.proto.metrics.v1.metrics_pb2 import MetricsData
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from evolution_lab.telemetry import otlp_protobuf
from evolution_lab.telemetry.otlp_protobuf import OtlpProtobufReader
from evolution_lab.telemetry.reading import ReadOptions, Reject

READER = OtlpProtobufReader()


def message(*span_ids: int) -> bytes:
    data = TracesData()
    root = data.resource_spans.add()
    root.resource.attributes.add(key="service.name").value.string_value = "cart"
    scope = root.scope_spans.add()
    for number in span_ids:
        scope.spans.add(
            trace_id=b"t" * 16,
            span_id=number.to_bytes(8),
            name="op",
            start_time_unix_nano=1741078800000000000,
            end_time_unix_nano=1741078800000000007,
        )
    return data.SerializeToString()


def prefixed(*messages: bytes) -> bytes:
    return b"".join(len(each).to_bytes(4) + each for each in messages)


def read(content: bytes) -> tuple[pl.DataFrame, list[Reject], int]:
    chunks = list(READER.read(io.BytesIO(content), ReadOptions()))
    rejects = [reject for chunk in chunks for reject in chunk.rejects]
    waiting = sum(chunk.waiting_lines for chunk in chunks)
    return pl.concat([chunk.rows for chunk in chunks]), rejects, waiting


def test_prefixed_messages_are_read_one_after_the_other():
    content = prefixed(message(1, 2), message(3))
    assert READER.recognises(content, "traces.pb")
    rows, rejects, waiting = read(content)
    assert rows["span_id"].to_list() == [f"{n:016x}" for n in (1, 2, 3)]
    assert rows["line"].to_list() == [1, 2, 3]
    assert rows["service"].to_list() == ["cart"] * 3
    assert (rejects, waiting) == ([], 0)


def test_a_plain_message_is_one():
    assert READER.recognises(message(1), "traces.pb")
    assert read(message(1))[0].height == 1
    assert not READER.recognises(message(1), "traces.txt")
    assert not READER.recognises(b"PK\x03\x04 zip", "a.pb")


@pytest.mark.parametrize("cut", [1, 3, 5, 20])
def test_an_unfinished_last_message_waits(cut: int):
    whole, last = prefixed(message(1)), prefixed(message(2))
    rows, rejects, waiting = read(whole + last[:cut])
    assert (rows.height, rejects, waiting) == (1, [], 1)


def test_a_broken_message_keeps_its_neighbours():
    rows, rejects, waiting = read(prefixed(message(1), b"\x0a\xff broken", message(2)))
    assert rows.height == 2
    assert [reject.reason.partition(":")[0] for reject in rejects] == [
        "not an OTLP protobuf message"
    ]
    assert waiting == 0


def test_a_message_that_is_too_large_is_passed_over(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(otlp_protobuf, "LARGEST_MESSAGE", 1_000)
    rows, rejects, _ = read(prefixed(message(1), message(*range(1, 100)), message(2)))
    assert rows.height == 2
    assert "larger than" in rejects[0].reason
    assert "larger than" in read(message(*range(1, 100)))[1][0].reason


def test_a_broken_span_refuses_itself_only():
    data = TracesData.FromString(message(1, 2, 3))
    data.resource_spans[0].scope_spans[0].spans[1].trace_id = b"short"
    rows, rejects, _ = read(data.SerializeToString())
    assert rows["line"].to_list() == [1, 3]
    assert [(reject.line, "has 5 bytes" in reject.reason) for reject in rejects] == [(2, True)]


def test_logs_and_metrics_say_what_they_are():
    logs, metrics = LogsData(), MetricsData()
    record = logs.resource_logs.add().scope_logs.add().log_records.add()
    record.time_unix_nano = 1741078800000000000
    record.body.string_value = "hello"
    metric = metrics.resource_metrics.add().scope_metrics.add().metrics.add(name="up")
    metric.gauge.data_points.add(as_int=1)
    for data, signal in ((logs, "logs"), (metrics, "metrics")):
        rows, rejects, _ = read(data.SerializeToString())
        assert rows.height == 0
        assert [reject.reason for reject in rejects] == [f"no spans: this is OTLP {signal}."]


def test_spans_without_a_start_are_refused_as_spans():
    data = TracesData.FromString(message(1))
    data.resource_spans[0].scope_spans[0].spans[0].ClearField("start_time_unix_nano")
    assert "start_time_unix_nano" in read(data.SerializeToString())[1][0].reason


def test_values_of_every_kind_are_plain():
    data = TracesData.FromString(message(1))
    span = data.resource_spans[0].scope_spans[0].spans[0]
    route = span.attributes.add(key="http.route").value
    route.array_value.values.add().int_value = 7
    route.array_value.values.add().bytes_value = b"\xff"
    route.array_value.values.add().kvlist_value.values.add(key="k").value.bool_value = True
    assert read(data.SerializeToString())[0]["attributes"].to_list() == [
        '{"http.route":"[7, \\"/w==\\", {\\"k\\": true}]"}'
    ]


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 60), st.booleans())
def test_random_bytes_never_stop_a_reader(noise: bytes, position: int, behind: bool):
    content = message(1)
    read(content[:position] + noise + (content[position:] if behind else b""))
