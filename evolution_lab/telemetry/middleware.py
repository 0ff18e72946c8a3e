"""One middleware watches a service's requests; samples, recorder and experiments listen to it."""

from __future__ import annotations

import atexit
import threading
import weakref
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from evolution_lab.config import load_config
from evolution_lab.errors import ConfigError
from evolution_lab.records import TelemetrySample
from evolution_lab.telemetry.asgi import AsgiApp, AsgiMiddleware
from evolution_lab.telemetry.exchange import (
    ChoosingListener,
    Exchange,
    ExchangeListener,
    NameHook,
    OperationHook,
    SampleHook,
)
from evolution_lab.telemetry.exchange_samples import SampleMaker, named
from evolution_lab.telemetry.forks import renew_when_forked
from evolution_lab.telemetry.hooks import HookCalls, HookThread, Loop, is_awaitable
from evolution_lab.telemetry.live_pipe import LivePipe
from evolution_lab.telemetry.observation import Observation, Protocols, RequestListener
from evolution_lab.telemetry.sample_lines import to_line
from evolution_lab.telemetry.span_claims import SpanClaims
from evolution_lab.telemetry.trace_ids import active_server_span
from evolution_lab.telemetry.wsgi import WsgiApp, WsgiMiddleware

_Told = tuple[tuple[str, ExchangeListener], ...]

_EXIT_SECONDS: Final = 3.0


@dataclass(frozen=True, kw_only=True)
class Counters:
    """What a middleware has done since its process began; nothing is lost without being counted.

    ``seen == written + duplicates + refused + dropped + lost + waiting`` where a lab directory is
    given; after ``close`` nothing waits.

    Attributes:
        seen: Samples of requests and spans.
        sent: Taken by the pipe to the writer.
        written: Added to the lake.
        duplicates: The lake had them already, from OpenTelemetry for example.
        refused: Quarantined with a reason.
        dropped: Never reached the pipe: it was full or without a writer, too many requests waited
            for hooks, or a sample could not be made.
        lost: Taken by the pipe, but the writer was killed before it had settled them. One that was
            killed between landing and saying so counts as lost what is in the lake.
        waiting: On their way: in the hooks' queue, in the pipe or in the writer.
        hook_errors: Failures of hooks and listeners by name.
    """

    seen: int = 0
    sent: int = 0
    written: int = 0
    duplicates: int = 0
    refused: int = 0
    dropped: int = 0
    lost: int = 0
    waiting: int = 0
    hook_errors: Mapping[str, int] = field(default_factory=dict)


