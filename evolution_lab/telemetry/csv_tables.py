"""CSV and its relatives (tab, semicolon, bar), block by block, all cells as text.

A record that does not fit the header rejects itself alone, with its line. Blocks without quotes
whose separators add up are parsed by polars; the others record by record.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import BinaryIO, Final, Literal

import polars as pl

from evolution_lab.telemetry.reading import LONGEST_LINE, Chunk, ReadOptions, Reject
from evolution_lab.telemetry.tables import read_rows, table_mapping

SEPARATORS: Final = ",\t;|"
_SUFFIXES: Final = (".csv", ".tsv", ".tab", ".psv")
_BOM: Final = b"\xef\xbb\xbf"
_BLOCK: Final = 4 * 1024 * 1024
_MOST_LINES_OF_A_RECORD: Final = 1000
_EXCERPT: Final = 1000


class CsvReader:
    """Tables of text with one header line; separator ``,``, tab, ``;`` or ``|``.

    A last line without a line break counts when it has all its fields, else it waits for the next
    run. Cells are UTF-8; a record with other bytes is rejected.
    """

    name: str = "csv"

    def recognises(self, head: bytes, file_name: str) -> bool:
        """Say whether a file is a table: by its suffix, or by lines of equally many fields."""
        base = re.sub(r"\.(gz|zst|zstd)$", "", file_name.lower())
        lines = head.removeprefix(_BOM).splitlines()[:20]
        if len(lines) > 1 and len(head) >= 60_000:
            lines = lines[:-1]
        lines = [line for line in lines if line.strip()]
        if not lines or b"\0" in head or lines[0].lstrip()[:1] in (b"{", b"[", b"<"):
            return False
        separator = _separator(lines[0])
        if base.endswith(_SUFFIXES):
            return separator is not None
        if separator is None or len(lines) < 2:
            return False
        counts = {line.count(separator) for line in lines}
        return counts == {lines[0].count(separator)} and b'"' not in lines[0]

    def read(self, stream: BinaryIO, options: ReadOptions) -> Iterator[Chunk]:
        """Read a table.

        Yields:
            Chunks of some tens of thousands of rows.

        Raises:
            MappingError: The table lacks a mapped column, or its names do not say their roles.
            TimeZoneRequiredError: A time carries no zone and the options name none.
        """
        blocks = _blocks(stream)
        first = next(blocks, None)
        if first is None:
            return
        header, first = _split_header(first)
        if header is None:
            return
        parser = _RecordParser(header)
        block = first
        mapping = table_mapping(
            header.columns, options, lambda: _RecordParser(header).parse(block).table
        )
        end = _Block(b"", 0, final=True)
        for block in chain([first], blocks, [end]):
            records = parser.parse(block)
            if block is end and not records.lines.len() and not records.rejects:
                return
            chunk = read_rows(records.table, records.lines, mapping, options)
            rejects = sorted([*records.rejects, *chunk.rejects], key=lambda r: r.line or 0)
            yield Chunk(
                rows=chunk.rows,
                rejects=tuple(rejects),
                waiting_lines=records.waiting_lines,
                reading=chunk.reading,
            )


@dataclass(frozen=True)
class _Block:
    """Whole lines, except perhaps the last one of the file."""

    content: bytes
    line: int
    final: bool
    too_long: bool = False


@dataclass(frozen=True)
class _Header:
    """The column names as written, the same made unique, and what separates them."""

    columns: list[str]
    separator: bytes

    @cached_property
    def names(self) -> list[str]:
        # Two columns of one name are fine unless the mapping asks for them.
        seen: Counter[str] = Counter()
        names = []
        for column in self.columns:
            seen[column] += 1
            names.append(column if seen[column] == 1 else f"{column}\x00{seen[column]}")
        return names


@dataclass(frozen=True)
class _Records:
    table: pl.DataFrame
    lines: pl.Series
    rejects: list[Reject] = field(default_factory=list)
    waiting_lines: int = 0


def _blocks(stream: BinaryIO) -> Iterator[_Block]:
    """Cut a stream after line breaks; a line beyond the limit becomes a block that says so."""
    rest, line, skipping = b"", 1, False
    while True:
        read = stream.read(_BLOCK)
        data = rest + read
        if not read:
            if data and not skipping:
                yield _Block(data, line, final=True)
            return
        if skipping:
            end = data.find(b"\n")
            if end < 0:
                rest = b""
                continue
            data, skipping, line = data[end + 1 :], False, line + 1
        end = data.find(b"\n", len(rest))
        if rest and end > LONGEST_LINE:
            yield _Block(data[:_EXCERPT], line, final=False, too_long=True)
            data, line = data[end + 1 :], line + 1
        cut = data.rfind(b"\n") + 1
        if cut:
            yield _Block(data[:cut], line, final=False)
            line += data.count(b"\n", 0, cut)
        rest = data[cut:]
        if len(rest) > LONGEST_LINE:
            yield _Block(rest[:_EXCERPT], line, final=False, too_long=True)
            rest, skipping = b"", True


def _split_header(block: _Block) -> tuple[_Header | None, _Block]:
    content, line = block.content.removeprefix(_BOM), block.line
    while content:
        head, _, content = content.partition(b"\n")
        line += 1
        if head.strip():
            text = head.decode("utf-8", "replace").rstrip("\r")
            separator = _separator(head) or b","
            try:
                names = next(csv.reader([text], delimiter=separator.decode()), [])
            except csv.Error:  # A carriage return within the line, or a field of many kilobytes.
                names = text.split(separator.decode())
            header = _Header([name.strip() for name in names], separator)
            return header, _Block(content, line, block.final, block.too_long)
    return None, block


def _separator(line: bytes) -> bytes | None:
    counts = {s: line.count(s.encode()) for s in SEPARATORS}
    best = max(SEPARATORS, key=lambda s: counts[s])
    return best.encode() if counts[best] else None


@dataclass
class _RecordParser:
    """Turns blocks into records; keeps a quoted record that the end of a block cuts in two."""

    header: _Header
    rest: bytes = b""
    rest_line: int = 0

    def parse(self, block: _Block) -> _Records:
        if block.too_long:
            reason = f"The line is longer than {LONGEST_LINE:,} bytes."
            excerpt = (self.rest + block.content)[:_EXCERPT].decode("utf-8", "replace")
            self.rest = b""
            return self._records([], [], [Reject(block.line, reason, excerpt)])
        return (None if self.rest else self._parse_plain(block)) or self._parse_each(block)

    def _parse_plain(self, block: _Block) -> _Records | None:
        """Parse a block in one go; None where a record of it needs a closer look."""
        content = block.content
        if b'"' in content or not content.endswith(b"\n"):
            return None
        height = content.count(b"\n")
        # With no record too long for the header, the right total means that none is too short.
        if content.count(self.header.separator) != height * (len(self.header.names) - 1):
            return None
        try:
            table = pl.read_csv(
                content,
                has_header=False,
                schema=dict.fromkeys(self.header.names, pl.String),
                separator=self.header.separator.decode(),
                quote_char=None,
                extra_columns="raise",
            )
        except pl.exceptions.PolarsError:
            return None
        if table.height != height:
            return None
        lines = pl.int_range(block.line, block.line + height, dtype=pl.Int64, eager=True)
        return _Records(table, lines)

    def _parse_each(self, block: _Block) -> _Records:
        content, first = self.rest + block.content, self.rest_line if self.rest else block.line
        self.rest = b""
        lines = content.split(b"\n")
        whole = content.endswith(b"\n")
        if whole:
            lines.pop()
        rows: list[list[str]] = []
        numbers: list[int] = []
        rejects: list[Reject] = []
        waiting, at = 0, 0
        while at < len(lines):
            number = first + at
            if not lines[at].strip():
                at += 1
                continue
            end = _end_of_record(lines, at)
            if end is None and not block.final and len(lines) - at < _MOST_LINES_OF_A_RECORD:
                self.rest, self.rest_line = b"\n".join(lines[at:]) + b"\n", number
                break
            fields, problem, at_next = self._fields(lines, at, end or at + 1)
            if fields is not None:
                rows.append(fields)
                numbers.append(number)
            elif at_next == len(lines) and not whole:
                waiting = 1
            else:
                excerpt = lines[at][:_EXCERPT].decode("utf-8", "replace")
                rejects.append(Reject(number, problem, excerpt))
            at = at_next
        return self._records(rows, numbers, rejects, waiting)

    def _fields(self, lines: list[bytes], at: int, end: int) -> tuple[list[str] | None, str, int]:
        """Split the record of some lines; where that fails, only its first line is lost."""
        try:
            fields = self._split(b"\n".join(lines[at:end]), csv.QUOTE_MINIMAL)
            if len(fields) == len(self.header.names):
                return fields, "", end
            alone = self._split(lines[at], csv.QUOTE_NONE)
        except UnicodeDecodeError:
            return None, "The line is not UTF-8.", at + 1
        except csv.Error as error:
            return None, f"The line cannot be split into fields: {error}.", at + 1
        if len(alone) == len(self.header.names):
            return alone, "", at + 1
        problem = f"The line has {len(fields)} fields, the header names {len(self.header.names)}."
        return None, problem, at + 1

    def _split(self, record: bytes, quoting: Literal[0, 3]) -> list[str]:
        text = record.decode("utf-8").removesuffix("\r")
        separator = self.header.separator.decode()
        return next(csv.reader([text], delimiter=separator, quoting=quoting), [])

    def _records(
        self, rows: list[list[str]], numbers: list[int], rejects: list[Reject], waiting: int = 0
    ) -> _Records:
        schema = dict.fromkeys(self.header.names, pl.String)
        table = pl.DataFrame(rows, schema=schema, orient="row")
        return _Records(table, pl.Series("line", numbers, dtype=pl.Int64), rejects, waiting)


def _end_of_record(lines: list[bytes], at: int) -> int | None:
    """Return where the record beginning at a line ends; None where a quote stays open."""
    quotes = 0
    for end in range(at, min(at + _MOST_LINES_OF_A_RECORD, len(lines))):
        quotes += lines[end].count(b'"')
        if quotes % 2 == 0:
            return end + 1
    return None
