"""What a snapshot of HTTP is: a request and its answer as JSON, without what identifies a client.

Middleware, proxy and imports all make their snapshots here, so that equal traffic gives equal input
and output, wherever it was recorded.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

import zstandard

from evolution_lab.errors import ConfigError, InputError
from evolution_lab.golden.suite import content_id
from evolution_lab.records import OperationRef, TrafficSnapshot

REQUEST_HEADERS: Final = frozenset(
    {
        "accept",
        "accept-language",
        "content-type",
        "if-match",
        "if-none-match",
        "prefer",
        "range",
    }
)
RESPONSE_HEADERS: Final = frozenset(
    {
        "allow",
        "cache-control",
        "content-language",
        "content-range",
        "content-type",
        "link",
        "location",
        "retry-after",
        "vary",
    }
)
NEVER_KEPT: Final = frozenset(
    {
        "authorization",
        "cookie",
        "proxy-authorization",
        "set-cookie",
        "x-api-key",
        "x-auth-token",
        "x-csrf-token",
    }
)
"""Headers that are credentials: no allow-list lets them through."""

LARGEST_BODY: Final = 256 * 1024
"""Bytes of a body beyond which a call is not recorded: half a payload tests nothing."""
_JSON_TYPE: Final = re.compile(r"^[^;]*[/+]json\b", re.IGNORECASE)
_CHARSET: Final = re.compile(r"charset=[\"']?([\w.:-]{1,40})", re.IGNORECASE)


class UnrecordableError(InputError):
    """A call that no golden test could be made of; ``reason`` is one word for the count."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


@dataclass(frozen=True, kw_only=True)
class HeaderList:
    """Names of headers that are kept, in lower case.

    Attributes:
        request: Of requests.
        response: Of answers.

    Raises:
        ConfigError: One of them is a credential.

    Examples:
        >>> HeaderList.with_more("X-Plan").request >= {"x-plan", "accept"}
        True
    """

    request: frozenset[str] = REQUEST_HEADERS
    response: frozenset[str] = RESPONSE_HEADERS

    def __post_init__(self) -> None:
        credentials = sorted((self.request | self.response) & NEVER_KEPT)
        if credentials:
            raise ConfigError(f"header {credentials[0]!r} is a credential, must not be recorded.")

    @classmethod
    def with_more(cls, *names: str) -> HeaderList:
        """Return the default list with more names, for requests and answers alike."""
        more = {name.lower() for name in names}
        return cls(request=REQUEST_HEADERS | more, response=RESPONSE_HEADERS | more)


@dataclass(frozen=True, kw_only=True)
class HttpCall:
    """One request and its answer, as they were on the wire.

    Attributes:
        method: ``GET``, ``POST`` …
        path: Percent escapes decoded, without the query.
        query: As the client sent it, without the question mark.
        request_headers: Names in any case.
        request_body: Empty for none.
        status: Status of the answer.
        response_headers: Names in any case.
        response_body: Empty for none.
    """

    method: str
    path: str
    query: str = ""
    request_headers: Iterable[tuple[str, str]] = ()
    request_body: bytes = b""
    status: int
    response_headers: Iterable[tuple[str, str]] = ()
    response_body: bytes = b""

    def input(self, headers: HeaderList) -> dict[str, Any]:
        """Return ``{path, query, headers, body}``.

        Raises:
            UnrecordableError: The body is binary, or larger than ``LARGEST_BODY``.
        """
        given = _lower(self.request_headers)
        return {
            "path": self.path,
            "query": query_object(self.query),
            "headers": _allowed(given, headers.request),
            "body": body_value(self.request_body, given),
        }

    def output(self, headers: HeaderList) -> dict[str, Any]:
        """Return ``{status, headers, body}``.

        Raises:
            UnrecordableError: The body is binary, or larger than ``LARGEST_BODY``.
        """
        given = _lower(self.response_headers)
        return {
            "status": self.status,
            "headers": _allowed(given, headers.response),
            "body": body_value(self.response_body, given),
        }


def http_snapshot(  # noqa: PLR0913 - what is known of a call, all by name
    call: HttpCall,
    *,
    operation: OperationRef,
    timestamp: datetime,
    duration_ms: float | None = None,
    headers: HeaderList | None = None,
    metadata: Mapping[str, Any] | None = None,
    id: str | None = None,  # noqa: A002 - what it is
    sample_rate: float = 1.0,
    tenant_id: str | None = None,
    user_id: str | None = None,
) -> TrafficSnapshot:
    """Return the snapshot of an HTTP call.

    Args:
        call: What was on the wire.
        operation: Its operation.
        timestamp: When it began; aware.
        duration_ms: How long it took.
        headers: Which headers are kept.
        metadata: Anything else; the method is added.
        id: Its id; a hash of its content and time unless given.
        sample_rate: Share of such calls that were recorded.
        tenant_id: Whose data it is about.
        user_id: Who called.

    Raises:
        UnrecordableError: A body is binary or too large.

    Examples:
        >>> from datetime import UTC
        >>> call = HttpCall(method="GET", path="/carts/7", query="full=1", status=200,
        ...     response_headers=[("Content-Type", "application/json"), ("Date", "today")],
        ...     response_body=b'{"items": []}')
        >>> made = http_snapshot(call, operation=OperationRef("GET /carts/{id}"),
        ...     timestamp=datetime(2026, 1, 1, tzinfo=UTC))
        >>> made.input["query"], made.output["headers"], made.output["body"]
        ({'full': '1'}, {'content-type': 'application/json'}, {'items': []})
    """
    kept = headers or HeaderList()
    sent, got = call.input(kept), call.output(kept)
    name = id or content_id(
        f"{operation} {call.method} {timestamp.isoformat()}", [sent, got], "http", length=32
    )
    return TrafficSnapshot(
        id=name,
        operation=operation,
        input=sent,
        output=got,
        success=call.status < 500,
        timestamp=timestamp,
        duration_ms=duration_ms,
        tenant_id=tenant_id,
        user_id=user_id,
        channel="rest",
        metadata={"method": call.method, **(metadata or {})},
        sample_rate=sample_rate,
    )


