"""The way from a service to its writer: a bounded pipe that never makes a request wait.

A full pipe, a writer that is not there: the sample is dropped and counted. A writer that dies is
started again, later each time; what it had not settled is counted as lost.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from multiprocessing.spawn import get_executable
from pathlib import Path
from typing import Final

import orjson

from evolution_lab.telemetry.forks import renew_when_forked
from evolution_lab.telemetry.live_ledger import Ledger, Settled
from evolution_lab.telemetry.writer_orders import WriterOrders

log = logging.getLogger(__name__)

_SHORTEST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 60.0
_SET_PIPE_SIZE: Final[int | None] = getattr(fcntl, "F_SETPIPE_SZ", None)
_FRUGAL: Final = {
    "POLARS_MAX_THREADS": "1",
    # Small batches for days on end: without these, freed memory stays with the writer in pieces.
    "MALLOC_ARENA_MAX": "1",
    "_RJEM_MALLOC_CONF": "dirty_decay_ms:0,muzzy_decay_ms:0",
}
"""Environment of the writer, where the service's own says nothing else."""
_START: Final = (
    "import sys, json; path, orders = sys.argv[1:]; sys.path[:] = json.loads(path); "
    "from evolution_lab.telemetry.live_writer import main; main(orders)"
)


@dataclass(frozen=True, slots=True)
class PipeCounts:
    """What became of the lines that were sent.

    Attributes:
        sent: Taken by the pipe.
        dropped: Not taken: the pipe was full or nobody read it.
        lost: Taken, but the writer died before it settled them.
        settled: What the writer is done with.
    """

    sent: int
    dropped: int
    lost: int
    settled: Settled


@dataclass(eq=False)
class _Life:
    """One writer, from the making of its pipe to its end."""

    read_end: int
    write_end: int
    ledger: Ledger
    sent: int = 0
    process: subprocess.Popen[bytes] | None = None

    @classmethod
    def begin(cls, capacity: int) -> _Life:
        read_end, write_end = os.pipe()
        os.set_blocking(write_end, False)
        if _SET_PIPE_SIZE is not None:
            with contextlib.suppress(OSError):  # More than the system allows: its default stays.
                fcntl.fcntl(write_end, _SET_PIPE_SIZE, capacity)
        return cls(read_end, write_end, Ledger.create())

    def close_read_end(self) -> None:
        if self.read_end >= 0:
            os.close(self.read_end)
            self.read_end = -1

    def close_write_end(self) -> None:
        if self.write_end >= 0:
            os.close(self.write_end)
            self.write_end = -1


