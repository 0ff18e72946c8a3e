"""How a file comes to be in the lake: whole or not at all, whenever the power fails.

A temporary name in the same folder, fsync, rename, fsync of the folder.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final, Literal

import polars as pl

FORMAT_VERSION: Final = 1
"""Written into every file of the lake; readers refuse a newer one."""

_ROW_GROUP: Final = 128 * 1024
_TEMPORARY: Final = ".tmp"
_LITTLE: Final = 1 << 16
"""Bytes: with fewer on the disk it was its being full that a file could not be written."""


def publish_bytes(path: Path, content: bytes) -> None:
    """Write a small file so that readers see all of it or nothing."""
    _publish(path, lambda file: file.write(content))


def publish_parquet(
    path: Path,
    frame: pl.DataFrame,
    *,
    row_group_rows: int = _ROW_GROUP,
    compression: Literal["zstd", "lz4"] = "zstd",
) -> None:
    """Write a frame as Parquet with ``format_version`` in the file's metadata.

    Args:
        path: Where to.
        frame: What.
        row_group_rows: Rows that readers take or leave together.
        compression: ``lz4`` is read in less time, ``zstd`` takes less room.
    """
    metadata = {"format_version": str(FORMAT_VERSION)}
    _publish(
        path,
        lambda file: frame.write_parquet(
            file,
            compression=compression,
            compression_level=1 if compression == "zstd" else None,
            row_group_size=row_group_rows,
            metadata=metadata,
        ),
    )


def remove_leftovers(folder: Path, keep: frozenset[str]) -> None:
    """Delete what dead writers left in a folder: temporary files, and files not in ``keep``.

    Only for the holder of the folder's lock: nobody else may be writing there.
    """
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.is_file() and path.name not in keep:
            path.unlink()


def make_folder(folder: Path) -> None:
    """Create a folder and its parents so that they survive a power failure."""
    missing = [p for p in (folder, *folder.parents) if not p.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for made in missing:
        sync_folder(made.parent)


def _publish(path: Path, write: Callable[[BinaryIO], object]) -> None:
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}{_TEMPORARY}")
    try:
        with temporary.open("xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        full = isinstance(error, pl.exceptions.ComputeError) and _is_full(path.parent)
        temporary.unlink(missing_ok=True)
        if full:  # Polars says it in many words, none of them to be relied on.
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
        raise
    sync_folder(path.parent)


def _is_full(folder: Path) -> bool:
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize < _LITTLE


def sync_folder(folder: Path) -> None:
    """Make what was renamed into a folder survive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
