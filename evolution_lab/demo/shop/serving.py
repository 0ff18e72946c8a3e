"""Serves an ASGI application over loopback from a thread, for recordings, tests and notebooks."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from evolution_lab.errors import EvolutionLabError, InputError

_KEEP_ALIVE_SECONDS: Final = 75
"""Longer than clients keep an idle connection, so that none is closed under a request."""


@dataclass
class ServedApp:
    """A context manager within which an application answers on 127.0.0.1.

    Attributes:
        app: The application.
        port: Where it listens; 0 takes one that is free.

    Raises:
        InputError: The port is taken.
    """

    app: ASGIApp
    port: int = 0
    _socket: socket.socket = field(init=False, repr=False)
    _server: uvicorn.Server = field(init=False, repr=False)
    _thread: threading.Thread = field(init=False, repr=False)

    @property
    def url(self) -> str:
        """The address it answers at, once entered."""
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self) -> ServedApp:
        # Named TCP, or asyncio would leave Nagle's algorithm on: 40 ms for every answer.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind(("127.0.0.1", self.port))
        except OSError as error:
            self._socket.close()
            raise InputError(
                f"port == {self.port}, must be one that is free: {error.strerror}."
            ) from error
        config = uvicorn.Config(
            self.app,
            log_level="warning",
            ws="none",
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name="shop", daemon=True
        )
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise EvolutionLabError("the application does not start: see what it logged.")
            time.sleep(0.01)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()
