"""The lake: immutable files under ``<data>/lake``, and the one list of those that count.

    samples/date=YYYY-MM-DD/part-<batch>.parquet   wide, time-sorted; day of the event
    operations/part-<batch>.parquet                op_id to service, key and version
    quarantine/part-<batch>.parquet                what could not be read, and why
    batches/<batch>.json                           published last: a batch counts when this exists
    superseded/<n>.json                            which files took the place of which, and why
    locks/<day>.lock                               one writer a day

Nobody globs: readers take ``Lake.live_files``, the files of published batches minus the superseded
ones. A process that dies leaves files that no list names.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from evolution_lab.errors import CorruptFileError, InputError
from evolution_lab.schemas import OPERATIONS, QUARANTINE, SAMPLES, check, empty, polars_schema
from evolution_lab.telemetry.batches import BatchFile, BatchRecord, read_record
from evolution_lab.telemetry.locks import file_lock
from evolution_lab.telemetry.swaps import Swap, counting_swaps, read_swap, swap_paths

if TYPE_CHECKING:
    from pandera.polars import DataFrameSchema

_MOST_TRIES = 50


@dataclass(frozen=True)
class Lake:
    """What has been landed in one lab directory.

    Opening a lake writes nothing; a lab directory that does not exist reads as an empty lake.

    Attributes:
        data_dir: The lab directory; the lake is its folder ``lake``.

    Examples:
        >>> import tempfile
        >>> lake = Lake(Path(tempfile.mkdtemp()))
        >>> lake.live_files("samples"), lake.samples().collect().height
        ([], 0)
    """

    data_dir: Path
    _records: dict[str, BatchRecord] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _swaps_read: dict[str, Swap] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "data_dir", Path(self.data_dir))

    @property
    def root(self) -> Path:
        """The folder of the lake."""
        return self.data_dir / "lake"

    def batches(self) -> tuple[BatchRecord, ...]:
        """Return the published batches in the order in which they were landed.

        Raises:
            CorruptFileError: A record cannot be read.
            FormatVersionError: A record was written by a newer version of this package.
        """
        return _counting(self.records(), self.swaps())

    def records(self) -> tuple[BatchRecord, ...]:
        """Return the records of all batches, also of those that were forgotten a moment ago."""
        folder = self.root / "batches"
        try:
            names = [entry.name for entry in os.scandir(folder)]
        except FileNotFoundError:
            names = []
        # Records are immutable: reading each once is enough. Forgotten batches drop out.
        current = {}
        for name in names:
            if name.endswith(".json") and not name.startswith("."):
                try:
                    current[name] = self._records.get(name) or read_record(folder / name)
                except FileNotFoundError:
                    continue  # Forgotten between the listing and now.
        self._records.clear()
        self._records.update(current)
        return tuple(sorted(current.values(), key=lambda r: (r.landed_at, r.source, r.chunk)))

    def swaps(self) -> tuple[Swap, ...]:
        """Return what took the place of what, oldest first.

        Raises:
            CorruptFileError: A record of a swap cannot be read.
            FormatVersionError: One was written by a newer version of this package.
        """
        return tuple(each for _, swap in self.swap_files() for each in (swap.folded or (swap,)))

    def swap_files(self) -> list[tuple[Path, Swap]]:
        """Return the files of swaps that count, oldest first.

        Raises:
            CorruptFileError: One cannot be read, or is missing.
            FormatVersionError: One was written by a newer version of this package.
        """
        for _ in range(_MOST_TRIES):
            found = []
            try:
                for path in swap_paths(self.root):
                    swap = self._swaps_read.get(path.name)
                    found.append((path, swap or read_swap(path)))
            except FileNotFoundError:
                continue  # Folded between the listing and now.
            counting = counting_swaps(found)
            if counting is not None:
                self._swaps_read.clear()
                self._swaps_read.update({path.name: swap for path, swap in counting})
                return counting
        raise CorruptFileError(
            f"{self.root / 'superseded'} lacks one of its numbered files; restore it, or rows that "
            "were joined or removed count again."
        )

    def renewed(self, batch: str) -> str:
        """Return the id under which a batch is to be published, now that some may be forgotten.

        An id that was forgotten is never used again: readers may still hold the old files' names.
        """
        forgotten = {name for swap in self.swaps() for name in swap.forgets}
        times = sum(name.partition("-")[0] == batch for name in forgotten)
        return f"{batch}-{times}" if times else batch

    def live_files(
        self, kind: str, since: datetime | None = None, until: datetime | None = None
    ) -> list[Path]:
        """Return the files that count, sorted; polars, DuckDB and Spark all read this list.

        Args:
            kind: ``samples``, ``operations``, ``quarantine``, or another kind of the lake.
            since: Only files that may hold events at or after this time; aware.
            until: Only files that may hold events before this time; aware.

        Raises:
            CorruptFileError: A published file is missing, or a record cannot be read.
            FormatVersionError: A record was written by a newer version of this package.
            InputError: ``since`` or ``until`` has no time zone.
        """
        since, until = _utc("since", since), _utc("until", until)
        paths = []
        for file in self.live(kind):
            if since and file.max_timestamp and file.max_timestamp < since:
                continue
            if until and file.min_timestamp and file.min_timestamp >= until:
                continue
            path = self.root / file.path
            if not path.is_file():
                raise CorruptFileError(
                    f"{path} is missing although its batch is published; restore it, or remove "
                    "the record that names it from the folder 'batches' and land its source again."
                )
            paths.append(path)
        return paths

    def samples(self, since: datetime | None = None, until: datetime | None = None) -> pl.LazyFrame:
        """Scan the landed samples.

        Args:
            since: Events at or after this time; aware.
            until: Events before this time; aware.

        Returns:
            The columns of ``schemas.SAMPLES``; no order is promised across files.

        Raises:
            CorruptFileError: A published file is missing or has other columns.
            FormatVersionError: A record was written by a newer version of this package.
        """
        frame = _scan(self.live_files("samples", since, until), SAMPLES)
        if since is not None:
            frame = frame.filter(pl.col("timestamp") >= _utc("since", since))
        if until is not None:
            frame = frame.filter(pl.col("timestamp") < _utc("until", until))
        return frame

    def operations(self) -> pl.DataFrame:
        """Return every operation that was landed, sorted by service, key and version."""
        scan = _scan(self.live_files("operations"), OPERATIONS)
        names = ["service", "operation_key", "operation_version"]
        frame = scan.unique().sort(names, nulls_last=False).collect()
        return check(frame, OPERATIONS)

    def quarantine(self, origin: str | None = None) -> pl.DataFrame:
        """Return what could not be read, sorted by origin, line and reason.

        Args:
            origin: Only what stood in this input.
        """
        scan = _scan(self.live_files("quarantine"), QUARANTINE)
        if origin is not None:
            scan = scan.filter(pl.col("origin") == origin)
        return scan.sort(["origin", "line", "reason", "excerpt"], nulls_last=False).collect()

    def digest(self) -> str:
        """Return a hash of the set of live sample files: equal for lakes that hold equal batches.

        Batches that added nothing do not change it.
        """
        swaps = self.swaps()
        names = [
            Path(file.path).name
            for record in _counting(self.records(), swaps)
            for file in record.files.get("samples", ())
            if file.rows
        ]
        # Rows that were taken away make another set; files that were merely joined do not.
        names += [
            f"{swap.reason} {path}"
            for swap in swaps
            if swap.reason in {"retain", "erase"}
            for path in swap.replaces
            if path.startswith("samples/")
        ]
        return hashlib.blake2b("\n".join(sorted(names)).encode(), digest_size=16).hexdigest()

    def known_files(self) -> frozenset[str]:
        """Return the names, without folders, of all files of published batches, live or not."""
        names = {Path(f.path).name for r in self.records() for fs in r.files.values() for f in fs}
        for swap in self.swaps():
            names.update(Path(file.path).name for files in swap.adds.values() for file in files)
            names.update(Path(path).name for path in swap.replaces)
        return frozenset(names)

    def row_ids(self, day: date, *, beyond: frozenset[str]) -> tuple[pl.DataFrame, frozenset[str]]:
        """Return the row ids that one day holds in files not listed in ``beyond``.

        Returns:
            ``row_id`` and ``batch`` of each row, and the paths of all live files of that day.
        """
        prefix = f"samples/{partition(day)}/"
        files = {file.path: file for file in self.live("samples") if file.path.startswith(prefix)}
        fresh = [files[path] for path in sorted(files.keys() - beyond)]
        return self.with_batch(fresh, ["row_id"]).collect(), frozenset(files)

    def with_batch(self, files: Sequence[BatchFile], columns: Sequence[str]) -> pl.LazyFrame:
        """Scan some columns of files with a column ``batch``: which batch each row came with."""
        owners = {
            file.path: record.batch
            for record in self.records()
            for own in record.files.values()
            for file in own
        }
        parts = []
        for file in files:
            scan = pl.scan_parquet(self.root / file.path, hive_partitioning=False, glob=False)
            owner: pl.Expr = pl.lit(owners.get(file.path), dtype=pl.String).alias("batch")
            if file.path not in owners and file.batches:
                owner = pl.col("batch")
            parts.append(scan.select(*columns, owner))
        if not parts:
            return pl.LazyFrame(
                schema={**dict.fromkeys(columns, pl.String()), "batch": pl.String()}
            )
        return pl.concat(parts)

    @contextmanager
    def locked_days(self, days: Sequence[date], *, wait_seconds: float) -> Iterator[None]:
        """Be the only writer of some days; others may write other days meanwhile.

        Raises:
            LockedError: Another process holds one of them for longer than the wait.
        """
        with ExitStack() as stack:
            # In one order everywhere: two writers of the same days cannot wait for each other.
            for day in sorted(set(days)):
                path = self.root / "locks" / f"{day.isoformat()}.lock"
                stack.enter_context(file_lock(path, wait_seconds=wait_seconds))
            yield

    def live(self, kind: str) -> list[BatchFile]:
        """Return the files of a kind that count, by their paths."""
        # Records first: a batch that is published and compacted in between is then in the swap.
        records, swaps = self.records(), self.swaps()
        files = {
            file.path: file
            for record in _counting(records, swaps)
            for file in record.files.get(kind, ())
        }
        for swap in swaps:
            for path in swap.replaces:
                files.pop(path, None)
            files.update({file.path: file for file in swap.adds.get(kind, ())})
        return [files[path] for path in sorted(files)]


def _counting(records: Sequence[BatchRecord], swaps: Sequence[Swap]) -> tuple[BatchRecord, ...]:
    forgotten = {batch for swap in swaps for batch in swap.forgets}
    return tuple(record for record in records if record.batch not in forgotten)


def _scan(files: list[Path], contract: DataFrameSchema) -> pl.LazyFrame:
    if not files:
        return empty(contract).lazy()
    names = list(polars_schema(contract))
    return pl.scan_parquet(files, hive_partitioning=False, glob=False).select(names)


def partition(day: date) -> str:
    """Return the folder name of a day.

    Examples:
        >>> partition(date(2026, 1, 31))
        'date=2026-01-31'
    """
    return f"date={day.isoformat()}"


def _utc(name: str, value: datetime | None) -> datetime | None:
    if value is None:
        return None
    if value.tzinfo is None:
        raise InputError(f"{name} == {value.isoformat()!r} has no time zone, must have one.")
    return value.astimezone(UTC)
