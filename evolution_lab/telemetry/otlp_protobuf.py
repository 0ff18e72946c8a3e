"""OTLP as protobuf: one request a file, or many, each behind its length and maybe compressed.

``google.protobuf.json_format`` is not used anywhere: it reads hexadecimal ids as base64 and gives
trace ids of 24 bytes, without a word.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

import orjson
import zstandard

from evolution_lab.telemetry.lenient_json import parsed_json
from evolution_lab.telemetry.otlp_json import read_request
from evolution_lab.telemetry.otlp_rows import RowCollector
from evolution_lab.telemetry.otlp_spans import KINDS, Resource, Span
from evolution_lab.telemetry.reading import Chunk, ReadOptions

LARGEST_MESSAGE: Final = 256 << 20
"""Bytes of the largest request that is read."""
_LIMIT: Final = 1 << 63
_FIRST_FIELD: Final = b"\x0a"
"""Every OTLP request begins with field 1, length-delimited."""
_PREFIX: Final = 4
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_NAMES: Final = (".pb", ".binpb", ".otlp", ".proto", ".proto.bin")
_BLOCK: Final = 1 << 20


@dataclass(frozen=True)
class OtlpProtobufReader:
    """Reads ``TracesData`` (``ExportTraceServiceRequest`` has the same form).

    The Collector's file exporter puts the length of each request before it, as four bytes, the
    highest first; with ``compression: zstd`` each request is compressed by itself, and may then be
    JSON, too. A plain file is one request.
    """

    name: str = "otlp-protobuf"

    def recognises(self, head: bytes, file_name: str) -> bool:
        """Say whether the file begins like one; a single request must also be called like one."""
        if _is_compressed(head) or _is_whole_request(head):
            return True
        if not file_name.lower().endswith(_NAMES):
            return False
        return head[:1] == _FIRST_FIELD or _is_prefixed(head)

    def read(self, stream: BinaryIO, options: ReadOptions) -> Iterator[Chunk]:
        """Yield the spans of all requests; a message that is no trace is refused.

        ``line`` counts spans from 1.
        """
        collector = RowCollector(options)
        head = stream.read(_PREFIX + len(_ZSTD))
        spans = waiting = 0
        many = _is_compressed(head) or _is_prefixed(head)
        for content, whole in _prefixed(stream, head) if many else _single(stream, head):
            if content is None:
                size = f"the message is larger than {LARGEST_MESSAGE >> 20} MB."
                collector.refuse(None, size, b"")
            elif not whole:
                waiting = 1
            elif content:
                try:
                    plain = _plain_message(content)
                except ValueError as error:
                    collector.refuse(None, str(error), content)
                    continue
                if plain[:1] == b"{":
                    before = collector.rows
                    _read_json(collector, plain, line=spans + 1)
                    spans += collector.rows - before
                    if collector.full:
                        yield collector.take()
                    continue
                for span, resource in _spans(collector, plain):
                    spans += 1
                    _add(collector, span, resource, spans)
                    if collector.full:
                        yield collector.take()
        yield collector.take(waiting=waiting)


def _is_compressed(head: bytes) -> bool:
    return head[_PREFIX : _PREFIX + len(_ZSTD)] == _ZSTD


def _is_whole_request(head: bytes) -> bool:
    """Say whether the first message is made of the one field of a request, to its last byte."""
    end = _PREFIX + int.from_bytes(head[:_PREFIX])
    if not _is_prefixed(head) or not _PREFIX < end <= len(head):
        return False
    at = _PREFIX
    while at < end and head[at : at + 1] == _FIRST_FIELD:
        size, shift, at = 0, 0, at + 1
        while at < end:
            byte, at = head[at], at + 1
            size, shift = size | (byte & 0x7F) << shift, shift + 7
            if byte < 0x80:
                break
        at += size
    return at == end


def _plain_message(content: bytes) -> bytes:
    """Return a message, decompressed where it is compressed.

    Raises:
        ValueError: It is damaged, or too large once decompressed.
    """
    if not content.startswith(_ZSTD):
        return content
    plain = bytearray()  # Bytes would be copied anew with each block.
    try:
        reader = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(content))
        while len(plain) <= LARGEST_MESSAGE and (block := reader.read(_BLOCK)):
            plain += block
    except zstandard.ZstdError as error:
        raise ValueError(f"the compressed message is damaged: {error}.") from error
    if len(plain) > LARGEST_MESSAGE:
        raise ValueError(f"the message is larger than {LARGEST_MESSAGE >> 20} MB.")
    if not plain:
        raise ValueError("the compressed message is empty or damaged.")
    return bytes(plain)


def _read_json(collector: RowCollector, content: bytes, *, line: int) -> None:
    try:
        document = parsed_json(content)
    except orjson.JSONDecodeError as error:
        collector.refuse(None, f"not valid JSON: {error}.", content)
        return
    read_request(collector, document, line=line)


def _is_prefixed(head: bytes) -> bool:
    return len(head) > _PREFIX and head[_PREFIX : _PREFIX + 1] == _FIRST_FIELD != head[:1]


def _single(stream: BinaryIO, head: bytes) -> Iterator[tuple[bytes | None, bool]]:
    content = head + stream.read(LARGEST_MESSAGE)
    yield (content if len(content) <= LARGEST_MESSAGE else None), True


def _prefixed(stream: BinaryIO, head: bytes) -> Iterator[tuple[bytes | None, bool]]:
    """Yield each message, None where it is too large, and whether all of it is there."""
    ahead = head

    def take(size: int) -> bytes:
        nonlocal ahead
        taken, ahead = ahead[:size], ahead[size:]
        return taken if len(taken) == size else taken + stream.read(size - len(taken))

    while prefix := take(_PREFIX):
        size = int.from_bytes(prefix)
        if len(prefix) < _PREFIX:
            yield b"", False
        elif size > LARGEST_MESSAGE:
            while size > 0 and (block := take(min(size, _BLOCK))):
                size -= len(block)
            yield None, True
        else:
            content = take(size)
            yield content, len(content) == size


def _spans(collector: RowCollector, content: bytes) -> Iterator[tuple[Any, Resource]]:
    """Yield the spans of a message with their resources; refuse one of another kind."""
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

    try:
        roots = TracesData.FromString(content).resource_spans
        problem = "no spans: the request is empty."
    except DecodeError as error:
        roots, problem = [], f"not an OTLP protobuf message: {error}."
    spans = [span for root in roots for scope in root.scope_spans for span in scope.spans]
    if not any(span.start_time_unix_nano for span in spans):
        other = _other_signal(content)
        if other is not None or not spans:
            reason = problem if other is None else f"no spans: this is OTLP {other}."
            collector.refuse(None, reason, content)
            return
    for root in roots:
        resource = collector.resource(_attributes(root.resource.attributes))
        for scope in root.scope_spans:
            for span in scope.spans:
                yield span, resource


def _other_signal(content: bytes) -> str | None:
    """Tell logs and metrics, whose requests share their field numbers with those of traces.

    A record of another kind may well parse as a span, but never as one with a start time.
    """
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.logs.v1.logs_pb2 import LogsData
    from opentelemetry.proto.metrics.v1.metrics_pb2 import MetricsData

    try:
        for logs in LogsData.FromString(content).resource_logs:
            records = (log for scope in logs.scope_logs for log in scope.log_records)
            if any(log.time_unix_nano or log.observed_time_unix_nano for log in records):
                return "logs"
    except DecodeError:
        pass
    try:
        for metrics in MetricsData.FromString(content).resource_metrics:
            found = (metric for scope in metrics.scope_metrics for metric in scope.metrics)
            if any(metric.name and metric.WhichOneof("data") for metric in found):
                return "metrics"
    except DecodeError:
        pass
    return None


def _add(collector: RowCollector, raw: Any, resource: Resource, number: int) -> None:
    try:
        span, hashed = _span(raw), None
        if span.trace_id is None or span.span_id is None:
            written = raw.SerializeToString(deterministic=True)
            hashed = hashlib.blake2b(written, digest_size=16).hexdigest()
        collector.add(span, resource, line=number, line_hash=hashed)
    except (ValueError, TypeError) as error:
        collector.refuse(number, f"not a span: {error}", str(raw))


def _span(raw: Any) -> Span:
    start_ns, end_ns = raw.start_time_unix_nano, raw.end_time_unix_nano
    if not 0 < start_ns < _LIMIT:
        raise ValueError(f"start_time_unix_nano == {start_ns}, must be > 0 and fit 63 bits.")
    if end_ns >= _LIMIT:
        raise ValueError(f"end_time_unix_nano == {end_ns}, must fit 63 bits.")
    status = raw.status
    return Span(
        name=raw.name,
        kind=KINDS.get(raw.kind),
        start_ns=start_ns,
        end_ns=end_ns,
        status=status.code,
        status_message=status.message,
        attributes=_attributes(raw.attributes),
        events=[(event.name, _attributes(event.attributes)) for event in raw.events],
        trace_id=_hex(raw.trace_id, 16),
        span_id=_hex(raw.span_id, 8),
        parent_span_id=_hex(raw.parent_span_id, 8),
        tracestate=raw.trace_state,
    )


def _hex(value: bytes, size: int) -> str | None:
    if not value.strip(b"\0"):
        return None
    if len(value) != size:
        raise ValueError(f"an id has {len(value)} bytes, must have {size}.")
    return value.hex()


def _attributes(items: Iterable[Any]) -> dict[str, Any]:
    # Text, by far the most frequent, without another call.
    return {item.key: item.value.string_value or _plain(item.value) for item in items}


def _plain(value: Any) -> Any:
    """Return the value of an ``AnyValue`` as plain Python; of bytes, their base64, as in JSON."""
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    found = getattr(value, kind)
    if kind == "array_value":
        return [_plain(item) for item in found.values]
    if kind == "kvlist_value":
        return {item.key: _plain(item.value) for item in found.values}
    return base64.b64encode(found).decode() if kind == "bytes_value" else found
