"""What the writer has brought into the lake, in memory that outlives it: a kill hides no loss."""

from __future__ import annotations

import mmap
import struct
import tempfile
from dataclasses import dataclass
from typing import BinaryIO, Final, cast

_LAYOUT: Final = struct.Struct("<QQQ")


@dataclass(frozen=True, slots=True)
class Settled:
    """Samples that the writer is done with.

    Attributes:
        written: Added to the lake.
        duplicates: The lake had them already.
        refused: Could not be landed: quarantined, with the reason.
    """

    written: int = 0
    duplicates: int = 0
    refused: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.written + self.duplicates + self.refused

    def __add__(self, other: Settled) -> Settled:
        return Settled(
            self.written + other.written,
            self.duplicates + other.duplicates,
            self.refused + other.refused,
        )


@dataclass(frozen=True, slots=True)
class Ledger:
    """Shared by a service and its writer; only the writer changes it, after each landing.

    Attributes:
        file: An anonymous file; the writer opens its descriptor.

    Examples:
        >>> ledger = Ledger.create()
        >>> Ledger.of_descriptor(ledger.file.fileno()).settle(Settled(written=3))
        >>> ledger.settled()
        Settled(written=3, duplicates=0, refused=0)
        >>> ledger.close()
    """

    file: BinaryIO
    _memory: mmap.mmap

    @classmethod
    def create(cls) -> Ledger:
        """Return a new ledger with nothing settled."""
        file = cast("BinaryIO", tempfile.TemporaryFile())  # noqa: SIM115 - close() closes it
        file.truncate(_LAYOUT.size)
        return cls(file, mmap.mmap(file.fileno(), _LAYOUT.size))

    @classmethod
    def of_descriptor(cls, descriptor: int) -> Ledger:
        """Open the ledger that another process created."""
        file = open(descriptor, "r+b", buffering=0, closefd=False)  # noqa: SIM115
        return cls(cast("BinaryIO", file), mmap.mmap(descriptor, _LAYOUT.size))

    def settled(self) -> Settled:
        """Return what is settled so far."""
        return Settled(*_LAYOUT.unpack(self._memory[:]))

    def settle(self, more: Settled) -> None:
        """Add to what is settled."""
        now = self.settled() + more
        self._memory[:] = _LAYOUT.pack(now.written, now.duplicates, now.refused)

    def close(self) -> None:
        """Give the memory back."""
        self._memory.close()
        self.file.close()
