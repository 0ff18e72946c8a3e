"""OTLP as JSON: one request a line as the Collector's file exporter writes it, or one document."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final

import orjson
import polars as pl

from evolution_lab.schemas import TIME
from evolution_lab.telemetry.otlp_spans import COLUMNS, KINDS, Resource, Span, resource_of, span_row
from evolution_lab.telemetry.reading import (
    RAW_SCHEMA,
    Chunk,
    OversizedLine,
    ReadOptions,
    Reject,
    read_lines,
)

CHUNK_ROWS: Final = 50_000
LARGEST_DOCUMENT: Final = 64 << 20
_EXCERPT: Final = 1_000
_HEX = re.compile(r"^[0-9a-fA-F]+$")
_LIMIT: Final = 1 << 63
_OTHER_SIGNALS: Final = {
    "resourceMetrics": "metrics",
    "resourceLogs": "logs",
    "resource_metrics": "metrics",
    "resource_logs": "logs",
    "resourceProfiles": "profiles",
}
_ROOTS = re.compile(
    rb'"(resource_?[sS]pans|resource_?[mM]etrics|resource_?[lL]ogs|scope_?[sS]pans|'
    rb'instrumentation_?[lL]ibrary_?[sS]pans)"\s*:'
)


@dataclass
class RowCollector:
    """Collects raw rows and rejects until a chunk is full."""

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)

    @property
    def full(self) -> bool:
        """Whether it holds enough for a chunk."""
        return len(self.rows) + len(self.rejects) >= CHUNK_ROWS

    def refuse(self, line: int | None, reason: str, excerpt: bytes | str) -> None:
        """Note what could not be read."""
        text = excerpt[:_EXCERPT]
        shown = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        self.rejects.append(Reject(line, reason, shown))

    def take(self, *, waiting: int = 0) -> Chunk:
        """Return what was collected, and start anew."""
        chunk = Chunk(
            rows=raw_frame(self.rows),
            rejects=tuple(self.rejects),
            dropped_attributes=dict(sorted(self.dropped.items())),
            waiting_lines=waiting,
        )
        self.rows, self.rejects, self.dropped = [], [], Counter()
        return chunk


def raw_frame(rows: list[tuple[Any, ...]]) -> pl.DataFrame:
    """Lay raw rows out as a frame; ``timestamp`` comes in microseconds since the epoch."""
    columns = zip(*rows, strict=True) if rows else ([] for _ in COLUMNS)
    series = []
    for name, values in zip(COLUMNS, columns, strict=True):
        dtype = pl.Int64() if name == "timestamp" else RAW_SCHEMA[name]
        series.append(pl.Series(name, list(values), dtype=dtype))
    return pl.DataFrame(series).with_columns(
        pl.col("timestamp").cast(pl.Datetime("us")).dt.replace_time_zone("UTC").cast(TIME)
    )


@dataclass(frozen=True)
class OtlpJsonReader:
    """Reads OTLP JSON; spans land, metrics and logs are refused with that reason."""

    name: str = "otlp-json"

    def recognises(self, head: bytes, file_name: str) -> bool:
        """Say whether the head is JSON that names one of OTLP's roots."""
        start = head.lstrip()
        if start[:1] not in (b"{", b"["):
            return not start and file_name.endswith((".jsonl", ".json", ".ndjson"))
        return bool(_ROOTS.search(head)) or file_name.endswith((".jsonl", ".ndjson"))

    def read(self, stream: BinaryIO, options: ReadOptions) -> Iterator[Chunk]:
        """Yield rows line by line, or from one document where the first line is not one."""
        collector = RowCollector()
        head, lines = _lines_or_document(stream, collector, options)
        waiting = 0
        if lines:
            for number, line, complete in read_lines(stream, head=head):
                if not line.strip():
                    continue
                waiting = _read_line(collector, number, line, options, complete=complete)
                if collector.full:
                    yield collector.take()
        yield collector.take(waiting=waiting)


def _read_line(
    collector: RowCollector, number: int, line: bytes, options: ReadOptions, *, complete: bool
) -> int:
    """Read one line; return 1 where it is unfinished and waits for the next landing."""
    if isinstance(line, OversizedLine):
        collector.refuse(number, "the line is longer than 10 MB.", line)
        return 0
    try:
        document = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        if not complete:
            return 1
        collector.refuse(number, f"not valid JSON: {error}.", line)
        return 0
    read_request(collector, document, options, line=number)
    return 0


def _lines_or_document(
    stream: BinaryIO, collector: RowCollector, options: ReadOptions
) -> tuple[bytes, bool]:
    """Read a whole document if the file is one; otherwise return the bytes read and True."""
    head = stream.read(1 << 16)
    first = head.lstrip().partition(b"\n")[0].strip()
    if first[:1] not in (b"{", b"[") or _is_json(first) or len(first) >= 1 << 16:
        return head, True
    head += stream.read(LARGEST_DOCUMENT)
    try:
        document = orjson.loads(head)
    except orjson.JSONDecodeError:
        return head, True
    for request in document if isinstance(document, list) else [document]:
        read_request(collector, request, options, line=1)
    return b"", False


