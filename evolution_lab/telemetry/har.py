"""HTTP archives (HAR 1.2), as browsers and proxies save them: one request an entry.

Only what tells who was asked, when, for how long and how it ended is taken; headers, cookies and
bodies are not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, BinaryIO, Final
from urllib.parse import urlsplit

import polars as pl

from evolution_lab.telemetry.json_documents import BYTE_ORDER_MARK, JsonValues
from evolution_lab.telemetry.naming import shortened, template_path
from evolution_lab.telemetry.reading import RAW_SCHEMA, Chunk, ReadOptions, Reject
from evolution_lab.telemetry.span_values import dumped

_ENTRIES = re.compile(rb'(?<!\\)"entries"\s*:\s*\[')
_LOG = re.compile(rb'^\{\s*"log"\s*:\s*\{')
_METHOD = re.compile(r"[A-Za-z][A-Za-z-]{0,19}")
_CHUNK_ROWS: Final = 50_000
_EXCERPT: Final = 1_000
_LONGEST_NAME: Final = 300
_LARGEST_32: Final = (1 << 31) - 1
_LARGEST_64: Final = (1 << 63) - 1
_COLUMNS: Final = (
    *("service", "operation_key", "timestamp", "duration_ns", "success", "status_code"),
    *("error_code", "channel", "payload_bytes", "weight", "name_source", "line", "line_hash"),
)


@dataclass(frozen=True)
class HarReader:
    """Reads HTTP archives; a broken entry refuses itself only.

    The operation is the method and the templated path, the service the host unless one is named.
    An archive does not say on which side it was written: rows have no kind, and 4xx is the client's
    error. A request that got no answer failed where the archive says why; otherwise its outcome is
    unknown. ``line`` counts entries from 1.
    """

    name: str = "har"

    def recognises(self, head: bytes, file_name: str) -> bool:
        """Say whether the head is the beginning of an archive."""
        start = head.removeprefix(BYTE_ORDER_MARK).lstrip()
        if not _LOG.match(start):
            return False
        return bool(_ENTRIES.search(head)) or file_name.lower().endswith(".har")

    def read(self, stream: BinaryIO, options: ReadOptions) -> Iterator[Chunk]:
        """Yield the entries in their order."""
        found = _Found(options.service)
        for value, line in JsonValues(stream, found.refuse, _ENTRIES):
            for entry in _entries(value):
                found.add(entry, line)
                if len(found.rows) + len(found.rejects) >= _CHUNK_ROWS:
                    yield found.take()
        yield found.take()


def _entries(value: Any) -> list[Any]:
    """Return the entries of a part, which is an entry or, on one line, a whole archive."""
    log = value.get("log") if isinstance(value, dict) else None
    entries = log.get("entries") if isinstance(log, dict) else None
    return entries if isinstance(entries, list) else [value]


@dataclass
class _Found:
    """Rows and rejects until a chunk is full."""

    service: str | None
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    number: int = 0

    def add(self, entry: object, line: int | None) -> None:
        del line  # Entries are counted, however the file is broken into lines.
        self.number += 1
        try:
            self.rows.append(_row(entry, self.number, self.service))
        except (ValueError, TypeError, AttributeError, OverflowError) as error:
            self.refuse(self.number, f"not an entry: {error}", dumped(_identity(entry)))

    def refuse(self, line: int | None, reason: str, excerpt: bytes) -> None:
        shown = excerpt[:_EXCERPT].decode("utf-8", "replace")
        self.rejects.append(Reject(line, reason, shown))

    def take(self) -> Chunk:
        schema = {name: RAW_SCHEMA[name] for name in _COLUMNS}
        frame = pl.DataFrame(self.rows, schema=schema, orient="row")
        absent = [pl.lit(None, dtype=t).alias(n) for n, t in RAW_SCHEMA.items() if n not in schema]
        chunk = Chunk(
            rows=frame.with_columns(absent).select(list(RAW_SCHEMA)), rejects=tuple(self.rejects)
        )
        self.rows, self.rejects = [], []
        return chunk


def _row(entry: object, number: int, service: str | None) -> tuple[Any, ...]:
    """Read one entry.

    Raises:
        ValueError: With the reason as a sentence.
    """
    if not isinstance(entry, dict):
        raise ValueError("no object.")  # noqa: TRY004 - a reason, as the others
    request, response = entry.get("request"), entry.get("response")
    if not isinstance(request, dict):
        raise ValueError("it has no request.")  # noqa: TRY004
    method, url = str(request.get("method", "")), request.get("url")
    if not _METHOD.fullmatch(method):
        raise ValueError(f"method == {method[:50]!r}, must be a word.")
    if not isinstance(url, str) or not url:
        raise ValueError("it has no URL.")
    host = urlsplit(url).hostname
    time = _number(entry.get("time"), "time")
    status = response.get("status") if isinstance(response, dict) else None
    code = _whole(status, _LARGEST_32) or None
    said = response.get("_error") if isinstance(response, dict) else None
    error = str(code) if code is not None and code >= 400 else None
    if code is None and said:
        error = shortened(str(said), _LONGEST_NAME)
    return (
        service or host,
        f"{method.upper()} {template_path(url)}",
        _time(entry.get("startedDateTime")),
        round(time * 1_000_000),
        code < 500 if code is not None else False if error else None,
        code,
        error,
        "rest",
        _whole(request.get("bodySize"), _LARGEST_64),
        1.0,
        "derived",
        number,
        blake2b(dumped(_identity(entry)), digest_size=16).hexdigest(),
    )


def _identity(entry: object) -> list[object]:
    """Return what tells an entry from others: no header, cookie or body."""
    found = entry if isinstance(entry, dict) else {}
    request, response = found.get("request"), found.get("response")
    asked = request if isinstance(request, dict) else {}
    said = response.get("status") if isinstance(response, dict) else None
    return [
        found.get("startedDateTime"),
        asked.get("method"),
        asked.get("url"),
        found.get("time"),
        said,
    ]


def _whole(value: object, largest: int) -> int | None:
    """Return a whole number between 0 and the largest; what is none, such as -1, is unknown."""
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= largest else None


def _number(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{name} == {str(value)[:50]!r}, must be milliseconds.")  # noqa: TRY004
    if not abs(value) < 1e12:
        raise ValueError(
            f"{name} == {str(value)[:50]}, must be milliseconds of less than 30 years."
        )
    return float(value)


def _time(value: object) -> datetime:
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise ValueError(
            f"startedDateTime == {str(value)[:50]!r}, must be a time in ISO 8601 with its zone."
        )
    return found.astimezone(UTC)
