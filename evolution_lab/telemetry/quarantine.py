"""What could not be read: kept with its origin, line, reason and a redacted excerpt."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from evolution_lab.schemas import QUARANTINE, polars_schema
from evolution_lab.telemetry.lake import Lake


def quarantine_frame(origin: str, refused: Sequence[tuple[int | None, str, str]]) -> pl.DataFrame:
    """Return refused rows as a frame of ``schemas.QUARANTINE``, in the order of their lines.

    Args:
        origin: The input as the caller named it.
        refused: Line, reason and excerpt, already redacted.
    """
    rows = [(origin, line, reason, excerpt) for line, reason, excerpt in refused]
    frame = pl.DataFrame(rows, schema=polars_schema(QUARANTINE), orient="row")
    return frame.sort(["line", "reason", "excerpt"], nulls_last=False)


def not_yet_quarantined(lake: Lake, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows that the lake's quarantine does not hold: a file that grew repeats its bad lines."""
    if frame.is_empty():
        return frame
    held = lake.quarantine(origin=frame["origin"][0])
    return frame.join(held, on=frame.columns, how="anti", nulls_equal=True, maintain_order="left")
