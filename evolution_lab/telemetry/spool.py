"""A spool: what was received and acknowledged, on disk until it is landed.

Bodies are appended to a segment and synced before anybody is told that they were taken. Segments
hold what services sent, not redacted yet: only their owner may read them, and they go as soon as
they are landed. One that a killed process left is landed by the next.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from evolution_lab.telemetry.publishing import make_folder, sync_folder

SPOOL_FOLDER: Final = "spool"
SegmentKind = Literal["jsonl", "pb"]
_LENGTH: Final = 4


@dataclass(eq=False)
class _Segment:
    path: Path
    descriptor: int
    size: int = 0

    def append(self, content: bytes) -> None:
        """Append all of it durably, or nothing."""
        view = memoryview(content)
        try:
            while view:
                view = view[os.write(self.descriptor, view) :]
            os.fsync(self.descriptor)
        except OSError:
            # A half-written body must not stand before the next one.
            os.ftruncate(self.descriptor, self.size)
            raise
        self.size += len(content)


@dataclass(eq=False)
class Spool:
    """Segments in ``<lab>/spool``; safe for threads, for one process at a time.

    Attributes:
        data_dir: The lab directory.
    """

    data_dir: Path
    _open: dict[SegmentKind, _Segment] = field(default_factory=dict, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)
    _sealed_bytes: int = field(default=0, init=False)

    @property
    def folder(self) -> Path:
        """Where the segments are."""
        return self.data_dir / SPOOL_FOLDER

    @property
    def waiting_bytes(self) -> int:
        """Bytes that are not landed yet."""
        return self._sealed_bytes + sum(segment.size for segment in list(self._open.values()))

    def append(self, kind: SegmentKind, body: bytes) -> None:
        """Keep one body; it survives a power failure when this returns.

        Args:
            kind: ``jsonl`` for one line of JSON, ``pb`` for a protobuf message.
            body: What was received.

        Raises:
            OSError: The disk is full or the folder cannot be written to; nothing is kept.
        """
        framed = body + b"\n" if kind == "jsonl" else len(body).to_bytes(_LENGTH) + body
        with self._lock:
            segment = self._open.get(kind)
            if segment is None:
                segment = self._open[kind] = self._begin(kind)
            try:
                segment.append(framed)
            except OSError:
                # Should even truncating have failed, what follows goes into a segment of its own.
                os.close(self._open.pop(kind).descriptor)
                self._sealed_bytes += segment.size
                raise

    def seal(self) -> tuple[Path, ...]:
        """End the segments and return all that wait to be landed, those of killed processes too."""
        with self._lock:
            for segment in self._open.values():
                os.close(segment.descriptor)
            self._open.clear()
            paths = sorted(self.folder.glob("otlp-*")) if self.folder.is_dir() else []
            self._sealed_bytes = sum(path.stat().st_size for path in paths)
        return tuple(paths)

    def landed(self, paths: Iterable[Path]) -> None:
        """Let go of segments that are in the lake."""
        for path in paths:
            path.unlink(missing_ok=True)
        left = sum(path.stat().st_size for path in self.folder.glob("otlp-*"))
        with self._lock:
            self._sealed_bytes = left - sum(s.size for s in self._open.values())

    def _begin(self, kind: SegmentKind) -> _Segment:
        make_folder(self.folder)
        self.folder.chmod(0o700)
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        path = self.folder / f"otlp-{stamp}-{secrets.token_hex(4)}.{kind}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        sync_folder(self.folder)
        return _Segment(path, descriptor)
