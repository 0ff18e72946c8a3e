"""Large JSON documents, element by element in bounded memory; broken ones leave their neighbours.

A parser of the whole would need ten times the file in memory and lose all of it to one stray comma.
So the elements of the array at hand are cut out by counting brackets outside strings, whole blocks
at a time, and each is parsed by itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final

import numpy as np
import orjson

from evolution_lab.telemetry.lenient_json import parsed_json
from evolution_lab.telemetry.reading import LONGEST_LINE, OversizedLine, read_lines

HEAD: Final = 1 << 20
"""Within how many bytes the array must begin whose elements are wanted."""
LARGEST_ELEMENT: Final = 64 << 20
"""Bytes of the largest element that is read, such as one trace."""

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_BLOCK: Final = 1 << 20
_ESCAPED = re.compile(rb"\\.", re.DOTALL)
_AFTER = re.compile(rb"\s*(?:$|\}|,?\s*\Z|,\s*\")")
_EXCERPT: Final = 1_000
_BETWEEN: Final = b" \t\r\n,"
_QUOTE, _OPENING, _CLOSING = 0x22, (0x7B, 0x5B), (0x7D, 0x5D)


@dataclass(frozen=True)
class Part:
    """One JSON value of a file.

    Attributes:
        number: Its line, or which element it is; counted from 1.
        content: The bytes; an ``OversizedLine`` in the place of a value that is too large.
        complete: Whether it is ended: a file that is still written to ends with one that is not.
        of_lines: Whether the file is lines of JSON, rather than one document.
    """

    number: int
    content: bytes
    complete: bool
    of_lines: bool

    def parsed(self) -> Any:
        """Return the value.

        Raises:
            ValueError: With the reason as a sentence.
        """
        if isinstance(self.content, OversizedLine):
            limit = LONGEST_LINE if self.of_lines else LARGEST_ELEMENT
            raise ValueError(f"longer than {limit:,} bytes.")  # noqa: TRY004 - a reason
        try:
            return parsed_json(self.content)
        except orjson.JSONDecodeError as error:
            cut = "" if self.complete else "; the file ends within it"
            raise ValueError(f"not valid JSON: {error}{cut}.") from error


def json_parts(stream: BinaryIO, opening: re.Pattern[bytes] | None = None) -> Iterator[Part]:
    r"""Yield the values of a file: its lines, or the elements of one array of its document.

    Args:
        stream: The file.
        opening: What stands before the elements, the bracket included. Where it is not found, the
            elements are those of the array that the document is, or the document itself.

    Examples:
        >>> import io
        >>> [part.content for part in json_parts(io.BytesIO(b'[{"a": "]"},\n {"b": []}]'))]
        [b'{"a": "]"}', b'{"b": []}']
    """
    head = stream.read(HEAD).removeprefix(BYTE_ORDER_MARK)
    first, ended, _ = head.lstrip().partition(b"\n")
    if (ended or len(head) < HEAD) and _is_value(first):
        for number, line, complete in read_lines(stream, head=head):
            if line.strip():
                yield Part(number, line, complete, of_lines=True)
        return
    found = None if opening is None else opening.search(head)
    array = found is not None or head.lstrip().startswith(b"[")
    block = head[found.end() :] if found else head.lstrip()[1:] if array else head
    block = block or stream.read(_BLOCK)
    splitter, number = _Splitter(), 0
    while block and not splitter.ended:
        for content in splitter.feed(block):
            number += 1
            yield Part(number, content, complete=True, of_lines=False)
        block = stream.read(_BLOCK)
    rest = splitter.rest()
    if splitter.ended and not _AFTER.match(splitter.after):
        # A stray bracket ended the list: say so rather than lose in silence what follows.
        yield Part(number + 1, b"]" + splitter.after[:_EXCERPT], complete=True, of_lines=False)
    elif rest or (array and not splitter.ended):
        yield Part(number + 1, rest, complete=False, of_lines=False)


def _is_value(text: bytes) -> bool:
    try:
        return isinstance(parsed_json(text), (dict, list))
    except orjson.JSONDecodeError:
        return False


@dataclass
class _Splitter:
    """Cuts the elements of an array out of the blocks of its content."""

    ended: bool = False
    after: bytes = b""
    depth: int = 0
    in_string: bool = False
    carried: bytes = b""
    held: bytearray = field(default_factory=bytearray)
    passed: int = 0

    def feed(self, block: bytes) -> Iterator[bytes]:
        """Yield the elements that end in a block, and what stands between them but a comma."""
        block = self.carried + block
        backslashes = len(block) - len(block.rstrip(b"\\"))
        self.carried = block[-1:] if backslashes % 2 else b""
        block = block[: len(block) - len(self.carried)]
        at = 0
        for place, ends in self._edges(block):
            self._hold(block[at:place])
            at = place
            content = self._taken() if ends else self._taken().strip(_BETWEEN)
            if content:
                yield content
        self._hold(block[at:])

    def rest(self) -> bytes:
        """Return what is left where the content ends without the array's own end."""
        if self.ended:
            return b""
        self._hold(self.carried)
        return self._taken().strip(_BETWEEN)

    def _edges(self, block: bytes) -> Iterator[tuple[int, bool]]:
        """Yield the places where an element begins or ends, and whether it ends."""
        plain = _ESCAPED.sub(b"__", block) if b"\\" in block else block
        codes = np.frombuffer(plain, dtype=np.uint8)
        if not len(codes):
            return
        inside = ((np.cumsum(codes == _QUOTE) + self.in_string) & 1).astype(bool)
        self.in_string = bool(inside[-1])
        opens = np.isin(codes, _OPENING) & ~inside
        marks = np.flatnonzero(opens | (np.isin(codes, _CLOSING) & ~inside))
        steps = np.where(opens[marks], 1, -1)
        depths = self.depth + np.cumsum(steps)
        begins = (depths == 1) & (steps == 1)
        ends = (depths == 0) & (steps == -1)
        for number in np.flatnonzero(begins | ends | (depths < 0)):
            place = int(marks[number])
            if depths[number] < 0:
                self.ended, self.after = True, block[place + 1 :]
                yield place, False
                return
            yield place + int(ends[number]), bool(ends[number])
        if len(depths):
            self.depth = int(depths[-1])

    def _hold(self, content: bytes) -> None:
        if self.passed or len(self.held) + len(content) > LARGEST_ELEMENT:
            self.passed += len(self.held) + len(content)
            self.held.clear()
        else:
            self.held += content

    def _taken(self) -> bytes:
        content, passed = bytes(self.held), self.passed
        self.held.clear()
        self.passed = 0
        if passed:
            return OversizedLine(f"(a value of {passed} bytes, longer than the limit)".encode())
        return content


@dataclass
class JsonValues:
    """The parsed values of a file; what cannot be parsed is refused and passed over.

    Attributes:
        stream: The file.
        refuse: Called with line (None in a document), reason and excerpt.
        opening: As ``json_parts`` takes it.
        waiting: Unfinished last lines that wait for the next landing, 0 or 1; known at the end.
    """

    stream: BinaryIO
    refuse: Callable[[int | None, str, bytes], None]
    opening: re.Pattern[bytes] | None = None
    waiting: int = 0

    def __iter__(self) -> Iterator[tuple[Any, int | None]]:
        """Yield each value, with its line where the file is lines."""
        for part in json_parts(self.stream, self.opening):
            line = part.number if part.of_lines else None
            try:
                value = part.parsed()
            except ValueError as error:
                if line is not None and not part.complete:
                    self.waiting = 1
                else:
                    self.refuse(line, str(error), part.content)
                continue
            yield value, line
