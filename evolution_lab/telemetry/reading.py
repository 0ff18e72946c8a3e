"""The seam of reading: what a reader gets and what it hands on.

A reader turns the bytes of one file into raw rows, chunk by chunk in bounded memory, and says what
it could not read and why. It judges nothing (a negative duration is passed on; landing refuses it)
and redacts nothing (landing does, before anything reaches the disk). Adding a format adds one file
with a ``Reader``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final, Protocol

import polars as pl

from evolution_lab.config import EvolutionConfig
from evolution_lab.schemas import SAMPLES, polars_schema

LONGEST_LINE: Final = 10_000_000
"""Bytes of the longest line that is read; a longer one is refused without being kept."""
_BLOCK: Final = 1 << 20

RAW_SCHEMA: Final[dict[str, Any]] = {
    **{n: t for n, t in polars_schema(SAMPLES).items() if n not in {"op_id", "row_id"}},
    "line": pl.Int64(),
    "line_hash": pl.String(),
}
"""Columns of a reader's rows: those of ``SAMPLES`` without ``op_id`` and ``row_id``, and

- ``line``: line or row in the source, counted from 1;
- ``line_hash``: hash of the source line where the row lacks ``trace_id`` or ``span_id``.
"""


@dataclass(frozen=True)
class ReadOptions:
    """What readers need to know beside the bytes.

    Attributes:
        config: The settings; which attributes are stored, where tenant and actor are looked for.
        mapping: For tables, which column plays which role.
        kept: Mappings confirmed before, for tables that have all their columns.
        tz: Zone of timestamps that carry none.
        service: Service of rows that name none.
    """

    config: EvolutionConfig = field(default_factory=EvolutionConfig)
    mapping: Any = None
    kept: tuple[Any, ...] = ()
    tz: str | None = None
    service: str | None = None


@dataclass(frozen=True)
class Reject:
    """Something that could not be read.

    Attributes:
        line: Line or row in the source, counted from 1; None for the file as a whole.
        reason: One sentence.
        excerpt: What stood there, as it stood there; redacted before it is stored.
    """

    line: int | None
    reason: str
    excerpt: str


@dataclass(frozen=True)
class Chunk:
    """Some rows of a source.

    Attributes:
        rows: With the columns of ``RAW_SCHEMA``.
        rejects: What could not be read.
        dropped_attributes: How often each attribute name was seen that is not stored.
        waiting_lines: Unfinished last lines that wait for the next landing, 0 or 1.
        reading: Of a table, how its columns were read: role to ``COLUMN:UNIT``, and ``tz``.
        tidy: Whether the rows are as ``validation.normalise`` would leave them.
    """

    rows: pl.DataFrame
    rejects: tuple[Reject, ...] = ()
    dropped_attributes: Mapping[str, int] = field(default_factory=dict)
    waiting_lines: int = 0
    reading: Mapping[str, str] | None = None
    tidy: bool = False


class Reader(Protocol):
    """Reads one format."""

    @property
    def name(self) -> str:
        """The format's name, as ``--format`` takes it."""

    def recognises(self, head: bytes, file_name: str) -> bool:
        """Say whether a file is of this format.

        Args:
            head: The first 64 KB, decompressed.
            file_name: The file's name without its folder.
        """

    def read(self, stream: BinaryIO, options: ReadOptions) -> Iterator[Chunk]:
        """Yield the file's rows in order, in bounded memory."""


class OversizedLine(bytes):
    """Stands for a line that is longer than the limit; holds a remark, not the line."""


def read_lines(
    stream: BinaryIO, *, limit: int = LONGEST_LINE, head: bytes = b""
) -> Iterator[tuple[int, bytes, bool]]:
    r"""Yield the lines of a stream without their line breaks, in bounded memory.

    Args:
        stream: Where to read from.
        limit: Bytes of the longest line; a longer one is passed over and an ``OversizedLine``
            yielded in its place.
        head: Bytes read from the stream before.

    Yields:
        Number (from 1), line, and whether it was ended by a line break. Only a last line can lack
        one: a file that is still written to ends that way.

    Examples:
        >>> import io
        >>> list(read_lines(io.BytesIO(b"a\nb")))
        [(1, b'a', True), (2, b'b', False)]
    """
    number, rest, skipped = 0, head, 0
    ended = False
    while not ended:
        block = stream.read(_BLOCK)
        ended = not block
        parts = (rest + block).split(b"\n")
        rest = parts.pop()
        for part in parts:
            number += 1
            size, skipped = skipped + len(part), 0
            yield number, part.removesuffix(b"\r") if size <= limit else _oversized(size), True
        if skipped + len(rest) > limit:
            skipped, rest = skipped + len(rest), b""
    if rest or skipped:
        size = skipped + len(rest)
        yield number + 1, rest if size <= limit else _oversized(size), False


def _oversized(size: int) -> OversizedLine:
    return OversizedLine(f"(a line of {size} bytes, longer than the limit)".encode())
