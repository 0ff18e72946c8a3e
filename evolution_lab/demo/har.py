"""Writes exchanges as HAR 1.2, one at a time, so that a long recording needs no memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final
from urllib.parse import parse_qsl, urlsplit

import httpx
import orjson
import zstandard

SHOP_URL: Final = "http://shop.example.com"
"""The address that stands in the archive, in place of the loopback port of the day."""
_CREATOR: Final = {"name": "evolution_lab.demo", "version": "1"}
_LEVEL: Final = 19
_LEFT_OUT: Final = frozenset(
    {"accept", "accept-encoding", "connection", "content-length", "date", "host", "server"}
)


@dataclass
class HarWriter:
    """A context manager that appends exchanges to a HAR file, compressed with Zstandard.

    Attributes:
        path: The file, made anew.
        entries: Exchanges written so far.
    """

    path: Path
    entries: int = field(default=0, init=False)
    _raw: BinaryIO = field(init=False, repr=False)
    _packer: zstandard.ZstdCompressionObj = field(init=False, repr=False)

    def __enter__(self) -> HarWriter:
        self._raw = self.path.open("wb")
        self._packer = zstandard.ZstdCompressor(_LEVEL).compressobj()
        head = b'{"log":{"version":"1.2","creator":' + orjson.dumps(_CREATOR) + b',"entries":[\n'
        self._write(head)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._write(b"\n]}}\n")
        self._raw.write(self._packer.flush())
        self._raw.close()

    def add(self, answer: httpx.Response, *, started: datetime, milliseconds: float) -> None:
        """Append one exchange.

        Args:
            answer: The answer, read to its end, with its request.
            started: When the request was sent, UTC.
            milliseconds: From then until the answer was read.
        """
        if self.entries:
            self._write(b",\n")
        self._write(orjson.dumps(_entry(answer, started, milliseconds)))
        self.entries += 1

    def _write(self, text: bytes) -> None:
        self._raw.write(self._packer.compress(text))


def _entry(answer: httpx.Response, started: datetime, milliseconds: float) -> dict[str, Any]:
    took = round(milliseconds, 1)
    return {
        "startedDateTime": started.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "time": took,
        "request": _request(answer.request),
        "response": _response(answer),
        "cache": {},
        "timings": {"send": 0, "wait": took, "receive": 0},
    }


def _request(request: httpx.Request) -> dict[str, Any]:
    parts = urlsplit(str(request.url))
    query = f"?{parts.query}" if parts.query else ""
    found: dict[str, Any] = {
        "method": request.method,
        "url": f"{SHOP_URL}{parts.path}{query}",
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": _headers(request.headers),
        "queryString": [{"name": n, "value": v} for n, v in parse_qsl(parts.query)],
        "headersSize": -1,
        "bodySize": len(request.content),
    }
    if request.content:
        found["postData"] = {
            "mimeType": request.headers.get("content-type", ""),
            "text": request.content.decode(),
        }
    return found


def _response(answer: httpx.Response) -> dict[str, Any]:
    return {
        "status": answer.status_code,
        "statusText": answer.reason_phrase,
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": _headers(answer.headers),
        "content": {
            "size": len(answer.content),
            "mimeType": answer.headers.get("content-type", ""),
            "text": answer.text,
        },
        "redirectURL": "",
        "headersSize": -1,
        "bodySize": len(answer.content),
    }


def _headers(headers: httpx.Headers) -> list[dict[str, str]]:
    return [
        {"name": name, "value": value} for name, value in headers.items() if name not in _LEFT_OUT
    ]
