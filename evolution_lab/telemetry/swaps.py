"""Swaps: which files of the lake took the place of which, published by one rename each.

``superseded/<n>.json``. A reader sees a swap whole or not at all, and so each row once. The files that
were replaced stay for a grace period, for readers that listed them before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from pydantic import TypeAdapter, ValidationError

from evolution_lab.errors import CorruptFileError
from evolution_lab.telemetry.batches import BatchFile, read_versioned_json
from evolution_lab.telemetry.publishing import FORMAT_VERSION, publish_bytes

SwapReason = Literal["compact", "forget", "retain", "erase"]


@dataclass(frozen=True, kw_only=True)
class Swap:
    """One step that put files into the place of others.

    Attributes:
        replaces: Paths of the files that count no more, relative to the folder ``lake``.
        adds: The files that count from now on, by kind.
        forgets: Batches that count no more; landing their input again makes new ones.
        reason: Which command did it.
        at: When, UTC.
        format_version: Of this record and of its files.
    """

    replaces: tuple[str, ...]
    adds: Mapping[str, tuple[BatchFile, ...]] = field(default_factory=dict)
    forgets: tuple[str, ...] = ()
    reason: SwapReason = "compact"
    at: datetime | None = None
    format_version: int = FORMAT_VERSION


_SWAP: Final = TypeAdapter(Swap)


def swap_paths(root: Path) -> list[Path]:
    """Return the files of all swaps, oldest first."""
    paths = [path for path in (root / "superseded").glob("*.json") if path.stem.isdecimal()]
    return sorted(paths, key=lambda path: int(path.stem))


def next_number(root: Path) -> int:
    """Return the number of the next swap; only for the holder of the lock of maintenance."""
    paths = swap_paths(root)
    return int(paths[-1].stem) + 1 if paths else 1


def publish_swap(root: Path, number: int, swap: Swap) -> None:
    """Make a swap count. The files that it adds must be in place."""
    content = _SWAP.dump_json(swap, indent=2)
    publish_bytes(root / "superseded" / f"{number}.json", content + b"\n")


def read_swap(path: Path) -> Swap:
    """Read a swap.

    Raises:
        CorruptFileError: It cannot be read.
        FormatVersionError: It was written by a newer version of this package.
    """
    document = read_versioned_json(path)
    try:
        return _SWAP.validate_python(document)
    except ValidationError as error:
        raise CorruptFileError(
            f"{path} cannot be read: restore it, or all rows that it replaces count twice."
        ) from error
