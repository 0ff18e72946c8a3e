"""Watches the requests of a WSGI application."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from evolution_lab.telemetry.observation import Observation, Watcher, under_way
from evolution_lab.telemetry.routes import is_django_handler

Environ = dict[str, Any]
ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]
Write = Callable[[bytes], object]
StartResponse = Callable[..., Write]
WsgiApp = Callable[[Environ, StartResponse], Iterable[bytes]]


@dataclass(frozen=True, eq=False)
class WsgiMiddleware:
    """A WSGI application around another; passes everything on as it comes.

    Attributes:
        app: The application.
        watcher: Who is told.
    """

    app: WsgiApp
    watcher: Watcher
    _django: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_django", is_django_handler(self.app))

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        seen = self.watcher.begun("wsgi", environ, django=self._django)
        request = _Request(seen, self.watcher, start_response)
        if self.watcher.keep_bodies and "wsgi.input" in environ:
            environ["wsgi.input"] = _ObservedInput(environ["wsgi.input"], request)
        token = under_way.set(seen)
        try:
            answer = self.app(environ, request.start_and_see)
        except BaseException as error:
            request.end(error)
            raise
        finally:
            under_way.reset(token)
        return self._observed(answer, environ, request)

    def _observed(
        self, answer: Iterable[bytes], environ: Environ, request: _Request
    ) -> Iterable[bytes]:
        """Watch the answer being sent, unless servers treat its very type in a better way."""
        wrapper = environ.get("wsgi.file_wrapper")
        if isinstance(wrapper, type) and isinstance(answer, wrapper):
            request.seen.answer_ends()  # The server may send the file without us.
            request.end()
            return answer
        if isinstance(answer, list | tuple):
            for part in answer:  # With one part, servers add its length to the headers.
                request.see(request.seen.response_part, part)
            request.seen.answer_ends()
            request.end()
            return answer
        return _ObservedAnswer(answer, request)


@dataclass(slots=True, eq=False)
class _Request:
    seen: Observation
    watcher: Watcher
    start_response: StartResponse
    ended: bool = False

    def start_and_see(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None
    ) -> Write:
        self.see(self._begun, status, headers, exc_info)
        write = (
            self.start_response(status, headers)
            if exc_info is None
            else self.start_response(status, headers, exc_info)
        )

        def write_and_see(part: bytes) -> object:
            self.see(self.seen.response_part, part)
            return write(part)

        return write_and_see

    def see(self, note: Callable[..., None], *arguments: object) -> None:
        try:
            note(*arguments)
        except Exception as error:  # noqa: BLE001 - the answer matters more than our notes
            self.watcher.failed("watching", error)

    def end(self, error: BaseException | None = None) -> None:
        if not self.ended:
            self.ended = True
            self.seen.error = error or self.seen.error
            self.watcher.finished(self.seen)

    def _begun(self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None) -> None:
        self.seen.answer_begins(int(status[:3]), list(headers))
        if exc_info is not None:
            self.seen.error = exc_info[1]


@dataclass(slots=True, eq=False)
class _ObservedAnswer:
    """The parts of an answer on their way to the server."""

    answer: Iterable[bytes]
    request: _Request
    parts: Iterator[bytes] | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            if self.parts is None:
                self.parts = iter(self.answer)
            part = next(self.parts)
        except StopIteration:
            self.request.seen.answer_ends()
            self.request.end()
            raise
        except BaseException as error:
            self.request.end(error)
            raise
        self.request.see(self.request.seen.response_part, part)
        return part

    def close(self) -> None:
        """Close the answer, as servers do when all is sent or the client has left."""
        try:
            close = getattr(self.answer, "close", None)
            if close is not None:
                close()
        finally:
            self.request.end()


@dataclass(slots=True, eq=False)
class _ObservedInput:
    """The request's payload on its way to the application."""

    stream: Any
    request: _Request

    def read(self, *size: int) -> bytes:
        """Read as the server's stream does."""
        return self._seen(self.stream.read(*size))

    def readline(self, *size: int) -> bytes:
        """Read as the server's stream does."""
        return self._seen(self.stream.readline(*size))

    def readlines(self, *hint: int) -> list[bytes]:
        """Read as the server's stream does."""
        return [self._seen(line) for line in self.stream.readlines(*hint)]

    def __iter__(self) -> Iterator[bytes]:
        return map(self._seen, self.stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def _seen(self, part: bytes) -> bytes:
        self.request.see(self.request.seen.request_part, part)
        return part
