"""Large files read by several processes: each takes a range of lines, the caller gets them in order.

The processes only parse; whoever asked redacts and writes meanwhile. They are plain programs that speak
over their standard streams, so that a script needs no guard around its main part. A range that is ready
waits until it is wanted, and no more ranges are read ahead than there are processes: memory is bounded.
"""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import struct
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, Final

import polars as pl

from evolution_lab.telemetry.otlp_json import OtlpJsonReader
from evolution_lab.telemetry.reading import LONGEST_LINE, Chunk, ReadOptions

Progress = Callable[[int, int], None]
Range = tuple[str, int, int]
Parsed = tuple[list[tuple[bytes, Chunk]], int]

RANGE_BYTES: Final = 8 << 20
"""Bytes of one range, give or take a line."""
LEAST_BYTES: Final = 48 << 20
"""Smaller files are read sooner than processes are started."""
_LENGTH: Final = struct.Struct(">Q")
_NO_ROWS: Final = pl.DataFrame()


def processes_for(size: int, wanted: int | None) -> int:
    """Return how many processes to read a file with; 1 means in this one.

    Args:
        size: Bytes of the file.
        wanted: What the caller asked for; by the processors and the size without it.

    Examples:
        >>> processes_for(1_000, None), processes_for(1 << 30, 1)
        (1, 1)
    """
    if wanted is not None:
        return max(wanted, 1)
    spare = (os.cpu_count() or 1) - 1  # One writes meanwhile; with two cores in all nothing is won.
    return min(spare, 8) if size >= LEAST_BYTES and spare > 1 else 1


def can_be_split(path: Path) -> bool:
    """Say whether a file is plain text whose first line is a whole JSON object."""
    with path.open("rb") as file:
        head = file.read(LONGEST_LINE)
    first, ended, _ = head.partition(b"\n")
    return bool(ended) and first.startswith(b"{") and first.rstrip().endswith(b"}")


@dataclass(eq=False)
class ReadingProcesses:
    """Programs that parse ranges of OTLP JSON lines.

    Attributes:
        options: What they need to know beside the bytes.
        count: How many.
    """

    options: ReadOptions
    count: int
    _running: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _own: threading.local = field(default_factory=threading.local)

    def read(self, path: Path, size: int, progress: Progress | None = None) -> Iterator[Chunk]:
        """Yield the rows of a file in order.

        Args:
            path: Lines of JSON.
            size: Bytes to read; what is appended meanwhile belongs to the next landing.
            progress: Called with the bytes read and ``size``.
        """
        lines = 0
        with ThreadPoolExecutor(self.count) as threads:
            ahead: deque[tuple[Future[Parsed], int]] = deque()
            ranges = _ranges(path, size)
            try:
                for at, start, end in ranges:
                    ahead.append((threads.submit(self._parsed, (at, start, end)), end))
                    if len(ahead) > self.count:
                        lines = yield from _given(*ahead.popleft(), lines, size, progress)
                while ahead:
                    lines = yield from _given(*ahead.popleft(), lines, size, progress)
            finally:
                for waiting, _ in ahead:
                    waiting.cancel()
                self.close()

    def close(self) -> None:
        """End the programs."""
        for process in self._running:
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()
            process.terminate()
            process.wait()
        self._running.clear()
        self._own = threading.local()

    def _parsed(self, task: Range) -> Parsed:
        """Have a range parsed by this thread's program; a program that died is done without."""
        try:
            process = self._process()
            assert process.stdin is not None
            assert process.stdout is not None
            _send(process.stdin, task)
            found: Parsed = _received(process.stdout)
        except (OSError, EOFError):
            return parse(task, self.options)
        return found

    def _process(self) -> subprocess.Popen[bytes]:
        process: subprocess.Popen[bytes] | None = getattr(self._own, "process", None)
        if process is None:
            process = subprocess.Popen(  # noqa: S603 - this very module
                [sys.executable, "-W", "ignore", "-m", __name__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={
                    **os.environ,
                    "PYTHONPATH": os.pathsep.join(sys.path),
                    "POLARS_MAX_THREADS": "1",
                },
            )
            self._own.process = process
            self._running.append(process)
            assert process.stdin is not None
            _send(process.stdin, self.options)
        return process


def parse(task: Range, options: ReadOptions) -> Parsed:
    """Read the lines of a range; rows as Arrow IPC, and how many lines there were."""
    path, start, end = task
    with Path(path).open("rb") as file:
        file.seek(start)
        content = file.read(end - start)
    lines = content.count(b"\n") + (not content.endswith(b"\n"))
    found = []
    for chunk in OtlpJsonReader().read_lines(io.BytesIO(content), options):
        buffer = io.BytesIO()
        chunk.rows.write_ipc(buffer, compression="uncompressed")
        found.append((buffer.getvalue(), replace(chunk, rows=_NO_ROWS)))
    return found, lines


def _given(
    parsed: Future[Parsed], end: int, lines: int, size: int, progress: Progress | None
) -> Generator[Chunk, None, int]:
    """Yield the chunks of a range, their lines counted from the file's first."""
    chunks, count = parsed.result()
    for content, chunk in chunks:
        rows = pl.read_ipc(io.BytesIO(content)).with_columns(pl.col("line") + lines)
        rejects = tuple(
            replace(each, line=None if each.line is None else each.line + lines)
            for each in chunk.rejects
        )
        yield replace(chunk, rows=rows, rejects=rejects)
    if progress is not None:
        progress(end, size)
    return lines + count


def _ranges(path: Path, size: int) -> Iterator[Range]:
    with path.open("rb") as file:
        start = 0
        while start < size:
            file.seek(min(start + RANGE_BYTES, size))
            file.readline(size - file.tell() if file.tell() < size else 0)
            end = min(file.tell(), size)
            yield str(path), start, end
            start = end


def _send(stream: IO[bytes], value: Any) -> None:
    content = pickle.dumps(value)
    stream.write(_LENGTH.pack(len(content)) + content)
    stream.flush()


def _received(stream: IO[bytes]) -> Any:
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError
    (length,) = _LENGTH.unpack(head)
    content = stream.read(length)
    if len(content) < length:
        raise EOFError
    return pickle.loads(content)  # noqa: S301 - from our own program, over its own pipe


def main() -> None:
    """Parse what standard input asks for until it ends."""
    asked, answers = sys.stdin.buffer, sys.stdout.buffer
    try:
        options: ReadOptions = _received(asked)
        while True:
            _send(answers, parse(_received(asked), options))
    except (EOFError, BrokenPipeError):
        return


if __name__ == "__main__":
    main()
