r"""nginx and Apache access logs in the combined format, with the request time at the end.

    203.0.113.7 - - [10/Oct/2026:13:55:36 +0000] "GET /users/7 HTTP/1.1" 200 612 "-" "curl/8" 0.042

nginx: ``log_format timed '$remote_addr - $remote_user [$time_local] "$request" $status '
'$body_bytes_sent "$http_referer" "$http_user_agent" $request_time';`` (seconds, with a point).
Apache: ``LogFormat "%h %l %u %t \"%r\" %>s %b \"%{Referer}i\" \\"%{User-Agent}i\\" %D"`` (whole
microseconds).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Any, BinaryIO, Final
from urllib.parse import urlsplit

import polars as pl

from evolution_lab.telemetry.naming import template_path
from evolution_lab.telemetry.reading import (
    LONGEST_LINE,
    RAW_SCHEMA,
    Chunk,
    OversizedLine,
    ReadOptions,
    Reject,
    read_lines,
)

_CHUNK_ROWS: Final = 50_000
_EXCERPT: Final = 1000
_LONGEST_TIME: Final = 9
"""Digits of a request time before the point; nanoseconds of more overflow 64 bits."""
_QUOTED: Final = r'"((?:[^"\\]|\\.)*)"'
_LINE: Final = re.compile(
    r"^(?:\S+:\d+ )?(?P<client>\S+) \S+ .*?\[(?P<time>[^\]]{20,40})\] "
    rf'"(?P<request>(?:[^"\\]|\\.)*)" (?P<status>\S+) (?P<size>\S+)'
    rf"(?: {_QUOTED} {_QUOTED})?(?P<rest>.*)$"
)
_REST_TOKEN: Final = re.compile(r"^(?:(?:rt|request_time|duration)=)?\"?(\d+(?:\.\d+)?)\"?$")
_REQUEST: Final = re.compile(r"^(?P<method>[A-Z][A-Z-]{0,19}) (?P<target>\S+)(?: HTTP/[\d.]+)?$")


class AccessLogReader:
    """Access logs of nginx and Apache: one request a line, served by this server.

    The operation is the method and the templated path; the client's address is the actor. A request
    is an error from status 500 on; 4xx is the client's error. Times have a resolution of a second:
    when nginx had answered, when Apache received the request. A last line without a line break
    waits for the next run.
    """

    name: str = "access-log"

    def recognises(self, head: bytes, file_name: str) -> bool:
        """Say whether one of the first lines is a line of an access log."""
        del file_name
        lines = head.split(b"\n")[:20]
        return any(_LINE.match(line.decode("utf-8", "replace").rstrip("\r")) for line in lines)

    def read(self, stream: BinaryIO, options: ReadOptions) -> Iterator[Chunk]:
        """Read a log, chunk by chunk."""
        rows: list[tuple[Any, ...]] = []
        rejects: list[Reject] = []
        waiting = 0
        for number, line, complete in read_lines(stream):
            if not complete:
                waiting = 1
                continue
            if isinstance(line, OversizedLine):
                reason = f"The line is longer than {LONGEST_LINE:,} bytes."
                rejects.append(Reject(number, reason, line.decode()))
                continue
            if not line.strip():
                continue
            try:
                rows.append(_row(number, line, options.service))
            except ValueError as error:
                excerpt = line[:_EXCERPT].decode("utf-8", "replace")
                rejects.append(Reject(number, str(error), excerpt))
            if len(rows) + len(rejects) >= _CHUNK_ROWS:
                yield _chunk(rows, rejects)
                rows, rejects = [], []
        if rows or rejects or waiting:
            yield _chunk(rows, rejects, waiting)


_COLUMNS: Final = (
    *("service", "operation_key", "kind", "timestamp", "duration_ns", "success", "status_code"),
    *("error_code", "actor_id", "channel", "weight", "name_source", "line", "line_hash"),
)


def _chunk(rows: list[tuple[Any, ...]], rejects: list[Reject], waiting: int = 0) -> Chunk:
    schema = {name: RAW_SCHEMA[name] for name in _COLUMNS}
    found = pl.DataFrame(rows, schema=schema, orient="row")
    empty = [pl.lit(None, dtype=t).alias(n) for n, t in RAW_SCHEMA.items() if n not in schema]
    frame = found.with_columns(empty).select(list(RAW_SCHEMA))
    return Chunk(rows=frame, rejects=tuple(rejects), waiting_lines=waiting)


def _row(number: int, line: bytes, service: str | None) -> tuple[Any, ...]:
    """Read one line.

    Raises:
        ValueError: With the reason as a sentence.
    """
    match = _LINE.match(line.decode("utf-8", "replace"))
    if match is None:
        raise ValueError("The line is not in the combined log format.")
    method, path = _request(match["request"])
    status = match["status"]
    if not (status.isdecimal() and 100 <= int(status) <= 599):
        raise ValueError("The status is not an HTTP status.")
    code = int(status)
    return (
        service,
        f"{method} {path}",
        "server",
        _time(match["time"]),
        _request_time(match["rest"]),
        code < 500,
        code,
        status if code >= 400 else None,
        None if match["client"] == "-" else match["client"],
        "rest",
        1.0,
        "derived",
        number,
        blake2b(line, digest_size=16).hexdigest(),
    )


def _request(text: str) -> tuple[str, str]:
    match = _REQUEST.match(text)
    if match is None:
        raise ValueError("The request line is not METHOD TARGET PROTOCOL.")
    return match["method"], _template(match["target"])


@lru_cache(maxsize=100_000)
def _template(target: str) -> str:
    # A proxy's log has whole URLs; a host may carry user names and is no part of the operation.
    path = target if target.startswith("/") else urlsplit(target).path or "/"
    return template_path(path)


@lru_cache(maxsize=10_000)
def _time(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%d/%b/%Y:%H:%M:%S %z").astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("The time is not of the form 10/Oct/2026:13:55:36 +0000.") from None


def _request_time(rest: str) -> int:
    for token in rest.split():
        match = _REST_TOKEN.match(token)
        if match is not None:
            seconds, point, fraction = match[1].partition(".")
            if len(seconds) > (_LONGEST_TIME if point else _LONGEST_TIME + 6):
                raise ValueError("The request time is longer than three hundred years.")
            if not point:
                return int(seconds) * 1000
            return int(seconds) * 10**9 + int(fraction[:9].ljust(9, "0"))
    raise ValueError(
        "The line has no request time; log it last: $request_time (nginx) or %D (Apache)."
    )
