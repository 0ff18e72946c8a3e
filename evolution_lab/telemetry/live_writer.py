"""The process that lands what a service's middleware saw: redaction and disk, off the request path.

It reads lines from a pipe, gathers them, and lands them every few seconds. It ends by itself: when the
pipe's other end is closed (the service ended or closed its middleware), when its parent is gone, or on
SIGTERM; each time it first lands what it holds. Started by ``live_pipe``, never by people.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from evolution_lab.config import EvolutionConfig, load_config
from evolution_lab.errors import LakeError
from evolution_lab.records import TelemetrySample
from evolution_lab.telemetry.lake import Lake
from evolution_lab.telemetry.landing import land_samples
from evolution_lab.telemetry.live_ledger import Ledger, Settled
from evolution_lab.telemetry.sample_lines import from_line
from evolution_lab.telemetry.writer_orders import WriterOrders

_BLOCK: Final = 1 << 20
_POLL_SECONDS: Final = 0.2
_BREATH_SECONDS: Final = 0.05
_LAST_WORDS_SECONDS: Final = 10.0
_LAST_ATTEMPTS: Final = 3
_NICENESS: Final = 19

log = logging.getLogger(__name__)


@dataclass
class LiveWriter:
    """Reads, gathers and lands until there is nothing left to come.

    Attributes:
        orders: What it was told.
        lake: Where to.
        config: The lab's settings.
        ledger: Where it notes what it settled.
    """

    orders: WriterOrders
    lake: Lake
    config: EvolutionConfig
    ledger: Ledger
    _waiting: deque[bytes] = field(default_factory=deque)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _ended: bool = False
    _stopping: bool = False

    def run(self) -> bool:
        """Work until the end; return whether everything that was read is settled."""
        threading.Thread(target=self._read, daemon=True, name="live-reader").start()
        patience = self.orders.flush_seconds
        while not self._ended:
            self._gather(patience)
            landed = self._land_waiting()
            patience = self.orders.flush_seconds if landed else min(patience * 2, 60.0)
        return any(self._land_waiting(again=n > 0) for n in range(_LAST_ATTEMPTS))

    def stop(self) -> None:
        """Read what is in the pipe now, land it, end."""
        self._stopping = True

    def _read(self) -> None:
        """Move lines from the pipe into memory, until the pipe's end or its parent's."""
        rest, deadline = b"", float("inf")
        while time.monotonic() < deadline:
            if self._stopping or os.getppid() != self.orders.parent:
                deadline = min(deadline, time.monotonic() + _LAST_WORDS_SECONDS)
            ready, _, _ = select.select([self.orders.pipe], [], [], _POLL_SECONDS)
            if not ready:
                if deadline < float("inf"):
                    break
                continue
            block = os.read(self.orders.pipe, _BLOCK)
            if not block:
                break
            *lines, rest = (rest + block).split(b"\n")
            with self._changed:
                self._waiting.extend(lines)
                if len(self._waiting) >= self.orders.flush_rows:
                    self._changed.notify_all()
                self._changed.wait_for(self._has_room)
            time.sleep(_BREATH_SECONDS)  # Waking up for each sample would take the service's time.
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _has_room(self) -> bool:
        return len(self._waiting) < self.orders.most_waiting

    def _gather(self, seconds: float) -> None:
        """Wait until there is enough to land, or the time is up, or the end is near."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._ended or len(self._waiting) >= self.orders.flush_rows, seconds
            )

    def _land_waiting(self, *, again: bool = False) -> bool:
        """Land what waits; return False where that must be tried again."""
        if again:
            time.sleep(1.0)
        while self._waiting:
            size = min(len(self._waiting), self.orders.flush_rows)
            lines = [self._waiting[at] for at in range(size)]
            try:
                self._settle([from_line(line) for line in lines])
            except (LakeError, OSError) as error:
                log.warning("%d samples wait: %s", len(self._waiting), error)
                return False
            with self._changed:
                for _ in range(size):
                    self._waiting.popleft()
                self._changed.notify_all()
        return True

    def _settle(self, samples: Sequence[TelemetrySample]) -> None:
        """Land samples; where landing itself fails on one of them, all but that one."""
        try:
            report = land_samples(self.lake, samples, source="live", config=self.config)
        except (LakeError, OSError):
            raise
        except Exception:
            if len(samples) == 1:
                log.exception("a sample of %s cannot be landed", samples[0].operation.service)
                self.ledger.settle(Settled(refused=1))
                return
            half = len(samples) // 2
            self._settle(samples[:half])
            self._settle(samples[half:])
            return
        added, duplicates = report.rows_added, report.duplicates
        refused = len(samples) - added - duplicates
        self.ledger.settle(Settled(added, duplicates, refused))


def main(text: str) -> None:
    """Run the writer; the process exits with 1 where it leaves samples behind."""
    orders = WriterOrders.from_text(text)
    data_dir = Path(orders.data_dir)
    writer = LiveWriter(
        orders=orders,
        lake=Lake(data_dir),
        config=load_config(data_dir=data_dir),
        ledger=Ledger.of_descriptor(orders.ledger),
    )
    os.nice(_NICENESS)  # The service goes first,
    if hasattr(os, "SCHED_BATCH"):  # and is not interrupted when there is something to land.
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    # Ctrl-C is for the service; when that ends, the pipe does.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: writer.stop())
    sys.exit(0 if writer.run() else 1)
