"""Recordings of other tools: the same call gives the same snapshot, whoever recorded it."""

from __future__ import annotations

import base64
import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import zstandard

from evolution_lab.contracts.openapi import OpenApiDocument
from evolution_lab.errors import ConfigError, InputError, UnknownFormatError
from evolution_lab.golden import InMemoryTrafficStore, LakeTrafficStore, import_traffic
from evolution_lab.golden.importing import recognised, snapshot_line_schema
from evolution_lab.records import OperationRef, TrafficSnapshot, to_python

WHEN = "2026-03-01T10:00:00.250Z"
BODY = '{"id": 7, "name": "Ärger", "mail": "jane@example.org", "country": "no"}'
SENT = {"sku": "A-1", "when": "2026-03-01"}

HAR: dict[str, Any] = {
    "log": {
        "version": "1.2",
        "entries": [
            {
                "startedDateTime": WHEN,
                "time": 12.5,
                "request": {
                    "method": "POST",
                    "url": "https://shop.example.com/carts/7/items?full=1",
                    "headers": [
                        {"name": "Authorization", "value": "Bearer secret-token"},
                        {"name": "Content-Type", "value": "application/json"},
                    ],
                    "postData": {"mimeType": "application/json", "text": json.dumps(SENT)},
                },
                "response": {
                    "status": 201,
                    "headers": [
                        {"name": "Content-Type", "value": "application/json"},
                        {"name": "Content-Encoding", "value": "gzip"},
                    ],
                    "content": {
                        "text": base64.b64encode(BODY.encode()).decode(),
                        "encoding": "base64",
                    },
                },
            },
            {"startedDateTime": WHEN, "request": {"method": "GET"}, "response": {}},
        ],
    }
}
CASSETTE = f"""
interactions:
- request:
    method: POST
    uri: https://shop.example.com/carts/7/items?full=1
    body: '{json.dumps(SENT)}'
    headers:
      Authorization: [Bearer secret-token]
      Content-Type: [application/json]
  response:
    status: {{code: 201, message: Created}}
    headers:
      Content-Type: [application/json]
      Content-Encoding: [gzip]
      Date: ['Sun, 01 Mar 2026 10:00:00 GMT']
    body:
      string: !!binary |
        {base64.b64encode(gzip.compress(BODY.encode(), mtime=0)).decode()}
version: 1
"""
KEPLOY = f"""
version: api.keploy.io/v1beta1
kind: Http
name: test-1
spec:
  req:
    method: POST
    url: http://localhost:8000/carts/7/items?full=1
    header: {{Authorization: Bearer secret-token, Content-Type: application/json}}
    body: '{json.dumps(SENT)}'
    timestamp: 2026-03-01T10:00:00.250000001Z
  resp:
    status_code: 201
    header: {{Content-Type: application/json}}
    body: '{BODY}'
    timestamp: 2026-03-01T10:00:00.260000001Z
  assertions: {{noise: {{body.id: []}}}}
"""


def attribute(key: str, value: str | int) -> dict[str, Any]:
    return {"key": key, "value": {"intValue" if isinstance(value, int) else "stringValue": value}}


OTLP = {
    "resourceSpans": [
        {
            "scopeSpans": [
                {
                    "spans": [
                        {
                            "traceId": "a" * 32,
                            "spanId": "b" * 16,
                            "kind": 2,
                            "startTimeUnixNano": "1772359200250000000",
                            "endTimeUnixNano": "1772359200260000000",
                            "attributes": [
                                attribute("http.request.method", "POST"),
                                attribute("http.route", "/carts/{cart}/items"),
                                attribute("url.path", "/carts/7/items"),
                                attribute("url.query", "full=1"),
                                attribute("http.response.status_code", 201),
                                attribute("http.request.header.content_type", "application/json"),
                                attribute("http.response.header.content_type", "application/json"),
                                attribute("http.request.body", json.dumps(SENT)),
                                attribute("http.response.body", BODY),
                            ],
                        },
                        {"kind": 3, "attributes": [attribute("http.response.body", "{}")]},
                    ]
                }
            ]
        }
    ]
}
LINE = {
    "formatVersion": 1,
    "id": "n-1",
    "operation": "POST /carts/{id}/items",
    "input": {
        "path": "/carts/7/items",
        "query": {"full": "1"},
        "headers": {"Authorization": "Bearer secret-token", "content-type": "application/json"},
        "body": SENT,
    },
    "output": {
        "status": 201,
        "headers": {"content-type": "application/json"},
        "body": json.loads(BODY),
    },
    "success": True,
    "timestamp": WHEN,
}
RECORDINGS = {
    "traffic.har": json.dumps(HAR),
    "cassette.yaml": CASSETTE,
    "test-1.yaml": KEPLOY,
    "spans.jsonl": json.dumps(OTLP),
    "lines.jsonl": json.dumps(LINE) + "\nno json\n" + json.dumps({**LINE, "formatVersion": 2}),
}