@dataclass(eq=False)
class LivePipe:
    """Hands lines to a process that lands them; starts it with the first line, and again if it dies.

    Safe for threads. In a forked process it begins anew, with a writer of its own.

    Attributes:
        data_dir: The lab directory.
        flush_seconds: Longest time that a sample waits in the writer.
        flush_rows: How many samples the writer lands at once, at most.
        capacity: Bytes that the pipe holds, where the system lets that be set (Linux).
    """

    data_dir: Path
    flush_seconds: float = 15.0
    flush_rows: int = 10_000
    capacity: int = 1 << 20
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)
    _life: _Life | None = field(default=None, init=False, repr=False)
    _lives: list[_Life] = field(default_factory=list, init=False, repr=False)
    _inherited: list[_Life] = field(default_factory=list, init=False, repr=False)
    _supervisor: threading.Thread | None = field(default=None, init=False, repr=False)
    _closing: threading.Event = field(default_factory=threading.Event, init=False, repr=False)
    _sent: int = field(default=0, init=False)
    _dropped: int = field(default=0, init=False)
    _lost: int = field(default=0, init=False)
    _settled: Settled = field(default_factory=Settled, init=False)

    def __post_init__(self) -> None:
        renew_when_forked(self)

    def send(self, line: bytes) -> bool:
        """Put a line of at most ``LONGEST_LINE`` bytes into the pipe, or drop it; never waits."""
        with self._lock:
            if self._supervisor is None:
                self._start()
            life = self._life
            if life is not None:
                try:
                    os.write(life.write_end, line)
                except OSError:  # Full, or nobody reads.
                    pass
                else:
                    life.sent += 1
                    return True
            self._dropped += 1
            return False

    def counts(self) -> PipeCounts:
        """Return what became of the lines so far."""
        with self._lock:
            settled = self._settled
            for life in self._lives:
                settled += life.ledger.settled()
            sent = self._sent + sum(life.sent for life in self._lives)
            return PipeCounts(sent, self._dropped, self._lost, settled)

    def writer_pid(self) -> int | None:
        """Return the writer's process id, None while there is none."""
        life = self._life
        return None if life is None or life.process is None else life.process.pid

    def close(self, timeout: float = 10.0) -> bool:
        """Have the writer land what it holds and end; the next line would start another.

        Returns:
            Whether it ended in time. If not it goes on by itself until it has landed everything.
        """
        with self._lock:
            supervisor, life = self._supervisor, self._life
            self._supervisor = self._life = None
            self._closing.set()
            self._closing = threading.Event()
            if life is not None:
                life.close_write_end()
        if supervisor is None:
            return True
        supervisor.join(timeout)
        if supervisor.is_alive():
            log.warning("the telemetry writer is still landing after %.0f s", timeout)
        return not supervisor.is_alive()

    def renew(self) -> None:
        """Begin anew in a forked process; the parent's writer stays the parent's."""
        for life in self._lives:
            life.close_write_end()
            life.close_read_end()
        self._inherited += self._lives  # Kept, since dropping them would wait for a stranger.
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._life = self._supervisor = None
        self._lives = []
        self._sent = self._dropped = self._lost = 0
        self._settled = Settled()

    def _start(self) -> None:
        life = self._begin()
        self._supervisor = threading.Thread(
            target=self._supervise,
            args=(life, self._closing),
            daemon=True,
            name="telemetry-writer-supervisor",
        )
        self._supervisor.start()

    def _begin(self) -> _Life:
        self._life = _Life.begin(self.capacity)
        self._lives.append(self._life)
        return self._life

    def _supervise(self, life: _Life, closing: threading.Event) -> None:
        """Start the writer, wait for its end, account for it; start the next one unless closing."""
        pause = _SHORTEST_PAUSE
        while True:
            began = time.monotonic()
            ended = self._run(life)
            lost = self._retire(life)
            if closing.is_set():
                return
            log.warning("the telemetry writer ended (%s); %d samples are lost", ended, lost)
            lasted = time.monotonic() - began
            pause = _SHORTEST_PAUSE if lasted > _LONGEST_PAUSE else min(pause * 2, _LONGEST_PAUSE)
            if closing.wait(pause):
                return
            with self._lock:
                if closing.is_set():
                    return
                life = self._begin()

    def _run(self, life: _Life) -> str:
        orders = WriterOrders(
            pipe=life.read_end,
            ledger=life.ledger.file.fileno(),
            parent=os.getpid(),
            data_dir=str(Path(self.data_dir).absolute()),
            flush_seconds=self.flush_seconds,
            flush_rows=self.flush_rows,
        )
        # An embedded interpreter is no program; multiprocessing knows, or was told, which one is.
        program = os.fsdecode(get_executable() or sys.executable)
        path = orjson.dumps(sys.path).decode()
        try:
            life.process = subprocess.Popen(  # noqa: S603 - this interpreter
                [program, "-P", "-c", _START, path, orders.to_text()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(orders.pipe, orders.ledger),
                env={**_FRUGAL, **os.environ},
                start_new_session=True,
            )
        except OSError as error:
            return f"it could not be started: {error}"
        finally:
            life.close_read_end()
        return f"exit code {life.process.wait()}"

    def _retire(self, life: _Life) -> int:
        """Move a dead writer's counts to the totals; return how many samples it took with it."""
        with self._lock:
            if self._life is life:
                self._life = None
            life.close_write_end()
            self._lives.remove(life)
            settled = life.ledger.settled()
            lost = life.sent - settled.total
            self._sent += life.sent
            self._lost += lost
            self._settled += settled
            life.ledger.close()
            return lost
