"""OTLP as protobuf: one request a file.

``google.protobuf.json_format`` is not used anywhere: it reads hexadecimal ids as base64 and gives
trace ids of 24 bytes, without a word.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

from evolution_lab.telemetry.otlp_json import RowCollector
from evolution_lab.telemetry.otlp_spans import KINDS, Resource, Span, resource_of, span_row
from evolution_lab.telemetry.reading import Chunk, ReadOptions

LARGEST_FILE: Final = 256 << 20
_LIMIT: Final = 1 << 63
_FIRST_FIELD: Final = 0x0A
"""Every OTLP request begins with field 1, length-delimited."""


@dataclass(frozen=True)
class OtlpProtobufReader:
    """Reads a ``TracesData`` (or ``ExportTraceServiceRequest``, which has the same form)."""

    name: str = "otlp-protobuf"

    def recognises(self, head: bytes, file_name: str) -> bool:
        """Say whether the file is called like one and begins like one."""
        named = file_name.lower().endswith((".pb", ".binpb", ".otlp", ".proto.bin"))
        return named and head[:1] == bytes([_FIRST_FIELD])

    def read(self, stream: BinaryIO, options: ReadOptions) -> Iterator[Chunk]:
        """Yield the request's spans; a message that is no trace is refused."""
        from google.protobuf.message import DecodeError
        from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

        collector = RowCollector()
        data = stream.read(LARGEST_FILE + 1)
        if len(data) > LARGEST_FILE:
            collector.refuse(None, f"the message is larger than {LARGEST_FILE >> 20} MB.", b"")
            yield collector.take()
            return
        try:
            request = TracesData.FromString(data)
        except DecodeError as error:
            collector.refuse(None, f"not an OTLP protobuf message: {error}.", data)
            yield collector.take()
            return
        spans = 0
        for resource_spans in request.resource_spans:
            resource = resource_of(
                _attributes(resource_spans.resource.attributes), service=options.service
            )
            for scope_spans in resource_spans.scope_spans:
                for span in scope_spans.spans:
                    spans += 1
                    _add(collector, span, resource, options, spans)
                    if collector.full:
                        yield collector.take()
        if data and not spans:
            collector.refuse(None, "no spans: this is OTLP metrics or logs, or empty.", b"")
        yield collector.take()


def _add(
    collector: RowCollector, raw: Any, resource: Resource, options: ReadOptions, number: int
) -> None:
    try:
        span = _span(raw)
        hashed = None
        if span.trace_id is None or span.span_id is None:
            hashed = hashlib.blake2b(raw.SerializeToString(deterministic=True), digest_size=16)
        row = span_row(
            span,
            resource,
            options.config,
            line=number,
            line_hash=hashed.hexdigest() if hashed else None,
        )
    except (ValueError, TypeError) as error:
        collector.refuse(number, f"not a span: {error}", str(raw)[:1_000])
        return
    collector.rows.append(row)
    stored = options.config.attributes
    collector.dropped.update(name for name in span.attributes if name not in stored)


def _span(raw: Any) -> Span:
    if not raw.start_time_unix_nano or raw.start_time_unix_nano >= _LIMIT:
        raise ValueError(f"start_time_unix_nano == {raw.start_time_unix_nano}, must be a time.")
    if raw.end_time_unix_nano >= _LIMIT:
        raise ValueError(f"end_time_unix_nano == {raw.end_time_unix_nano}, must fit 64 bits.")
    return Span(
        name=raw.name,
        kind=KINDS.get(raw.kind),
        start_ns=raw.start_time_unix_nano,
        end_ns=raw.end_time_unix_nano,
        status=raw.status.code,
        status_message=raw.status.message or None,
        attributes=_attributes(raw.attributes),
        events=[(event.name, _attributes(event.attributes)) for event in raw.events],
        trace_id=_hex(raw.trace_id, 16),
        span_id=_hex(raw.span_id, 8),
        parent_span_id=_hex(raw.parent_span_id, 8),
        tracestate=raw.trace_state or None,
    )


def _hex(value: bytes, size: int) -> str | None:
    if not value.strip(b"\0"):
        return None
    if len(value) != size:
        raise ValueError(f"an id has {len(value)} bytes, must have {size}.")
    return value.hex()


def _attributes(items: Iterable[Any]) -> dict[str, Any]:
    return {item.key: _value(item.value) for item in items}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind in {"array_value", "kvlist_value"}:
        return str(getattr(value, kind))[:1_000]
    found = getattr(value, kind)
    return found.hex() if kind == "bytes_value" else found
