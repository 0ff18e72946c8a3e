"""The readers, in the order in which they are asked whether they recognise a file.

A package adds a format by an entry point of the group ``evolution_lab.readers`` that names a class
with the methods of ``reading.Reader``; it is asked before the ones here.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points
from typing import Final, cast

from evolution_lab.errors import UnknownFormatError, did_you_mean
from evolution_lab.telemetry.access_logs import AccessLogReader
from evolution_lab.telemetry.csv_tables import CsvReader
from evolution_lab.telemetry.har import HarReader
from evolution_lab.telemetry.jaeger_json import JaegerJsonReader
from evolution_lab.telemetry.otlp_json import OtlpJsonReader
from evolution_lab.telemetry.otlp_protobuf import OtlpProtobufReader
from evolution_lab.telemetry.parquet_tables import ParquetReader
from evolution_lab.telemetry.reading import Reader
from evolution_lab.telemetry.zipkin_json import ZipkinJsonReader

ENTRY_POINTS: Final = "evolution_lab.readers"


@cache
def readers() -> tuple[Reader, ...]:
    """Return all readers: those of entry points, sorted by name, then the package's own.

    Raises:
        UnknownFormatError: The reader of an entry point cannot be loaded.
    """
    added = []
    for point in sorted(entry_points(group=ENTRY_POINTS), key=lambda point: point.name):
        try:
            added.append(point.load()())
        except Exception as error:
            raise UnknownFormatError(
                f"the reader {point.name!r} ({point.value}) cannot be loaded: {error}. "
                "Repair or uninstall the package that brings it."
            ) from error
    own = (
        ParquetReader(),
        HarReader(),
        JaegerJsonReader(),
        ZipkinJsonReader(),
        OtlpJsonReader(),
        AccessLogReader(),
        CsvReader(),
        OtlpProtobufReader(),
    )
    return cast("tuple[Reader, ...]", (*added, *own))


def reader_named(name: str) -> Reader:
    """Return the reader of a ``--format``.

    Raises:
        UnknownFormatError: No reader has that name.

    Examples:
        >>> reader_named("csv").name
        'csv'
    """
    known = {reader.name: reader for reader in readers()}
    if name not in known:
        raise UnknownFormatError(
            f"format == {name!r}, must be auto or one of {', '.join(sorted(known))}."
            f"{did_you_mean(name, known)}"
        )
    return known[name]


def recognise(head: bytes, file_name: str) -> Reader | None:
    """Return the first reader that recognises a file by its first bytes and name.

    Args:
        head: The first 64 KB, decompressed.
        file_name: The file's name without its folder.
    """
    return next((reader for reader in readers() if reader.recognises(head, file_name)), None)
