"""Where a recorder's frames go: to a writer process, or to a store in this one."""

from __future__ import annotations

import logging
import os
import struct
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from multiprocessing.spawn import get_executable
from pathlib import Path
from typing import Final, Protocol

import orjson

from evolution_lab.golden.http_snapshots import HeaderList
from evolution_lab.golden.snapshot_sanitising import SnapshotSettler
from evolution_lab.telemetry.live_ledger import Ledger, Settled

log = logging.getLogger(__name__)

LENGTH: Final = struct.Struct("<I")
"""Precedes each frame in the pipe."""
_SHORTEST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 60.0
_START: Final = (
    "import sys, json; path, orders = sys.argv[1:]; sys.path[:] = json.loads(path); "
    "from evolution_lab.golden.recorder_writer import main; main(orders)"
)


@dataclass(frozen=True, slots=True)
class SinkCounts:
    """What became of frames.

    Attributes:
        taken: Handed over.
        dropped: Not taken: there was no writer.
        lost: Taken by a writer that died before it had settled them.
        settled: Done with.
    """

    taken: int = 0
    dropped: int = 0
    lost: int = 0
    settled: Settled = field(default_factory=Settled)


class Sink(Protocol):
    """Takes frames off the request path."""

    def take(self, frames: list[bytes]) -> None:
        """Take frames; called in one thread, may wait, never raises."""
        ...

    def counts(self) -> SinkCounts:
        """Return what became of frames so far."""
        ...

    def close(self, timeout: float) -> bool:
        """Finish what was taken; return whether that was done in time."""
        ...

    def renew(self) -> None:
        """Begin anew in a forked process."""
        ...


@dataclass(eq=False)
class StoreSink:
    """Sanitises and stores in the recorder's thread: for tests, notebooks and stores of one's own.

    Attributes:
        settler: Does both.
    """

    settler: SnapshotSettler
    _counts: SinkCounts = field(default_factory=SinkCounts, init=False)

    def take(self, frames: list[bytes]) -> None:
        """Sanitise and store frames; what the store refuses is lost."""
        now = self._counts
        try:
            settled = self.settler.settle(frames)
        except Exception as error:  # noqa: BLE001 - a store of somebody's own
            # The error's text may hold what was recorded.
            log.error("the traffic store failed (%s)", type(error).__name__)  # noqa: TRY400
            lost = now.lost + len(frames)
            self._counts = SinkCounts(now.taken + len(frames), now.dropped, lost, now.settled)
            return
        self._counts = SinkCounts(
            now.taken + len(frames), now.dropped, now.lost, now.settled + settled
        )

    def counts(self) -> SinkCounts:
        """Return what became of frames so far."""
        return self._counts

    def close(self, timeout: float) -> bool:  # noqa: ARG002 - nothing waits here
        """There is nothing to finish."""
        return True

    def renew(self) -> None:
        """Begin counting anew."""
        self._counts = SinkCounts()


@dataclass(eq=False)
class WriterSink:
    """Sends frames to a process that sanitises them and writes them into the lake.

    It is started with the first frame, and again, later each time, when it dies.

    Attributes:
        data: The lab directory.
        sanitize: Name of the user's sanitiser, ``module:function``.
        headers: Which headers are kept.
        flush_seconds: Longest time that a call waits in the writer.
    """

    data: Path
    sanitize: str | None = None
    headers: HeaderList = field(default_factory=HeaderList)
    flush_seconds: float = 15.0
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)
    _inherited: list[subprocess.Popen[bytes]] = field(default_factory=list, init=False, repr=False)
    _ledger: Ledger | None = field(default=None, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)
    _sent: int = field(default=0, init=False)
    _before: SinkCounts = field(default_factory=SinkCounts, init=False, repr=False)
    _dropped: int = field(default=0, init=False)
    _pause: float = field(default=0.0, init=False)
    _not_before: float = field(default=0.0, init=False)

    def take(self, frames: list[bytes]) -> None:
        """Write frames into the pipe; waits while it is full."""
        with self._lock:
            process = self._running()
            if process is None or process.stdin is None:
                self._dropped += len(frames)
                return
            self._sent += len(frames)
        try:
            for frame in frames:
                whole = memoryview(LENGTH.pack(len(frame)) + frame)
                while whole:
                    whole = whole[process.stdin.write(whole) :]
        except (OSError, ValueError):  # It died; the counts tell how much it took with it.
            self._end(process)

    def counts(self) -> SinkCounts:
        """Return what became of frames so far."""
        with self._lock:
            before = self._before
            settled = Settled() if self._ledger is None else self._ledger.settled()
            return SinkCounts(
                before.taken + self._sent, self._dropped, before.lost, before.settled + settled
            )

    def writer_pid(self) -> int | None:
        """Return the writer's process id, None while there is none."""
        return None if self._process is None else self._process.pid

    def close(self, timeout: float) -> bool:
        """Have the writer store what it holds and end; return whether it did in time."""
        with self._lock:
            process = self._process
        if process is None or process.stdin is None:
            return True
        process.stdin.close()
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            log.warning("the traffic writer is still writing after %.0f s", timeout)
            return False
        self._end(process)
        return True

    def renew(self) -> None:
        """Begin anew in a forked process; the parent's writer stays the parent's."""
        if self._process is not None:
            if self._process.stdin is not None:
                os.close(self._process.stdin.fileno())
            self._inherited.append(self._process)  # Dropping it would wait for a stranger.
        self._process = self._ledger = None
        self._lock = threading.Lock()
        self._before, self._sent, self._dropped = SinkCounts(), 0, 0

    def _running(self) -> subprocess.Popen[bytes] | None:
        if self._process is not None and self._process.poll() is not None:
            self._retire()
        if self._process is None and time.monotonic() >= self._not_before:
            self._start()
        return self._process

    def _start(self) -> None:
        self._ledger = Ledger.create()
        orders = {
            "ledger": self._ledger.file.fileno(),
            "parent": os.getpid(),
            "data": str(Path(self.data).absolute()),
            "sanitize": self.sanitize,
            "request_headers": sorted(self.headers.request),
            "response_headers": sorted(self.headers.response),
            "flush_seconds": self.flush_seconds,
        }
        program = os.fsdecode(get_executable() or sys.executable)
        path = orjson.dumps([part or str(Path.cwd()) for part in sys.path]).decode()
        try:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter
                [program, "-P", "-c", _START, path, orjson.dumps(orders).decode()],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                pass_fds=(self._ledger.file.fileno(),),
                env={"POLARS_MAX_THREADS": "1", **os.environ},
                start_new_session=True,
                bufsize=0,
            )
        except OSError as error:
            log.warning("the traffic writer could not be started: %s", error)
            self._retire()

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        if process.stdin is not None and not process.stdin.closed:
            process.stdin.close()
        process.wait()
        with self._lock:
            if self._process is process:
                self._retire()

    def _retire(self) -> None:
        """Move an ended writer's counts to the totals, and wait longer before the next one."""
        ledger, self._ledger = self._ledger, None
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            process.stdin.close()
        settled = Settled() if ledger is None else ledger.settled()
        lost = max(self._sent - settled.total, 0)
        if lost or process is None or process.returncode:
            self._pause = min(max(self._pause * 2, _SHORTEST_PAUSE), _LONGEST_PAUSE)
            self._not_before = time.monotonic() + self._pause
            log.warning("the traffic writer ended; %d snapshots are lost", lost)
        else:
            self._pause = 0.0
        before = self._before
        self._before = SinkCounts(
            before.taken + self._sent, 0, before.lost + lost, before.settled + settled
        )
        self._sent = 0
        if ledger is not None:
            ledger.close()
