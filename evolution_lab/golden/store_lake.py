"""Snapshots in the lake: Parquet files by day, found by day and operation without reading the rest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import polars as pl
import pyarrow.parquet as pq

from evolution_lab.errors import CorruptFileError
from evolution_lab.golden.store import Added, RecordedOperation, is_of
from evolution_lab.golden.store_frames import from_row, to_frame, to_row
from evolution_lab.records import OperationRef, TrafficSnapshot
from evolution_lab.schemas import TRAFFIC, polars_schema
from evolution_lab.telemetry import Lake
from evolution_lab.telemetry.batches import (
    BatchFile,
    BatchRecord,
    batch_id,
    publish_record,
    record_path,
    source_key,
)
from evolution_lab.telemetry.lake import partition
from evolution_lab.telemetry.locks import file_lock
from evolution_lab.telemetry.publishing import publish_parquet, remove_leftovers
from evolution_lab.telemetry.suppression import suppressed

KIND: Final = "traffic"
BATCH_SNAPSHOTS: Final = 5_000
"""Snapshots written at once; bounds the memory of adding."""
_BATCH_BYTES: Final = 32 * 1024 * 1024
_READ_ROWS: Final = 256


@dataclass(frozen=True, eq=False)
class LakeTrafficStore:
    """Keeps snapshots in ``lake/traffic/date=…`` of a lab directory.

    Memory is bounded by one batch when adding, by a few hundred rows of one operation when reading.
    Files are sorted by operation, so that reading one touches only its row groups.

    Attributes:
        data: The lab directory.
        distinct: Whether ids that the same day holds already are left out. A recorder makes ids that
            no other has and need not look.
        wait_seconds: How long to wait for another process that writes the same days.
        lake: The lake that the snapshots are a part of.

    Examples:
        >>> import tempfile
        >>> store = LakeTrafficStore(Path(tempfile.mkdtemp()))
        >>> snapshot = TrafficSnapshot(id="s1", operation=OperationRef("cart.add", "shop"),
        ...     input={"sku": "A-1"}, output={"added": 1}, success=True,
        ...     timestamp=datetime(2026, 1, 1, tzinfo=UTC))
        >>> store.add([snapshot]), store.add([snapshot])
        (Added(added=1, duplicates=0), Added(added=0, duplicates=1))
        >>> list(store.snapshots("cart.add")) == [snapshot]
        True
    """

    data: Path
    distinct: bool = field(default=True, kw_only=True)
    wait_seconds: float = field(default=30.0, kw_only=True)

    lake: Lake = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # One for all calls: it reads each batch's record once.
        object.__setattr__(self, "lake", Lake(Path(self.data)))

    def add(self, snapshots: Iterable[TrafficSnapshot]) -> Added:
        """Store snapshots; those whose id is stored already are left out.

        Raises:
            InputError: A snapshot holds what JSON has no word for; nothing of its batch is stored.
            LockedError: Another process writes the same days for longer than the wait.
        """
        lake, total = self.lake, Added()
        for frame in _batches(snapshots):
            total += self._write(lake, frame)
        return total

    def snapshots(
        self,
        operation: OperationRef | str | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Iterator[TrafficSnapshot]:
        """Yield snapshots day by day; the order within a day is that of the files.

        Raises:
            CorruptFileError: A published file is missing or damaged.
        """
        key = operation.key if isinstance(operation, OperationRef) else operation
        for path in self.lake.live_files(KIND, since, until):
            for row in _rows(path, key):
                if since is not None and row["timestamp"] < since:
                    continue
                if until is not None and row["timestamp"] >= until:
                    continue
                snapshot = from_row(row)
                if operation is None or is_of(snapshot.operation, operation):
                    yield snapshot

    def operations(self) -> tuple[RecordedOperation, ...]:
        """Return what is stored of each operation, in their order everywhere."""
        files = self.lake.live_files(KIND)
        if not files:
            return ()
        names = ["operation_key", "service", "operation_version"]
        scan = pl.scan_parquet(files, hive_partitioning=False, glob=False)
        time = pl.col("timestamp")
        found = (
            scan.group_by(names)
            .agg(pl.len().alias("n"), time.min().alias("first"), time.max().alias("last"))
            .collect(engine="streaming")
        )
        made = [
            RecordedOperation(OperationRef(key, service, version), n, first, last)
            for key, service, version, n, first, last in found.rows()
        ]
        return tuple(sorted(made, key=lambda each: each.operation.sort_key))

    def _write(self, lake: Lake, frame: pl.DataFrame) -> Added:
        handed = frame.height
        frame = frame.unique("id", keep="first", maintain_order=True)
        frame = frame.sort("operation_key", "service", "timestamp", "id", nulls_last=False)
        days = frame.select(pl.col("timestamp").dt.date().unique().sort()).to_series().to_list()
        digest = _digest(frame)
        name = batch_id(source_key(digest, KIND, {}), 0, 0, handed)
        with ExitStack() as stack:
            for day in days:
                lock = lake.root / "locks" / f"{KIND}-{day.isoformat()}.lock"
                stack.enter_context(file_lock(lock, wait_seconds=self.wait_seconds))
            name = lake.renewed(name)  # One that was taken back is stored under another name.
            if record_path(lake.root, name).is_file():
                return Added(0, handed)
            # Under the locks: an erasure waits for them once the list is published.
            frame = suppressed(lake.root).keep(frame, actor="user_id")
            files = self._write_days(lake, name, frame, days)
            rows = sum(file.rows for file in files)
            if files:
                publish_record(lake.root, _record(name, digest, handed, frame, files))
        return Added(rows, handed - rows)

    def _write_days(
        self, lake: Lake, batch: str, frame: pl.DataFrame, days: Sequence[date]
    ) -> list[BatchFile]:
        files, known = [], lake.known_files()
        for day in days:
            part = frame.filter(pl.col("timestamp").dt.date() == day)
            folder = f"{KIND}/{partition(day)}"
            remove_leftovers(lake.root / folder, keep=known)
            if self.distinct:
                part = part.join(self._ids(lake, day), on="id", how="anti", maintain_order="left")
            if part.height:
                path = f"{folder}/part-{batch}.parquet"
                publish_parquet(lake.root / path, part, row_group_rows=1024)
                first, last = part["timestamp"].min(), part["timestamp"].max()
                assert isinstance(first, datetime)
                assert isinstance(last, datetime)
                files.append(
                    BatchFile(path=path, rows=part.height, min_timestamp=first, max_timestamp=last)
                )
        return files

    def _ids(self, lake: Lake, day: date) -> pl.DataFrame:
        own = [p for p in lake.live_files(KIND) if p.parent.name == partition(day)]
        if not own:
            return pl.DataFrame({"id": []}, schema={"id": pl.String})
        return pl.scan_parquet(own, hive_partitioning=False, glob=False).select("id").collect()


def _batches(snapshots: Iterable[TrafficSnapshot]) -> Iterator[pl.DataFrame]:
    """Gather rows until there are many, or large ones."""
    rows: list[dict[str, Any]] = []
    size = 0
    for snapshot in snapshots:
        row = to_row(snapshot)
        size += len(row["input"]) + len(row["output"])
        rows.append(row)
        if len(rows) >= BATCH_SNAPSHOTS or size >= _BATCH_BYTES:
            yield to_frame(rows)
            rows, size = [], 0
    if rows:
        yield to_frame(rows)


def _rows(path: Path, key: str | None) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a file, of one operation key where one is wanted."""
    columns = list(polars_schema(TRAFFIC))
    try:
        with pq.ParquetFile(path) as file:
            groups = [g for g in range(file.num_row_groups) if _may_hold(file, g, key)]
            if not groups:
                return
            for part in file.iter_batches(_READ_ROWS, row_groups=groups, columns=columns):
                frame = pl.DataFrame(part)
                if key is not None:
                    frame = frame.filter(pl.col("operation_key") == key)
                yield from frame.iter_rows(named=True)
    except (OSError, ValueError, KeyError) as error:
        raise CorruptFileError(f"{path} cannot be read: {error}.") from error


