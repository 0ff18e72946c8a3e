"""Landing only a part: a stretch of time, or a share of the traces with their weight."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, Final

import polars as pl

from evolution_lab.errors import InputError

_ALL: Final = 1 << 64


@dataclass(frozen=True, kw_only=True)
class LandingLimits:
    """Which rows are landed.

    A trace is kept or left out as a whole, by a hash of its id: the same traces in every file, and
    those of a smaller share are among those of a larger one. A row without a trace is its own.

    Attributes:
        since: Events at or after this time; aware.
        until: Events before this time; aware.
        share: Of the traces, a fraction above 0 and at most 1; a kept row weighs ``1 / share``.

    Raises:
        InputError: A time has no zone, or the share is out of range.

    Examples:
        >>> LandingLimits(share=0.05).keep(pl.DataFrame(
        ...     {"trace_id": [f"{n}" for n in range(2_000)], "row_id": ["r"] * 2_000,
        ...      "weight": [1.0] * 2_000}))["weight"].unique().to_list()
        [20.0]
    """

    since: datetime | None = None
    until: datetime | None = None
    share: float = 1.0

    def __post_init__(self) -> None:
        for name, time in (("since", self.since), ("until", self.until)):
            if time is not None and time.tzinfo is None:
                raise InputError(f"{name} == {time.isoformat()!r} has no time zone, must have one.")
        if not 0 < self.share <= 1:
            raise InputError(f"share == {self.share}, must be above 0 and at most 1: 0.05.")

    def keep(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows within the limits, weighted; they need ``row_id``."""
        if self.since is not None:
            rows = rows.filter(pl.col("timestamp") >= self.since.astimezone(UTC))
        if self.until is not None:
            rows = rows.filter(pl.col("timestamp") < self.until.astimezone(UTC))
        if self.share == 1:
            return rows
        unit = rows.select(pl.coalesce("trace_id", "row_id")).to_series()
        chosen = {value for value in unit.unique() if _place(value) < self.share * _ALL}
        return rows.filter(unit.is_in(list(chosen))).with_columns(pl.col("weight") / self.share)

    def to_settings(self) -> dict[str, Any]:
        """Return what is limited, JSON-ready; empty where nothing is."""
        times = {"since": self.since, "until": self.until}
        found: dict[str, Any] = {n: t.astimezone(UTC).isoformat() for n, t in times.items() if t}
        return found | ({"share": self.share} if self.share != 1 else {})


def _place(value: str) -> int:
    return int.from_bytes(blake2b(value.encode(), digest_size=8).digest())
