"""What fuzzing found, input by input: each was a crash, a hang or a neighbour that was lost."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fuzz_corpus import CLOUDWATCH, OPENAPI, access_line, csv_line, har, jaeger, line_of, otlp, span

from evolution_lab.config import parse_duration
from evolution_lab.contracts import OpenApiDocument
from evolution_lab.errors import ConfigError, InputError
from evolution_lab.golden.importing import import_traffic
from evolution_lab.golden.store import InMemoryTrafficStore
from evolution_lab.lab import Lab
from evolution_lab.telemetry import Lake, LandingReport, land
from evolution_lab.windows.ready_windows import read_windows

ODD = {
    "half a surrogate pair": rb'"name": "GET \ud800"',
    "bytes that are no UTF-8": b'"name": "GET \xff\xfe"',
    "a number that none holds": b'"name": "GET /x", "flags": ' + b"9" * 400,
    "NaN": b'"name": "GET /x", "flags": NaN',
}


def landed(folder: Path, name: str, content: bytes) -> LandingReport:
    path = folder / name
    path.write_bytes(content)
    return land(Lake(folder / "lab"), path, tz="UTC")


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_one_odd_value_takes_no_span_of_its_request_along(tmp_path: Path, odd: bytes):
    broken = json.dumps(span(1)).encode().replace(b'"name": "GET /orders/{id}"', odd, 1)
    line = json.dumps(otlp(span(0), {"broken": 1}, span(2))).encode()
    report = landed(tmp_path, "spans.jsonl", line.replace(b'{"broken": 1}', broken) + b"\n")
    assert report.rows_added >= 2
    kept = set(Lake(tmp_path / "lab").samples().select("span_id").collect().to_series())
    assert kept >= {f"{1:016x}", f"{3:016x}"}


def test_one_odd_value_takes_no_span_of_its_trace_along(tmp_path: Path):
    content = (
        json.dumps(jaeger(0, 1, 2)).encode().replace(b'"duration": 2500', b'"duration": NaN', 1)
    )
    assert landed(tmp_path, "jaeger.json", content).rows_added == 2


def test_a_request_time_of_many_digits_takes_no_line_along(tmp_path: Path):
    endless = access_line(2).replace(b"0.012", b"9" * 30)
    report = landed(tmp_path, "access.log", access_line(1) + endless + access_line(3))
    assert (report.rows_added, report.rows_quarantined) == (2, 1)


def test_a_carriage_return_within_the_header_is_no_crash(tmp_path: Path):
    table = b"times\rtamp,operation,duration_ms\n" + csv_line(1)
    with pytest.raises(InputError):
        landed(tmp_path, "calls.csv", table)


def test_texts_of_parquet_that_are_no_utf8_are_read_with_a_mark(tmp_path: Path):
    texts = pa.array([b"GET /a", b"GET \xff\xfe", b"GET /c"], pa.binary())
    text = pa.Array.from_buffers(pa.string(), 3, texts.buffers())
    table = pa.table(
        {
            "operation": text,
            "timestamp": ["2026-05-04T08:00:00Z"] * 3,
            "duration_ms": [1.0, 2.0, 3.0],
        }
    )
    file = io.BytesIO()
    pq.write_table(table, file)
    assert landed(tmp_path, "calls.parquet", file.getvalue()).rows_added == 3
    names = Lake(tmp_path / "lab").samples().select("operation_key").collect().to_series()
    assert sorted(names) == ["GET /a", "GET /c", "GET \ufffd\ufffd"]


@pytest.mark.parametrize("value", [[], {}, "x", 1 << 64, None])
def test_metrics_of_other_types_are_refused_in_words(tmp_path: Path, value: object):
    path = tmp_path / "metrics.json"
    document = json.loads(json.dumps(CLOUDWATCH))
    document["MetricDataResults"][0]["Values"] = [value, value]
    path.write_text(json.dumps(document))
    with pytest.raises(InputError) as refused:
        read_windows(path)
    assert "\n" not in str(refused.value)


def test_a_version_that_is_no_text_is_none(tmp_path: Path):
    path = tmp_path / "api.json"
    path.write_text(json.dumps({**OPENAPI, "info": {"title": "x", "version": {"a": []}}}))
    assert OpenApiDocument.load(path).version == "0"


def test_recorded_calls_that_took_no_number_of_milliseconds_are_taken(tmp_path: Path):
    path = tmp_path / "calls.har"
    document = har(1, 2)
    document["log"]["entries"][0]["time"] = float("nan")
    path.write_text(json.dumps(document))
    assert import_traffic(path, store=InMemoryTrafficStore()).added == 2
    path.write_text(json.dumps({"log": {"version": "1.2", "creator": {}, "entries": 7}}))
    assert import_traffic(path, store=InMemoryTrafficStore()).added == 0


def test_a_length_of_more_years_than_there_are_is_refused():
    with pytest.raises(ConfigError, match="shorter"):
        parse_duration("518446744073709551616m")


def test_half_a_surrogate_pair_is_no_id_of_a_suggestion(tmp_path: Path):
    answer = Lab(tmp_path).review_board(reviewer="ada").handle({"kind": "detail", "id": "\ud800"})
    assert answer["kind"] == "error"


def test_a_request_whose_skipped_fields_are_no_utf8_lands(tmp_path: Path):
    odd = json.dumps({**span(1), "extra": "XX"}).encode().replace(b"XX", b"\xed\xa0\x80")
    line = json.dumps(otlp({"odd": 1}, {**span(2), "traceId": "not hex"})).encode()
    report = landed(
        tmp_path, "spans.jsonl", line.replace(b'{"odd": 1}', odd) + b"\n" + line_of(otlp(span(3)))
    )
    assert report.rows_added >= 2
