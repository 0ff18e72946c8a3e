"""Landing: inputs in, published batches out; twice is once, and a kill loses nothing.

Each input is read chunk by chunk. A batch of chunks is normalised, validated, given row ids, redacted
and written day by day while the locks of its days are held; its record is published last.
"""

from __future__ import annotations

import io
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import polars as pl

from evolution_lab.config import EvolutionConfig
from evolution_lab.errors import InputError, MappingError
from evolution_lab.records import TelemetrySample
from evolution_lab.redaction import LabKey, Redactor
from evolution_lab.schemas import SAMPLES, empty
from evolution_lab.telemetry.batches import BatchRecord, source_key
from evolution_lab.telemetry.dedupe import LandedRows, RowIds
from evolution_lab.telemetry.formats import reader_named
from evolution_lab.telemetry.lake import Lake
from evolution_lab.telemetry.limits import LandingLimits
from evolution_lab.telemetry.mapping import ColumnMapping
from evolution_lab.telemetry.parquet_tables import FrameSource
from evolution_lab.telemetry.planning import (
    PlannedFile,
    column_mapping,
    kept_mappings,
    paths_and_frames,
    planned_file,
    zone_name,
)
from evolution_lab.telemetry.preview import PreviewCollector
from evolution_lab.telemetry.projection import project
from evolution_lab.telemetry.reading import RAW_SCHEMA, Chunk, Reader, ReadOptions, Reject
from evolution_lab.telemetry.reading_processes import (
    ReadingProcesses,
    can_be_split,
    processes_for,
)
from evolution_lab.telemetry.redacting import RowRedactor
from evolution_lab.telemetry.report import LandingReport, LandingStatus, SourceLanding
from evolution_lab.telemetry.rewriting import day_of, folder_of
from evolution_lab.telemetry.samples import SampleSource
from evolution_lab.telemetry.sampling_bias import WeightBalance
from evolution_lab.telemetry.sources import SourceStream, find_files
from evolution_lab.telemetry.writing import BatchWriter, Origin, raw_batches

Progress = Callable[[int, int], None]

_DRY_RUN_ROWS: Final = 10
_BUFFER: Final = 1024 * 1024
OTLP_JSON: Final = "otlp-json"


def land(  # noqa: PLR0913 - one keyword for each flag of the command
    lake: Lake,
    sources: object,
    *,
    config: EvolutionConfig | None = None,
    format: str = "auto",  # noqa: A002 - the name of the command's flag
    mapping: ColumnMapping | Iterable[str] | Mapping[str, str] = (),
    tz: str | None = None,
    service: str | None = None,
    progress: Progress | None = None,
    dry_run: bool = False,
    since: datetime | None = None,
    until: datetime | None = None,
    share: float = 1.0,
    landed_at: datetime | None = None,
    wait_seconds: float = 30.0,
    workers: int | None = None,
) -> LandingReport:
    """Land files, folders and frames.

    Landing an input again adds nothing; a file that grew or was rotated adds what is new. Whatever
    cannot be read is quarantined and stops nothing else.

    Args:
        lake: Where to.
        sources: A path or a frame, or several. A folder means the files in it, at any depth. A frame
            is a polars, pandas or Arrow table, or a DuckDB relation.
        config: Allow-list of attributes, where tenants and actors are looked for, default zone.
        format: ``auto``, or the name of the reader for all files.
        mapping: For tables: ``ROLE=COLUMN[:UNIT]`` items, or roles to ``COLUMN[:UNIT]``.
        tz: Zone of times that carry none, such as ``Europe/Berlin``.
        service: The service where the input names none.
        progress: Called with the bytes read so far and the bytes in all.
        dry_run: Do everything but write; the report then holds the first rows and a preview.
        since: Land only events at or after this time; aware.
        until: Land only events before this time; aware.
        share: Land only this share of the traces, whole ones; each row then weighs ``1 / share``.
        landed_at: The landing time, aware; now unless given.
        wait_seconds: How long to wait for another process that writes the same days.
        workers: Processes that parse large files of OTLP JSON; by their size without it, 1 for none.

    Raises:
        PathNotFoundError: A path does not exist.
        UnknownFormatError: Nothing recognises a named file, or no reader has the name.
        MappingError: The mapping does not fit a named table, or no table of a folder.
        TimeZoneRequiredError: A table's times carry no zone and none is given.
        InputError: A source is neither a path nor a frame.
        LockedError: Another process writes the same days for longer than the wait.

    Examples:
        >>> import tempfile
        >>> lake = Lake(Path(tempfile.mkdtemp()))
        >>> frame = pl.DataFrame({"timestamp": ["2026-01-01T00:00:00Z"] * 2,
        ...     "operation": ["GET /users/{id}"] * 2, "duration_ms": [12.5, 12.5]})
        >>> land(lake, frame).rows_added
        2
        >>> land(lake, frame).rows_added
        0
    """
    config = config or EvolutionConfig()
    options = ReadOptions(
        config=config,
        mapping=column_mapping(mapping),
        kept=kept_mappings(config.mappings, zone_name(tz)),
        tz=zone_name(tz or config.time_zone),
        service=service,
    )
    chosen = None if format == "auto" else reader_named(format)
    paths, frames = paths_and_frames(sources)
    found, skipped = find_files(paths, lake.root)
    plan = [planned_file(file, chosen) for file in found]
    landing = _Landing.begin(
        lake,
        options,
        limits=LandingLimits(since=since, until=until, share=share),
        dry_run=dry_run,
        landed_at=landed_at,
        wait_seconds=wait_seconds,
        workers=workers,
    )
    total, done = sum(item.size for item in plan), 0
    for item in plan:
        tell = None if progress is None else _shifted(progress, done, total)
        landing.land_file(item, tell)
        done += item.size
        if progress is not None:
            progress(done, total)
    for frame in frames:
        landing.land_frame(frame)
    landing.finish(skipped)
    landing.project()
    return landing.report()


