"""The OTLP receiver: what it answered with 200 is on disk; what it cannot take it says."""

from __future__ import annotations

import errno
import gzip
import http.client
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evolution_lab.errors import InputError, LockedError
from evolution_lab.telemetry import Lake, land
from evolution_lab.telemetry.otlp_receiver import LARGEST_BODY, OtlpReceiver
from evolution_lab.telemetry.spool import Spool

JSON, PROTOBUF = "application/json", "application/x-protobuf"


def request_of(first: int, count: int = 3, name: str = "GET /x") -> dict[str, Any]:
    now = time.time_ns()
    spans = [
        {
            "traceId": f"{i + 1:032x}", "spanId": f"{i + 1:016x}", "name": name, "kind": 2,
            "startTimeUnixNano": str(now), "endTimeUnixNano": str(now + 1_000_000),
        }
        for i in range(first, first + count)
    ]  # fmt: skip
    service = {"key": "service.name", "value": {"stringValue": "shop"}}
    return {
        "resourceSpans": [{"resource": {"attributes": [service]}, "scopeSpans": [{"spans": spans}]}]
    }


def as_protobuf(document: dict[str, Any]) -> bytes:
    from google.protobuf.json_format import ParseDict
    from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

    for root in document["resourceSpans"]:
        for span in root["scopeSpans"][0][
            "spans"
        ]:  # JSON of OTLP says ids in hex, protobuf's in base64
            import base64

            for name in ("traceId", "spanId"):
                span[name] = base64.b64encode(bytes.fromhex(span[name])).decode()
    return ParseDict(document, TracesData()).SerializeToString()


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[OtlpReceiver]:
    made = OtlpReceiver(tmp_path, port=0)
    made.start()
    yield made
    made.stop()


def post(
    receiver: OtlpReceiver,
    body: bytes,
    media: str = JSON,
    path: str = "/v1/traces",
    **headers: str,
) -> tuple[int, bytes, dict[str, str]]:
    host, port = receiver.address.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("POST", path, body, {"Content-Type": media, **named})
    answer = connection.getresponse()
    got = answer.status, answer.read(), dict(answer.headers)
    connection.close()
    return got


def landed_rows(receiver: OtlpReceiver) -> int:
    segments = receiver.spool.seal()
    lake = Lake(receiver.data_dir)
    land(lake, list(segments))
    receiver.spool.landed(segments)
    return lake.samples().collect().height


def test_json_protobuf_and_gzip_are_landed(receiver: OtlpReceiver):
    pretty = json.dumps(request_of(0), indent=2).encode()
    assert post(receiver, pretty)[:2] == (200, b"{}")
    packed = gzip.compress(json.dumps(request_of(10)).encode())
    assert post(receiver, packed, Content_Encoding="gzip")[0] == 200
    assert post(receiver, as_protobuf(request_of(20)), PROTOBUF)[:2] == (200, b"")
    message = gzip.compress(as_protobuf(request_of(30)))
    assert post(receiver, message, PROTOBUF, Content_Encoding="gzip")[0] == 200
    assert post(receiver, b"{}")[0] == 200
    assert landed_rows(receiver) == 12
    assert list(receiver.spool.folder.glob("otlp-*")) == []
    assert receiver.spool.waiting_bytes == 0
    assert receiver.counts.accepted == 5


BOMB = gzip.compress(b"0" * (LARGEST_BODY + 10))
REFUSED: list[tuple[bytes, dict[str, str], int, str]] = [
    (b"{", {}, 400, "not valid JSON"),
    (b"[]", {}, 400, "no object"),
    (b'{"resourceMetrics": []}', {}, 400, "no resourceSpans"),
    (b'{"resourceSpans": 3}', {}, 400, "no list"),
    (b"[" * 100_000, {}, 400, "not valid JSON"),
    (b"zz", {"media": PROTOBUF}, 400, "not an OTLP protobuf"),
    (b"{}", {"media": "text/plain"}, 415, "Content-Type"),
    (b"{}", {"Content_Encoding": "br"}, 415, "gzip"),
    (b"{}", {"Content_Encoding": "gzip"}, 400, "no gzip"),
    (gzip.compress(b"{}")[:-4], {"Content_Encoding": "gzip"}, 400, "too early"),
    (BOMB, {"Content_Encoding": "gzip"}, 413, "larger than"),
    (b"{}", {"path": "/v1/metrics"}, 404, "traces"),
    (b"", {"Content_Length": "99999999999999999999"}, 413, "larger than"),
    (b"", {"Content_Length": "-1"}, 400, "no number"),
]


