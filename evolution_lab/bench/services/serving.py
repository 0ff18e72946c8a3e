"""Services served over real HTTP on loopback: in this process, or by Node."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from evolution_lab.bench.services.world import Request, Service

FOLDER = Path(__file__).parent


@contextmanager
def served(service: Service) -> Iterator[str]:
    """Serve a service while the context lasts; gives its base URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # an answer is two small writes: without this the second waits for an acknowledgement
        wbufsize = -1

        def _answer(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            raw = self.rfile.read(length)
            url = urlsplit(self.path)
            request = Request(
                self.command,
                url.path,
                dict(parse_qsl(url.query)),
                json.loads(raw) if raw else None,
            )
            with lock:
                status, body = service.call(request)
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = _answer  # noqa: N815 - names of the standard library

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    lock = threading.Lock()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def served_by_node(name: str, seed: int) -> Iterator[str]:
    """Serve the JavaScript form of a service; gives its base URL.

    Args:
        name: ``orders`` or ``bookings``.
        seed: Of what it draws.

    Raises:
        FileNotFoundError: Node is not on the PATH.
    """
    node = shutil.which("node")
    if node is None:
        raise FileNotFoundError("node is not on the PATH")
    command = [node, str(FOLDER / f"{name}.mjs"), str(seed)]
    process = subprocess.Popen(  # noqa: S603 - our own file
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.communicate()
