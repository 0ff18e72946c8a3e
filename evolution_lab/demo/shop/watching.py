"""The shop under this package's own middleware, beside its OpenTelemetry spans."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from starlette.middleware import Middleware

from evolution_lab.demo.shop.tracing import ENVIRONMENT
from evolution_lab.telemetry import Counters, TracingMiddleware, create_tracing_middleware
from evolution_lab.telemetry.exchange import ExchangeListener, SampleHook
from evolution_lab.telemetry.observation import RequestListener


@dataclass
class Watch:
    """Watches every version of a shop; each request leaves a sample with the ids of its span.

    Attributes:
        data: The lab directory that samples are landed in; None for none.
        on_sample: Is given each sample, such as ``EvolutionPipeline.ingest``.
        flush_seconds: Longest time that a sample waits before it is landed.
        listeners: Are told of each request, such as a ``SpecExperimentAdapter``.
        keep_bodies: Most bytes of each body that listeners get to see.

    Examples:
        >>> Watch(on_sample=print).counters
        {}
    """

    data: Path | None = None
    on_sample: SampleHook | None = None
    flush_seconds: float = 15.0
    listeners: tuple[ExchangeListener | RequestListener, ...] = ()
    keep_bodies: int = 0
    _watchers: dict[str, TracingMiddleware] = field(default_factory=dict, init=False, repr=False)

    def middleware(self, version: str) -> Middleware:
        """Return what to wrap around a version of the shop."""
        watcher = create_tracing_middleware(
            resolve_tenant="x-tenant-id",
            resolve_actor="x-user-id",
            on_sample=self.on_sample,
            data=self.data,
            service="shop",
            version=version,
            environment=ENVIRONMENT,
            flush_seconds=self.flush_seconds,
            listeners=self.listeners,
            keep_bodies=self.keep_bodies,
        )
        self._watchers[version] = watcher
        return Middleware(watcher.asgi)

    @property
    def counters(self) -> dict[str, Counters]:
        """What happened to the samples so far, by version of the shop."""
        return {version: one.counters for version, one in sorted(self._watchers.items())}

    @property
    def writer_pids(self) -> tuple[int, ...]:
        """The processes that land samples now."""
        pids = [one.pipe.writer_pid() for one in self._watchers.values() if one.pipe is not None]
        return tuple(pid for pid in pids if pid is not None)

    def close(self, timeout: float = 10.0) -> dict[str, Counters]:
        """Land what waits, and return the counts."""
        return {version: one.close(timeout) for version, one in sorted(self._watchers.items())}
