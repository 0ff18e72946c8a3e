"""One batch to disk: judged, redacted, without duplicates, all of it or nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Final

import polars as pl

from evolution_lab.records import OperationRef
from evolution_lab.redaction.redactor import masked_name
from evolution_lab.schemas import OPERATIONS, SAMPLES, check, empty, polars_schema
from evolution_lab.telemetry.batches import (
    BatchFile,
    BatchRecord,
    batch_id,
    publish_record,
    record_path,
)
from evolution_lab.telemetry.dedupe import LandedRows, RowIds, distinct
from evolution_lab.telemetry.lake import Lake, partition
from evolution_lab.telemetry.limits import LandingLimits
from evolution_lab.telemetry.publishing import publish_parquet, remove_leftovers
from evolution_lab.telemetry.quarantine import not_yet_quarantined, quarantine_frame
from evolution_lab.telemetry.reading import RAW_SCHEMA, Chunk, Reject
from evolution_lab.telemetry.redacting import RowRedactor
from evolution_lab.telemetry.suppression import suppressed
from evolution_lab.telemetry.validation import normalise, validate

BATCH_ROWS: Final = 250_000
"""Rows of one batch, give or take a chunk; bounds the memory of a landing."""

_MOST_DAYS: Final = 200
_IDENTITY: Final = ("service", "operation_key", "operation_version")


@dataclass(frozen=True, kw_only=True)
class RawBatch:
    """Neighbouring chunks of one input, as one.

    Attributes:
        number: Which batch of its input this is, counted from 0.
        first_row: How many rows of the input precede it.
        last: Whether the input ends here.
        chunk: Rows, rejects and counts.
    """

    number: int
    first_row: int
    last: bool
    chunk: Chunk

    @property
    def rows_read(self) -> int:
        """Rows found, the refused ones included."""
        return int(self.chunk.rows.height) + len(self.chunk.rejects)


def raw_batches(chunks: Iterable[Chunk]) -> Iterator[RawBatch]:
    """Join a reader's chunks to batches; an input without chunks gives none."""
    held: list[Chunk] = []
    number, first_row, rows = 0, 0, 0
    for chunk in chunks:
        size = chunk.rows.height + len(chunk.rejects)
        if held and rows + size > BATCH_ROWS:
            yield RawBatch(number=number, first_row=first_row, last=False, chunk=_joined(held))
            number, first_row, held, rows = number + 1, first_row + rows, [], 0
        held.append(chunk)
        rows += size
    if held:
        yield RawBatch(number=number, first_row=first_row, last=True, chunk=_joined(held))