def test_what_cannot_be_taken_is_refused_with_the_reason(receiver: OtlpReceiver):
    for body, given, status, reason in REFUSED:
        answer = post(receiver, body, **given)
        assert answer[0] == status, (given, answer)
        assert reason in answer[1].decode("utf-8", "replace")
    assert receiver.spool.seal() == ()
    assert receiver.counts.refused == len(REFUSED)


def test_who_sends_too_much_is_asked_to_come_again(receiver: OtlpReceiver):
    body = json.dumps(request_of(0)).encode()
    receiver.most_waiting = len(body) // 2
    assert post(receiver, body)[0] == 200
    status, _, headers = post(receiver, body)
    assert status == 503
    assert int(headers["Retry-After"]) > 0
    assert landed_rows(receiver) == 3
    assert post(receiver, json.dumps(request_of(5)).encode())[0] == 200
    assert landed_rows(receiver) == 6


def test_a_full_disk_loses_nothing_that_was_acknowledged(
    receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
):
    assert post(receiver, json.dumps(request_of(0)).encode())[0] == 200
    write, calls = os.write, iter([1])

    def full(descriptor: int, content: Any) -> int:
        if len(content) < 100:
            return write(descriptor, content)
        if next(calls, None):
            return write(descriptor, content[:50])  # Half of it, then nothing more.
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    status, said, _ = post(receiver, json.dumps(request_of(10)).encode())
    assert status == 503
    assert b"No space left" in said
    monkeypatch.undo()
    assert post(receiver, json.dumps(request_of(20)).encode())[0] == 200
    assert landed_rows(receiver) == 6


def test_what_a_killed_process_left_is_landed_by_the_next(tmp_path: Path):
    killed = Spool(tmp_path)
    killed.append("jsonl", json.dumps(request_of(0)).encode())
    killed.append("pb", as_protobuf(request_of(10)))
    with next(tmp_path.glob("spool/*.jsonl")).open("ab") as file:
        file.write(b'{"resourceSpans": [{"scope')  # Never acknowledged.
    receiver = OtlpReceiver(tmp_path, port=0)
    assert landed_rows(receiver) == 6


def test_only_the_owner_may_read_what_is_not_redacted_yet(receiver: OtlpReceiver):
    post(receiver, json.dumps(request_of(0)).encode())
    (segment,) = receiver.spool.folder.glob("otlp-*")
    assert segment.stat().st_mode & 0o777 == 0o600
    assert receiver.spool.folder.stat().st_mode & 0o777 == 0o700


def test_many_senders_at_once(receiver: OtlpReceiver):
    answers: list[int] = []

    def send(worker: int) -> None:
        for turn in range(5):
            first = 1000 * worker + 10 * turn
            answers.append(post(receiver, json.dumps(request_of(first)).encode())[0])

    threads = [threading.Thread(target=send, args=(each,)) for each in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 40
    assert landed_rows(receiver) == 120


def test_other_machines_are_let_in_on_request_only(tmp_path: Path):
    with pytest.raises(InputError, match="otlp-anywhere"):
        OtlpReceiver(tmp_path, host="0.0.0.0")
    OtlpReceiver(tmp_path, host="0.0.0.0", anywhere=True)


def test_one_process_receives_for_a_lab(receiver: OtlpReceiver):
    with pytest.raises(LockedError, match=str(os.getpid())):
        OtlpReceiver(receiver.data_dir, port=0).start()
