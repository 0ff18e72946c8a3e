"""OTLP as JSON: one request a line as the Collector's file exporter writes it, or one document."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

import orjson

from evolution_lab.telemetry.lenient_json import parsed_json
from evolution_lab.telemetry.otlp_json_spans import attributes_of, span_of
from evolution_lab.telemetry.otlp_json_typed import TypedReader
from evolution_lab.telemetry.otlp_rows import RowCollector
from evolution_lab.telemetry.otlp_spans import Resource
from evolution_lab.telemetry.reading import Chunk, OversizedLine, ReadOptions, read_lines

LARGEST_DOCUMENT: Final = 64 << 20
"""Bytes of the largest file that is one JSON document over several lines."""
_HEAD: Final = 1 << 16
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_OTHER_SIGNALS: Final = {
    "resourceMetrics": "metrics",
    "resource_metrics": "metrics",
    "resourceLogs": "logs",
    "resource_logs": "logs",
    "resourceProfiles": "profiles",
    "resource_profiles": "profiles",
}
_ROOTS = re.compile(
    rb'"(?:resource_?(?:[sS]pans|[mM]etrics|[lL]ogs|[pP]rofiles)|scope_?[sS]pans|'
    rb'instrumentation_?[lL]ibrary_?[sS]pans)"\s*:'
)


@dataclass(frozen=True)
class OtlpJsonReader:
    """Reads OTLP JSON; spans land, other signals are refused with that reason."""

    name: str = "otlp-json"

    def recognises(self, head: bytes, file_name: str) -> bool:
        """Say whether the head is JSON that names one of OTLP's roots.

        A file of JSON lines by its name is one, too: what is in it is judged line by line.
        """
        start = head.removeprefix(_BYTE_ORDER_MARK).lstrip()
        if start[:1] not in (b"{", b"["):
            return not start and file_name.endswith((".jsonl", ".json", ".ndjson"))
        return bool(_ROOTS.search(head)) or file_name.endswith((".jsonl", ".ndjson"))

    def read(self, stream: BinaryIO, options: ReadOptions) -> Iterator[Chunk]:
        """Yield rows line by line, or from one document where the file is one."""
        head = stream.read(_HEAD).removeprefix(_BYTE_ORDER_MARK)
        if _is_begun_document(head):
            head += stream.read(LARGEST_DOCUMENT)
            collector = RowCollector(options)
            if _read_document(collector, head):
                yield collector.take()
                return
        yield from self.read_lines(stream, options, head=head)

    def read_lines(
        self, stream: BinaryIO, options: ReadOptions, *, head: bytes = b""
    ) -> Iterator[Chunk]:
        """Yield rows line by line.

        Args:
            stream: Lines of JSON.
            options: Settings.
            head: Bytes read from the stream before.
        """
        collector = RowCollector(options)
        typed = TypedReader(options.config, collector.resource, collector.columns)
        waiting = 0
        for number, line, complete in read_lines(stream, head=head):
            if isinstance(line, OversizedLine):
                collector.refuse(number, "the line is longer than 10 MB.", line)
            elif line.strip() and not typed.read(line, number, _Referral(collector, line, number)):
                waiting = _read_line(collector, number, line, complete=complete)
            if collector.full:
                yield _taken(collector, typed)
        yield _taken(collector, typed, waiting=waiting)


def _taken(collector: RowCollector, typed: TypedReader, *, waiting: int = 0) -> Chunk:
    collector.count(typed.counts())
    chunk = collector.take(waiting=waiting)
    typed.start(collector.columns)
    return chunk


@dataclass(eq=False)
class _Referral:
    """Reads single spans of a line as they stand there, whatever they lack."""

    collector: RowCollector
    line: bytes
    number: int
    _document: dict[str, Any] | None = None

    def __call__(self, at: int, scope: int, place: int) -> None:
        if self._document is None:
            self._document = parsed_json(self.line)
        group = self._document["resourceSpans"][at]
        found = group.get("resource")
        attributes = attributes_of(found.get("attributes")) if isinstance(found, dict) else {}
        span = group["scopeSpans"][scope]["spans"][place]
        _add(self.collector, span, self.collector.resource(attributes), self.number)


def _is_begun_document(head: bytes) -> bool:
    """Say whether a file begins with a line that is no JSON yet but may become some."""
    first, ended, _ = head.lstrip().partition(b"\n")
    return bool(ended) and first[:1] in (b"{", b"[") and not _is_json(first)


def _read_document(collector: RowCollector, content: bytes) -> bool:
    """Read a file as one document; return False where it is lines, the first of them broken."""
    try:
        document = parsed_json(content)
    except orjson.JSONDecodeError as error:
        lines = (line.strip() for line in content.split(b"\n"))
        if any(line[:1] == b"{" and _ROOTS.search(line) and _is_json(line) for line in lines):
            return False
        whole = len(content) < LARGEST_DOCUMENT
        reason = f"not valid JSON: {error}." if whole else "the document is larger than 64 MB."
        collector.refuse(None, reason, content)
        return True
    for request in document if isinstance(document, list) else [document]:
        read_request(collector, request, line=1)
    return True


def _read_line(collector: RowCollector, number: int, line: bytes, *, complete: bool) -> int:
    """Read one line; return 1 where it is unfinished and waits for the next landing."""
    try:
        document = parsed_json(line)
    except orjson.JSONDecodeError as error:
        if not complete:
            return 1
        collector.refuse(number, f"not valid JSON: {error}.", line)
        return 0
    for request in document if isinstance(document, list) else [document]:
        read_request(collector, request, line=number)
    return 0


def _is_json(text: bytes) -> bool:
    try:
        parsed_json(text)
    except orjson.JSONDecodeError:
        return False
    return True


def read_request(collector: RowCollector, document: object, *, line: int) -> None:
    """Add the spans of a request to the collector; a broken span refuses itself only.

    Args:
        collector: Where rows and rejects go.
        document: The parsed request; the wrappers of resource and scope may be missing.
        line: Where it stands in the source, counted from 1.
    """
    if not isinstance(document, dict):
        collector.refuse(line, "not an OTLP request: the JSON is no object.", _dump(document))
        return
    roots = _either(document, "resourceSpans", "resource_spans")
    if roots is None and _scopes(document) is not None:
        roots = [document]  # Some SDKs leave the wrapper out.
    elif roots is None and isinstance(document.get("spans"), list):
        roots = [{"scopeSpans": [document]}]
    if roots is None:
        other = next((s for name, s in _OTHER_SIGNALS.items() if name in document), None)
        reason = f"no spans: this is OTLP {other}." if other else "not an OTLP request: no spans."
        collector.refuse(line, reason, _dump(document))
        return
    for root in _objects(roots, collector, line):
        found = root.get("resource")
        attributes = attributes_of(found.get("attributes")) if isinstance(found, dict) else {}
        resource = collector.resource(attributes)
        for scope in _objects(_scopes(root), collector, line):
            for span in _objects(scope.get("spans"), collector, line):
                _add(collector, span, resource, line)


def _add(collector: RowCollector, raw: dict[str, Any], resource: Resource, line: int) -> None:
    try:
        span, hashed = span_of(raw), None
        if span.trace_id is None or span.span_id is None:
            hashed = hashlib.blake2b(_dump(raw), digest_size=16).hexdigest()
        collector.add(span, resource, line=line, line_hash=hashed)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        collector.refuse(line, f"not a span: {error}", _dump(raw))


def _scopes(root: dict[str, Any]) -> Any:
    """Return a root's list of scopes, under its present or former name."""
    found = _either(root, "scopeSpans", "scope_spans")
    if found is not None:
        return found
    return _either(root, "instrumentationLibrarySpans", "instrumentation_library_spans")


def _either(raw: dict[str, Any], name: str, other: str) -> Any:
    found = raw.get(name)
    return raw.get(other) if found is None else found


def _objects(items: object, collector: RowCollector, line: int) -> Iterator[dict[str, Any]]:
    """Yield the objects of a list; null stands for an empty one."""
    if items is None:
        return
    if not isinstance(items, list):
        collector.refuse(line, "not an OTLP request: a list is expected.", _dump(items))
        return
    for item in items:
        if isinstance(item, dict):
            yield item
        elif item is not None:
            collector.refuse(line, "not a span: no object.", _dump(item))


def _dump(value: object) -> bytes:
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except (TypeError, ValueError, RecursionError):
        return b"(cannot be shown)"
