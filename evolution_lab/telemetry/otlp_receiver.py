"""OTLP over HTTP: ``POST /v1/traces`` as JSON or protobuf, kept on disk before it is acknowledged.

Whatever was answered with 200 is in the spool and will be landed. Whoever sends too much at once is
asked to come again (503 with ``Retry-After``), as OTLP says.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import socket
import threading
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import orjson

from evolution_lab.errors import InputError
from evolution_lab.telemetry.locks import file_lock
from evolution_lab.telemetry.spool import SPOOL_FOLDER, SegmentKind, Spool

log = logging.getLogger(__name__)

TRACES_PATH: Final = "/v1/traces"
LARGEST_BODY: Final = 8 << 20
"""Bytes of a body, as sent and once decompressed: a line of JSON may have 10 MB in a file."""
MOST_WAITING: Final = 256 << 20
"""Bytes in the spool beyond which nothing more is taken until some are landed."""
MOST_CONNECTIONS: Final = 64
RETRY_AFTER_SECONDS: Final = 5
_IDLE_SECONDS: Final = 15.0
_BODY_SECONDS: Final = 30.0
_BLOCK: Final = 1 << 16
_JSON: Final = "application/json"
_PROTOBUF: Final = "application/x-protobuf"
_KINDS: Final[Mapping[str, SegmentKind]] = {_JSON: "jsonl", _PROTOBUF: "pb"}


@dataclass(eq=False)
class ReceiverCounts:
    """What became of requests.

    Attributes:
        accepted: Answered with 200, and kept.
        refused: Answered with 4xx.
        postponed: Answered with 503.
    """

    accepted: int = 0
    refused: int = 0
    postponed: int = 0


class _RefusedError(Exception):
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(eq=False)
class OtlpReceiver:
    """Takes spans from services and Collectors while it is started.

    Attributes:
        data_dir: The lab directory.
        host: Where to listen; a loopback address unless ``anywhere``.
        port: The port; 0 takes a free one, see ``address``.
        anywhere: Listen where other machines can reach it; whoever can may then write to the lab.
        most_waiting: Bytes in the spool beyond which senders are asked to come again.

    Raises:
        InputError: The address is not one of this machine alone, or cannot be listened on.
    """

    data_dir: Path
    host: str = "127.0.0.1"
    port: int = 4318
    anywhere: bool = False
    most_waiting: int = MOST_WAITING
    counts: ReceiverCounts = field(default_factory=ReceiverCounts, init=False)
    spool: Spool = field(init=False)

    def __post_init__(self) -> None:
        if not self.anywhere and not is_loopback(self.host):
            raise InputError(
                f"otlp == '{self.host}:{self.port}' can be reached from other machines, must be an "
                "address such as 127.0.0.1:4318 unless --otlp-anywhere is given."
            )
        self.spool = Spool(self.data_dir)
        self._held = contextlib.ExitStack()
        self._busy = 0
        self._changed = threading.Condition()
        self._stopping = False
        self._server: _Server | None = None

    @property
    def address(self) -> str:
        """Where it listens, as ``http://HOST:PORT``."""
        host, port = self._server.server_address[:2] if self._server else (self.host, self.port)
        shown = f"[{host!s}]" if ":" in str(host) else str(host)
        return f"http://{shown}:{port}"

    def start(self) -> None:
        """Listen, in threads of its own.

        Raises:
            InputError: The address cannot be listened on.
            LockedError: Another process receives for this lab.
        """
        self._held.enter_context(
            file_lock(self.data_dir / SPOOL_FOLDER / "receiver.lock", wait_seconds=1.0)
        )
        try:
            self._server = _Server(self)
        except OSError as error:
            self._held.close()
            raise InputError(
                f"otlp == '{self.host}:{self.port}' cannot be listened on: {error.strerror}."
            ) from None
        threading.Thread(
            target=self._server.serve_forever, args=(0.1,), daemon=True, name="otlp-receiver"
        ).start()

    def stop(self, timeout: float = 10.0) -> None:
        """Take no more requests; those under way are answered first. The spool stays."""
        server, self._server = self._server, None
        if server is None:
            return
        self._stopping = True
        server.shutdown()
        with self._changed:
            self._changed.wait_for(lambda: self._busy == 0, timeout)
        server.server_close()
        self._held.close()

    def take(self, path: str, headers: Message, read: Callable[[int], bytes]) -> None:
        """Keep the body of one request.

        Raises:
            _RefusedError: It cannot be taken; the status and the reason say why.
        """
        with self._changed:
            self._busy += 1
        try:
            self._take(path, headers, read)
            self.counts.accepted += 1
        except _RefusedError as refusal:
            if refusal.status == 503:
                self.counts.postponed += 1
            else:
                self.counts.refused += 1
            raise
        finally:
            with self._changed:
                self._busy -= 1
                self._changed.notify_all()

    def _take(self, path: str, headers: Message, read: Callable[[int], bytes]) -> None:
        if path.partition("?")[0] != TRACES_PATH:
            raise _RefusedError(404, f"only {TRACES_PATH} is served here: traces, no other signal.")
        media = headers.get("Content-Type", "").partition(";")[0].strip().lower()
        kind = _KINDS.get(media)
        if kind is None:
            raise _RefusedError(415, f"Content-Type must be {_JSON} or {_PROTOBUF}.")
        if self._stopping or self.spool.waiting_bytes > self.most_waiting:
            raise _RefusedError(503, "too much waits to be landed; come again.")
        body = _decoded(read(_length(headers)), headers.get("Content-Encoding", "identity"))
        line = _one_line(body) if kind == "jsonl" else _message(body)
        if not line:
            return
        try:
            self.spool.append(kind, line)
        except OSError as error:
            log.warning("a request could not be kept: %s", error.strerror)
            raise _RefusedError(503, f"cannot be kept: {error.strerror}; come again.") from None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(self, receiver: OtlpReceiver) -> None:
        self.receiver = receiver
        self._places = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self.address_family = socket.AF_INET6 if ":" in receiver.host else socket.AF_INET
        super().__init__((receiver.host, receiver.port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            with contextlib.suppress(OSError):
                request.sendall(
                    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: %d\r\n"
                    b"Content-Length: 0\r\nConnection: close\r\n\r\n" % RETRY_AFTER_SECONDS
                )
            self.receiver.counts.postponed += 1
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a connection that broke: its sender sends again."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "evolution-lab"
    sys_version = ""
    timeout = _IDLE_SECONDS
    server: _Server

    def do_POST(self) -> None:
        # A browser must not write here: it cannot send these media types without asking first.
        media = self.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        try:
            self.server.receiver.take(self.path, self.headers, self._body)
        except _RefusedError as refusal:
            # What of the body was not read would be taken for the next request.
            self.close_connection = True
            self._answer(refusal.status, media, _status(media, str(refusal)))
            return
        self._answer(200, media, b"{}" if media == _JSON else b"")

    def log_message(self, *_: Any) -> None:
        """Keep requests out of stderr: their texts are strangers'."""

    def _body(self, length: int) -> bytes:
        blocks, left = [], length
        ends = time.monotonic() + _BODY_SECONDS
        while left:
            try:
                block = self.rfile.read1(min(left, _BLOCK))
            except TimeoutError:
                raise _RefusedError(408, "the body came too slowly.") from None
            if not block:
                raise _RefusedError(400, f"the body ends {left} bytes too early.")
            if time.monotonic() > ends:
                raise _RefusedError(408, "the body came too slowly.")
            blocks.append(block)
            left -= len(block)
        return b"".join(blocks)

    def _answer(self, status: int, media: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media if media in _KINDS else "text/plain")
        self.send_header("Content-Length", str(len(body)))
        if status == 503:
            self.send_header("Retry-After", str(RETRY_AFTER_SECONDS))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)


def is_loopback(host: str) -> bool:
    """Say whether an address is reached from this machine alone.

    Examples:
        >>> is_loopback("localhost"), is_loopback("::1"), is_loopback("0.0.0.0")
        (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _length(headers: Message) -> int:
    text = headers.get("Content-Length")
    if text is None:
        raise _RefusedError(411, "Content-Length is missing.")
    if not (text.isascii() and text.isdecimal()):
        raise _RefusedError(400, "Content-Length is no number.")
    if len(text) > 12 or int(text) > LARGEST_BODY:
        raise _RefusedError(413, f"the body is larger than {LARGEST_BODY >> 20} MB.")
    return int(text)


def _decoded(body: bytes, encoding: str) -> bytes:
    if encoding.strip().lower() in {"", "identity"}:
        return body
    if encoding.strip().lower() != "gzip":
        raise _RefusedError(415, "Content-Encoding must be gzip, or none.")
    unpacking = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        plain = unpacking.decompress(body, LARGEST_BODY + 1)
    except zlib.error:
        raise _RefusedError(400, "the body is no gzip.") from None
    if len(plain) > LARGEST_BODY:
        raise _RefusedError(413, f"the body is larger than {LARGEST_BODY >> 20} MB.")
    if not unpacking.eof or unpacking.unused_data:
        raise _RefusedError(400, "the gzip ends too early, or goes on after its end.")
    return plain


def _one_line(body: bytes) -> bytes:
    """Return a request as one line of JSON, nothing where it holds no spans."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _RefusedError(400, f"not valid JSON: {error}.") from None
    if not isinstance(document, dict):
        raise _RefusedError(400, "not an OTLP request: the JSON is no object.")
    spans = document.get("resourceSpans", document.get("resource_spans"))
    if spans is None and document:
        raise _RefusedError(400, "not an OTLP request of traces: it has no resourceSpans.")
    if not isinstance(spans, list | None):
        raise _RefusedError(400, "resourceSpans is no list.")
    if not spans:
        return b""
    if b"\n" in body or b"\r" in body:
        return orjson.dumps(document)
    return body


def _message(body: bytes) -> bytes:
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

    try:
        spans = TracesData.FromString(body).resource_spans
    except DecodeError as error:
        raise _RefusedError(400, f"not an OTLP protobuf message: {error}.") from None
    if body and not spans:
        raise _RefusedError(400, "not an OTLP request of traces: it has no resource_spans.")
    return body


def _status(media: str, reason: str) -> bytes:
    """Return a ``google.rpc.Status`` with the reason, in the form that the request had."""
    if media == _JSON:
        return orjson.dumps({"code": 3, "message": reason})
    if media == _PROTOBUF:
        text = reason.encode()[:120]
        return b"\x08\x03\x12" + bytes([len(text)]) + text
    return reason.encode()