def query_object(query: str) -> dict[str, Any]:
    """Return a query string as an object: texts, lists of texts where a name repeats.

    Examples:
        >>> query_object("page=2&tag=a&tag=b&empty=")
        {'page': '2', 'tag': ['a', 'b'], 'empty': ''}
    """
    return _grouped(parse_qsl(query, keep_blank_values=True))


def body_value(body: bytes, headers: Iterable[tuple[str, str]]) -> Any:
    """Return a body as a JSON value: None of none, the value of JSON, text of text.

    Compressed bodies are unpacked first.

    Args:
        body: As it was sent.
        headers: Of the same message, names in lower case.

    Raises:
        UnrecordableError: It is binary, damaged, or larger than ``LARGEST_BODY``.

    Examples:
        >>> body_value(b'{"a": 1}', [("content-type", "application/problem+json")])
        {'a': 1}
        >>> body_value(b"hello", [("content-type", "text/plain")])
        'hello'
    """
    if not body:
        return None
    found = dict(headers)
    plain = unpacked(body, found.get("content-encoding", ""))
    if len(plain) > LARGEST_BODY:
        raise UnrecordableError(
            "large", f"a body of {len(plain)} bytes, must have at most {LARGEST_BODY}."
        )
    if not plain:
        return None
    kind = found.get("content-type", "")
    if _JSON_TYPE.match(kind) or not kind:
        try:
            return json.loads(plain)
        except (ValueError, RecursionError):
            pass  # What calls itself JSON and is none is kept as the text it is.
    charset = _CHARSET.search(kind)
    try:
        text = plain.decode(charset[1] if charset else "utf-8")
    except (UnicodeDecodeError, LookupError):
        text = "\x00"
    if "\x00" in text:
        raise UnrecordableError("binary", f"a body of type {kind[:80]!r} is binary, must be text.")
    return text


def unpacked(body: bytes, encoding: str) -> bytes:
    """Return a body without its ``Content-Encoding``, at most one byte more than is recorded.

    Raises:
        UnrecordableError: The encoding is not known, or the body is damaged.
    """
    for name in reversed([part.strip().lower() for part in encoding.split(",") if part.strip()]):
        try:
            body = _unpacked_once(body, name)
        except (zlib.error, zstandard.ZstdError) as error:
            raise UnrecordableError("damaged", f"a {name} body is damaged: {error}.") from error
    return body


def decoded_base64(text: str) -> bytes:
    """Return the bytes behind base64 text.

    Raises:
        UnrecordableError: It is no base64.
    """
    try:
        return base64.b64decode(text, validate=False)
    except ValueError as error:
        raise UnrecordableError("damaged", f"a base64 body is damaged: {error}.") from error


def split_target(target: str) -> tuple[str, str]:
    """Return the decoded path and the query of a URL or of a request's target.

    Examples:
        >>> split_target("https://api.example.com/a%20b/c?x=1#top")
        ('/a b/c', 'x=1')
    """
    rest = target.split("#", 1)[0]
    if "://" in rest[:16]:
        _, _, rest = rest.partition("://")
        host, slash, rest = rest.partition("/")
        if not slash:
            _, _, query = host.partition("?")
            return "/", query
        rest = f"/{rest}"
    path, _, query = rest.partition("?")
    return unquote(path) or "/", query


def _unpacked_once(body: bytes, name: str) -> bytes:
    limit = LARGEST_BODY + 1  # A few bytes may unpack to gigabytes.
    if name in {"gzip", "x-gzip"}:
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(body, limit)
    if name == "deflate":
        try:
            return zlib.decompressobj().decompress(body, limit)
        except zlib.error:  # Some servers send it without the zlib header.
            return zlib.decompressobj(-zlib.MAX_WBITS).decompress(body, limit)
    if name == "zstd":
        with zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(body) as reader:
            return bytes(reader.read(limit))
    if name == "identity":
        return body
    raise UnrecordableError(
        "encoding", f"content-encoding == {name[:40]!r}, must be gzip, deflate or zstd."
    )


def _lower(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(name.lower(), value) for name, value in headers]


def _allowed(headers: Iterable[tuple[str, str]], names: frozenset[str]) -> dict[str, Any]:
    kept = sorted((name, value) for name, value in headers if name in names)
    return {name: ", ".join(_list(values)) for name, values in _grouped(kept).items()}


def _list(values: Any) -> list[str]:
    return values if isinstance(values, list) else [values]


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name not in found:
            found[name] = value
        elif isinstance(found[name], list):
            found[name].append(value)
        else:
            found[name] = [found[name], value]
    return found
