"""The process that sanitises recorded calls and writes them into the lake; people never start it.

It reads frames from its standard input until that ends, which it does when the service closes its
recorder, ends or is killed; then it stores what it holds.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

import orjson

from evolution_lab.errors import LakeError
from evolution_lab.golden.http_snapshots import HeaderList
from evolution_lab.golden.recorder_sinks import LENGTH
from evolution_lab.golden.snapshot_sanitising import (
    SnapshotSanitiser,
    SnapshotSettler,
    sanitize_named,
)
from evolution_lab.golden.store_lake import LakeTrafficStore
from evolution_lab.telemetry.live_ledger import Ledger

_NICENESS: Final = 19
_FLUSH_FRAMES: Final = 2_000
_MOST_BYTES: Final = 64 * 1024 * 1024
_LAST_ATTEMPTS: Final = 3

log = logging.getLogger(__name__)


@dataclass(eq=False)
class RecorderWriter:
    """Reads, gathers and settles until nothing more comes.

    Attributes:
        source: Frames, each after its length.
        settler: Sanitises and stores.
        ledger: Where it notes what it settled.
        flush_seconds: Longest time that a frame waits.
    """

    source: BinaryIO
    settler: SnapshotSettler
    ledger: Ledger
    flush_seconds: float
    _waiting: deque[bytes] = field(default_factory=deque, init=False)
    _bytes: int = field(default=0, init=False)
    _changed: threading.Condition = field(default_factory=threading.Condition, init=False)
    _ended: bool = field(default=False, init=False)

    def run(self) -> bool:
        """Work until the end; return whether everything that was read is settled."""
        threading.Thread(target=self._read, daemon=True, name="frame-reader").start()
        while not self._ended:
            with self._changed:
                self._changed.wait_for(self._due, self.flush_seconds)
            self._settle_waiting()
        for attempt in range(_LAST_ATTEMPTS):
            if self._settle_waiting():
                return True
            time.sleep(attempt + 1.0)
        return False

    def _due(self) -> bool:
        return self._ended or len(self._waiting) >= _FLUSH_FRAMES or self._bytes >= _MOST_BYTES // 2

    def _read(self) -> None:
        while head := self.source.read(LENGTH.size):
            if len(head) < LENGTH.size:
                break
            (size,) = LENGTH.unpack(head)
            frame = self.source.read(size)
            if len(frame) < size:
                break  # The service was killed while it wrote.
            with self._changed:
                self._waiting.append(frame)
                self._bytes += size
                if self._due():
                    self._changed.notify_all()
                self._changed.wait_for(lambda: self._bytes < _MOST_BYTES)
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _settle_waiting(self) -> bool:
        """Settle what waits; return False where that must be tried again."""
        while self._waiting:
            frames = [self._waiting[at] for at in range(min(len(self._waiting), _FLUSH_FRAMES))]
            try:
                self.ledger.settle(self.settler.settle(frames))
            except (LakeError, OSError) as error:
                log.warning("%d snapshots wait: %s", len(self._waiting), error)
                return False
            with self._changed:
                for frame in frames:
                    self._waiting.popleft()
                    self._bytes -= len(frame)
                self._changed.notify_all()
        return True


def main(text: str) -> None:
    """Run the writer; the process exits with 1 where it leaves calls behind."""
    orders = orjson.loads(text)
    os.nice(_NICENESS)
    # Ctrl-C is for the service; when that ends, so does our input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    data = Path(orders["data"])
    settler = SnapshotSettler(
        store=LakeTrafficStore(data, distinct=False),
        sanitiser=SnapshotSanitiser.of_lab(data),
        sanitize=sanitize_named(orders["sanitize"]),
        headers=HeaderList(
            request=frozenset(orders["request_headers"]),
            response=frozenset(orders["response_headers"]),
        ),
    )
    writer = RecorderWriter(
        source=sys.stdin.buffer,
        settler=settler,
        ledger=Ledger.of_descriptor(orders["ledger"]),
        flush_seconds=orders["flush_seconds"],
    )
    sys.exit(0 if writer.run() else 1)
