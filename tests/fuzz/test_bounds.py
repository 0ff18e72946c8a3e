"""Bombs, endless lines, deep and wide JSON: refused with a reason, in bounded memory, neighbours kept."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import subprocess
import sys
import textwrap
import time
import zlib
from pathlib import Path

import pytest
import zstandard
from fuzz_corpus import OPENAPI, har, jaeger, line_of, otlp, span, zipkin

from evolution_lab.contracts import OpenApiDocument
from evolution_lab.errors import EvolutionLabError
from evolution_lab.golden.comparison import compare
from evolution_lab.golden.importing import import_traffic
from evolution_lab.golden.matchers import literal
from evolution_lab.golden.store import InMemoryTrafficStore
from evolution_lab.redaction import LabKey
from evolution_lab.redaction.payloads import PayloadSanitiser
from evolution_lab.telemetry import Lake, LandingReport, land
from evolution_lab.telemetry.otlp_receiver import OtlpReceiver

DEEP = 10_000
WIDE = 1_000_000
MB = 1 << 20
LANDS = """
    import json, sys, time
    from pathlib import Path
    def peak():  # That of getrusage is the parent's, too.
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024
    from evolution_lab.telemetry import Lake, land
    land(Lake(Path(sys.argv[2]).parent / "warm"), sys.argv[1])
    before = peak()
    began = time.process_time()
    report = land(Lake(Path(sys.argv[2])), sys.argv[3])
    print(json.dumps({
        "rows": report.rows_added, "quarantined": report.rows_quarantined,
        "grown_mb": peak() - before,
        "seconds": time.process_time() - began,
    }))
