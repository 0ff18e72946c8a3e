"""``TrafficRecorder``: records a small share of production's calls, and never gets in their way."""

from __future__ import annotations

import atexit
import itertools
import logging
import random
import secrets
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal

from evolution_lab.config import load_config
from evolution_lab.contracts.registry import ExecutedCall
from evolution_lab.errors import ConfigError
from evolution_lab.golden.http_snapshots import LARGEST_BODY, HeaderList
from evolution_lab.golden.recorder_counts import Choice, RecorderCounts
from evolution_lab.golden.recorder_queue import FrameQueue
from evolution_lab.golden.recorder_sinks import Sink, StoreSink, WriterSink
from evolution_lab.golden.reservoir import RESERVED, Reservoir
from evolution_lab.golden.sampling import checked_rate, first_share, share_of
from evolution_lab.golden.snapshot_frames import packed
from evolution_lab.golden.snapshot_sanitising import (
    Sanitize,
    SnapshotSanitiser,
    SnapshotSettler,
    sanitize_name,
)
from evolution_lab.golden.store import TrafficStore
from evolution_lab.records import OperationRef
from evolution_lab.records.telemetry import Channel
from evolution_lab.redaction import LabKey
from evolution_lab.telemetry import Exchange
from evolution_lab.telemetry.exchange_samples import SampleMaker, named
from evolution_lab.telemetry.forks import renew_when_forked

log = logging.getLogger(__name__)

ExchangeName = Callable[[Exchange], str | None] | str
SampleBy = Literal["trace", "session"]

_SHARE_BITS: Final = 56
_EXIT_SECONDS: Final = 3.0
_SHAPED: Final = 32
_KEY_BYTES: Final = 32


