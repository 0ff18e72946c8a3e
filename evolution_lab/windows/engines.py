"""Where the window aggregation runs: polars in this process, or a Spark cluster."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal, Protocol

import narwhals as nw
import polars as pl

from evolution_lab.errors import InputError, did_you_mean
from evolution_lab.windows.portable import COLUMNS

EngineName = Literal["polars", "spark"]
ENGINES: Final[tuple[EngineName, ...]] = ("polars", "spark")


def engine_name(name: str, *, latency_bins: bool = False) -> EngineName:
    """Return the name of an engine.

    Raises:
        InputError: There is none of this name, or it does not count histograms.

    Examples:
        >>> engine_name("spark")
        'spark'
    """
    for known in ENGINES:
        if name == known:
            break
    else:
        raise InputError(
            f"engine == {name!r}, must be one of {', '.join(ENGINES)}.{did_you_mean(name, ENGINES)}"
        )
    if latency_bins and known != "polars":
        raise InputError(f"engine == {name!r} counts no latency histograms; only 'polars' does.")
    return known


class Engine(Protocol):
    """Reads sample files of a lake, and collects what expressions of narwhals make of them."""

    def scan(self, files: Sequence[Path]) -> nw.LazyFrame[Any]:
        """Return the columns of ``portable.COLUMNS`` of some files: at least one."""

    def collect(self, frame: nw.LazyFrame[Any]) -> pl.DataFrame:
        """Compute a frame and bring it into this process; the order of rows is open."""


class PolarsEngine:
    """Polars in this process.

    Examples:
        >>> engine: Engine = PolarsEngine()
    """

    def scan(self, files: Sequence[Path]) -> nw.LazyFrame[Any]:
        """Return the columns of ``portable.COLUMNS`` of some files."""
        scan = pl.scan_parquet(list(files), hive_partitioning=False, glob=False)
        rows = scan.with_columns(time_us=pl.col("timestamp").dt.epoch("us")).select(COLUMNS)
        return nw.from_native(rows)

    def collect(self, frame: nw.LazyFrame[Any]) -> pl.DataFrame:
        """Compute a frame."""
        native = frame.to_native()
        assert isinstance(native, pl.LazyFrame)
        return native.collect()
