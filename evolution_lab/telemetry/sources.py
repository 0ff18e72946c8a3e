"""Files to land: found in folders, opened plain or compressed, read no further than planned."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, Final, cast

import zstandard

from evolution_lab.errors import InputError, PathNotFoundError

HEAD_BYTES: Final = 64 * 1024
"""How much of a file, decompressed, a reader is shown to recognise it."""

_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_BLOCK: Final = 1024 * 1024
_DAMAGE: Final = (EOFError, OSError, zlib.error, zstandard.ZstdError)


@dataclass(frozen=True)
class SourceFile:
    """One file to land.

    Attributes:
        path: Where it is.
        name: What reports call it: the path as the caller gave it.
        named: Whether the caller named the file itself, rather than a folder above it.
    """

    path: Path
    name: str
    named: bool

    @contextmanager
    def opened(self) -> Iterator[SourceStream]:
        """Open the file, decompressing gzip and zstd by its first bytes.

        Raises:
            InputError: The file cannot be opened.
        """
        try:
            file = self.path.open("rb")
        except OSError as error:
            raise InputError(f"{self.name!r} cannot be read: {error.strerror}.") from error
        with file:
            # What is appended while we read belongs to the next run.
            yield SourceStream(file, os.fstat(file.fileno()).st_size)


class SourceStream(io.RawIOBase):
    """A file's content, decompressed, up to the size that it had when it was opened.

    Damaged or truncated compression ends the stream where the damage is; ``failure`` then says why.
    """

    def __init__(self, file: BinaryIO, size: int) -> None:
        super().__init__()
        self.size = size
        self.failure: str | None = None
        self._file = file
        self._rewind()

    def digest(self) -> str:
        """Return a hash of the file's bytes as they stand on disk; the stream begins anew."""
        self._file.seek(0)
        digest, left = hashlib.sha256(), self.size  # The fastest where processors know it.
        while left and (block := self._file.read(min(_BLOCK, left))):
            digest.update(block)
            left -= len(block)
        self._rewind()
        return digest.hexdigest()[:32]

    def head(self) -> bytes:
        """Return the first bytes, decompressed; the stream begins anew."""
        head = b""
        while len(head) < HEAD_BYTES and (more := self.read(HEAD_BYTES - len(head))):
            head += more
        self._rewind()
        return head

    def position(self) -> int:
        """Return how many bytes of the file on disk have been read."""
        return self._file.tell()

    def readable(self) -> bool:
        """Say that this can be read."""
        return True

    def seekable(self) -> bool:
        """Say whether positions can be chosen: in plain files."""
        return isinstance(self._inner, _Limited)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move to a position of a plain file."""
        return int(self._inner.seek(offset, whence))

    def tell(self) -> int:
        """Return the position in the decompressed content."""
        return int(self._inner.tell())

    def readinto(self, buffer: Any, /) -> int:
        """Read into a buffer; 0 at the end and from the first damaged byte on."""
        if self.failure is not None:
            return 0
        view = memoryview(buffer)
        try:
            # GzipFile.read would lose what it decompressed before the damage; read1 hands it out.
            read = self._inner.read1 if isinstance(self._inner, gzip.GzipFile) else self._inner.read
            block = read(len(view))
        except _DAMAGE as error:
            self.failure = str(error).rstrip(".") or type(error).__name__
            return 0
        view[: len(block)] = block
        return len(block)

    def _rewind(self) -> None:
        self.failure = None
        self._file.seek(0)
        magic = self._file.read(4)
        self._file.seek(0)
        plain = _Limited(self._file, self.size)
        inner: IO[bytes] = cast("IO[bytes]", plain)
        if magic.startswith(_GZIP):
            inner = cast("IO[bytes]", gzip.GzipFile(fileobj=cast("BinaryIO", plain)))
        elif magic.startswith(_ZSTD):
            decompressor = zstandard.ZstdDecompressor()
            inner = decompressor.stream_reader(
                cast("IO[bytes]", plain), read_across_frames=True, closefd=False
            )
        self._inner: Any = inner


class _Limited(io.RawIOBase):
    """The first ``size`` bytes of a file."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        super().__init__()
        self._file, self._size = file, size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        if whence == io.SEEK_END:
            return self._file.seek(self._size + offset)
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer)
        left = max(self._size - self._file.tell(), 0)
        block = self._file.read(min(len(view), left))
        view[: len(block)] = block
        return len(block)


def find_files(
    sources: Iterable[Path], lake_root: Path
) -> tuple[list[SourceFile], list[tuple[str, str]]]:
    """Return the files that some paths mean, each once, and what is passed over with its reason.

    A folder means the files in it, at any depth, in the order of their paths. The lake itself is
    never landed.

    Raises:
        PathNotFoundError: A path does not exist.
        InputError: A named path is neither a file nor a folder.
    """
    files: dict[Path, SourceFile] = {}
    skipped: list[tuple[str, str]] = []
    lake_root = lake_root.resolve()
    for source in sources:
        if not source.exists():
            raise PathNotFoundError(source)
        if source.is_file():
            files[source.resolve()] = SourceFile(source, str(source), named=True)
        elif source.is_dir():
            for path in sorted(source.rglob("*")):
                real = path.resolve()
                if path.is_dir() or real in files or real.is_relative_to(lake_root):
                    continue
                if path.is_file():
                    files[real] = SourceFile(path, str(path), named=False)
                else:
                    skipped.append((str(path), "It is not a regular file."))
        else:
            raise InputError(f"{str(source)!r} is neither a file nor a folder.")
    return list(files.values()), skipped