def _is_json(text: bytes) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def read_request(
    collector: RowCollector, document: object, options: ReadOptions, *, line: int
) -> None:
    """Add the spans of a request to the collector; a broken span refuses itself only."""
    if not isinstance(document, dict):
        collector.refuse(line, "not an OTLP request: the JSON is no object.", _dump(document))
        return
    roots = _get(document, "resourceSpans")
    if roots is None and _get(document, "scopeSpans") is not None:
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
        attributes = _attributes(found.get("attributes")) if isinstance(found, dict) else {}
        resource = resource_of(attributes, service=options.service)
        scopes = _get(root, "scopeSpans") or _get(root, "instrumentationLibrarySpans") or []
        for scope in _objects(scopes, collector, line):
            for span in _objects(scope.get("spans") or [], collector, line):
                _add(collector, span, resource, options, line)


def _add(
    collector: RowCollector,
    raw: dict[str, Any],
    resource: Resource,
    options: ReadOptions,
    line: int,
) -> None:
    try:
        span = _span(raw)
        hashed = None
        if span.trace_id is None or span.span_id is None:
            hashed = hashlib.blake2b(_dump(raw), digest_size=16).hexdigest()
        row = span_row(span, resource, options.config, line=line, line_hash=hashed)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        collector.refuse(line, f"not a span: {error}", _dump(raw))
        return
    collector.rows.append(row)
    stored = options.config.attributes
    collector.dropped.update(name for name in span.attributes if name not in stored)


def _span(raw: dict[str, Any]) -> Span:
    status = raw.get("status") or {}
    start, end = _nanos(raw, "startTimeUnixNano"), _nanos(raw, "endTimeUnixNano")
    return Span(
        name=str(raw.get("name") or ""),
        kind=_kind(raw.get("kind")),
        start_ns=start,
        end_ns=end,
        status=_status(status.get("code")),
        status_message=status.get("message") or None,
        attributes=_attributes(raw.get("attributes")),
        events=[
            (str(event.get("name") or ""), _attributes(event.get("attributes")))
            for event in raw.get("events") or ()
            if isinstance(event, dict)
        ],
        trace_id=hex_id(_get(raw, "traceId"), 16),
        span_id=hex_id(_get(raw, "spanId"), 8),
        parent_span_id=hex_id(_get(raw, "parentSpanId"), 8),
        tracestate=_get(raw, "traceState"),
    )


def hex_id(value: object, size: int) -> str | None:
    """Return an id as lower-case hexadecimal, whether it came as hexadecimal or as base64.

    OTLP JSON writes hexadecimal; some SDKs wrote base64. The length tells. All zeros means none.

    Examples:
        >>> hex_id("5B8EFFF798038103D269B633813FC60C", 16) == hex_id("W47/95gDgQPSabYzgT/GDA==", 16)
        True
    """
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise TypeError(f"an id must be text, not {type(value).__name__}.")
    if len(value) == 2 * size and _HEX.match(value):
        found = value.lower()
    elif len(value) == 4 * ((size + 2) // 3):
        try:
            found = base64.b64decode(value, validate=True).hex()
        except ValueError:
            raise ValueError(f"the id {value!r} is neither hexadecimal nor base64.") from None
        if len(found) != 2 * size:
            raise ValueError(f"the id {value!r} has {len(found) // 2} bytes, must have {size}.")
    else:
        raise ValueError(
            f"the id {value[:64]!r} has {len(value)} characters, must have {2 * size}."
        )
    return None if not found.strip("0") else found


def _nanos(raw: dict[str, Any], name: str) -> int:
    value = _get(raw, name)
    if value is None or isinstance(value, bool):
        raise ValueError(f"{name} is missing.")
    if isinstance(value, float) and not value.is_integer():
        raise ValueError(f"{name} == {value!r}, must be whole nanoseconds.")
    number = int(value)
    if not -_LIMIT <= number < _LIMIT:
        raise ValueError(f"{name} == {number}, must fit 64 bits.")
    return number


def _kind(value: object) -> str | None:
    if isinstance(value, str):
        name = value.removeprefix("SPAN_KIND_").lower()
        if name.isdecimal():
            return KINDS.get(int(name))
        return name if name in KINDS.values() else None
    return KINDS.get(value) if isinstance(value, int) else None


def _status(value: object) -> int:
    if isinstance(value, str):
        return 2 if value in {"STATUS_CODE_ERROR", "2", "ERROR"} else 0
    return value if isinstance(value, int) else 0


def _attributes(raw: object) -> dict[str, Any]:
    if not isinstance(raw, list):
        return {}
    found = {}
    for item in raw:
        if isinstance(item, dict) and isinstance(item.get("key"), str):
            value = item.get("value")
            found[item["key"]] = _value(value) if isinstance(value, dict) else value
    return found


def _value(raw: Mapping[str, Any]) -> Any:
    """Return the value of an ``AnyValue``; lists and maps as they stand."""
    for name, value in raw.items():
        if name in {"intValue", "int_value"}:
            try:
                return int(value)
            except (TypeError, ValueError):
                return None
        return value
    return None


def _get(raw: Mapping[str, Any], name: str) -> Any:
    """Return a field by its camelCase name, or by its snake_case one."""
    if name in raw:
        return raw[name]
    return raw.get(_snake(name))


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name)


def _objects(items: object, collector: RowCollector, line: int) -> Iterable[dict[str, Any]]:
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
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    except (TypeError, ValueError, RecursionError):
        return b"(cannot be shown)"
