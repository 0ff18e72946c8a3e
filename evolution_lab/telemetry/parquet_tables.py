"""Parquet files, and frames that are already in memory, slice by slice."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, cast

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from evolution_lab.errors import InputError
from evolution_lab.telemetry.guessing import ROWS_LOOKED_AT
from evolution_lab.telemetry.reading import RAW_SCHEMA, Chunk, ReadOptions, Reject
from evolution_lab.telemetry.tables import read_rows, table_mapping

_MAGIC: Final = b"PAR1"
_SLICE: Final = 50_000
_DAMAGE: Final = (pa.ArrowException, OSError, ValueError)


class ParquetReader:
    """Parquet tables of any columns; "lines" are row numbers, counted from 1."""

    name: str = "parquet"

    def recognises(self, head: bytes, file_name: str) -> bool:
        """Say whether a file is Parquet, by its first bytes; encrypted footers are not."""
        del file_name
        return head.startswith(_MAGIC)

    def read(self, stream: BinaryIO, options: ReadOptions) -> Iterator[Chunk]:
        """Read a table; a damaged part rejects what follows it.

        Raises:
            MappingError: The table lacks a mapped column, or its names do not say their roles.
            TimeZoneRequiredError: A time carries no zone and the options name none.
        """
        if not stream.seekable():  # Parquet begins at its end: unpack compressed files first.
            with tempfile.TemporaryFile() as unpacked:
                shutil.copyfileobj(stream, unpacked)
                unpacked.seek(0)
                yield from self.read(cast("BinaryIO", unpacked), options)
            return
        try:
            file = pq.ParquetFile(stream)
            columns = file.schema_arrow.names
        except _DAMAGE as error:
            yield _unreadable(None, error)
            return
        mapping = table_mapping(columns, options, lambda: _first_rows(file))
        first = 1
        batches = file.iter_batches(batch_size=_SLICE)
        while True:
            try:
                batch = next(batches, None)
                batch = None if batch is None else _sound(batch)
            except _DAMAGE as error:
                yield _unreadable(first, error)
                return
            if batch is None:
                return
            yield read_rows(_table(batch), _numbers(first, batch.num_rows), mapping, options)
            first += batch.num_rows


@dataclass(frozen=True)
class FrameSource:
    """A table that the caller holds: polars, pandas or Arrow, or a DuckDB relation.

    Attributes:
        frame: Anything that hands out an Arrow stream, or a polars LazyFrame.
        name: What reports call it.

    Examples:
        >>> source = FrameSource(pl.DataFrame({"operation": ["checkout"]}))
        >>> source.digest() == FrameSource(pl.DataFrame({"operation": ["refund"]})).digest()
        False
    """

    frame: Any
    name: str = "frame"

    @staticmethod
    def accepts(value: object) -> bool:
        """Say whether a value is a frame of a kind that can be landed."""
        return isinstance(value, pl.LazyFrame) or hasattr(value, "__arrow_c_stream__")

    def slices(self) -> Iterator[pl.DataFrame]:
        """Yield the rows in slices of equal length, in the frame's own order.

        Raises:
            InputError: The frame cannot be read as an Arrow table.
        """
        if isinstance(self.frame, pl.LazyFrame):
            yield from self.frame.collect_batches(chunk_size=_SLICE, maintain_order=True)
            return
        if isinstance(self.frame, pl.DataFrame):
            yield from self.frame.iter_slices(_SLICE)
            return
        try:
            for batch in pa.RecordBatchReader.from_stream(self.frame):
                yield from _table(batch).iter_slices(_SLICE)
        except (pa.ArrowException, TypeError, ValueError) as error:
            raise InputError(
                f"{type(self.frame).__name__} cannot be read as a table: {error}"
            ) from error

    def digest(self) -> str:
        """Return a hash of names and values."""
        digest = hashlib.blake2b(digest_size=16)
        for part in self.slices():
            digest.update(repr(part.schema).encode())
            for column in part.iter_columns():
                if column.dtype == pl.Object:
                    digest.update(repr(column.to_list()).encode())
                else:
                    digest.update(column.rechunk().to_frame().write_ipc(None).getvalue())
        return digest.hexdigest()

    def read(self, options: ReadOptions) -> Iterator[Chunk]:
        """Read the frame as ``ParquetReader`` reads a file."""
        first, mapping = 1, None
        for part in self.slices():
            mapping = mapping or table_mapping(part.columns, options, part.clone)
            yield read_rows(part, _numbers(first, part.height), mapping, options)
            first += part.height


def _sound(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return a batch whose texts are UTF-8: polars takes Arrow's word for it, and would crash.

    Raises:
        pa.ArrowInvalid: Something else about it is wrong.
    """
    try:
        batch.validate(full=True)
    except pa.ArrowInvalid:
        batch = pa.RecordBatch.from_arrays(
            [_readable(column) for column in batch.columns], names=batch.schema.names
        )
        batch.validate(full=True)
    return batch


def _readable(column: pa.Array) -> pa.Array:
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return column
    column.validate()  # Offsets beyond the data are not to be followed.
    values = column.cast(pa.large_binary()).to_pylist()
    texts = [None if value is None else value.decode("utf-8", "replace") for value in values]
    return pa.array(texts, type=column.type)


def _table(batch: pa.RecordBatch) -> pl.DataFrame:
    names = batch.schema.names
    unique = [n if names.index(n) == i else f"{n}\x00{i}" for i, n in enumerate(names)]
    table = pl.from_arrow(batch.rename_columns(unique))
    assert isinstance(table, pl.DataFrame)
    return table


def _first_rows(file: pq.ParquetFile) -> pl.DataFrame:
    """Return the first rows; none of a file that is damaged from the start."""
    try:
        return _table(_sound(next(file.iter_batches(batch_size=ROWS_LOOKED_AT))))
    except (StopIteration, *_DAMAGE):
        return pl.DataFrame()


def _numbers(first: int, height: int) -> pl.Series:
    return pl.int_range(first, first + height, dtype=pl.Int64, eager=True)


def _unreadable(row: int | None, error: Exception) -> Chunk:
    detail = str(error).partition("\n")[0].rstrip(".")
    place = f"from row {row} on " if row else ""
    reason = f"The file cannot be read {place}as Parquet: {detail}."
    return Chunk(rows=pl.DataFrame(schema=RAW_SCHEMA), rejects=(Reject(row, reason, ""),))