def _joined(chunks: list[Chunk]) -> Chunk:
    dropped: Counter[str] = Counter()
    for chunk in chunks:
        dropped.update(chunk.dropped_attributes)
    return Chunk(
        rows=pl.concat([chunk.rows.select(list(RAW_SCHEMA)) for chunk in chunks]),
        rejects=tuple(reject for chunk in chunks for reject in chunk.rejects),
        dropped_attributes=dropped,
        waiting_lines=sum(chunk.waiting_lines for chunk in chunks),
        reading=next((chunk.reading for chunk in chunks if chunk.reading), None),
        tidy=all(chunk.tidy for chunk in chunks),
    )


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The input that batches come from.

    Attributes:
        name: The input as the caller named it.
        key: Hash of its content and of how it was read.
        reader: Name of the reader.
        row_ids: Gives its rows their ids, batch after batch.
    """

    name: str
    key: str
    reader: str
    row_ids: RowIds


@dataclass(frozen=True, kw_only=True)
class BatchWriter:
    """Writes the batches of one landing.

    Attributes:
        lake: Where to.
        redactor: Takes personal data and secrets out.
        landed_at: The landing time, UTC.
        wait_seconds: How long to wait for another process that writes the same days.
        dry_run: Whether to do everything but write.
        landed: Knows which rows the lake holds.
        limits: Which rows are landed.
    """

    lake: Lake
    redactor: RowRedactor
    landed_at: datetime
    wait_seconds: float
    dry_run: bool
    landed: LandedRows
    limits: LandingLimits = field(default_factory=LandingLimits)

    def write(self, batch: RawBatch, origin: Origin) -> Iterator[tuple[BatchRecord, pl.DataFrame]]:
        """Write a batch.

        Yields:
            The record and the added rows of each batch published now: none where the batch was
            published before, several where it spans more days than one process may lock.

        Raises:
            LockedError: Another process writes the same days for longer than the wait.
        """
        found = batch.chunk.rows
        rows, refused = validate(found if batch.chunk.tidy else normalise(found), self.landed_at)
        believed = origin.row_ids.add(rows)
        rows = self.limits.keep(believed)
        left_out = believed.height - rows.height
        days = rows.select(pl.col("timestamp").dt.date().unique().sort()).to_series().to_list()
        groups = [days[at : at + _MOST_DAYS] for at in range(0, len(days), _MOST_DAYS)] or [[]]
        for number, group in enumerate(groups):
            first, last = number == 0, number == len(groups) - 1
            part = rows.filter(pl.col("timestamp").dt.date().is_in(group)) if days else rows
            rejects = (*batch.chunk.rejects, *refused) if first else ()
            name = batch_id(origin.key, batch.number, batch.first_row + number, batch.rows_read)
            record = BatchRecord(
                batch=name,
                source=masked_name(origin.name),
                source_key=origin.key,
                chunk=batch.number,
                last=batch.last and last,
                reader=origin.reader,
                landed_at=self.landed_at,
                rows_read=part.height + len(rejects) + (left_out if first else 0),
                rows=0,
                duplicates=0,
                waiting_lines=batch.chunk.waiting_lines if first else 0,
                left_out=left_out if first else 0,
                share=self.limits.share,
            )
            record = replace(record, batch=self.lake.renewed(name))
            if not self._published(record.batch):
                dropped = batch.chunk.dropped_attributes if first else {}
                written = self._write_days(part, rejects, group, dropped, record)
                if written is not None:
                    yield written

    def _published(self, batch: str) -> bool:
        return record_path(self.lake.root, batch).is_file()

    def _write_days(
        self,
        rows: pl.DataFrame,
        rejects: tuple[Reject, ...],
        days: list[date],
        dropped: Mapping[str, int],
        record: BatchRecord,
    ) -> tuple[BatchRecord, pl.DataFrame] | None:
        judged = rows.height
        self.redactor.dropped.clear()
        refused = quarantine_frame(record.source, self.redactor.rejects(rejects))
        rows = _with_op_id(self.redactor.rows(distinct(rows)))
        rows = check(rows.select(list(polars_schema(SAMPLES))).sort("timestamp", "row_id"), SAMPLES)
        if self.dry_run:
            rows, record, judged = self._without_erased(rows, record, judged)
            parts = {day: self.landed.claim(_of_day(rows, day), day) for day in days}
            refused = not_yet_quarantined(self.lake, refused)
            return self._finished(record, judged, parts, refused, dropped), _joined_days(parts)
        with self.lake.locked_days(days, wait_seconds=self.wait_seconds):
            if self._published(record.batch):
                return None  # Another process landed the same input while this one waited.
            # While this process waited, the same input may have been taken back.
            base = record.batch.partition("-")[0]
            record = replace(record, batch=self.lake.renewed(base))
            rows, record, judged = self._without_erased(rows, record, judged)
            parted = {day: self.landed.parted(_of_day(rows, day), day) for day in days}
            parts = {day: new for day, (new, _) in parted.items()}
            holders: Counter[str] = sum((held for _, held in parted.values()), Counter())
            record = replace(record, duplicates_of=dict(sorted(holders.items())))
            refused = not_yet_quarantined(self.lake, refused)
            files = self._write_files(record.batch, parts, refused)
            finished = self._finished(record, judged, parts, refused, dropped)
            finished = replace(finished, files=files)
            publish_record(self.lake.root, finished)
        return finished, _joined_days(parts)

    def _without_erased(
        self, rows: pl.DataFrame, record: BatchRecord, judged: int
    ) -> tuple[pl.DataFrame, BatchRecord, int]:
        """Leave out who was erased; under the locks, so that an erasure is not passed by."""
        kept = suppressed(self.lake.root).keep(rows, actor="actor_id")
        theirs = rows.height - kept.height
        return kept, replace(record, left_out=record.left_out + theirs), judged - theirs

    def _write_files(
        self, batch: str, parts: Mapping[date, pl.DataFrame], refused: pl.DataFrame
    ) -> dict[str, tuple[BatchFile, ...]]:
        root, name = self.lake.root, f"part-{batch}.parquet"
        known = self.lake.known_files()
        files: dict[str, list[BatchFile]] = {}
        for day, part in parts.items():
            folder = f"samples/{partition(day)}"
            remove_leftovers(root / folder, keep=known)
            if part.height:
                path = f"{folder}/{name}"
                publish_parquet(root / path, part)
                first, last = part["timestamp"][0], part["timestamp"][-1]
                files.setdefault("samples", []).append(
                    BatchFile(path=path, rows=part.height, min_timestamp=first, max_timestamp=last)
                )
        added = _joined_days(parts)
        operations = added.select(list(polars_schema(OPERATIONS))).unique().sort(_IDENTITY)
        for kind, frame in (("operations", operations), ("quarantine", refused)):
            if frame.height:
                publish_parquet(root / kind / name, frame)
                files[kind] = [BatchFile(path=f"{kind}/{name}", rows=frame.height)]
        return {kind: tuple(found) for kind, found in files.items()}

    def _finished(
        self,
        record: BatchRecord,
        judged: int,
        parts: Mapping[date, pl.DataFrame],
        refused: pl.DataFrame,
        dropped: Mapping[str, int],
    ) -> BatchRecord:
        added = _joined_days(parts)
        times = added["timestamp"].sort()
        return replace(
            record,
            rows=added.height,
            duplicates=judged - added.height,
            quarantined=dict(sorted(Counter(refused["reason"]).items())),
            dropped_attributes=self.redactor.counted(dropped),
            services=tuple(added["service"].drop_nulls().unique().sort()),
            min_timestamp=times[0] if len(times) else None,
            max_timestamp=times[-1] if len(times) else None,
        )


def _with_op_id(rows: pl.DataFrame) -> pl.DataFrame:
    """Add the operation's id; each distinct operation is hashed once."""
    known = rows.select(_IDENTITY).unique()
    ids = [OperationRef(key, service, version).op_id for service, key, version in known.rows()]
    known = known.with_columns(pl.Series("op_id", ids, dtype=pl.Int64))
    return rows.join(known, on=_IDENTITY, how="left", nulls_equal=True, maintain_order="left")


def _of_day(rows: pl.DataFrame, day: date) -> pl.DataFrame:
    return rows.filter(pl.col("timestamp").dt.date() == day)


def _joined_days(parts: Mapping[date, pl.DataFrame]) -> pl.DataFrame:
    return pl.concat([empty(SAMPLES), *parts.values()])
