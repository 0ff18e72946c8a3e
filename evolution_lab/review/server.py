"""The panel as a page of this machine, on the standard library's server.

Whoever opens it needs the token that its address carries behind the ``#``, which no server and no log
sees. Requests from other pages, for other hosts, too large or of other methods are refused before
anything is read.
"""

from __future__ import annotations

import json
import secrets
import threading
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Final
from urllib.parse import urlsplit

from evolution_lab.errors import ConfigError
from evolution_lab.review.board import ReviewBoard

LARGEST_MESSAGE: Final = 65_536
_SECONDS: Final = 20.0
_ASSETS: Final = Path(__file__).parent / "assets"
_FILES: Final = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/panel.js": ("panel.js", "text/javascript; charset=utf-8"),
    "/panel.css": ("panel.css", "text/css; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
}
_HEADERS: Final = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src "
    "'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


@dataclass
class ReviewServer:
    """Serves the panel until it is closed.

    Attributes:
        board: What the page shows and who decides.
        host: Where it listens.
        port: Port; 0 takes any that is free.
        user_header: Name of the header in which a sign-in in front of this server says who asks.
            It is trusted: nothing but that sign-in may reach this server. None takes the board's
            reviewer, and the token.
        public_host: ``HOST:PORT`` under which the sign-in is reached; its requests carry it.

    Examples:
        >>> from evolution_lab.approval import (
        ...     InMemorySpecSuggestionRepository, SpecSuggestionOrchestrator)
        >>> board = ReviewBoard(SpecSuggestionOrchestrator(InMemorySpecSuggestionRepository()))
        >>> with ReviewServer(board) as server:
        ...     server.url.startswith("http://127.0.0.1:"), "#token=" in server.url
        (True, True)
    """

    board: ReviewBoard
    host: str = "127.0.0.1"
    port: int = 0
    user_header: str | None = None
    public_host: str | None = None
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)

    def __post_init__(self) -> None:
        self._server = _Server((self.host, self.port), _Handler)
        self._server.review = self
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where the page is, with its token."""
        return f"http://{self.address}/#token={self.token}"

    @property
    def address(self) -> str:
        """Host and port it listens on."""
        return f"{self.host}:{self._server.server_port}"

    def hosts(self) -> frozenset[str]:
        """Values of ``Host`` that are answered."""
        port = self._server.server_port
        named = {self.address, f"localhost:{port}", f"127.0.0.1:{port}"}
        return frozenset(named | ({self.public_host} if self.public_host else set()))

    def start(self) -> ReviewServer:
        """Serve in the background."""
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)
        self._thread.start()
        return self

    def serve(self) -> None:
        """Serve until interrupted."""
        try:
            self._server.serve_forever(0.2)
        finally:
            self._server.server_close()

    def close(self) -> None:
        """Stop serving."""
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def __enter__(self) -> ReviewServer:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    review: ReviewServer


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    server_version = "evolution-lab"
    sys_version = ""
    timeout = _SECONDS

    def do_GET(self) -> None:
        """Send one of the page's own files."""
        if not self._is_for_us():
            return
        asset = _FILES.get(urlsplit(self.path).path)
        if asset is None:
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such page")
            return
        name, content_type = asset
        self._send(HTTPStatus.OK, (_ASSETS / name).read_bytes(), content_type)

    def do_POST(self) -> None:
        """Answer one message of the panel."""
        review = self.server.review
        if not self._is_for_us():
            return
        if urlsplit(self.path).path != "/api":
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such page")
            return
        origin = self.headers.get("origin")
        if origin is not None and urlsplit(origin).netloc not in review.hosts():
            self._refuse(HTTPStatus.FORBIDDEN, "another page may not ask")
            return
        given = self.headers.get("x-review-token") or ""
        if review.user_header is None and not secrets.compare_digest(
            given.encode(), review.token.encode()
        ):
            self._refuse(
                HTTPStatus.UNAUTHORIZED, "the token is missing or wrong: open the address anew"
            )
            return
        length = self.headers.get("content-length") or ""
        if not length.isdecimal() or self.headers.get("transfer-encoding"):
            self._refuse(HTTPStatus.LENGTH_REQUIRED, "a message says how long it is")
            return
        if int(length) > LARGEST_MESSAGE:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "a message has at most 64 KB")
            return
        if (self.headers.get("content-type") or "").partition(";")[0] != "application/json":
            self._refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "a message is JSON")
            return
        self._answer(self.rfile.read(int(length)))

    def _answer(self, raw: bytes) -> None:
        review = self.server.review
        reviewer = None
        if review.user_header is not None:
            reviewer = (self.headers.get(review.user_header) or "").strip()
            if not reviewer:
                self._refuse(HTTPStatus.UNAUTHORIZED, f"{review.user_header} does not say who asks")
                return
        try:
            message = json.loads(raw)
        except (ValueError, RecursionError):
            self._refuse(HTTPStatus.BAD_REQUEST, "a message is JSON")
            return
        self._json(HTTPStatus.OK, review.board.handle(message, reviewer=reviewer))

    def _is_for_us(self) -> bool:
        """Refuse what was sent to another name: a page that points its own name at this machine."""
        if self.headers.get("host") in self.server.review.hosts():
            return True
        self._refuse(HTTPStatus.MISDIRECTED_REQUEST, "this host is not served here")
        return False

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        self.close_connection = True  # what was sent beyond is not read
        self._json(status, {"kind": "error", "error": f"{why}."})

    def _json(self, status: HTTPStatus, document: dict[str, Any]) -> None:
        content = json.dumps(document, ensure_ascii=True).encode()
        self._send(status, content, "application/json")

    def _send(self, status: HTTPStatus, content: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(content)))
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing: requests of a page of one person are no news."""


def listen_address(text: str) -> tuple[str, int]:
    """Return host and port of ``--listen``.

    Raises:
        ConfigError: It is no ``HOST:PORT``.

    Examples:
        >>> listen_address("0.0.0.0:8080")
        ('0.0.0.0', 8080)
    """
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65_535:
        raise ConfigError(f"listen == {text!r}, must be HOST:PORT.")
    return host, int(port)
