"""A batch: what one write added to the lake, and the record that makes it count."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import orjson
from pydantic import TypeAdapter, ValidationError

from evolution_lab.errors import CorruptFileError, FormatVersionError
from evolution_lab.telemetry.publishing import FORMAT_VERSION, publish_bytes

LANDING_REVISION: Final = 1
"""Part of every batch id; raised when readers or rules come to read the same bytes differently."""


@dataclass(frozen=True, kw_only=True)
class BatchFile:
    """One file of a batch.

    Attributes:
        path: Relative to the folder ``lake``, with forward slashes.
        rows: Rows in it.
        min_timestamp: Its earliest event, UTC; None for files without times.
        max_timestamp: Its latest event, UTC; None for files without times.
        batches: Whose rows it holds, in a file of several batches; each row names its own there.
    """

    path: str
    rows: int
    min_timestamp: datetime | None = None
    max_timestamp: datetime | None = None
    batches: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class BatchRecord:
    """What ``lake/batches/<batch>.json`` says; a batch counts only when this file exists.

    Attributes:
        batch: Its id: a hash of the input and of the settings it was read with.
        source: The input as the caller named it.
        source_key: Hash of the whole input and the reader's settings; equal for all its batches.
        chunk: Which part of the input this is, counted from 0.
        last: Whether the input ends here.
        reader: Name of the reader.
        landed_at: The landing time that timestamps were judged against, UTC.
        rows_read: Rows that the reader found, the quarantined ones included.
        rows: Rows added to the lake.
        duplicates: Rows that were there already.
        duplicates_of: How many of them each other batch holds.
        quarantined: Refused rows by reason.
        waiting_lines: Unfinished last lines, left for the next run (0 or 1).
        left_out: Rows outside the limits of the landing: its times, its share of traces.
        share: Of the traces that were landed, 1 for all.
        dropped_attributes: Attributes that are not on the allow-list, counted by name.
        services: Services seen in the added rows, sorted.
        min_timestamp: Earliest event added, UTC.
        max_timestamp: Latest event added, UTC.
        files: Files by kind: ``samples``, ``operations``, ``quarantine``.
        format_version: Of this record and of its files.
    """

    batch: str
    source: str
    source_key: str
    chunk: int
    last: bool
    reader: str
    landed_at: datetime
    rows_read: int
    rows: int
    duplicates: int
    duplicates_of: Mapping[str, int] = field(default_factory=dict)
    quarantined: Mapping[str, int] = field(default_factory=dict)
    waiting_lines: int = 0
    left_out: int = 0
    share: float = 1.0
    dropped_attributes: Mapping[str, int] = field(default_factory=dict)
    services: tuple[str, ...] = ()
    min_timestamp: datetime | None = None
    max_timestamp: datetime | None = None
    files: Mapping[str, tuple[BatchFile, ...]] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION


_RECORD: Final = TypeAdapter(BatchRecord)
_DIGEST_BYTES: Final = 16


def source_key(digest: str, reader: str, settings: Mapping[str, Any]) -> str:
    """Return the identity of an input as read: its content and how it was read.

    Args:
        digest: Hash of the input's content.
        reader: Name of the reader.
        settings: Whatever changes what the reader or the landing makes of the content; JSON-ready.
    """
    return _hash([LANDING_REVISION, FORMAT_VERSION, digest, reader, dict(settings)])


def batch_id(source_key: str, chunk: int, first_row: int, rows_read: int) -> str:
    """Return the id of one batch of an input; equal for equal content, settings and position."""
    return _hash([source_key, chunk, first_row, rows_read])


def _hash(value: object) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=True)
    return hashlib.blake2b(text.encode("ascii"), digest_size=_DIGEST_BYTES).hexdigest()


def record_path(root: Path, batch: str) -> Path:
    """Return where the record of a batch is kept."""
    return root / "batches" / f"{batch}.json"


def publish_record(root: Path, record: BatchRecord) -> None:
    """Make a batch count. Its files must be in place: readers trust the record."""
    content = _RECORD.dump_json(record, indent=2)
    publish_bytes(record_path(root, record.batch), content + b"\n")


def read_versioned_json(path: Path) -> dict[str, Any]:
    """Read one of the lake's JSON files.

    Raises:
        CorruptFileError: It is not a JSON object.
        FormatVersionError: It was written by a newer version of this package.
    """
    try:
        document = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise CorruptFileError(_corrupt(path, str(error))) from error
    if not isinstance(document, dict):
        raise CorruptFileError(_corrupt(path, "not a JSON object"))
    version = document.get("format_version")
    if not isinstance(version, int) or not 1 <= version <= FORMAT_VERSION:
        raise FormatVersionError(str(path), version, FORMAT_VERSION)
    return document


def read_record(path: Path) -> BatchRecord:
    """Read the record of a batch.

    Raises:
        CorruptFileError: It cannot be read.
        FormatVersionError: It was written by a newer version of this package.
    """
    document = read_versioned_json(path)
    try:
        return _RECORD.validate_python(document)
    except ValidationError as error:
        first = error.errors()[0]
        detail = f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
        raise CorruptFileError(_corrupt(path, detail)) from error


def _corrupt(path: Path, detail: str) -> str:
    return (
        f"{path} cannot be read ({detail}). Move it away and land its source again: "
        "rows that are in the lake are not added twice."
    )
