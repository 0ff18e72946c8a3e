"""Generated calls for measuring landing and windows: many operations, a week, log-normal durations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from evolution_lab.telemetry import Lake, land

START: Final = datetime(2026, 1, 1, tzinfo=UTC)
WINDOW: Final = timedelta(minutes=15)
DAYS: Final = 7
WINDOWS: Final = DAYS * 96
_SEED: Final = 7
_FAILED: Final = 0.02
_REFUSED: Final = 0.06
_SPREAD: Final = 0.6
_SPANS_OF_TRACE: Final = 4
_DAY_US: Final = 86_400_000_000

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class WindowData:
    """A source of generated calls.

    Attributes:
        folder: Where its Parquet files are, one a day.
        rows: Calls in all.
        operations: Operations and versions, called by Zipf's law.
    """

    folder: Path
    rows: int
    operations: int

    @property
    def files(self) -> list[Path]:
        """The Parquet files, by day."""
        return sorted(self.folder.glob("*.parquet"))


def write_source(folder: Path, *, rows: int, operations: int) -> WindowData:
    """Write calls as a table of twelve columns, such as an export of traces has.

    Args:
        folder: Where to; made.
        rows: Calls, spread evenly over a week.
        operations: Operations and versions.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(_SEED)
    share = 1.0 / np.arange(1, operations + 1) ** 1.05
    share /= share.sum()
    centre = rng.uniform(np.log(2e6), np.log(2e8), operations)
    names = pl.DataFrame(
        {
            "number": np.arange(operations),
            "operation_key": [f"GET /r{number // 2}/{{id}}" for number in range(operations)],
            "operation_version": [f"1.{number % 2}" for number in range(operations)],
        }
    )
    for day in range(DAYS):
        n = rows // DAYS + (rows % DAYS > day)
        number = rng.choice(operations, size=n, p=share).astype(np.int64)
        luck = rng.random(n)
        trace = rng.integers(0, 2**62, size=n // _SPANS_OF_TRACE + 1)
        begin = int(START.timestamp() * 1e6) + day * _DAY_US
        frame = pl.DataFrame(
            {
                "number": number,
                "timestamp": np.sort(rng.integers(0, _DAY_US, size=n)) + begin,
                "duration_ns": np.exp(centre[number] + _SPREAD * rng.standard_normal(n)).astype(
                    np.int64
                ),
                "status_code": np.where(luck < _FAILED, 500, np.where(luck < _REFUSED, 404, 200)),
                "trace": trace[np.arange(n) // _SPANS_OF_TRACE],
                "span": rng.integers(0, 2**62, size=n),
            }
        )
        frame.join(names, on="number", how="left", maintain_order="left").select(
            pl.col("timestamp").cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
            pl.lit("shop").alias("service"),
            "operation_key",
            "operation_version",
            pl.lit("server").alias("kind"),
            "duration_ns",
            (pl.col("status_code") < 500).alias("success"),
            "status_code",
            pl.when(pl.col("status_code") >= 500)
            .then(pl.lit("UpstreamTimeout"))
            .alias("error_code"),
            pl.format("t{}", pl.col("number") % 20).alias("tenant_id"),
            pl.col("trace").cast(pl.String).str.zfill(32).alias("trace_id"),
            pl.col("span").cast(pl.String).str.zfill(19).str.slice(3).alias("span_id"),
        ).write_parquet(
            folder / f"day-{day}.parquet",
            compression="zstd",
            compression_level=1,
            row_group_size=500_000,
        )
    return WindowData(folder, rows, operations)


def landed_lake(data_dir: Path, source: WindowData, progress: Progress | None = None) -> Lake:
    """Land a source, as anybody would."""
    lake = Lake(data_dir)
    land(lake, source.folder, progress=progress)
    return lake