def land_samples(
    lake: Lake,
    samples: Iterable[TelemetrySample],
    *,
    source: str = "samples",
    config: EvolutionConfig | None = None,
    landed_at: datetime | None = None,
    wait_seconds: float = 30.0,
) -> LandingReport:
    """Land records, such as a middleware emits, as one input.

    Args:
        lake: Where to.
        samples: The records; equal ones without trace and span ids are kept apart within one call.
        source: What reports call them.
        config: Allow-list of attributes.
        landed_at: The landing time, aware; now unless given.
        wait_seconds: How long to wait for another process that writes the same days.

    Raises:
        LockedError: Another process writes the same days for longer than the wait.

    Examples:
        >>> import tempfile
        >>> from evolution_lab.records import OperationRef
        >>> sample = TelemetrySample(operation=OperationRef("checkout"),
        ...     timestamp=datetime(2026, 1, 1, tzinfo=UTC), duration_ns=1_000_000)
        >>> land_samples(Lake(Path(tempfile.mkdtemp())), [sample]).rows_added
        1
    """
    options = ReadOptions(config=config or EvolutionConfig())
    landing = _Landing.begin(
        lake, options, dry_run=False, landed_at=landed_at, wait_seconds=wait_seconds
    )
    landing.land_records(SampleSource(list(samples), source))
    landing.project()
    return landing.report()