class TrafficRecorder:
    """Records calls for golden tests.

    Hang it into the middleware that watches a service (``listeners=[recorder]``, ``keep_bodies=
    recorder.keep_bodies``), into a registry of operations (``registry.on_call(recorder.executed)``),
    or call ``record`` yourself. The request path only serialises: sanitising and writing happen in a
    process of its own (with ``data``), or in a thread (with ``store``). What cannot keep up is dropped
    and counted; nothing here raises into a call.

    Calls are chosen by their trace, so that the parts of one trace are recorded together, by every
    service at the same rate. A fifth of the rate is kept back for errors and rare outcomes, which so
    small a share would never hold; the whole stays within the rate (and one). Each snapshot carries
    the rate at which calls like it were recorded.

    Args:
        data: The lab directory to write into.
        store: A store to write to instead, in this process.
        sample_rate: Share of calls, fraction; the lab's ``traffic_sample_rate`` (0.05) for None.
        allow_more_than_5_percent: Why a higher rate is wanted, in words.
        service: Name of the service.
        version: Its version.
        sanitize: Called with each snapshot before anything else: returns it as it may be stored, None
            for not at all. With ``data`` a function that can be imported, or its name,
            ``module:function``.
        headers: Which headers are kept.
        sample_by: ``session`` chooses whole sessions where one is known, so that what is created in
            one request and read in the next is recorded together.
        resolve_operation: Names an exchange's operation; method and route template for None.
        resolve_tenant: Says whose data an exchange is about; or the name of the header that does, as
            for those that follow.
        resolve_user: Says who called; a pseudonym is what is stored.
        resolve_session: Says which session an exchange belongs to; a pseudonym is what is stored.
        flush_seconds: Longest time that a call waits in the writer.

    Raises:
        ConfigError: Neither or both of ``data`` and ``store``; a rate above 5 % without a reason; a
            sanitiser that the writer cannot import.

    Examples:
        >>> from evolution_lab.golden import InMemoryTrafficStore
        >>> store = InMemoryTrafficStore()
        >>> recorder = TrafficRecorder(store=store, sample_rate=1.0, service="shop",
        ...     allow_more_than_5_percent="an example")
        >>> recorder.record("cart.add", {"sku": "A-1"}, output={"added": 1}, trace_id="t-1")
        True
        >>> counts = recorder.close()
        >>> counts.seen, counts.written, [s.operation.key for s in store.snapshots()]
        (1, 1, ['cart.add'])
    """

    def __init__(  # noqa: PLR0913 - settings, all by name
        self,
        *,
        data: str | Path | None = None,
        store: TrafficStore | None = None,
        sample_rate: float | None = None,
        allow_more_than_5_percent: str | None = None,
        service: str | None = None,
        version: str | None = None,
        sanitize: Sanitize | str | None = None,
        headers: HeaderList | None = None,
        sample_by: SampleBy = "trace",
        resolve_operation: Callable[[Exchange], OperationRef | str | None] | None = None,
        resolve_tenant: ExchangeName | None = None,
        resolve_user: ExchangeName | None = None,
        resolve_session: ExchangeName | None = None,
        flush_seconds: float = 15.0,
    ) -> None:
        if (data is None) == (store is None):
            raise ConfigError("TrafficRecorder needs data (a lab directory) or store, one of them.")
        if sample_by not in {"trace", "session"}:
            raise ConfigError(f"sample_by == {sample_by!r}, must be 'trace' or 'session'.")
        if sample_rate is None:
            sample_rate = load_config(
                data_dir=None if data is None else Path(data)
            ).traffic_sample_rate
        self.sample_rate = checked_rate(sample_rate, allow_more_than_5_percent)
        self.sample_by = sample_by
        self._service, self._version = service, version
        self._maker = SampleMaker(service, version)
        self._resolve_operation = resolve_operation
        # What asks a user's function is asked in the thread that may wait for it.
        by_function = sample_by == "session" and callable(resolve_session)
        self._chooses_at_once = resolve_operation is None and not by_function
        self._note = f"{__name__}.{secrets.token_hex(4)}"
        self._resolve: dict[str, ExchangeName | None] = {
            "tenant": resolve_tenant,
            "user": resolve_user,
            "session": resolve_session,
        }
        kept = headers or HeaderList()
        self._sink: Sink
        if data is not None:
            name = sanitize_name(sanitize)
            self._sink = WriterSink(Path(data), name, kept, flush_seconds)
        else:
            assert store is not None
            function = sanitize if callable(sanitize) else None
            if isinstance(sanitize, str):
                raise ConfigError(f"sanitize == {sanitize!r}, must be a function with a store.")
            sanitiser = SnapshotSanitiser(LabKey(secrets.token_bytes(_KEY_BYTES)))
            self._sink = StoreSink(SnapshotSettler(store, sanitiser, function, kept))
        self._queue = FrameQueue(self._sink.take)
        reserved = min(self.sample_rate * RESERVED, 1 - self.sample_rate)
        self._rate = self.sample_rate - reserved
        self._first_share = first_share(self._rate)
        self._reserved = reserved
        self._begin()
        renew_when_forked(self)
        atexit.register(_close_at_exit, weakref.ref(self))

    @property
    def keep_bodies(self) -> int:
        """Bytes of bodies that the middleware must keep for this recorder."""
        return LARGEST_BODY + 1

    @property
    def counts(self) -> RecorderCounts:
        """What happened to the calls of this process so far."""
        sink = self._sink.counts()
        with self._lock:
            chosen = Counter(self._chosen)
            seen, dropped = self._reservoir.calls + self._unchosen, Counter(self._dropped)
            operations = self._reservoir.seen_by_operation()
        if sink.dropped:
            dropped["no-writer"] += sink.dropped
        total = chosen.total()
        settled = sink.settled
        done = settled.total + sink.lost + dropped.total()
        return RecorderCounts(
            seen=seen,
            unsampled=seen - total,
            sampled=chosen["sampled"],
            kept_errors=chosen["error"],
            kept_rare=chosen["rare"],
            dropped=dict(sorted(dropped.items())),
            written=settled.written,
            duplicates=settled.duplicates,
            refused=settled.refused,
            lost=sink.lost,
            waiting=total - done,
            operations=operations,
        )

    def record(  # noqa: PLR0913 - what is known of a call, all but the call itself by name
        self,
        operation: str | OperationRef,
        input: Any,  # noqa: A002 - what it is
        *,
        output: Any = None,
        error: BaseException | None = None,
        success: bool | None = None,
        trace_id: str | None = None,
        session_id: str | None = None,
        tenant_id: str | None = None,
        user_id: str | None = None,
        channel: Channel | None = None,
        started_ns: int | None = None,
        duration_ms: float | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> bool:
        """Record a call, if it is chosen; never raises, never waits.

        Args:
            operation: Its key, or the whole ref.
            input: What went in, a JSON value.
            output: What came out, a JSON value.
            error: What it failed with instead.
            success: Whether it succeeded; that there is no error, for None.
            trace_id: Chooses; calls without one are chosen by chance.
            session_id: Links calls; chooses where ``sample_by`` says so.
            tenant_id: Whose data it is about.
            user_id: Who called.
            channel: How the call came in.
            started_ns: When it began, nanoseconds since the epoch; now less ``duration_ms`` for None.
            duration_ms: How long it took.
            metadata: Anything else, JSON values by name.

        Returns:
            Whether the call is on its way to the store.
        """
        chosen = False
        try:
            name = trace_id
            if session_id is not None and self.sample_by == "session":
                name = session_id
            share = random.getrandbits(_SHARE_BITS) if name is None else share_of(name)
            if isinstance(operation, str):
                key, service, version = operation, self._service, self._version
            else:
                key, service, version = operation.key, operation.service, operation.version
            failed = error is not None
            kind: tuple[Any, ...]
            if failed:
                kind = (key, type(error).__qualname__, getattr(error, "code", None))
            elif type(output) is dict and len(output) <= _SHAPED:
                kind = (key, success, *output)
            else:
                kind = (key, success, type(output))
            with self._lock:  # Most calls end here, so that nothing more is called for them.
                if share < self._first_share and self._reservoir.passes_over(kind):
                    return False
                reason = self._reason(share, kind, failed=failed)
            if reason is None:
                return False
            chosen = True
            now_ns = time.time_ns()
            took = round((duration_ms or 0) * 1_000_000)
            links = {} if metadata is None else dict(metadata)
            call = {
                "key": key,
                "service": service,
                "version": version,
                "input": input,
                "output": None if failed else output,
                "error": None if error is None else _error(error),
                "success": (not failed) if success is None else success,
                "started_ns": now_ns - took if started_ns is None else started_ns,
                "duration_ms": duration_ms,
                "tenant_id": tenant_id,
                "user_id": user_id,
                "channel": channel,
                "metadata": links,
            }
            return self._hand_over(call, reason, kind, trace_id, session_id)
        except Exception as problem:  # noqa: BLE001 - the call goes on, whatever we make of it
            self._failed("unrecordable", problem, chosen=chosen)
            return False

    def executed(self, call: ExecutedCall) -> None:
        """Record a call that an ``OperationRegistry`` ran; its listener."""
        context = call.context
        self.record(
            OperationRef(call.spec.key, self._service, call.spec.version),
            call.input,
            output=call.output,
            error=call.error,
            trace_id=context.trace_id,
            session_id=context.session_id,
            tenant_id=context.tenant_id,
            user_id=context.user_id,
            channel=context.channel,
            started_ns=call.started_ns,
            duration_ms=call.duration_ns / 1_000_000,
        )

    def chooses(self, exchange: Exchange) -> bool:
        """Say whether an exchange may be recorded: the middleware asks where the request is served."""
        if not self._chooses_at_once:
            return True
        choice = self._choice(exchange)
        if choice is not None:
            exchange.notes[self._note] = choice
        return choice is not None

    def passed_by(self, exchange: Exchange) -> None:
        """Count an exchange that could not be handed over."""
        with self._lock:
            if self._note not in exchange.notes:
                self._unchosen += 1
                self._chosen["sampled"] += 1
            self._dropped["queue-full"] += 1

    def __call__(self, exchange: Exchange) -> None:
        """Record an exchange, if it is chosen; the middleware's listener."""
        choice: Choice | None = exchange.notes.get(self._note) or self._choice(exchange)
        if choice is not None:
            self._exchange(exchange, choice)

    def close(self, timeout: float = 10.0) -> RecorderCounts:
        """Have everything stored that waits, and return the counts; a later call begins anew."""
        with self._lock:
            queue = self._queue
        queue.close(timeout)
        self._sink.close(timeout)
        with self._lock:
            if self._queue is queue:
                self._queue = FrameQueue(self._sink.take)
        return self.counts

    def renew(self) -> None:
        """Begin anew in a forked process."""
        self._sink.renew()
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._queue = FrameQueue(self._sink.take)
        self._reservoir = Reservoir(self._reserved)
        self._unchosen = 0
        self._chosen: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        self._numbers = itertools.count()
        self._prefix = secrets.token_hex(8)

    def _choose(self, share: int, kind: tuple[Any, ...], *, failed: bool) -> str | None:
        """Say why a call is recorded, None where it is not."""
        with self._lock:
            if share < self._first_share and self._reservoir.passes_over(kind):
                return None
            return self._reason(share, kind, failed=failed)

    def _reason(self, share: int, kind: tuple[Any, ...], *, failed: bool) -> str | None:
        """Say why a call is recorded that was not dismissed at once; the lock is held."""
        reason: str | None = "sampled"
        if share >= self._first_share:
            self._reservoir.chosen(kind)
        else:
            reason = self._reservoir.wanted(kind, failed=failed)
        if reason is not None:
            self._chosen[reason] += 1
        return reason

    def _choice(self, exchange: Exchange) -> Choice | None:
        """Say why an exchange is recorded, None where it is not."""
        try:
            by_session = self.sample_by == "session"
            session = self._name("session", exchange) if by_session else None
            operation = self._operation(exchange)
        except Exception as problem:  # noqa: BLE001
            self._failed("unrecordable", problem, chosen=False)
            return None
        share = share_of(session or exchange.trace_id)
        status = exchange.status_code
        shape = exchange.response_header("content-type")
        raised = type(exchange.error).__qualname__ if exchange.error is not None else None
        kind = (operation.key, status, shape, raised)
        reason = self._choose(share, kind, failed=(status or 500) >= 400)
        return None if reason is None else Choice(reason, kind, operation, session)

    def _exchange(self, exchange: Exchange, choice: Choice) -> None:
        operation, session, status = choice.operation, choice.session, exchange.status_code
        if not exchange.completed or status is None:
            with self._lock:
                self._dropped["incomplete"] += 1
            return
        sent, got = exchange.request_body, exchange.response_body
        if sent is None or got is None:
            raise ValueError(
                "the middleware keeps no bodies: give it keep_bodies=recorder.keep_bodies."
            )
        if len(sent) > LARGEST_BODY or len(got) > LARGEST_BODY:
            with self._lock:
                self._dropped["large"] += 1
            return
        try:  # Who it was is asked for what is kept only: most exchanges end above.
            tenant, user = self._name("tenant", exchange), self._name("user", exchange)
            if session is None:
                session = self._name("session", exchange)
        except Exception as problem:  # noqa: BLE001
            self._failed("unrecordable", problem, chosen=True)
            return
        raised = type(exchange.error).__qualname__ if exchange.error is not None else None
        metadata = {"exception": raised} if raised else {}
        call = {
            "key": operation.key,
            "service": operation.service,
            "version": operation.version,
            "http": (
                exchange.method,
                exchange.path,
                exchange.query,
                exchange.request_headers,
                sent,
                status,
                exchange.response_headers,
                got,
            ),
            "started_ns": exchange.started_ns,
            "duration_ms": exchange.duration_ns / 1_000_000,
            "tenant_id": tenant,
            "user_id": user,
            "metadata": {**metadata, "spanId": exchange.span_id},
        }
        self._hand_over(call, choice.reason, choice.kind, exchange.trace_id, session)

    def _operation(self, exchange: Exchange) -> OperationRef:
        answer = self._resolve_operation(exchange) if self._resolve_operation else None
        if answer:
            return self._maker.operation(answer)
        return self._maker.operation_of(exchange)

    def _name(self, kind: str, exchange: Exchange) -> str | None:
        resolve = self._resolve[kind]
        if resolve is None or isinstance(resolve, str):
            return None if resolve is None else named(exchange.header(resolve))
        return named(resolve(exchange))

    def _hand_over(
        self,
        call: dict[str, Any],
        reason: str,
        kind: tuple[Any, ...],
        trace_id: str | None,
        session_id: str | None,
    ) -> bool:
        links: dict[str, Any] = call["metadata"]
        links["kept"] = reason
        links["recorderRate"] = self.sample_rate
        if trace_id:
            links["traceId"] = trace_id
        if session_id:
            links["sessionId"] = session_id
        call["id"] = f"{self._prefix}{next(self._numbers):08x}"
        call["sample_rate"] = self._rate if reason == "sampled" else self._reservoir.rate_of(kind)
        try:
            frame = packed(call)
        except (TypeError, ValueError, RecursionError) as problem:
            self._failed("unserialisable", problem, chosen=True)
            return False
        if self._queue.put(frame):
            return True
        with self._lock:
            self._dropped["queue-full"] += 1
        return False

    def _failed(self, reason: str, problem: Exception, *, chosen: bool) -> None:
        with self._lock:
            if not chosen:  # It failed before anybody could choose.
                self._unchosen += 1
                self._chosen["sampled"] += 1
            self._dropped[reason] += 1
            first = self._dropped[reason] == 1
        if first:
            log.warning("a call cannot be recorded: %s; further ones are only counted", problem)


def _error(error: BaseException) -> tuple[str, str | None, str | None]:
    code = getattr(error, "code", None)
    try:
        message: str | None = str(error)
    except Exception:  # noqa: BLE001 - an exception's own text may raise
        message = None
    return type(error).__qualname__, message, code if isinstance(code, str) and code else None


def _close_at_exit(recorder: weakref.ref[TrafficRecorder]) -> None:
    """Hand over what waits; the writer stores it without being waited for."""
    alive = recorder()
    if alive is not None:
        alive.close(_EXIT_SECONDS)
