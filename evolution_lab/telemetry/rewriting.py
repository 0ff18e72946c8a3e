"""Rewriting files of the lake: the locks it takes, and files that hold rows of several batches."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from hashlib import blake2b
from pathlib import PurePosixPath
from typing import Final

import polars as pl

from evolution_lab.schemas import OPERATIONS, QUARANTINE, SAMPLES, TRAFFIC, polars_schema
from evolution_lab.telemetry.batches import BatchFile
from evolution_lab.telemetry.lake import Lake
from evolution_lab.telemetry.locks import file_lock
from evolution_lab.telemetry.publishing import publish_parquet


@dataclass(frozen=True)
class Kind:
    """How files of one kind are kept.

    Attributes:
        name: The folder.
        columns: Without ``batch``.
        order: What rows are sorted by.
        row_group_rows: Rows that readers take or leave together.
        by_day: Whether each day has a folder of its own, with a lock.
    """

    name: str
    columns: tuple[str, ...]
    order: tuple[str, ...]
    row_group_rows: int
    by_day: bool

    def lock_name(self, day: date) -> str:
        """Return the name of the lock that writers of a day hold."""
        return f"{day.isoformat()}" if self.name == "samples" else f"{self.name}-{day.isoformat()}"


KINDS: Final = {
    kind.name: kind
    for kind in (
        Kind(
            "samples",
            tuple(polars_schema(SAMPLES)),
            ("timestamp", "row_id"),
            128 * 1024,
            by_day=True,
        ),
        Kind(
            "traffic",
            tuple(polars_schema(TRAFFIC)),
            ("operation_key", "service", "timestamp", "id"),
            1024,
            by_day=True,
        ),
        Kind(
            "operations",
            tuple(polars_schema(OPERATIONS)),
            ("service", "operation_key", "operation_version", "batch"),
            128 * 1024,
            by_day=False,
        ),
        Kind(
            "quarantine",
            tuple(polars_schema(QUARANTINE)),
            ("origin", "line", "reason", "excerpt", "batch"),
            128 * 1024,
            by_day=False,
        ),
    )
}
"""The kinds of files that batches bring."""


def folder_of(file: BatchFile) -> str:
    """Return the folder of a file, relative to the lake."""
    return str(PurePosixPath(file.path).parent)


def day_of(folder: str) -> date | None:
    """Return the day whose rows a folder holds, None where it has none.

    Examples:
        >>> day_of("samples/date=2026-01-31")
        datetime.date(2026, 1, 31)
    """
    _, separator, text = folder.partition("/date=")
    try:
        return date.fromisoformat(text) if separator else None
    except ValueError:
        return None


@contextmanager
def maintaining(lake: Lake, *, wait_seconds: float) -> Iterator[None]:
    """Be the only one who swaps files; landings go on meanwhile.

    Raises:
        LockedError: Another process does so for longer than the wait.
    """
    with file_lock(lake.root / "locks" / "maintenance.lock", wait_seconds=wait_seconds):
        yield


@contextmanager
def writing_to(lake: Lake, folders: Collection[str], *, wait_seconds: float) -> Iterator[None]:
    """Be the only writer of some folders; samples before traffic, each day by day, as all do.

    Raises:
        LockedError: Another process writes there for longer than the wait.
    """
    names = []
    for folder in folders:
        day, kind = day_of(folder), KINDS[folder.partition("/")[0]]
        if day is not None:
            names.append((kind.name != "samples", kind.lock_name(day)))
    with ExitStack() as stack:
        for _, name in sorted(names):
            path = lake.root / "locks" / f"{name}.lock"
            stack.enter_context(file_lock(path, wait_seconds=wait_seconds))
        yield


def rows_of(lake: Lake, files: Sequence[BatchFile], kind: Kind) -> pl.DataFrame:
    """Return the rows of files with the batch of each."""
    return lake.with_batch(files, kind.columns).collect()


def write_joined(
    lake: Lake, kind: Kind, folder: str, rows: pl.DataFrame, *, number: int
) -> BatchFile | None:
    """Write rows of several batches as one file; None where there are none.

    Args:
        lake: Where to.
        kind: Of the rows.
        folder: Relative to the lake; its writers' lock must be held.
        rows: With ``batch``.
        number: Of the swap that will add the file: no name is used twice.
    """
    if rows.is_empty():
        return None
    rows = rows.sort(kind.order, nulls_last=False)
    batches = tuple(rows["batch"].drop_nulls().unique().sort())
    content = blake2b("\n".join([folder, *batches]).encode(), digest_size=8).hexdigest()
    path = f"{folder}/joined-{number}-{content}.parquet"
    if (lake.root / path).exists():  # Several files of one folder and the same batches.
        extra = sum(1 for _ in (lake.root / folder).glob(f"joined-{number}-{content}*"))
        path = f"{folder}/joined-{number}-{content}-{extra}.parquet"
    publish_parquet(lake.root / path, rows, row_group_rows=kind.row_group_rows)
    first = last = None
    if "timestamp" in rows.columns:
        low, high = rows["timestamp"].min(), rows["timestamp"].max()
        assert isinstance(low, datetime)
        assert isinstance(high, datetime)
        first, last = low.astimezone(UTC), high.astimezone(UTC)
    return BatchFile(
        path=path, rows=rows.height, min_timestamp=first, max_timestamp=last, batches=batches
    )