@dataclass
class _Landing:
    """One call: what to write with, and what became of each input."""

    lake: Lake
    options: ReadOptions
    writer: BatchWriter
    known: dict[str, list[BatchRecord]]
    seen: PreviewCollector
    done: list[SourceLanding] = field(default_factory=list)
    misfits: list[tuple[str, MappingError]] = field(default_factory=list)
    first_rows: list[pl.DataFrame] = field(default_factory=list)
    days: set[date] = field(default_factory=set)
    workers: int | None = 1

    @classmethod
    def begin(
        cls,
        lake: Lake,
        options: ReadOptions,
        *,
        dry_run: bool,
        landed_at: datetime | None,
        wait_seconds: float,
        limits: LandingLimits | None = None,
        workers: int | None = 1,
    ) -> _Landing:
        if landed_at is not None and landed_at.tzinfo is None:
            raise InputError(f"landed_at == {landed_at.isoformat()!r}, must have a time zone.")
        redactor = RowRedactor(
            lambda: Redactor(_key(lake.data_dir, dry_run=dry_run)),
            frozenset(options.config.attributes),
        )
        writer = BatchWriter(
            lake=lake,
            redactor=redactor,
            landed_at=(landed_at or datetime.now(UTC)).astimezone(UTC),
            wait_seconds=wait_seconds,
            dry_run=dry_run,
            landed=LandedRows(lake),
            limits=limits or LandingLimits(),
        )
        known: dict[str, list[BatchRecord]] = {}
        for record in lake.batches():
            known.setdefault(record.source_key, []).append(record)
        seen = PreviewCollector(writer.landed_at)
        return cls(lake, options, writer, known, seen, workers=workers)

    def land_file(self, item: PlannedFile, progress: Progress | None) -> None:
        name, reader = item.file.name, item.reader
        if reader is None:
            status: LandingStatus = "empty" if item.empty else "skipped"
            note = None if item.empty else item.problem or "Nothing recognises it."
            self.done.append(SourceLanding(source=name, status=status, note=note))
            return
        with item.file.opened() as stream:
            key = self._key(stream.digest(), reader.name)
            try:
                self._land(name, key, reader.name, self._chunks(item, reader, stream, progress))
            except MappingError as error:
                if item.file.named:
                    raise
                self.misfits.append((name, error))

    def _chunks(
        self, item: PlannedFile, reader: Reader, stream: SourceStream, progress: Progress | None
    ) -> Iterator[Chunk]:
        count = processes_for(stream.size, self.workers)
        splits = reader.name == OTLP_JSON and count > 1 and stream.seekable()
        if splits and can_be_split(item.file.path):
            processes = ReadingProcesses(self.options, count)
            return processes.read(item.file.path, stream.size, progress)
        return _read(reader, stream, self.options, progress)

    def land_frame(self, frame: FrameSource) -> None:
        key = self._key(frame.digest(), "frame")
        self._land(frame.name, key, "frame", frame.read(self.options))

    def land_records(self, records: SampleSource) -> None:
        key = self._key(records.digest(), "samples")
        self._land(records.name, key, "samples", records.read())

    def finish(self, skipped: Sequence[tuple[str, str]]) -> None:
        """Say what was passed over; a mapping that fits no table at all is an error."""
        if self.misfits and not any(landing.reader for landing in self.done):
            raise self.misfits[0][1]
        passed = [*skipped, *((name, str(error)) for name, error in self.misfits)]
        self.done.extend(
            SourceLanding(source=name, status="skipped", note=note) for name, note in passed
        )

    def project(self) -> None:
        """Bring the projection of the days that rows were added to up to date."""
        if self.days and not self.writer.dry_run:
            project(self.lake, days=self.days, wait_seconds=self.writer.wait_seconds)

    def report(self) -> LandingReport:
        rows = pl.concat(self.first_rows).head(_DRY_RUN_ROWS) if self.first_rows else None
        return LandingReport(
            sources=tuple(self.done),
            dry_run=self.writer.dry_run,
            landed_at=self.writer.landed_at,
            first_rows=rows,
            preview=self.seen.preview(rows if rows is not None else empty(SAMPLES))
            if self.writer.dry_run
            else None,
        )

    def _key(self, digest: str, reader: str) -> str:
        config, mapping = self.options.config, self.options.mapping
        settings: dict[str, Any] = {
            "mapping": mapping.to_settings() if isinstance(mapping, ColumnMapping) else None,
            "tz": self.options.tz,
            "service": self.options.service,
            "attributes": sorted(config.attributes),
            "tenant": config.tenant_attributes,
            "actor": config.actor_attributes,
            "session": config.session_attributes,
        }
        # Only where there are any: inputs that were landed before must stay known.
        if self.options.kept and mapping is None:
            settings["kept"] = [[m.to_settings(), m.tz] for m in self.options.kept]
        if limited := self.writer.limits.to_settings():
            settings["limits"] = limited
        return source_key(digest, reader, settings)

    def _land(self, name: str, key: str, reader: str, chunks: Iterator[Chunk]) -> None:
        before = self.known.get(key, [])
        if _whole(before):
            waiting = sum(record.waiting_lines for record in before)
            self.done.append(
                SourceLanding(
                    source=name,
                    status="already landed",
                    reader=reader,
                    rows_read=sum(record.rows_read for record in before),
                    duplicates=sum(record.rows + record.duplicates for record in before),
                    waiting_lines=waiting,
                )
            )
            return
        first = next(chunks, None)  # A mapping that does not fit leaves no key behind.
        chunks = chain(() if first is None else (first,), chunks)
        self._check_share(name)
        row_ids = RowIds(self.writer.redactor.salt())
        origin = Origin(name=name, key=key, reader=reader, row_ids=row_ids)
        written: list[BatchRecord] = []
        reading: Mapping[str, str] | None = None
        balance = WeightBalance()
        for batch in raw_batches(chunks):
            reading = reading or batch.chunk.reading
            if self.writer.dry_run:
                if reading:
                    self.seen.readings[name] = reading
                self.seen.see(batch.chunk.rows)
            for record, rows in self.writer.write(batch, origin):
                written.append(record)
                self.days.update(_days(record))
                balance.see(rows)
                if self.writer.dry_run and len(self.first_rows) < _DRY_RUN_ROWS:
                    self.first_rows.append(rows.head(_DRY_RUN_ROWS))
        if not self.writer.dry_run:
            self.known.setdefault(key, []).extend(written)
        landed = _source_landing(name, reader, written, reading)
        self.done.append(replace(landed, note=balance.note()))

    def _check_share(self, name: str) -> None:
        """Refuse another share of a source: rows of both would weigh differently for no reason."""
        share = self.writer.limits.share
        for records in self.known.values():
            for record in records:
                if record.source == name and record.share != share:
                    raise InputError(
                        f"share == {share}, but {name!r} was landed with {record.share}: take that "
                        f"back first with 'evolution-lab lake forget {record.batch}'."
                    )


