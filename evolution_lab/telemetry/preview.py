"""What a landing would put into the lake, and what of it can hardly be meant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import polars as pl

from evolution_lab.telemetry.mapping import TIME_UNITS, RoleColumn

MOST_ROWS: Final = 4_000_000
"""Up to so many rows medians are exact; beyond, those of every second, fourth … row."""
LONGEST_MEDIAN: Final = timedelta(minutes=10)
"""A service that mostly takes longer than this is more likely read in the wrong unit."""
LONGEST_SPAN: Final = timedelta(days=5 * 365)
_OLDEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
_SHOWN: Final = (
    *("timestamp", "service", "operation_key", "kind", "duration_ns", "success", "status_code"),
    *("error_code", "tenant_id", "actor_id", "trace_id", "weight"),
)


@dataclass(frozen=True, kw_only=True)
class SeenService:
    """One service of an input.

    Attributes:
        service: Its name, None where rows name none.
        rows: Rows read.
        median_ns: Median duration, nanoseconds.
        first: Earliest event, UTC.
        last: Latest event, UTC.
    """

    service: str | None
    rows: int
    median_ns: int | None
    first: datetime | None
    last: datetime | None


@dataclass(frozen=True, kw_only=True)
class LandingPreview:
    """What a dry run shows.

    Attributes:
        rows: The first rows as they would be landed, redacted; the columns that people look at.
        services: What was read of each service, most rows first.
        readings: By input, how columns were read: role to ``COLUMN:UNIT``, and ``tz``.
        warnings: Sentences on what can hardly be meant.
    """

    rows: pl.DataFrame
    services: tuple[SeenService, ...]
    readings: Mapping[str, Mapping[str, str]]
    warnings: tuple[str, ...]

    def to_document(self) -> dict[str, Any]:
        """Return it as JSON-ready values with camelCase names."""
        return {
            "rows": [
                {_camel(name): _plain(value) for name, value in row.items()}
                for row in self.rows.iter_rows(named=True)
            ],
            "services": [
                {
                    "service": each.service,
                    "rows": each.rows,
                    "medianMs": None if each.median_ns is None else each.median_ns / 1e6,
                    "first": _plain(each.first),
                    "last": _plain(each.last),
                }
                for each in self.services
            ],
            "readings": {name: dict(reading) for name, reading in self.readings.items()},
            "warnings": list(self.warnings),
        }


@dataclass
class PreviewCollector:
    """Looks at raw rows on their way, the refused ones included."""

    landed_at: datetime
    readings: dict[str, Mapping[str, str]] = field(default_factory=dict)
    _seen: list[pl.DataFrame] = field(default_factory=list)
    _held: int = 0
    _every: int = 1

    def see(self, rows: pl.DataFrame) -> None:
        """Look at some raw rows."""
        part = rows.select("service", "timestamp", "duration_ns").gather_every(self._every)
        self._seen.append(part)
        self._held += part.height
        if self._held > MOST_ROWS:
            self._every *= 2
            thinned = pl.concat(self._seen).gather_every(2)
            self._seen, self._held = [thinned], thinned.height

    def preview(self, first_rows: pl.DataFrame) -> LandingPreview:
        """Return what was seen."""
        services = self._services()
        return LandingPreview(
            rows=first_rows.select(_SHOWN),
            services=services,
            readings=dict(self.readings),
            warnings=tuple(self._warnings(services)),
        )

    def _services(self) -> tuple[SeenService, ...]:
        if not self._seen:
            return ()
        found = (
            pl.concat(self._seen)
            .group_by("service")
            .agg(
                (pl.len() * self._every).alias("rows"),
                pl.col("duration_ns").quantile(0.5, "lower").cast(pl.Int64).alias("median_ns"),
                pl.col("timestamp").min().alias("first"),
                pl.col("timestamp").max().alias("last"),
            )
            .sort(["rows", "service"], descending=[True, False], nulls_last=True)
        )
        return tuple(SeenService(**row) for row in found.iter_rows(named=True))

    def _warnings(self, services: tuple[SeenService, ...]) -> list[str]:
        found = []
        for each in services:
            whose = f"service {each.service!r}" if each.service else "rows without a service"
            median = each.median_ns
            if median is not None and median > LONGEST_MEDIAN // timedelta(microseconds=1) * 1000:
                found.append(
                    f"{whose}: the median duration is {_length(median)}; is the unit right? "
                    f"{self._said('duration')}"
                )
            elif median is not None and 0 <= median < 1_000:
                found.append(
                    f"{whose}: the median duration is {median} ns; is the unit right? "
                    f"{self._said('duration')}"
                )
            found += self._warnings_of_times(whose, each)
        return [warning.strip() for warning in found]

    def _warnings_of_times(self, whose: str, each: SeenService) -> list[str]:
        first, last = each.first, each.last
        if first is None or last is None:
            return []
        if first < _OLDEST or last > self.landed_at + timedelta(days=1):
            between = f"between {first:%Y-%m-%d %H:%M} and {last:%Y-%m-%d %H:%M} UTC"
            said = f"{self._said('timestamp')}{self._better(first, last)}"
            return [f"{whose}: events lie {between}; is the unit right? {said}"]
        if last - first > LONGEST_SPAN:
            years = (last - first).days / 365.25
            return [f"{whose}: events span {years:.0f} years; are all timestamps right?"]
        return []

    def _said(self, role: str) -> str:
        columns = {r[role] for r in self.readings.values() if role in r}
        return f"Read as {', '.join(sorted(columns))}." if columns else ""

    def _better(self, first: datetime, last: datetime) -> str:
        """Name the unit that would make the times plausible, where the input had one to choose."""
        for reading in self.readings.values():
            column, _, unit = reading.get("timestamp", "").rpartition(":")
            if unit not in TIME_UNITS:
                continue
            for other, size in TIME_UNITS.items():
                shift = size / TIME_UNITS[unit]
                times = [time.timestamp() * shift for time in (first, last)]
                limit = self.landed_at.timestamp() + 86_400
                if other != unit and all(_OLDEST.timestamp() <= t <= limit for t in times):
                    time = datetime.fromtimestamp(times[0], UTC)
                    better = RoleColumn(column, other)
                    return f" As {better} the first would be {time:%Y-%m-%d %H:%M}."
        return ""


def _length(duration_ns: int) -> str:
    seconds = duration_ns / 1e9
    for size, name in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} seconds"


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return value
