"""A bounded queue between the request and whoever takes its time; it never makes a request wait."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

GATHER_SECONDS: Final = 0.02
"""How long frames gather: waking a thread for each would delay the next request."""
MOST_BYTES: Final = 32 * 1024 * 1024
MOST_FRAMES: Final = 10_000


@dataclass(eq=False)
class FrameQueue:
    """Hands frames to a function in a thread of its own; one more than fits is not taken.

    Attributes:
        handle: Takes some frames in their order; what it raises loses them.
        most_bytes: Bytes that may wait.
        most_frames: Frames that may wait.
    """

    handle: Callable[[list[bytes]], None]
    most_bytes: int = MOST_BYTES
    most_frames: int = MOST_FRAMES
    _waiting: deque[bytes] = field(default_factory=deque, init=False, repr=False)
    _bytes: int = field(default=0, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)
    _wake: threading.Event = field(default_factory=threading.Event, init=False, repr=False)
    _thread: threading.Thread | None = field(default=None, init=False, repr=False)
    _asleep: bool = field(default=False, init=False)
    _closing: bool = field(default=False, init=False)
    _busy: int = field(default=0, init=False)

    def put(self, frame: bytes) -> bool:
        """Take a frame, or return False where too much waits; never waits."""
        with self._lock:
            if (
                self._closing
                or len(self._waiting) >= self.most_frames
                or self._bytes + len(frame) > self.most_bytes
            ):
                return False
            self._waiting.append(frame)
            self._bytes += len(frame)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, daemon=True, name="traffic-recorder"
                )
                self._thread.start()
            elif self._asleep:
                self._asleep = False
                self._wake.set()
        return True

    @property
    def waiting(self) -> int:
        """Frames that are not handed over yet."""
        return len(self._waiting) + self._busy

    def close(self, timeout: float) -> bool:
        """Hand over what waits and end the thread; return whether that was done in time."""
        with self._lock:
            thread = self._thread
            self._closing = True
            self._wake.set()
        if thread is not None:
            thread.join(timeout)
        return thread is None or not thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._lock:
                frames = list(self._waiting)
                self._waiting.clear()
                self._bytes = 0
                self._busy = len(frames)
                if not frames:
                    if self._closing:
                        return
                    self._asleep = True
                    self._wake.clear()
            if not frames:
                self._wake.wait()
                if not self._closing:
                    time.sleep(GATHER_SECONDS)
                continue
            self.handle(frames)
            self._busy = 0
