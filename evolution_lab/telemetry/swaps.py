"""Swaps: which files of the lake took the place of which, published by one rename each.

``superseded/<n>.json``. A reader sees a swap whole or not at all, and so each row once. The files that
were replaced stay for a grace period, for readers that listed them before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
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
        folded: Swaps of earlier files, oldest first: this file stands for all before it.
        reason: Which command did it.
        at: When, UTC.
        format_version: Of this record and of its files.
    """

    replaces: tuple[str, ...]
    adds: Mapping[str, tuple[BatchFile, ...]] = field(default_factory=dict)
    forgets: tuple[str, ...] = ()
    folded: tuple[Swap, ...] = ()
    reason: SwapReason = "compact"
    at: datetime | None = None
    format_version: int = FORMAT_VERSION


_SWAP: Final = TypeAdapter(Swap)


def swap_paths(root: Path) -> list[Path]:
    """Return the files of all swaps, oldest first."""
    paths = [path for path in (root / "superseded").glob("*.json") if path.stem.isdecimal()]
    return sorted(paths, key=lambda path: int(path.stem))


def counting_swaps(found: Sequence[tuple[Path, Swap]]) -> list[tuple[Path, Swap]] | None:
    """Return the files that count: the last folded one and all after it.

    Args:
        found: Files of swaps, oldest first.

    Returns:
        None where one is missing: files were folded while the folder was listed, or one was lost.
    """
    last = max((at for at, (_, swap) in enumerate(found) if swap.folded), default=None)
    counting = list(found) if last is None else list(found[last:])
    numbers = [int(path.stem) for path, _ in counting]
    first = 1 if last is None else int(found[last][0].stem)
    return counting if numbers == list(range(first, first + len(numbers))) else None


def fold_swaps(root: Path, found: Sequence[tuple[Path, Swap]]) -> None:
    """Put one file into the place of many; only for the holder of the lock of maintenance.

    A reader sees the many, or the one, or both: then the one.

    Args:
        root: The folder ``lake``.
        found: All files that count.
    """
    each = [inner for _, swap in found for inner in (swap.folded or (swap,))]
    number = next_number(root)
    publish_swap(root, number, Swap(replaces=(), folded=tuple(each), at=datetime.now(UTC)))
    for path in swap_paths(root):
        if int(path.stem) < number:
            path.unlink()


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
