"""The demo shop as a process under load: bare, or watched and recorded as production would be.

Talks to whoever started it over its standard streams: prints the address it answers at, then a line of
JSON for each line that it reads, what it has done so far; ends with its input.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from starlette.types import ASGIApp, Receive, Scope, Send

from evolution_lab.demo.shop import ServedApp, Watch, create_shop
from evolution_lab.golden import TrafficRecorder
from evolution_lab.golden.recorder_sinks import WriterSink

_STATM: Final = "/proc/{pid}/statm"
_MEGABYTE: Final = 1_048_576
_PATIENCE: Final = 60.0
_POLL_SECONDS: Final = 0.2
_END_SECONDS: Final = 90.0


@dataclass
class Figures:
    """What a shop has done since it began.

    Attributes:
        served: Requests whose handling ended, counted outside the middleware.
        cpu_seconds: Processor time of the service's process.
        writer_cpu_seconds: The same of the writers; known once they have ended.
        service_mb: Resident memory of the service, None where the system does not say.
        writers_mb: The same of its writers together.
        handles: Open descriptors of the service.
        samples: Counters of the middleware.
        recorder: Counters of the recorder.
    """

    served: int
    cpu_seconds: float
    writer_cpu_seconds: float = 0.0
    service_mb: float | None = None
    writers_mb: float | None = None
    handles: int | None = None
    samples: dict[str, int] = field(default_factory=dict)
    recorder: dict[str, int] = field(default_factory=dict)


@dataclass(eq=False)
class ShopProcess:
    """A shop in a process of its own.

    Attributes:
        url: Where it answers.
        data: Its lab directory; None for a bare one.
    """

    url: str
    data: Path | None
    _process: subprocess.Popen[str] = field(repr=False)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.rpartition(":")[2])

    def figures(self) -> Figures:
        """Ask what it has done so far."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._read()

    def settled(self) -> Figures:
        """Wait until nothing of what it saw is on its way any more."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            now = self.figures()
            waiting = now.samples.get("waiting", 0) + now.recorder.get("waiting", 0)
            if not waiting or time.monotonic() > deadline:
                return now
            time.sleep(_POLL_SECONDS)

    def end(self) -> Figures:
        """Have it land what it holds and end; return its last figures."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        last = self._read()
        self._process.wait(_END_SECONDS)
        return last

    def _read(self) -> Figures:
        assert self._process.stdout is not None
        return Figures(**json.loads(self._process.stdout.readline()))


@contextlib.contextmanager
def shop_process(data: Path | None, *, flush_seconds: float) -> Iterator[ShopProcess]:
    """Start a shop; it is gone at the end of the block, however that is reached.

    Args:
        data: The lab directory that it is watched and recorded into; None for a bare one.
        flush_seconds: Longest time that something waits before it is landed.
    """
    command = [sys.executable, "-m", __name__, "--flush-seconds", str(flush_seconds)]
    if data is not None:
        command += ["--data", str(data)]
    with subprocess.Popen(  # noqa: S603 - this interpreter
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield ShopProcess(process.stdout.readline().strip(), data, process)
        finally:
            if process.stdin is not None and not process.stdin.closed:
                process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_END_SECONDS)
            process.kill()


@dataclass
class _Served:
    """Counts requests outside everything that is measured."""

    app: ASGIApp
    requests: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        finally:
            self.requests += scope["type"] == "http"


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until the input ends."""
    parser = argparse.ArgumentParser(prog=f"python -m {__name__}")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--flush-seconds", type=float, default=15.0)
    options = parser.parse_args(arguments)
    watch = recorder = None
    if options.data is not None:
        recorder = TrafficRecorder(
            data=options.data,
            service="shop",
            resolve_tenant="x-tenant-id",
            resolve_session="x-session-id",
            flush_seconds=options.flush_seconds,
        )
        watch = Watch(
            options.data,
            flush_seconds=options.flush_seconds,
            listeners=(recorder,),
            keep_bodies=recorder.keep_bodies,
        )
    shop = create_shop(watch=watch)
    served = _Served(shop)
    with ServedApp(served) as server:
        _say(server.url)
        for _ in sys.stdin:
            _say(_figures(served, watch, recorder))
    if watch is not None and recorder is not None:
        watch.close(timeout=_PATIENCE)
        recorder.close(_PATIENCE)
    shop.tracing.shutdown()
    _say(_figures(served, watch, recorder))
    return 0


def _say(what: str | Figures) -> None:
    line = what if isinstance(what, str) else json.dumps(dataclasses.asdict(what))
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _figures(served: _Served, watch: Watch | None, recorder: TrafficRecorder | None) -> Figures:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    figures = Figures(
        served=served.requests,
        cpu_seconds=time.process_time(),
        writer_cpu_seconds=children.ru_utime + children.ru_stime,
        service_mb=_resident(os.getpid()),
        handles=_handles(),
    )
    if watch is not None and recorder is not None:
        figures.samples = _added([_numbers(one) for one in watch.counters.values()])
        counts = recorder.counts
        figures.recorder = {**_numbers(counts), "dropped": sum(counts.dropped.values())}
        assert isinstance(recorder._sink, WriterSink)
        pids = [*watch.writer_pids, recorder._sink.writer_pid()]
        writers = [_resident(pid) for pid in pids if pid is not None]
        figures.writers_mb = sum(size or 0.0 for size in writers)
    return figures


def _numbers(record: Any) -> dict[str, int]:
    values = dataclasses.asdict(record)
    return {name: value for name, value in values.items() if isinstance(value, int)}


def _added(records: Sequence[Mapping[str, int]]) -> dict[str, int]:
    return {name: sum(one[name] for one in records) for name in records[0]}


def _resident(pid: int) -> float | None:
    try:
        pages = int(Path(_STATM.format(pid=pid)).read_text().split()[1])
    except (OSError, ValueError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") / _MEGABYTE


def _handles() -> int | None:
    try:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())
    except OSError:
        return None


if __name__ == "__main__":
    sys.exit(main())