@dataclass(eq=False, kw_only=True)
class TracingMiddleware:
    """Watches requests and hands on what it saw; made by ``create_tracing_middleware``.

    One object may wrap several applications of a process. After a fork it begins anew.
    """

    maker: SampleMaker
    pipe: LivePipe | None
    resolvers: Mapping[str, Callable[[Exchange], Any]]
    on_sample: SampleHook | None
    listeners: tuple[ExchangeListener, ...]
    keep_bodies: int
    request_listeners: tuple[RequestListener, ...] = ()
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)
    _calls: HookCalls = field(default_factory=HookCalls, init=False, repr=False)
    _thread: HookThread | None = field(default=None, init=False, repr=False)
    _generation: int = field(default=0, init=False)
    _in_hooks: int = field(default=0, init=False)
    _seen: int = field(default=0, init=False)
    _dropped: int = field(default=0, init=False)
    _claims: SpanClaims | None = field(default=None, init=False, repr=False)
    _listening: _Told = field(init=False, repr=False)
    _choosing: tuple[Callable[[Exchange], bool] | None, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._listening = tuple((_name_of(each), each) for each in self.listeners)
        self._choosing = tuple(
            each.chooses if isinstance(each, ChoosingListener) else None for each in self.listeners
        )
        renew_when_forked(self)
        atexit.register(_close_at_exit, weakref.ref(self))

    def asgi(self, app: AsgiApp) -> AsgiMiddleware:
        """Wrap an ASGI application; when the server shuts it down, what waits is landed.

        Examples:
            >>> async def app(scope, receive, send): ...
            >>> watched = create_tracing_middleware(service="shop").asgi(app)
        """
        return AsgiMiddleware(app, self)

    def wsgi(self, app: WsgiApp) -> WsgiMiddleware:
        """Wrap a WSGI application."""
        return WsgiMiddleware(app, self)

    @property
    def counters(self) -> Counters:
        """What happened to the samples of this process so far."""
        with self._lock:
            seen, dropped, waiting = self._seen, self._dropped, self._in_hooks
        errors = self._calls.errors()
        if self.pipe is None:
            return Counters(seen=seen, dropped=dropped, waiting=waiting, hook_errors=errors)
        counts = self.pipe.counts()
        return Counters(
            seen=seen,
            sent=counts.sent,
            written=counts.settled.written,
            duplicates=counts.settled.duplicates,
            refused=counts.settled.refused,
            dropped=dropped + counts.dropped,
            lost=counts.lost,
            waiting=waiting + counts.sent - counts.settled.total - counts.lost,
            hook_errors=errors,
        )

    def close(self, timeout: float = 10.0) -> Counters:
        """Finish what waits for hooks, have the writer land what it holds, and return the counts.

        A request that comes later starts everything anew.
        """
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.close(timeout)
            with self._lock:
                self._generation += 1
                self._dropped += self._in_hooks
                self._in_hooks = 0
        if self.pipe is not None:
            self.pipe.close(timeout)
        return self.counters

    def begun(
        self, protocol: Protocols, request: Mapping[str, Any], *, django: bool
    ) -> Observation:
        """Begin to watch a request; never raises, never waits.

        Args:
            protocol: ``asgi`` or ``wsgi``.
            request: The scope or the environment.
            django: Whether Django's own handler serves it.
        """
        seen = Observation(protocol, request, self.keep_bodies, django)
        try:
            seen.ids = active_server_span()
            if self._claims is not None and seen.ids is not None:
                self._claims.claim(seen.ids)
        except Exception as error:  # noqa: BLE001 - a tracer of some other make
            self.failed("looking for a span", error)
        for listener in self.request_listeners:
            try:
                listener.request_begins(seen)
            except Exception as error:  # noqa: BLE001 - the request goes on without it
                self.failed(_name_of(listener), error)
        return seen

    def finished(self, observation: Observation, loop: Loop | None = None) -> None:
        """Hand on a request whose answer has ended; never raises, never waits.

        Args:
            observation: The request.
            loop: The event loop that served it, where hooks are awaited.
        """
        with self._lock:
            self._seen += 1
        try:
            exchange = observation.exchange()
            for listener in self.request_listeners:
                try:
                    listener.request_ended(exchange)
                except Exception as error:  # noqa: BLE001 - the others are told all the same
                    self.failed(_name_of(listener), error)
            self._hand_on(exchange, loop)
        except Exception as error:  # noqa: BLE001 - the request goes on, whatever we misread
            self._unmade(error)

    def sampled(self, sample: TelemetrySample) -> None:
        """Hand on a sample that something else made, such as a span; never raises, never waits."""
        with self._lock:
            self._seen += 1
        try:
            self._hand_on(sample, None)
        except Exception as error:  # noqa: BLE001
            self._unmade(error)

    def claim_spans(self, claims: SpanClaims) -> None:
        """Tell ``claims`` from now on which spans stand for requests that are watched here."""
        self._claims = claims

    def failed(self, name: str, error: BaseException) -> None:
        """Count a failure of our own while a request was watched, and log the first of its name."""
        self._calls.failed(name, error)

    def renew(self) -> None:
        """Begin anew in a forked process."""
        self._lock = threading.Lock()
        self._calls = HookCalls()
        self._thread = None
        self._generation = self._in_hooks = self._seen = self._dropped = 0

    def _hand_on(self, seen: Exchange | TelemetrySample, loop: Loop | None) -> None:
        unsent = bool(self.resolvers) or self.on_sample is not None
        if not unsent:  # What needs no hook is sent here: it costs less than handing it over.
            self._send(seen if isinstance(seen, TelemetrySample) else self.maker.fields(seen))
        told = self._told(seen) if isinstance(seen, Exchange) else ()
        if not (unsent or told):
            return
        with self._lock:
            if self._thread is None:
                self._thread = HookThread(self._handle)
            taken = self._thread.submit((seen, self._generation, unsent, told), loop)
            self._in_hooks += taken and unsent
            self._dropped += unsent and not taken
        if not taken and isinstance(seen, Exchange):
            for _, listener in told:
                if isinstance(listener, ChoosingListener):
                    listener.passed_by(seen)

    def _told(self, exchange: Exchange) -> _Told:
        """Return which listeners are told of an exchange."""
        told = []
        for each, chooses in zip(self._listening, self._choosing, strict=True):
            try:
                if chooses is None or chooses(exchange):
                    told.append(each)
            except Exception as error:  # noqa: BLE001 - the others are told all the same
                self._calls.failed(each[0], error)
        return tuple(told)

    def _handle(self, item: Any, loop: Loop | None) -> Awaitable[None] | None:
        """Ask the resolvers; what cannot be done at once is returned, to be awaited."""
        seen, generation, unsent, told = item
        if not unsent:
            return self._tell(seen, told, loop, [])
        answers = {}
        if isinstance(seen, Exchange):
            begin = self._calls.begin
            answers = {name: begin(name, hook, seen) for name, hook in self.resolvers.items()}
            if any(map(is_awaitable, answers.values())):
                return self._resolve(seen, generation, told, answers, loop)
        return self._resolved(seen, generation, told, answers, loop)

    async def _resolve(
        self,
        exchange: Exchange,
        generation: int,
        told: _Told,
        answers: Mapping[str, Any],
        loop: Loop | None,
    ) -> None:
        known = {
            name: await self._calls.end(name, answer, loop) if is_awaitable(answer) else answer
            for name, answer in answers.items()
        }
        rest = self._resolved(exchange, generation, told, known, loop)
        if rest is not None:
            await rest

    def _resolved(
        self,
        seen: Exchange | TelemetrySample,
        generation: int,
        told: _Told,
        answers: Mapping[str, Any],
        loop: Loop | None,
    ) -> Awaitable[None] | None:
        """Send the sample, tell the listeners; return what is left to be awaited."""
        sample: TelemetrySample | Mapping[str, Any] | None
        try:
            sample = seen if isinstance(seen, TelemetrySample) else self._made(seen, answers)
        except Exception as error:  # noqa: BLE001
            self._calls.failed("making a sample", error)
            sample = None
        with self._lock:
            if generation != self._generation:
                return None
            self._in_hooks -= 1
            self._dropped += sample is None
        left = []
        if sample is not None:
            self._send(sample)
            if self.on_sample is not None:
                answer = self._calls.begin("on_sample", self.on_sample, sample)
                if is_awaitable(answer):
                    left.append(("on_sample", answer))
        return self._tell(seen, told, loop, left)

    def _tell(
        self,
        seen: Exchange | TelemetrySample,
        told: _Told,
        loop: Loop | None,
        left: list[tuple[str, Awaitable[Any]]],
    ) -> Awaitable[None] | None:
        for name, listener in told:
            answer = self._calls.begin(name, listener, seen)
            if is_awaitable(answer):
                left.append((name, answer))
        return self._await(left, loop) if left else None

    async def _await(self, left: Iterable[tuple[str, Awaitable[Any]]], loop: Loop | None) -> None:
        for name, answer in left:
            await self._calls.end(name, answer, loop)

    def _made(
        self, exchange: Exchange, answers: Mapping[str, Any]
    ) -> TelemetrySample | dict[str, Any]:
        """Return an exchange's sample; only its fields where nobody here wants more."""
        make = self.maker.fields if self.on_sample is None else self.maker.sample
        return make(
            exchange,
            operation=answers.get("resolve_operation"),
            tenant_id=named(answers.get("resolve_tenant")),
            actor_id=named(answers.get("resolve_actor")),
        )

    def _send(self, sample: TelemetrySample | Mapping[str, Any]) -> None:
        if self.pipe is None:
            return
        line = to_line(sample)
        if line is not None:
            self.pipe.send(line)
        else:
            with self._lock:
                self._dropped += 1

    def _unmade(self, error: Exception) -> None:
        self._calls.failed("making a sample", error)
        with self._lock:
            self._dropped += 1


def create_tracing_middleware(  # noqa: PLR0913 - settings, all but hooks by name
    resolve_operation: OperationHook | None = None,
    on_sample: SampleHook | None = None,
    resolve_tenant: NameHook | str | None = None,
    resolve_actor: NameHook | str | None = None,
    *,
    data: str | Path | None = None,
    service: str | None = None,
    version: str | None = None,
    environment: str | None = None,
    listeners: Iterable[ExchangeListener | RequestListener] = (),
    keep_bodies: int = 0,
    flush_seconds: float = 15.0,
) -> TracingMiddleware:
    """Return a middleware that emits a sample for each request it watches.

    Nothing it does can fail or delay a request. Requests only pass their figures on: hooks and
    listeners run in a thread of their own (what they give to await is awaited on the server's event
    loop), redaction and writing in a process of their own. What is given up on the way is counted.

    Where OpenTelemetry watches too, the sample carries the ids of its server span, so that landing
    counts the request once.

    Args:
        resolve_operation: Names the operation: an ``OperationRef``, a key, or None for method and
            route template.
        on_sample: Is given each sample, unredacted, in this process.
        resolve_tenant: Says whose request it was; or the name of the header that does, which costs
            a request far less than a hook.
        resolve_actor: Says who made it, or is the name of a header; a keyed pseudonym is stored.
        data: The lab directory that samples are landed in; without it they only go to ``on_sample``.
        service: The service's name, as its spans say it (``service.name``).
        version: The service's version.
        environment: ``production``, ``staging`` …
        listeners: Each is given each ``Exchange``, unredacted, in this process. A ``RequestListener``
            (``SpecExperimentAdapter`` is one) is told where the request is served.
        keep_bodies: Most bytes of each body that listeners get to see.
        flush_seconds: Longest time that a sample waits before it is landed.

    Raises:
        ConfigError: A number is out of range, or the lab's settings are not valid.

    Examples:
        >>> tracing = create_tracing_middleware(service="shop",
        ...     resolve_tenant="x-tenant")
        >>> tracing.counters.seen
        0
    """
    if keep_bodies < 0:
        raise ConfigError(f"keep_bodies == {keep_bodies}, must be >= 0.")
    if not flush_seconds > 0:
        raise ConfigError(f"flush_seconds == {flush_seconds}, must be > 0.")
    pipe = None
    if data is not None:
        load_config(data_dir=Path(data))  # The writer reads it again: complain here, at the start.
        pipe = LivePipe(Path(data), flush_seconds=flush_seconds)
    heard = tuple(listeners)
    resolvers = {
        "resolve_operation": resolve_operation,
        "resolve_tenant": None if isinstance(resolve_tenant, str) else resolve_tenant,
        "resolve_actor": None if isinstance(resolve_actor, str) else resolve_actor,
    }
    return TracingMiddleware(
        maker=SampleMaker(
            service,
            version,
            environment,
            tenant_header=resolve_tenant if isinstance(resolve_tenant, str) else None,
            actor_header=resolve_actor if isinstance(resolve_actor, str) else None,
        ),
        pipe=pipe,
        resolvers={name: hook for name, hook in resolvers.items() if hook is not None},
        on_sample=on_sample,
        listeners=tuple(each for each in heard if not isinstance(each, RequestListener)),
        request_listeners=tuple(each for each in heard if isinstance(each, RequestListener)),
        keep_bodies=keep_bodies,
    )


def _name_of(listener: object) -> str:
    return f"listener {getattr(listener, '__qualname__', type(listener).__qualname__)}"


def _close_at_exit(middleware: weakref.ref[TracingMiddleware]) -> None:
    """Give waiting hooks a moment; the writer lands what it holds without being waited for."""
    alive = middleware()
    if alive is not None:
        alive.close(_EXIT_SECONDS)
