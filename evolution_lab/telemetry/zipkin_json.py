"""Zipkin's JSON, version 2: a list of spans, a list of traces as its server answers, or lines.

Times and durations in microseconds. Where client and server share one span (``shared``), both have
the same id: the server's gets one of its own here, below the client's.
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

_OWN = re.compile(rb'"(?:localEndpoint|remoteEndpoint|parentId|annotations|shared|kind)"\s*:')
_NAMED: Final = (b'"traceId"', b'"id"')
_NOT_OURS = re.compile(rb'"(?:resource_?[sS]pans|scope_?[sS]pans|spanId)"\s*:')
_OTHER_NAMES: Final = {"http.path": "url.path", "lc": "component"}


@dataclass(frozen=True)
class ZipkinJsonReader:
    """Reads spans of Zipkin; a broken span refuses itself only.

    A span without ``kind`` is internal, as Zipkin has it. ``line`` counts spans from 1, or lines
    where the file is lines.
    """

    name: str = "zipkin-json"

    def recognises(self, head: bytes, file_name: str) -> bool:
        """Say whether the head is JSON with Zipkin's names."""
        del file_name
        start = head.removeprefix(BYTE_ORDER_MARK).lstrip()
        if start[:1] not in (b"{", b"[") or _NOT_OURS.search(head):
            return False
        return all(name in head for name in _NAMED) and bool(_OWN.search(head))

    def read(self, stream: BinaryIO, options: ReadOptions) -> Iterator[Chunk]:
        """Yield the spans, group by group: a trace, a line, or a run of a list."""
        collector = RowCollector(options)
        values = JsonValues(stream, collector.refuse)
        number = 0
        for group, line in _groups(values):
            spans = list(objects(group, collector, line))
            servers = _shared(spans)
            for raw in spans:
                number += 1
                _add(collector, raw, servers, number if line is None else line)
                if collector.full:
                    yield collector.take()
        yield collector.take(waiting=values.waiting)


_RUN: Final = 50_000
"""How many neighbouring spans of a plain list are looked at together."""


def _groups(values: JsonValues) -> Iterator[tuple[list[Any], int | None]]:
    """Yield spans that may belong together, so that a shared span's children find their parent."""
    run: list[Any] = []
    for value, line in values:
        if line is None and not isinstance(value, list):
            run.append(value)
            if len(run) >= _RUN:
                yield run, None
                run = []
        elif isinstance(value, list):
            traces = [each for each in value if isinstance(each, list)]
            yield [each for each in value if not isinstance(each, list)], line
            for trace in traces:
                yield trace, line
        else:
            yield [value], line
    yield run, None


def _shared(spans: list[dict[str, Any]]) -> dict[tuple[str, str], str | None]:
    """Return the service of each span that a server shares with its client, by its ids."""
    found = {}
    for raw in spans:
        if raw.get("shared") is True and isinstance(raw.get("id"), str):
            found[str(raw.get("traceId")), raw["id"]] = _service(raw)
    return found


def _add(
    collector: RowCollector,
    raw: dict[str, Any],
    servers: Mapping[tuple[str, str], str | None],
    line: int,
) -> None:
    try:
        span, hashed = _span(raw, servers), None
        if span.trace_id is None or span.span_id is None:
            hashed = blake2b(dumped(raw), digest_size=16).hexdigest()
        collector.add(span, _resource(collector, raw), line=line, line_hash=hashed)
    except (ValueError, TypeError, AttributeError) as error:
        collector.refuse(line, f"not a span: {error}", dumped(raw))


def _resource(collector: RowCollector, raw: Mapping[str, Any]) -> Resource:
    service = _service(raw)
    return collector.resource({"service.name": service} if service else {})


def _service(raw: Mapping[str, Any]) -> str | None:
    endpoint = raw.get("localEndpoint")
    name = endpoint.get("serviceName") if isinstance(endpoint, dict) else None
    return str(name) if name else None


def _span(raw: Mapping[str, Any], servers: Mapping[tuple[str, str], str | None]) -> Span:
    start_ns = nanoseconds(raw.get("timestamp"), "timestamp")
    tags = _tags(raw.get("tags"))
    trace_id = hex_id(raw.get("traceId"), 32, "traceId")
    span_id = hex_id(raw.get("id"), 16, "id")
    parent = hex_id(raw.get("parentId"), 16, "parentId")
    above = (str(raw.get("traceId")), str(raw.get("parentId")))
    if raw.get("shared") is True and span_id is not None:
        span_id, parent = _of_server(trace_id, span_id), span_id
    elif parent is not None and above in servers and servers[above] == _service(raw):
        parent = _of_server(trace_id, parent)
    kind = str(raw.get("kind") or "internal").lower()
    error = tags.get("error")
    failed = error is not None and str(error).lower() != "false"
    says_more = failed and str(error).lower() not in {"", "true"}
    name = raw.get("name")
    return Span(
        name=name if isinstance(name, str) else "",
        kind=kind,
        start_ns=start_ns,
        end_ns=start_ns + nanoseconds(raw.get("duration"), "duration"),
        status=STATUS_ERROR if failed else 0,
        status_message=str(error) if says_more else None,
        attributes=tags,
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=parent,
    )


def _of_server(trace_id: str | None, span_id: str) -> str:
    """Return the id of a server's side of a shared span; the same in whichever file it stands."""
    return blake2b(f"{trace_id}/{span_id}/shared".encode(), digest_size=8).hexdigest()


def _tags(raw: object) -> dict[str, Any]:
    tags = dict(raw) if isinstance(raw, dict) else {}
    for own, common in _OTHER_NAMES.items():
        if own in tags:
            tags.setdefault(common, tags.pop(own))
    return tags