def _days(record: BatchRecord) -> Iterator[date]:
    for file in record.files.get("samples", ()):
        day = day_of(folder_of(file))
        if day is not None:
            yield day


def _source_landing(
    name: str, reader: str, written: Sequence[BatchRecord], reading: Mapping[str, str] | None
) -> SourceLanding:
    reasons: Counter[str] = Counter()
    dropped: Counter[str] = Counter()
    for record in written:
        reasons.update(record.quarantined)
        dropped.update(record.dropped_attributes)
    first = [r.min_timestamp for r in written if r.min_timestamp is not None]
    last = [r.max_timestamp for r in written if r.max_timestamp is not None]
    return SourceLanding(
        source=name,
        status="landed",
        reader=reader,
        rows_read=sum(record.rows_read for record in written),
        rows_added=sum(record.rows for record in written),
        duplicates=sum(record.duplicates for record in written),
        quarantined=reasons,
        waiting_lines=sum(record.waiting_lines for record in written),
        min_timestamp=min(first, default=None),
        max_timestamp=max(last, default=None),
        batches=tuple(record.batch for record in written),
        services=tuple(sorted({service for record in written for service in record.services})),
        dropped_attributes=dropped,
        left_out=sum(record.left_out for record in written),
        reading=reading,
    )


def _whole(records: Sequence[BatchRecord]) -> bool:
    """Say whether all batches of an input are there: a killed landing leaves only the first ones."""
    ends = [record.chunk for record in records if record.last]
    return bool(ends) and {record.chunk for record in records} >= set(range(max(ends) + 1))


def _read(
    reader: Reader, stream: SourceStream, options: ReadOptions, progress: Progress | None
) -> Iterator[Chunk]:
    buffered = cast("BinaryIO", io.BufferedReader(stream, _BUFFER))
    for chunk in reader.read(buffered, options):
        yield chunk
        if progress is not None:
            progress(stream.position(), stream.size)
    if stream.failure is not None:
        reason = f"The compressed data end or are damaged here: {stream.failure}."
        yield Chunk(rows=pl.DataFrame(schema=RAW_SCHEMA), rejects=(Reject(None, reason, ""),))


def _key(data_dir: Path, *, dry_run: bool) -> LabKey:
    if not dry_run or (data_dir / ".key").exists():
        return LabKey.open(data_dir)
    with tempfile.TemporaryDirectory() as folder:  # A dry run leaves no key behind.
        return LabKey.open(Path(folder))


def _shifted(progress: Progress, before: int, total: int) -> Progress:
    return lambda done, _: progress(before + done, total)