"""


def deep(opening: bytes = b"[", closing: bytes = b"]") -> bytes:
    return opening * DEEP + b"0" + closing * DEEP


def landed_apart(folder: Path, path: Path) -> dict[str, float]:
    """Land a file in a process of its own; how many rows, and how much memory and time it took."""
    warm = folder / "warm.jsonl"
    warm.write_bytes(line_of(otlp(span(5))))
    program = [
        sys.executable,
        "-c",
        textwrap.dedent(LANDS),
        str(warm),
        str(folder / "lab"),
        str(path),
    ]
    done = subprocess.run(program, capture_output=True, text=True, timeout=300, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    print(path.name, found)
    return found


def landed(folder: Path, name: str, content: bytes) -> LandingReport:
    path = folder / name
    path.write_bytes(content)
    began = time.process_time()
    report = land(Lake(folder / "lab"), path)
    assert time.process_time() - began < 5
    return report


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", line_of(otlp(span(1))) + deep() + b"\n" + line_of(otlp(span(2)))),
        ("b.jsonl", line_of(otlp(span(1))) + b'{"resourceSpans": ' + deep() + b"}\n" + line_of(otlp(span(2)))),
        ("c.jsonl", line_of(otlp(span(1))) + deep(b'{"resourceSpans":', b"}") + b"\n" + line_of(otlp(span(2)))),
        ("d.har", json.dumps(har(1, 2)).encode().replace(b'"entries": [', b'"entries": [' + deep() + b", ")),
        ("e.json", json.dumps(jaeger(1, 2)).encode().replace(b'"data": [', b'"data": [' + deep() + b", ")),
        ("f.json", json.dumps(zipkin(1, 2)).encode().replace(b"[", b"[" + deep(b'{"a":', b"}") + b", ", 1)),
    ],
    ids=["OTLP line", "OTLP resource", "OTLP roots", "HAR", "Jaeger", "Zipkin"],
)  # fmt: skip
def test_deep_json_is_refused_and_takes_no_neighbour_along(
    tmp_path: Path, name: str, content: bytes
):
    report = landed(tmp_path, name, content)
    assert report.rows_added == 2
    assert report.rows_quarantined >= 1


def test_deep_json_elsewhere_is_refused_in_words(tmp_path: Path):
    path = tmp_path / "api.json"
    text = json.dumps(OPENAPI).replace('"maxLength": 40', '"maxLength": 40, "not": ' + "SCHEMA")
    for schema in (deep(), deep(b'{"not":', b"}").replace(b"0", b"{}")):
        path.write_text(text.replace("SCHEMA", schema.decode()))
        with pytest.raises(EvolutionLabError):
            OpenApiDocument.load(path).specs()
    traffic = tmp_path / "calls.har"
    traffic.write_bytes(
        json.dumps(har(1)).encode().replace(b'"log": {', b'"x": ' + deep() + b', "log": {')
    )
    with pytest.raises(EvolutionLabError):
        import_traffic(traffic, store=InMemoryTrafficStore())
    value: object = 1
    for _ in range(DEEP):
        value = [value]
    for work in (
        lambda: PayloadSanitiser(LabKey(b"k" * 32)).sanitised({"body": value}),
        lambda: compare(value, literal({"a": 1})),
    ):
        with contextlib.suppress(EvolutionLabError):
            work()
    with pytest.raises(ValueError, match="deeper than"):
        literal(value)


def test_a_million_keys_are_read_or_refused_soon(tmp_path: Path):
    keys = ",".join(f'"k{n}":{n}' for n in range(WIDE)).encode()
    wide = b'{"resourceSpans":[{"scopeSpans":[{"spans":[{' + keys + b"}]}]}]}\n"
    content = line_of(otlp(span(1))) + wide + line_of(otlp(span(2)))
    path = tmp_path / "wide.jsonl"
    path.write_bytes(content)
    found = landed_apart(tmp_path, path)
    assert (found["rows"], found["quarantined"]) == (2, 1)
    assert found["seconds"] < 10
    assert found["grown_mb"] < 600


def test_a_span_of_a_hundred_thousand_attributes_lands(tmp_path: Path):
    attributes = [{"key": f"k{n}", "value": {"stringValue": "v"}} for n in range(100_000)]
    report = landed(tmp_path, "wide.jsonl", line_of(otlp(span(1, attributes=attributes))))
    assert report.rows_added == 1


@pytest.mark.parametrize("mb", [150, pytest.param(1024, marks=pytest.mark.slow)])
def test_an_endless_line_takes_no_memory_and_no_neighbour(tmp_path: Path, mb: int):
    path = tmp_path / "spans.jsonl"
    with path.open("wb") as file:
        file.write(line_of(otlp(span(1))) + b'{"resourceSpans": "')
        file.seek(mb * MB, 1)  # A hole: zeros that take no room on the disk.
        file.write(b'"}\n' + line_of(otlp(span(2))))
    found = landed_apart(tmp_path, path)
    assert (found["rows"], found["quarantined"]) == (2, 1)
    assert found["grown_mb"] < 150
    assert found["seconds"] < 0.05 * mb + 2


@pytest.mark.parametrize("mb", [150, pytest.param(1024, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_a_bomb_takes_no_memory(tmp_path: Path, kind: str, mb: int):
    valid, path = line_of(otlp(span(1))), tmp_path / f"spans.jsonl.{kind[:4]}"
    zeros = b"\0" * MB
    with path.open("wb") as file:
        packer = (
            gzip.GzipFile(fileobj=file, mode="wb", compresslevel=1)
            if kind == "gzip"
            else zstandard.ZstdCompressor(level=1).stream_writer(file, closefd=False)
        )
        with packer:
            packer.write(valid)
            for _ in range(mb):
                packer.write(zeros)
            packer.write(b"\n" + line_of(otlp(span(2))))
    found = landed_apart(tmp_path, path)
    assert (found["rows"], found["quarantined"]) == (2, 1)
    assert found["grown_mb"] < 150
    assert found["seconds"] < 0.05 * mb + 2


def test_a_request_of_zstd_that_is_a_bomb_is_refused_alone(tmp_path: Path):
    bomb = zstandard.ZstdCompressor().compress(b"\0" * (300 * MB))
    good = zstandard.ZstdCompressor().compress(json.dumps(otlp(span(1))).encode())
    framed = b"".join(len(each).to_bytes(4) + each for each in (good, bomb, good))
    path = tmp_path / "spans.pb"
    path.write_bytes(framed)
    found = landed_apart(tmp_path, path)
    assert (found["rows"], found["quarantined"]) == (1, 1)
    assert found["grown_mb"] < 400


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (gzip.compress(b"\0" * (100 * MB), 1), {"Content-Encoding": "gzip"}, 413),
        (zlib.compress(b"\0" * (100 * MB), 1), {"Content-Encoding": "deflate"}, 415),
        (deep(), {}, 400),
        (b'{"resourceSpans": ' + deep() + b"}", {}, 400),
    ],
    ids=["gzip bomb", "deflate bomb", "deep", "deep within"],
)
def test_the_receiver_refuses_bombs(
    tmp_path: Path, body: bytes, headers: dict[str, str], status: int
):
    receiver = OtlpReceiver(tmp_path, port=0)
    receiver.start()
    try:
        asked = http.client.HTTPConnection(receiver.address.removeprefix("http://"), timeout=20)
        asked.request("POST", "/v1/traces", body, {"Content-Type": "application/json", **headers})
        assert asked.getresponse().status == status
        asked.close()
    finally:
        receiver.stop()
