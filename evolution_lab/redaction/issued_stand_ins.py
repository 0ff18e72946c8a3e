"""Which values stand in for something already, one list a lab: two people never become one.

Ranges such as IPv4's reserved block are small enough that two of some thousand values would meet.
What is drawn is looked up here; where it stands in for another value, another is drawn.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Final

FILE: Final = ".stand-ins"
_CHECKED: Final = frozenset({"ip", "ssn", "phone", "word", "mac"})
"""Kinds whose range is small; two of the others would meet once in a billion labs."""
_MOST: Final = 500_000
"""Values kept in memory; a lab with more is checked against these."""


class IssuedStandIns:
    """What was issued, and a keyed digest of what for; in memory, and in the lab's own file.

    Args:
        path: File shared by the writers of a lab; None keeps it in memory.

    Examples:
        >>> issued = IssuedStandIns()
        >>> issued.claim("ip", "240.1.2.3", b"a"), issued.claim("ip", "240.1.2.3", b"b")
        (True, False)
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._owners: dict[str, bytes] = {}
        self._fresh: list[str] = []
        self._read_to = 0
        self.refresh()

    def claim(self, kind: str, value: str, owner: bytes) -> bool:
        """Return whether a value may stand in for what ``owner`` is the digest of."""
        if kind not in _CHECKED:
            return True
        held = self._owners.get(value)
        if held is None:
            if len(self._owners) < _MOST:
                self._owners[value] = owner
                self._fresh.append(f"{value}\t{owner.hex()}\n")
            return True
        return held == owner

    def refresh(self) -> None:
        """Take in what other processes have issued since."""
        if self._path is None:
            return
        with contextlib.suppress(FileNotFoundError), self._path.open("rb") as file:
            file.seek(self._read_to)
            for line in file:
                if not line.endswith(b"\n"):
                    break  # being written
                self._read_to += len(line)
                value, _, owner = line.decode("utf-8", "replace").rstrip("\n").partition("\t")
                with contextlib.suppress(ValueError):
                    self._owners.setdefault(value, bytes.fromhex(owner))

    def flush(self) -> None:
        """Write what was issued since, for other processes and for later."""
        if self._path is None or not self._fresh:
            return
        data = "".join(self._fresh).encode("utf-8", "replace")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            os.write(descriptor, data)
        finally:
            os.close(descriptor)
        self._fresh.clear()
