"""Targets that read telemetry, windows, documents, traffic and settings."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import polars as pl
from fuzz_corpus import (
    CLOUDWATCH,
    CSV_HEAD,
    OPENAPI,
    OTLP_METRICS,
    PROMETHEUS,
    SETTINGS,
    access_line,
    csv_line,
    har,
    jaeger,
    line_of,
    otlp,
    span,
    zipkin,
)
from fuzz_engine import LostNeighbourError, Mutator, Target
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from evolution_lab.config import EvolutionConfig, load_config
from evolution_lab.contracts import OpenApiDocument
from evolution_lab.errors import EvolutionLabError
from evolution_lab.golden.importing import import_traffic
from evolution_lab.golden.store import InMemoryTrafficStore
from evolution_lab.telemetry import Lake, land
from evolution_lab.telemetry.formats import readers, recognise
from evolution_lab.telemetry.reading import ReadOptions
from evolution_lab.telemetry.validation import normalise
from evolution_lab.windows.ready_windows import read_windows

T = TypeVar("T")
FIRST = 100
"""Number of the first valid row; the others follow."""
BATCH = 20
"""Broken rows of one file, each between two valid ones."""


@cache
def _folder() -> Path:
    """Return a folder in memory, where the machine has one."""
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="fuzz", dir=memory if memory.is_dir() else None))


def _rows(data: bytes, name: str) -> pl.DataFrame | None:
    """Read as landing does; None where the file is refused as a whole."""
    reader = {each.name: each for each in readers()}[name]
    recognise(data[: 1 << 16], "x")
    options = ReadOptions(config=EvolutionConfig(), tz="UTC")
    try:
        chunks = list(reader.read(io.BytesIO(data), options))
    except EvolutionLabError:
        return None
    for chunk in chunks:
        for reject in chunk.rejects:
            assert reject.reason
    frames = [normalise(chunk.rows) for chunk in chunks if chunk.rows.height]
    return pl.concat(frames) if frames else pl.DataFrame()


def _reads(name: str, *, ids: bool = True) -> Callable[[Any], bool]:
    """Return what runs a reader; an input that is a pair says that its neighbours must stay."""

    def run(given: Any) -> bool:
        data, neighbours = given
        rows = _rows(data, name)
        if neighbours:
            if rows is None or rows.is_empty():
                raise LostNeighbourError("all rows")
            if ids:
                found = set(rows["span_id"].to_list())
                lost = {f"{FIRST + n + 1:016x}" for n in range(BATCH + 1)} - found
            else:
                lost = {str(n) for n in range(BATCH + 1)} - set(_kept(rows))
            if lost:
                raise LostNeighbourError(str(sorted(map(str, lost))))
        return rows is None or rows.is_empty()

    return run


def _kept(rows: pl.DataFrame) -> list[str]:
    """Return the marks of valid rows of formats without ids: their moments, to the second."""
    seconds = rows["timestamp"].dt.second() - 30
    exact = rows["timestamp"].dt.truncate("1s") == rows["timestamp"]
    return [str(second) for second in seconds.filter(exact).to_list()]


def _between(valid: Callable[[int], T], broken: Callable[[], T]) -> list[T]:
    """Return ``BATCH`` broken ones, each between two valid ones."""
    found = [valid(0)]
    for number in range(BATCH):
        found += [broken(), valid(number + 1)]
    return found


def _otlp_lines(m: Mutator) -> tuple[bytes, bool]:
    def broken() -> bytes:
        return m.document(otlp(span(1), span(2))).replace(b"\n", b" ") + b"\n"

    return b"".join(_between(lambda n: line_of(otlp(span(FIRST + n))), broken)), True


def _otlp_spans(m: Mutator) -> tuple[bytes, bool]:
    """Broken spans among valid ones of the same request."""
    texts = _between(lambda n: json.dumps(span(FIRST + n)).encode(), lambda: m.valid(span(1)))
    whole = json.dumps(otlp({"name": "SPANS"}, span(1))).encode()
    begin, _, _ = whole.partition(b'{"name": "SPANS"}')
    return begin + b", ".join(texts) + b"]}]}]}\n", True


def _otlp_bytes(m: Mutator) -> tuple[bytes, bool]:
    return m.data(line_of(otlp(span(1))) + line_of(otlp(span(2)))), False


def _protobuf(m: Mutator) -> tuple[bytes, bool]:
    """Requests with their lengths before them, broken ones among valid ones."""
    parts = _between(lambda n: _message(FIRST + n), lambda: m.data(_message(1)))
    return b"".join(len(part).to_bytes(4) + part for part in parts), True


def _protobuf_bytes(m: Mutator) -> tuple[bytes, bool]:
    return m.data(m.choice((_message(1), len(_message(1)).to_bytes(4) + _message(1)))), False


@cache
def _message(number: int) -> bytes:
    document = otlp(span(number))
    for each in document["resourceSpans"][0]["scopeSpans"][0]["spans"]:
        each["traceId"], each["spanId"] = _base64(each["traceId"]), _base64(each["spanId"])
    return bytes(ParseDict(document, TracesData()).SerializeToString())


def _base64(digits: str) -> str:
    import base64

    return base64.b64encode(bytes.fromhex(digits)).decode()


def _access(m: Mutator) -> tuple[bytes, bool]:
    def broken() -> bytes:
        return m.data(access_line(1)).replace(b"\n", b"") + b"\n"

    return b"".join(_between(lambda n: access_line(30 + n), broken)), True


def _csv(m: Mutator) -> tuple[bytes, bool]:
    def broken() -> bytes:
        # A line break within quotes may take a neighbour along: that is what quotes mean.
        return m.data(csv_line(1)).translate(None, b'\n\r"') + b"\n"

    return CSV_HEAD + b"".join(_between(lambda n: csv_line(FIRST + n), broken)), True


def _csv_bytes(m: Mutator) -> tuple[bytes, bool]:
    return m.data(CSV_HEAD + csv_line(1) + csv_line(2)), False


@cache
def _table() -> bytes:
    table = pl.read_csv(CSV_HEAD + b"".join(csv_line(n) for n in range(20)))
    file = io.BytesIO()
    table.write_parquet(file)
    return file.getvalue()


def _parquet(m: Mutator) -> tuple[bytes, bool]:
    return m.data(_table()), False


def _har(m: Mutator) -> tuple[bytes, bool]:
    def broken() -> bytes:
        return m.valid(har(1)["log"]["entries"][0])

    valid: Callable[[int], bytes] = lambda n: json.dumps(har(30 + n)["log"]["entries"][0]).encode()  # noqa: E731
    entries = b", ".join(_between(valid, broken))
    return b'{"log": {"version": "1.2", "creator": {}, "entries": [' + entries + b"]}}", True


def _jaeger(m: Mutator) -> tuple[bytes, bool]:
    def broken() -> bytes:
        return m.valid(jaeger(1)["data"][0]["spans"][0])

    valid: Callable[[int], bytes] = lambda n: json.dumps(  # noqa: E731
        jaeger(FIRST + n)["data"][0]["spans"][0]
    ).encode()
    processes = json.dumps(jaeger()["data"][0]["processes"]).encode()
    spans = b", ".join(_between(valid, broken))
    return b'{"data": [{"processes": ' + processes + b', "spans": [' + spans + b"]}]}", True


def _zipkin(m: Mutator) -> tuple[bytes, bool]:
    valid: Callable[[int], bytes] = lambda n: json.dumps(zipkin(FIRST + n)[0]).encode()  # noqa: E731
    return b"[" + b", ".join(_between(valid, lambda: m.valid(zipkin(1)[0]))) + b"]", True


def _documents(make: Callable[..., Any]) -> Callable[[Mutator], tuple[bytes, bool]]:
    return lambda m: (m.document(make(1, 2)), False)


def _lands(given: tuple[str, bytes]) -> bool:
    """The whole of landing but the writing: recognising, judging, redacting, removing doubles."""
    name, data = given
    path = _folder() / name
    path.write_bytes(data)
    now = datetime(2026, 5, 5, tzinfo=UTC)
    try:
        report = land(Lake(_folder() / "lab"), path, dry_run=True, tz="UTC", landed_at=now)
    except EvolutionLabError:
        return True
    return report.rows_added == 0


def _any_file(m: Mutator) -> tuple[str, bytes]:
    kind = m.choice(("otlp", "otlp", "csv", "log", "har", "jaeger", "zipkin", "pb", "parquet"))
    made: dict[str, Callable[[], tuple[str, bytes]]] = {
        "otlp": lambda: ("spans.jsonl", _otlp_lines(m)[0]),
        "csv": lambda: ("calls.csv", _csv_bytes(m)[0]),
        "log": lambda: ("access.log", _access(m)[0]),
        "har": lambda: ("calls.har", _har(m)[0]),
        "jaeger": lambda: ("jaeger.json", _jaeger(m)[0]),
        "zipkin": lambda: ("zipkin.json", _zipkin(m)[0]),
        "pb": lambda: ("spans.pb", _protobuf(m)[0]),
        "parquet": lambda: ("calls.parquet", _parquet(m)[0]),
    }
    return made[kind]()


def _ready_windows(given: tuple[str, bytes]) -> bool:
    path = _folder() / given[0]
    path.write_bytes(given[1])
    try:
        read_windows(path)
    except EvolutionLabError:
        return True
    return False


def _metrics(m: Mutator) -> tuple[str, bytes]:
    document = m.choice((PROMETHEUS, CLOUDWATCH, OTLP_METRICS))
    return "metrics.json", m.document(document)


def _document(given: tuple[str, bytes]) -> bool:
    path = _folder() / given[0]
    path.write_bytes(given[1])
    try:
        document = OpenApiDocument.load(path)
        document.specs()
        for operation in document.operations:
            document.parts(operation.name)
    except EvolutionLabError:
        return True
    return False


def _settings(data: bytes) -> bool:
    path = _folder() / "evolution_lab.toml"
    path.write_bytes(data)
    try:
        load_config(path=path, environment={})
    except EvolutionLabError:
        return True
    return False


def _traffic(data: bytes) -> bool:
    path = _folder() / "traffic.har"
    path.write_bytes(data)
    try:
        import_traffic(path, store=InMemoryTrafficStore())
    except EvolutionLabError:
        return True
    return False


def reading_targets() -> list[Target]:
    """Return the targets of this module."""
    return [
        Target("OTLP JSON, a broken line", _otlp_lines, _reads("otlp-json"), 16, BATCH),
        Target("OTLP JSON, a broken span", _otlp_spans, _reads("otlp-json"), 16, BATCH),
        Target("OTLP JSON, any bytes", _otlp_bytes, _reads("otlp-json"), 1),
        Target("OTLP protobuf, a broken request", _protobuf, _reads("otlp-protobuf"), 16, BATCH),
        Target("OTLP protobuf, any bytes", _protobuf_bytes, _reads("otlp-protobuf"), 1),
        Target("access log", _access, _reads("access-log", ids=False), 16, BATCH),
        Target("CSV, a broken line", _csv, _reads("csv"), 8, BATCH),
        Target("CSV, any bytes", _csv_bytes, _reads("csv"), 1),
        Target("Parquet", _parquet, _reads("parquet"), 1),
        Target("HAR, a broken entry", _har, _reads("har", ids=False), 8, BATCH),
        Target("HAR, any bytes", _documents(har), _reads("har"), 1),
        Target("Jaeger, a broken span", _jaeger, _reads("jaeger-json"), 8, BATCH),
        Target("Jaeger, any bytes", _documents(jaeger), _reads("jaeger-json"), 1),
        Target("Zipkin, a broken span", _zipkin, _reads("zipkin-json"), 8, BATCH),
        Target("Zipkin, any bytes", _documents(zipkin), _reads("zipkin-json"), 1),
        Target("landing, any file", _any_file, _lands, 0.3),
        Target("windows of metrics", _metrics, _ready_windows, 2),
        Target("OpenAPI", lambda m: ("api.json", m.document(OPENAPI)), _document, 4),
        Target("settings", lambda m: m.data(SETTINGS), _settings, 4),
        Target("recorded traffic", lambda m: m.document(har(1, 2)), _traffic, 2),
    ]
