"""Draws the shop's traffic: sessions of clients, the calls they make, the spans those leave.

Times are integer microseconds since the beginning of the recording. Durations are whole
microseconds, so that the last bit of a platform's ``exp`` never shows in a recording.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import polars as pl

from evolution_lab.datasets.faults import PlannedFault
from evolution_lab.datasets.shop import (
    ENDPOINTS,
    TENANTS,
    USERS_PER_TENANT,
    VERSIONS,
    WORKFLOW,
    WORKFLOW_SHARE,
    Endpoint,
)

MINUTE_US: Final = 60_000_000
_WARM_UP_MINUTES: Final = 30
_MORE_CALLS: Final = 6.0
_THINK_US: Final = 35_000_000
_WORKFLOW_GAP_US: Final = 1_500_000
_DAY_MINUTES: Final = 1440.0
_PEAK_MINUTE: Final = 14 * 60.0
_RHYTHM: Final = 0.35
_BURSTINESS: Final = 0.01

SPAN_SCHEMA: Final[Mapping[str, Any]] = {
    "service": pl.String(),
    "version": pl.String(),
    "trace_id": pl.String(),
    "span_id": pl.String(),
    "parent_span_id": pl.String(),
    "link_trace_id": pl.String(),
    "link_span_id": pl.String(),
    "kind": pl.String(),
    "key": pl.String(),
    "start_us": pl.Int64(),
    "duration_us": pl.Int64(),
    "path": pl.String(),
    "peer": pl.String(),
    "status": pl.Int32(),
    "failed": pl.Boolean(),
    "error_type": pl.String(),
    "message": pl.String(),
    "tenant_id": pl.String(),
    "user_id": pl.String(),
    "session_id": pl.String(),
}
"""Columns of the raw spans; ``start_us`` counts from the beginning of the recording."""


@dataclass(frozen=True, kw_only=True)
class _Caller:
    """The trace and the service a span stands in, and for whom it is made."""

    trace_id: str
    service: str = ""
    version: str = ""
    parent: str | None = None
    tenant: str = ""
    user: str = ""
    session: str = ""


def draw_spans(
    rng: np.random.Generator,
    *,
    minutes: int,
    first_minute: float,
    calls_per_minute: float,
    plan: Sequence[PlannedFault],
) -> pl.DataFrame:
    """Draw all spans of a recording.

    Args:
        rng: Every draw comes from it, in a fixed order.
        minutes: Length of the recording.
        first_minute: Minute of the day (UTC) at which it begins; traffic peaks at 14:00.
        calls_per_minute: Mean calls of clients per minute at the peak of the day.
        plan: What goes wrong.

    Returns:
        Rows of ``SPAN_SCHEMA`` in the order in which the spans ended.
    """
    return _Traffic(rng, minutes, first_minute, calls_per_minute, plan).spans()


@dataclass
class _Traffic:
    """The draws of one recording; the spans so far stand in ``_rows``."""

    rng: np.random.Generator
    minutes: int
    first_minute: float
    calls_per_minute: float
    plan: Sequence[PlannedFault]
    _rows: list[dict[str, object]] = field(default_factory=list)

    def spans(self) -> pl.DataFrame:
        for start_us, key, caller in sorted(self._client_calls(), key=lambda call: call[:2]):
            self._serve(ENDPOINTS[key], start_us, caller)
        frame = pl.DataFrame(self._rows, schema=SPAN_SCHEMA)
        return frame.filter(pl.col("start_us") < self.minutes * MINUTE_US).sort(
            pl.col("start_us") + pl.col("duration_us"), "trace_id", "span_id"
        )

    def _client_calls(self) -> Iterator[tuple[int, str, _Caller]]:
        """Yield start, operation key and caller of every call that a client makes."""
        end_us = self.minutes * MINUTE_US
        stops = [(f.key, f.start_minute, f.end_minute) for f in self.plan if f.stopped]
        for start_us in self._session_starts():
            tenant = str(self.rng.choice(list(TENANTS), p=list(TENANTS.values())))
            user = f"{tenant}.user-{self.rng.integers(1, USERS_PER_TENANT + 1):03d}@example.com"
            session = f"s-{self.rng.bytes(6).hex()}"
            for at_us, key in self._session_calls(start_us):
                trace_id = self.rng.bytes(16).hex()
                stopped = any(
                    key == stop and _within(at_us, first, last) for stop, first, last in stops
                )
                if 0 <= at_us < end_us and not stopped:
                    yield (
                        at_us,
                        key,
                        _Caller(trace_id=trace_id, tenant=tenant, user=user, session=session),
                    )

    def _session_starts(self) -> list[int]:
        """Sessions begin before the recording does, so that its first minutes are like the others."""
        minutes = np.arange(-_WARM_UP_MINUTES, self.minutes)
        clock = self.first_minute + minutes - _PEAK_MINUTE
        rhythm = 1.0 - _RHYTHM * (1.0 - np.cos(2.0 * np.pi * clock / _DAY_MINUTES)) / 2.0
        mean_calls = 1.0 + _MORE_CALLS + len(WORKFLOW) * WORKFLOW_SHARE
        bursts = self.rng.gamma(1.0 / _BURSTINESS, _BURSTINESS, minutes.size)
        counts = self.rng.poisson(self.calls_per_minute / mean_calls * rhythm * bursts)
        starts = np.repeat(minutes, counts) * MINUTE_US
        return sorted((starts + self.rng.integers(0, MINUTE_US, starts.size)).tolist())

    def _session_calls(self, start_us: int) -> list[tuple[int, str]]:
        """Ordinary calls come in random order; some sessions run the workflow once in between."""
        entries = [e for e in ENDPOINTS.values() if e.share > 0]
        shares = np.array([e.share for e in entries])
        count = int(self.rng.geometric(1.0 / (1.0 + _MORE_CALLS)))
        picks = self.rng.choice(len(entries), size=count, p=shares / shares.sum())
        steps = [(entries[pick].key, _THINK_US) for pick in picks]
        if self.rng.random() < WORKFLOW_SHARE:
            at = int(self.rng.integers(0, count + 1))
            first, *rest = WORKFLOW
            steps[at:at] = [(first, _THINK_US), *((key, _WORKFLOW_GAP_US) for key in rest)]
        calls: list[tuple[int, str]] = []
        now = start_us
        for key, gap_us in steps:
            now += 300_000 + int(self.rng.exponential(gap_us))
            calls.append((now, key))
        return calls

    def _serve(self, endpoint: Endpoint, start_us: int, caller: _Caller) -> tuple[int, int]:
        """Emit the span of one call and of all it leads to; return its duration and status."""
        version = self._version(endpoint, start_us)
        faults = [
            fault
            for fault in self.plan
            if fault.key == endpoint.key
            and fault.version in (None, version)
            and fault.tenant in (None, caller.tenant)
            and _within(start_us, fault.start_minute, fault.end_minute)
        ]
        slower = math.prod(fault.latency_factor for fault in faults)
        duration_us = self._own_time_us(endpoint, slower)
        inner = replace(
            caller, service=endpoint.service, version=version, parent=self.rng.bytes(8).hex()
        )
        now = start_us + duration_us * 2 // 5
        if endpoint.query is not None:
            self._emit(
                inner,
                kind="client",
                key=" ".join(endpoint.query),
                start_us=now,
                duration_us=duration_us // 2,
                peer="postgresql",
            )
        dependency_failed = False
        for key in endpoint.calls:
            waited_us, status = self._call(ENDPOINTS[key], now, inner)
            now += waited_us
            duration_us += waited_us
            dependency_failed |= status >= 500
        status, error_type, message = self._result(
            endpoint, faults, caller, dependency_failed=dependency_failed
        )
        if endpoint.publishes is not None and status < 400:
            self._publish(ENDPOINTS[endpoint.publishes], start_us + duration_us, inner)
        entry = caller.parent is None
        self._emit(
            replace(caller, service=endpoint.service, version=version),
            kind="server",
            key=endpoint.key,
            span_id=inner.parent,
            start_us=start_us,
            duration_us=duration_us,
            path=self._path(endpoint),
            status=200 if endpoint.graphql is not None else status,
            failed=status >= 500,
            error_type=error_type,
            message=message,
            tenant_id=caller.tenant,
            user_id=caller.user if entry else None,
            session_id=caller.session if entry else None,
        )
        return duration_us, status

    def _own_time_us(self, endpoint: Endpoint, slower: float = 1.0) -> int:
        """Draw the time spent in the endpoint itself, at least 0.1 ms."""
        spread = math.exp(endpoint.sigma * self.rng.standard_normal())
        return max(round(endpoint.own_ms * 1000.0 * spread * slower), 100)

    def _version(self, endpoint: Endpoint, start_us: int) -> str:
        for fault in self.plan:
            if (
                fault.version is not None
                and ENDPOINTS[fault.key].service == endpoint.service
                and _within(start_us, fault.start_minute, fault.end_minute)
                and self.rng.random() < fault.version_share
            ):
                return fault.version
        return VERSIONS[endpoint.service]

    def _result(
        self,
        endpoint: Endpoint,
        faults: Sequence[PlannedFault],
        caller: _Caller,
        *,
        dependency_failed: bool,
    ) -> tuple[int, str | None, str | None]:
        """Draw status, error type and message of one call."""
        for fault in faults:
            if fault.error_rate and self.rng.random() < fault.error_rate:
                message = f"{fault.error_type} for {caller.user}" if fault.status >= 500 else None
                return fault.status, fault.error_type, message
        if dependency_failed:
            return 502, "DependencyFailed", f"{endpoint.calls[0]} failed"
        if self.rng.random() < endpoint.error_rate:
            return 500, endpoint.error_type, f"{endpoint.error_type} for {caller.user}"
        wrong = caller.parent is None and self.rng.random() < endpoint.client_error_rate
        if wrong and endpoint.client_error is not None:
            return endpoint.client_error, str(endpoint.client_error), None
        return 201 if endpoint.method == "POST" and endpoint.graphql is None else 200, None, None

    def _call(self, callee: Endpoint, start_us: int, inner: _Caller) -> tuple[int, int]:
        """Emit a client span around the callee's; return the time waited and the status."""
        span_id = self.rng.bytes(8).hex()
        network_us = 150 + int(self.rng.exponential(250))
        took_us, status = self._serve(callee, start_us + network_us, replace(inner, parent=span_id))
        waited_us = took_us + 2 * network_us
        self._emit(
            inner,
            kind="client",
            key=callee.key,
            span_id=span_id,
            start_us=start_us,
            duration_us=waited_us,
            peer=callee.service,
            status=status,
            failed=status >= 400,
            error_type=str(status) if status >= 400 else None,
        )
        return waited_us, status

    def _publish(self, consumer: Endpoint, sent_at_us: int, inner: _Caller) -> None:
        """Emit a producer span, and the consumer's in a trace of its own that links to it."""
        span_id = self.rng.bytes(8).hex()
        send_us = 800 + int(self.rng.exponential(700))
        self._emit(
            inner,
            kind="producer",
            key=f"send {consumer.route}",
            span_id=span_id,
            start_us=sent_at_us - send_us,
            duration_us=send_us,
        )
        received_us = sent_at_us + 20_000 + int(self.rng.exponential(180_000))
        failed = bool(self.rng.random() < consumer.error_rate)
        receiver = _Caller(
            trace_id=self.rng.bytes(16).hex(),
            service=consumer.service,
            version=self._version(consumer, received_us),
        )
        self._emit(
            receiver,
            kind="consumer",
            key=consumer.key,
            start_us=received_us,
            duration_us=self._own_time_us(consumer),
            link_trace_id=inner.trace_id,
            link_span_id=span_id,
            failed=failed,
            error_type=consumer.error_type if failed else None,
            tenant_id=inner.tenant,
        )

    def _emit(self, within: _Caller, *, span_id: str | None = None, **columns: object) -> None:
        """Append one span; the columns not given are null."""
        self._rows.append(
            {
                "service": within.service,
                "version": within.version,
                "trace_id": within.trace_id,
                "span_id": span_id or self.rng.bytes(8).hex(),
                "parent_span_id": within.parent,
                "failed": False,
                **columns,
            }
        )

    def _path(self, endpoint: Endpoint) -> str:
        """Return a raw path: the route with values in its parameters."""
        head, brace, rest = endpoint.route.partition("{")
        if not brace:
            return endpoint.route
        name, _, tail = rest.partition("}")
        number = int(self.rng.integers(1, 200 if name == "sku" else 5000))
        return f"{head}{'sku-' if name == 'sku' else ''}{number}{tail}"


def _within(at_us: int, first_minute: int, end_minute: int | None) -> bool:
    """Say whether a time falls into the minutes of a fault."""
    return at_us >= first_minute * MINUTE_US and (
        end_minute is None or at_us < end_minute * MINUTE_US
    )