def _may_hold(file: Any, group: int, key: str | None) -> bool:
    """Say whether a row group may hold an operation, by the bounds that it states."""
    if key is None:
        return True
    stated = file.metadata.row_group(group)
    for number in range(stated.num_columns):
        column = stated.column(number)
        if column.path_in_schema == "operation_key":
            bounds = column.statistics
            if bounds is None or not bounds.has_min_max:
                return True
            return bool(bounds.min <= key <= bounds.max)
    return True


def _digest(frame: pl.DataFrame) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name in frame["id"]:
        digest.update(name.encode("utf-8", "surrogatepass") + b"\x00")
    return digest.hexdigest()


def _record(
    name: str, digest: str, handed: int, frame: pl.DataFrame, files: Sequence[BatchFile]
) -> BatchRecord:
    rows = sum(file.rows for file in files)
    return BatchRecord(
        batch=name,
        source=KIND,
        source_key=source_key(digest, KIND, {}),
        chunk=0,
        last=True,
        reader=KIND,
        landed_at=datetime.now(UTC),
        rows_read=handed,
        rows=rows,
        duplicates=handed - rows,
        services=tuple(frame["service"].drop_nulls().unique().sort()),
        min_timestamp=min(file.min_timestamp for file in files if file.min_timestamp),
        max_timestamp=max(file.max_timestamp for file in files if file.max_timestamp),
        files={KIND: tuple(files)},
    )
