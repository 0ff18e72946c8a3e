"""Advisory file locks with a bounded wait, and the pid of whoever holds them."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from evolution_lab.errors import LakeError, LockedError

_POLL_SECONDS: Final = 0.02


@contextmanager
def file_lock(path: Path, *, wait_seconds: float = 30.0) -> Iterator[None]:
    """Hold an exclusive ``flock`` on ``path`` for the duration of the block.

    The file is created where it is missing and is never removed: removing it would let two
    processes lock two different files of the same name. It holds the pid of its last holder. The
    kernel releases the lock when the holder dies, so that nothing has to be cleaned up after a
    crash. Locks are per open file: two threads of one process exclude each other as well.

    Args:
        path: The lock file; its folder is created.
        wait_seconds: How long to wait for another holder.

    Raises:
        LockedError: Another holder kept the lock for longer than the wait.
        LakeError: The lock file cannot be opened.

    Examples:
        >>> import tempfile
        >>> lock = Path(tempfile.mkdtemp()) / "day.lock"
        >>> with file_lock(lock):
        ...     holder_pid(lock) == os.getpid()
        True
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise LakeError(
            f"{path} cannot be opened for writing ({error.strerror}); a lab directory must be "
            "writable by whoever lands or decides."
        ) from error
    try:
        _acquire(descriptor, path, wait_seconds)
        try:
            with suppress(OSError):  # On a full disk the lock holds without saying whose it is.
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            # Explicitly, since a forked child that inherited the descriptor would keep it locked.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)
    _let_others_in(path)


def holder_pid(path: Path) -> int | None:
    """Return the pid written into a lock file by its last holder, None where there is none."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return int(text) if text.isdecimal() else None


def _acquire(descriptor: int, path: Path, wait_seconds: float) -> None:
    if _taken(descriptor):
        return
    started = time.monotonic()
    with _waiting(path):
        while not _taken(descriptor):
            waited = time.monotonic() - started
            if waited >= wait_seconds:
                raise LockedError(path, waited_seconds=waited, holder_pid=holder_pid(path))
            time.sleep(min(_POLL_SECONDS, max(wait_seconds - waited, 0.001)))


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _queue(path: Path) -> Path:
    return path.with_name(f"{path.name}.waiting")


@contextmanager
def _waiting(path: Path) -> Iterator[None]:
    """Show to whoever holds the lock that somebody waits for it."""
    descriptor = os.open(_queue(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


def _let_others_in(path: Path) -> None:
    """Pause where somebody waits: who takes a lock again at once would never let others have it."""
    try:
        descriptor = os.open(_queue(path), os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return  # Nobody has ever waited.
    try:
        if not _taken(descriptor):
            time.sleep(2 * _POLL_SECONDS)
    finally:
        os.close(descriptor)