@pytest.fixture(params=sorted(RECORDINGS))
def recording(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / request.param
    path.write_text(RECORDINGS[request.param], encoding="utf-8")
    return path


def test_every_format_gives_the_same_snapshot(recording: Path) -> None:
    store = InMemoryTrafficStore()
    report = import_traffic(recording, store=store, service="shop")
    (made,) = store.snapshots()
    assert report.added == 1
    assert made.operation.service == "shop"
    assert made.operation.key in {"POST /carts/{id}/items", "POST /carts/{cart}/items"}
    assert made.input == {
        "path": "/carts/7/items",
        "query": {"full": "1"},
        "headers": {"content-type": "application/json"},
        "body": SENT,
    }
    assert made.output["status"] == 201
    assert made.output["body"]["name"] == "Ärger"
    assert made.output["body"]["country"] == "no"
    assert made.output["body"]["mail"] != "jane@example.org"
    assert made.timestamp.replace(microsecond=0) == datetime(2026, 3, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_reads_what_is_compressed_and_lands_it_once(tmp_path: Path, suffix: str) -> None:
    packed = gzip.compress if suffix == ".gz" else zstandard.ZstdCompressor().compress
    path = tmp_path / f"traffic.har{suffix}"
    path.write_bytes(packed(json.dumps(HAR).encode()))
    lab = tmp_path / "lab"
    first, again = (import_traffic(path, data=lab) for _ in range(2))
    assert (first.added, again.added, again.duplicates) == (1, 0, 1)
    assert first.refused == {"unreadable": 1}
    assert len(list(LakeTrafficStore(lab).snapshots())) == 1
    stored = b"".join(p.read_bytes() for p in lab.rglob("*.parquet"))
    assert b"secret-token" not in stored
    assert b"jane@example.org" not in stored


def test_folders_are_searched_and_strangers_passed_over(tmp_path: Path) -> None:
    for name, text in RECORDINGS.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "notes.txt").write_text("hello")
    store = InMemoryTrafficStore()
    report = import_traffic(tmp_path, store=store)
    # The archive and the test case tell of the same call at the same moment.
    assert (report.added, report.duplicates, report.files) == (4, 1, 5)
    assert len(report.skipped) == 1
    with pytest.raises(UnknownFormatError, match=r"notes\.txt"):
        import_traffic(tmp_path / "notes.txt", store=store)
    with pytest.raises(ConfigError, match="one of"):
        import_traffic(tmp_path, store=store, format="postman")  # type: ignore[arg-type]


def test_an_openapi_document_names_operations(tmp_path: Path) -> None:
    document = OpenApiDocument.load(
        {
            "openapi": "3.1.0",
            "info": {"version": "1"},
            "paths": {"/carts/{cartId}/items": {"post": {"operationId": "cart.add"}}},
        }
    )
    path = tmp_path / "traffic.har"
    path.write_text(json.dumps(HAR))
    store = InMemoryTrafficStore()
    import_traffic(path, store=store, document=document)
    assert [o.operation.key for o in store.operations()] == ["POST /carts/{cartId}/items"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("deep.yaml", "interactions:\n" + "[" * 5_000),
        ("deep.har", '{"log":' + '{"a":' * 50_000),
        ("bomb.yaml", "interactions: " + "&a [x,x,x,x,x,x,x,x,x]\n" * 1 + "x: [" + "*a," * 3),
        ("cut.har", json.dumps(HAR)[:-10]),
    ],
)
def test_hostile_files_are_refused_in_words(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(InputError):
        import_traffic(path, store=InMemoryTrafficStore())


def test_a_body_that_unpacks_to_gigabytes_is_left_out(tmp_path: Path) -> None:
    bomb = base64.b64encode(gzip.compress(b"\x20" * 50_000_000)).decode()
    cassette = CASSETTE.replace(
        base64.b64encode(gzip.compress(BODY.encode(), mtime=0)).decode(), bomb
    )
    path = tmp_path / "bomb.yaml"
    path.write_text(cassette)
    report = import_traffic(path, store=InMemoryTrafficStore())
    assert (report.added, report.refused) == (0, {"large": 1})


def test_lines_keep_to_the_published_schema() -> None:
    validator = jsonschema_rs.validator_for(snapshot_line_schema())
    assert validator.is_valid(LINE)
    assert not validator.is_valid({**LINE, "sampleRate": "often"})
    made = TrafficSnapshot(
        id="s1",
        operation=OperationRef("cart.add"),
        input={},
        success=True,
        timestamp=datetime(2026, 1, 1, tzinfo=UTC),
    )
    assert validator.is_valid(to_python(made))


def test_recognises_formats_by_their_first_bytes() -> None:
    found = {name: recognised(text.encode()) for name, text in RECORDINGS.items()}
    assert found == {
        "traffic.har": "har",
        "cassette.yaml": "vcr",
        "test-1.yaml": "keploy",
        "spans.jsonl": "otlp",
        "lines.jsonl": "snapshots",
    }
    assert recognised(b"") is None
