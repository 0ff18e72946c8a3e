"""What a landing did, input by input."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Literal

import polars as pl

from evolution_lab.display import ResultMixin, strip_controls
from evolution_lab.telemetry.preview import LandingPreview

LandingStatus = Literal["landed", "already landed", "empty", "skipped"]


@dataclass(frozen=True, kw_only=True)
class SourceLanding:
    """What became of one input.

    Attributes:
        source: The input as the caller named it.
        status: ``landed`` (or read, in a dry run), ``already landed`` (nothing was read again),
            ``empty``, or ``skipped``.
        reader: Name of the reader; None where nothing recognised the input.
        rows_read: Rows found, the quarantined ones included.
        rows_added: Rows added to the lake.
        duplicates: Rows that the lake, or this input, had already.
        quarantined: Refused rows by reason, counted when they are first refused.
        waiting_lines: Unfinished last lines left for the next run.
        min_timestamp: Earliest event added, UTC.
        max_timestamp: Latest event added, UTC.
        batches: Ids of the batches published.
        services: Services seen in the added rows, sorted.
        dropped_attributes: Attributes left out, counted by name.
        left_out: Rows outside the limits of the landing, and of who was erased.
        reading: Of a table, how its columns were read: role to ``COLUMN:UNIT``, and ``tz``.
        note: Why an input was skipped, or what is odd about it.
    """

    source: str
    status: LandingStatus
    reader: str | None = None
    rows_read: int = 0
    rows_added: int = 0
    duplicates: int = 0
    quarantined: Mapping[str, int] = field(default_factory=dict)
    waiting_lines: int = 0
    min_timestamp: datetime | None = None
    max_timestamp: datetime | None = None
    batches: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    dropped_attributes: Mapping[str, int] = field(default_factory=dict)
    left_out: int = 0
    reading: Mapping[str, str] | None = None
    note: str | None = None


@dataclass(frozen=True, kw_only=True)
class LandingReport(ResultMixin):
    """What one call of ``land`` did; shows one row an input.

    Attributes:
        sources: What became of each input, in the order in which they were read.
        dry_run: Whether nothing was written.
        landed_at: The landing time that timestamps were judged against, UTC.
        first_rows: In a dry run the first rows as they would be landed; None otherwise.
        preview: In a dry run what would be landed, and what of it can hardly be meant.
    """

    _title: ClassVar[str] = "Landing"
    _columns: ClassVar[tuple[str, ...]] = (
        *("source", "status", "reader", "read", "added", "duplicates", "quarantined", "note"),
    )

    sources: tuple[SourceLanding, ...]
    dry_run: bool
    landed_at: datetime
    first_rows: pl.DataFrame | None = field(default=None, repr=False, compare=False)
    preview: LandingPreview | None = field(default=None, repr=False, compare=False)

    @property
    def rows_read(self) -> int:
        """Rows found in all inputs, the quarantined ones included."""
        return sum(source.rows_read for source in self.sources)

    @property
    def rows_added(self) -> int:
        """Rows added to the lake."""
        return sum(source.rows_added for source in self.sources)

    @property
    def duplicates(self) -> int:
        """Rows that were there already."""
        return sum(source.duplicates for source in self.sources)

    @property
    def rows_quarantined(self) -> int:
        """Rows refused for the first time."""
        return sum(self.quarantined.values())

    @property
    def quarantined(self) -> dict[str, int]:
        """Refused rows by reason, most frequent first."""
        return _added_up(source.quarantined for source in self.sources)

    @property
    def dropped_attributes(self) -> dict[str, int]:
        """Attributes that are not on the allow-list, counted by name, most frequent first."""
        return _added_up(source.dropped_attributes for source in self.sources)

    @property
    def waiting_lines(self) -> int:
        """Unfinished last lines that wait for the next run."""
        return sum(source.waiting_lines for source in self.sources)

    @property
    def left_out(self) -> int:
        """Rows outside the limits of the landing."""
        return sum(source.left_out for source in self.sources)

    @property
    def skipped(self) -> tuple[str, ...]:
        """Files of a folder that nothing recognised."""
        return tuple(source.source for source in self.sources if source.status == "skipped")

    @property
    def batches(self) -> tuple[str, ...]:
        """Ids of the batches published."""
        return tuple(batch for source in self.sources for batch in source.batches)

    @property
    def services(self) -> tuple[str, ...]:
        """Services seen in the added rows, sorted."""
        return tuple(sorted({name for source in self.sources for name in source.services}))

    @property
    def time_span(self) -> tuple[datetime, datetime] | None:
        """Earliest and latest event added, UTC; None where nothing was added."""
        first = [s.min_timestamp for s in self.sources if s.min_timestamp is not None]
        last = [s.max_timestamp for s in self.sources if s.max_timestamp is not None]
        return (min(first), max(last)) if first and last else None

    @property
    def summary(self) -> str:
        """What was done, in one sentence."""
        verb = "would be added" if self.dry_run else "added"
        return (
            f"{self.rows_added:,} rows {verb}, {self.duplicates:,} were there already, "
            f"{self.rows_quarantined:,} quarantined."
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for people, most important first."""
        span = self.time_span
        found = [self.summary]
        if span is not None:
            found.append(
                f"Events from {span[0]:%Y-%m-%d %H:%M:%S} to {span[1]:%Y-%m-%d %H:%M:%S} UTC."
            )
        found += [f"Quarantined, {count:,}: {reason}" for reason, count in self._top_reasons()]
        if self.left_out:
            found.append(f"{self.left_out:,} rows are outside the limits asked for.")
        if self.preview is not None:
            found += self.preview.warnings
        found += [f"{s.source}: {s.note}" for s in self.sources if s.note and s.status == "landed"]
        if self.waiting_lines:
            found.append(
                f"{self.waiting_lines} unfinished last line(s) wait for the next run: "
                "their files end without a line break."
            )
        if self.skipped:
            found.append(f"{len(self.skipped)} file(s) skipped: nothing recognises them.")
        if self.dropped_attributes:
            names = ", ".join(list(self.dropped_attributes)[:5])
            more = len(self.dropped_attributes) - 5
            found.append(
                f"Attributes not on the allow-list were only counted: {names}"
                + (f" and {more} more names." if more > 0 else ".")
            )
        # Reasons and names quote what strangers wrote.
        return tuple(strip_controls(note) for note in found)

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one dict an input."""
        return [
            {
                "source": source.source,
                "status": source.status,
                "reader": source.reader,
                "read": source.rows_read,
                "added": source.rows_added,
                "duplicates": source.duplicates,
                "quarantined": sum(source.quarantined.values()),
                "waiting": source.waiting_lines,
                "first": source.min_timestamp,
                "last": source.max_timestamp,
                "note": source.note,
            }
            for source in self.sources
        ]

    def to_document(self) -> dict[str, Any]:
        """Return the whole report as JSON-ready values with camelCase names, as ``land --json`` prints it."""
        span = self.time_span
        return {
            "dryRun": self.dry_run,
            "landedAt": _iso(self.landed_at),
            "rowsRead": self.rows_read,
            "rowsAdded": self.rows_added,
            "duplicates": self.duplicates,
            "rowsQuarantined": self.rows_quarantined,
            "quarantined": self.quarantined,
            "waitingLines": self.waiting_lines,
            "leftOut": self.left_out,
            "skipped": list(self.skipped),
            "firstEvent": _iso(span[0]) if span else None,
            "lastEvent": _iso(span[1]) if span else None,
            "services": list(self.services),
            "batches": list(self.batches),
            "droppedAttributes": self.dropped_attributes,
            "sources": [
                {**row, "first": _iso(row["first"]), "last": _iso(row["last"])}
                for row in self.to_dicts()
            ],
            "notes": list(self.notes),
            **({"preview": self.preview.to_document()} if self.preview else {}),
        }

    def _top_reasons(self, limit: int = 5) -> list[tuple[str, int]]:
        return list(self.quarantined.items())[:limit]


def _added_up(counts: Any) -> dict[str, int]:
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))


def _iso(time: datetime | None) -> str | None:
    return time.isoformat().replace("+00:00", "Z") if time is not None else None
