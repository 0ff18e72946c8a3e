"""Writes spans to a file as the OpenTelemetry Collector's file exporter does: OTLP JSON lines."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind, StatusCode, format_span_id, format_trace_id

_KINDS: Final = {
    SpanKind.INTERNAL: 1,
    SpanKind.SERVER: 2,
    SpanKind.CLIENT: 3,
    SpanKind.PRODUCER: 4,
    SpanKind.CONSUMER: 5,
}
_STATUS: Final = {StatusCode.UNSET: 0, StatusCode.OK: 1, StatusCode.ERROR: 2}
_SAMPLED_AND_LOCAL: Final = 0x101
_SAMPLED_AND_REMOTE: Final = 0x301


@dataclass
class OtlpFileExporter(SpanExporter):
    """A span exporter that appends one line of OTLP JSON per batch and resource.

    Ids are hexadecimal, 64-bit integers are strings, enums are integers, as the specification of
    OTLP's JSON encoding asks. One exporter may serve several providers and threads.

    Attributes:
        path: The file; made if absent, appended to otherwise.
    """

    path: Path
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)
    _file: BinaryIO | None = field(default=None, init=False, repr=False)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Append a batch of ended spans."""
        text = b"".join(line + b"\n" for line in _lines(spans))
        with self._lock:
            if self._file is None:
                self._file = self.path.open("ab")
            self._file.write(text)
            self._file.flush()
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Close the file; a later export opens it again."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Do nothing: every batch is flushed when it is written."""
        del timeout_millis
        return True


def _lines(spans: Sequence[ReadableSpan]) -> Iterator[bytes]:
    by_resource: dict[bytes, list[ReadableSpan]] = {}
    for span in spans:
        resource = orjson.dumps(_attributes(span.resource.attributes))
        by_resource.setdefault(resource, []).append(span)
    for resource, members in by_resource.items():
        yield orjson.dumps(
            {
                "resourceSpans": [
                    {
                        "resource": {"attributes": orjson.Fragment(resource)},
                        "scopeSpans": [
                            {
                                "scope": {"name": _scope(members[0])},
                                "spans": [span_json(span) for span in members],
                            }
                        ],
                    }
                ]
            }
        )


def span_json(span: ReadableSpan) -> dict[str, Any]:
    """Return a span in OTLP's JSON form."""
    context = span.get_span_context()
    if context is None:
        raise ValueError(f"span {span.name!r} has no context, so no ids to write.")
    parent = span.parent
    remote = parent is not None and parent.is_remote
    found: dict[str, Any] = {
        "traceId": format_trace_id(context.trace_id),
        "spanId": format_span_id(context.span_id),
        "parentSpanId": format_span_id(parent.span_id) if parent is not None else "",
        "flags": _SAMPLED_AND_REMOTE if remote else _SAMPLED_AND_LOCAL,
        "name": span.name,
        "kind": _KINDS[span.kind],
        "startTimeUnixNano": str(span.start_time or 0),
        "endTimeUnixNano": str(span.end_time or 0),
        "attributes": _attributes(span.attributes or {}),
    }
    if span.events:
        found["events"] = [
            {
                "timeUnixNano": str(event.timestamp),
                "name": event.name,
                "attributes": _attributes(event.attributes or {}),
            }
            for event in span.events
        ]
    if span.links:
        found["links"] = [
            {
                "traceId": format_trace_id(link.context.trace_id),
                "spanId": format_span_id(link.context.span_id),
            }
            for link in span.links
        ]
    status: dict[str, Any] = {}
    if span.status.status_code is not StatusCode.UNSET:
        status["code"] = _STATUS[span.status.status_code]
    if span.status.description:
        status["message"] = span.status.description
    return found | {"status": status}


def _scope(span: ReadableSpan) -> str:
    return span.instrumentation_scope.name if span.instrumentation_scope is not None else ""


def _attributes(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in values.items()]


def _value(value: object) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return {"arrayValue": {"values": [_value(item) for item in value]}}
    return {"stringValue": str(value)}
