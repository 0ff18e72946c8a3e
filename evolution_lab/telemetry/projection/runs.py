"""A run: the narrow rows of some sample files of one day, sorted, as few Parquet files.

Files of a run hold different operations and slots: each can be read and aggregated on its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from evolution_lab.errors import CorruptFileError
from evolution_lab.telemetry.projection.narrow import SLOT_MINUTES, NarrowRows
from evolution_lab.telemetry.publishing import publish_parquet

FILE_ROWS: Final = 4_000_000
"""Rows of one file, give or take a slot; bounds the memory of a query."""

_BUILT_AGAIN: Final = "Delete the folder 'latency' of the lake: it is built again from the samples."

FAILURES: Final = {
    "op_id": pl.Int64(),
    "minute": pl.UInt16(),
    "error_code": pl.String(),
    "count": pl.Int64(),
}
"""Columns of a file of failures: how often each operation failed in which minute with which code."""


@dataclass(frozen=True, kw_only=True)
class RunFile:
    """One Parquet file of narrow rows.

    Attributes:
        path: Relative to the folder ``lake``, with forward slashes.
        rows: Rows in it.
        op_ids: What its numbers of operations stand for, ascending.
    """

    path: str
    rows: int
    op_ids: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Run:
    """The narrow rows of some sample files of one day.

    Attributes:
        built_from: Paths of these sample files, as they were landed; see ``states``.
        files: With different operations and slots.
        failures: Path of the failed rows by operation, minute and error code; None without any.
        rows: Rows in ``files``.
        between: Rows left out that are calls between operations, unless their parent is unknown.
    """

    built_from: tuple[str, ...]
    files: tuple[RunFile, ...]
    failures: str | None
    rows: int
    between: int


def write_run(
    root: Path,
    folder: str,
    rows: NarrowRows,
    failures: pl.DataFrame,
    *,
    built_from: tuple[str, ...],
    between: int,
    file_rows: int = FILE_ROWS,
) -> Run:
    """Write the files of a run; it counts once a manifest names it.

    Args:
        root: The lake's folder.
        folder: Of the day, relative to ``root``.
        rows: Sorted.
        failures: With the columns of ``FAILURES``.
        built_from: The sample files whose rows these are.
        between: Rows left out.
        file_rows: Rows of one file, give or take a slot.
    """
    name = blake2b("\n".join(sorted(built_from)).encode(), digest_size=12).hexdigest()
    files = []
    for number, part in enumerate(_parts(rows, file_rows)):
        used, operation = np.unique(part.operation, return_inverse=True)
        columns = {
            "operation": operation.astype(part.operation.dtype),
            "minute": part.minute,
            "duration_ns": part.duration_ns,
            "outcome": part.outcome,
        }
        if part.weight is not None:
            columns["weight"] = part.weight
        path = f"{folder}/run-{name}-{number}.parquet"
        publish_parquet(
            root / path, pl.DataFrame(columns), row_group_rows=max(len(part), 1), compression="lz4"
        )
        op_ids = tuple(rows.op_ids[used].tolist())
        files.append(RunFile(path=path, rows=len(part), op_ids=op_ids))
    failed = None
    if failures.height:
        failed = f"{folder}/failures-{name}.parquet"
        publish_parquet(root / failed, failures.sort(list(FAILURES)))
    return Run(
        built_from=tuple(sorted(built_from)),
        files=tuple(files),
        failures=failed,
        rows=len(rows),
        between=between,
    )


def read_file(root: Path, file: RunFile) -> NarrowRows:
    """Read one file of a run.

    Raises:
        CorruptFileError: It cannot be read, or is not what its manifest says.
    """
    path = root / file.path
    try:
        frame = pl.read_parquet(path, hive_partitioning=False, glob=False, parallel="columns")
        columns = {name: frame[name].to_numpy() for name in frame.columns}
        rows = NarrowRows(
            op_ids=np.asarray(file.op_ids, dtype=np.int64),
            operation=columns["operation"],
            minute=columns["minute"],
            duration_ns=columns["duration_ns"],
            outcome=columns["outcome"],
            weight=columns.get("weight"),
        )
    except (pl.exceptions.PolarsError, OSError, KeyError) as error:
        raise CorruptFileError(
            f"{path} cannot be read ({str(error).partition(chr(10))[0]}). {_BUILT_AGAIN}"
        ) from error
    if len(rows) != file.rows:
        raise CorruptFileError(
            f"{path} holds {len(rows):,} rows, its manifest says {file.rows:,}. {_BUILT_AGAIN}"
        )
    return rows


def read_failures(root: Path, runs: tuple[Run, ...]) -> pl.DataFrame:
    """Return the failed rows of runs by operation, minute and error code.

    Raises:
        CorruptFileError: A file cannot be read.
    """
    paths = [root / run.failures for run in runs if run.failures is not None]
    try:
        frames = [
            pl.read_parquet(path, hive_partitioning=False, glob=False).select(list(FAILURES))
            for path in paths
        ]
    except (pl.exceptions.PolarsError, OSError) as error:
        raise CorruptFileError(
            f"a file of {paths[0].parent} cannot be read ({str(error).partition(chr(10))[0]}). "
            f"{_BUILT_AGAIN}"
        ) from error
    return pl.concat([pl.DataFrame(schema=FAILURES), *frames])


def _parts(rows: NarrowRows, file_rows: int) -> list[NarrowRows]:
    """Cut rows where another slot begins."""
    if len(rows) <= file_rows:
        return [rows] if len(rows) else []
    slot = rows.minute // np.uint16(SLOT_MINUTES)
    begins = np.flatnonzero((rows.operation[1:] != rows.operation[:-1]) | (slot[1:] != slot[:-1]))
    wanted = np.arange(file_rows, len(rows), file_rows)
    places = np.searchsorted(begins, wanted, side="left")
    cuts = [0, *sorted({int(begins[p]) + 1 for p in places if p < len(begins)}), len(rows)]
    return [
        NarrowRows(
            op_ids=rows.op_ids,
            operation=rows.operation[start:end],
            minute=rows.minute[start:end],
            duration_ns=rows.duration_ns[start:end],
            outcome=rows.outcome[start:end],
            weight=None if rows.weight is None else rows.weight[start:end],
        )
        for start, end in pairwise(cuts)
        if end > start
    ]
