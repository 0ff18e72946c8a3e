"""Jaeger's JSON: what its query service answers, what its page downloads, or spans line by line.

``{"data": [{"traceID": …, "spans": […], "processes": {…}}]}``; times and durations in microseconds,
tags as typed pairs. Also bare traces, and spans that carry their ``process`` themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, BinaryIO, Final

from evolution_lab.telemetry.json_documents import BYTE_ORDER_MARK, JsonValues
from evolution_lab.telemetry.otlp_rows import RowCollector
from evolution_lab.telemetry.otlp_spans import STATUS_ERROR, Resource, Span
from evolution_lab.telemetry.reading import Chunk, ReadOptions
from evolution_lab.telemetry.span_values import dumped, hex_id, nanoseconds, objects

_DATA = re.compile(rb'^\s*\{[^\[{]*?"data"\s*:\s*\[')
_ANSWER = re.compile(rb'^\{\s*"data"\s*:\s*(?:\[\s*\]|null)[^\[{]*"(?:total|limit|offset|errors)"')
_OWN: Final = (b'"traceID"', b'"spanID"')
_KINDS: Final = frozenset({"server", "client", "producer", "consumer", "internal"})
_ERROR_EVENTS: Final = frozenset({"error", "exception"})
_NO_ERROR: Final = frozenset({"", "0", "false", "none"})
_SAID_ERROR: Final = ("ERROR", "STATUS_CODE_ERROR")


@dataclass(frozen=True)
class JaegerJsonReader:
    """Reads traces of Jaeger; a broken span refuses itself only.

    A span without ``span.kind`` has no kind. The service and its version are those of the process.
    ``line`` counts spans from 1, or lines where the file is lines.
    """

    name: str = "jaeger-json"

    def recognises(self, head: bytes, file_name: str) -> bool:
        """Say whether the head is JSON with Jaeger's names of ids."""
        del file_name
        start = head.removeprefix(BYTE_ORDER_MARK).lstrip()
        if start[:1] not in (b"{", b"["):
            return False
        return all(name in head for name in _OWN) or bool(_ANSWER.match(start))

    def read(self, stream: BinaryIO, options: ReadOptions) -> Iterator[Chunk]:
        """Yield the spans, trace by trace."""
        collector = RowCollector(options)
        values = JsonValues(stream, collector.refuse, _DATA)
        number = 0
        for value, line in values:
            for trace in _traces(value):
                if not isinstance(trace, dict):
                    collector.refuse(line, "not a trace: no object.", dumped(trace))
                    continue
                for span, resource in _spans(collector, trace, line):
                    number += 1
                    _add(collector, span, resource, number if line is None else line)
                    if collector.full:
                        yield collector.take()
        yield collector.take(waiting=values.waiting)


def _traces(value: Any) -> list[Any]:
    if isinstance(value, dict) and "spans" not in value and isinstance(value.get("data"), list):
        return list(value["data"])
    if isinstance(value, dict) and "data" in value and value["data"] is None:
        return []
    return value if isinstance(value, list) else [value]


def _spans(
    collector: RowCollector, trace: Mapping[str, Any], line: int | None
) -> Iterator[tuple[dict[str, Any], Resource]]:
    """Yield the spans of a trace with their resources; a span by itself is one."""
    if "spans" not in trace:
        if "spanID" in trace or "operationName" in trace:
            yield dict(trace), _resource(collector, trace.get("process"))
        else:
            collector.refuse(line, "not a trace: no spans.", dumped(dict(trace)))
        return
    found = trace.get("processes")
    processes = found if isinstance(found, dict) else {}
    resources = {name: _resource(collector, process) for name, process in processes.items()}
    for span in objects(trace["spans"], collector, line):
        own = span.get("process")
        if isinstance(own, dict):
            yield span, _resource(collector, own)
        else:
            yield span, resources.get(str(span.get("processID"))) or _resource(collector, None)


def _resource(collector: RowCollector, process: object) -> Resource:
    if not isinstance(process, dict):
        return collector.resource({})
    attributes = _tags(process)
    if process.get("serviceName"):
        attributes["service.name"] = str(process["serviceName"])
    return collector.resource(attributes)


def _add(collector: RowCollector, raw: dict[str, Any], resource: Resource, line: int) -> None:
    try:
        span, hashed = _span(raw), None
        if span.trace_id is None or span.span_id is None:
            hashed = blake2b(dumped(raw), digest_size=16).hexdigest()
        collector.add(span, resource, line=line, line_hash=hashed)
    except (ValueError, TypeError, AttributeError) as error:
        collector.refuse(line, f"not a span: {error}", dumped(raw))


def _span(raw: Mapping[str, Any]) -> Span:
    tags = _tags(raw)
    start_ns = nanoseconds(raw.get("startTime"), "startTime")
    trace_id = hex_id(raw.get("traceID"), 32, "traceID")
    kind = str(tags.get("span.kind", "")).lower()
    is_error = str(tags.get("error", False)).lower() not in _NO_ERROR
    said = str(tags.get("otel.status_code", "")).upper()
    name = raw.get("operationName")
    return Span(
        name=name if isinstance(name, str) else "",
        kind=kind if kind in _KINDS else None,
        start_ns=start_ns,
        end_ns=start_ns + nanoseconds(raw.get("duration"), "duration"),
        status=STATUS_ERROR if is_error or said in _SAID_ERROR else 0,
        status_message=tags.get("otel.status_description") or tags.get("error.message"),
        attributes=tags,
        events=_events(raw.get("logs")),
        trace_id=trace_id,
        span_id=hex_id(raw.get("spanID"), 16, "spanID"),
        parent_span_id=_parent(raw, trace_id),
        tracestate=str(tags["w3c.tracestate"]) if "w3c.tracestate" in tags else None,
    )


def _parent(raw: Mapping[str, Any], trace_id: str | None) -> str | None:
    """Return who called: the first ``CHILD_OF`` of the trace, else the first ``FOLLOWS_FROM``."""
    references = raw.get("references")
    followed = None
    for reference in references if isinstance(references, list) else ():
        if not isinstance(reference, dict):
            continue
        of_trace = hex_id(reference.get("traceID"), 32, "traceID of a reference")
        if of_trace not in (None, trace_id):
            continue
        parent = hex_id(reference.get("spanID"), 16, "spanID of a reference")
        if reference.get("refType") == "CHILD_OF":
            return parent
        followed = followed or parent
    return followed or hex_id(raw.get("parentSpanID"), 16, "parentSpanID")


def _tags(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return typed pairs as a mapping; the store writes some of them as an object ``tag``."""
    found = {}
    flat = raw.get("tag")
    for name, value in flat.items() if isinstance(flat, dict) else ():
        found[str(name).replace("@", ".")] = value
    pairs = raw.get("tags")
    for pair in pairs if isinstance(pairs, list) else ():
        if isinstance(pair, dict) and isinstance(pair.get("key"), str):
            value = pair.get("value")
            if pair.get("type") == "bool" and isinstance(value, str):
                value = value.lower() == "true"
            found[pair["key"]] = value
    return found


def _events(logs: object) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the logs of a span; errors under OpenTelemetry's names."""
    events: list[tuple[str, Mapping[str, Any]]] = []
    for log in logs if isinstance(logs, list) else ():
        if not isinstance(log, dict):
            continue
        fields = _tags({"tags": log.get("fields")})
        name = str(fields.get("event", ""))
        if name in _ERROR_EVENTS:
            fields.setdefault("exception.type", fields.get("error.kind"))
            fields.setdefault("exception.message", fields.get("message"))
            name = "exception"
        events.append((name, fields))
    return events
