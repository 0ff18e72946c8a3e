"""What a text says once it is read: escapes undone, odd digits and spaces made plain, codes opened.

A value hides in a URL (``%40``), in HTML (``&#64;``), in escaped JSON, behind characters that nobody
sees, in digits of another script, in base64 or hex. Recognisers look at the reading; what they find
is replaced at the place in the text that was read there.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
import unicodedata
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from evolution_lab.redaction.recognisers import Finding, find_all

_ESCAPE = re.compile(
    r"(?:%[0-9A-Fa-f]{2})+|&(?:#\d{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z]{2,31});"
    r"|\\+(?:u[0-9a-fA-F]{4}|x[0-9A-Fa-f]{2}|[\"/])"
)
_ODD = re.compile(r"%[0-9A-Fa-f]{2}|&[#A-Za-z]|\\[ux\"/]|[^\x00-\x7f]")
_MOST_LAYERS: Final = 4
SHORTEST_CODED: Final = 10
_RUN = re.compile(
    r"(?<![A-Za-z0-9+/_%-])(?:(?:[2-7][0-9a-fA-F]){7,}|[A-Za-z0-9+/_-]{10,})(?![A-Za-z0-9+/_-])={0,2}"
)
_HEX = re.compile(r"(?:[2-7][0-9a-fA-F]){7,}")
_CODED = re.compile(r"(?=.*[\dA-Z+/])[A-Za-z0-9+/_-]{10,}={0,2}")
_MOST_UNPACKED: Final = 1 << 20
_PACKED: Final = (b"\x1f\x8b", b"x\x01", b"x\x9c", b"x\xda")


class _Plain(dict[int, str | None]):
    """What each character is read as; found out when it is first met."""

    def __missing__(self, code: int) -> str | None:
        character = chr(code)
        category = unicodedata.category(character)
        plain: str | None = character
        if code < 0x80:
            pass
        elif category == "Nd":
            plain = str(unicodedata.decimal(character))
        elif category == "Zs":
            plain = " "
        elif category == "Pd" or character == "\u2212":
            plain = "-"
        elif category == "Cf":
            plain = None
        else:
            folded = unicodedata.normalize("NFKC", character)
            plain = folded if len(folded) == 1 and folded.isascii() else character
        self[code] = plain
        return plain


_PLAIN: Final = _Plain()


@dataclass(frozen=True, slots=True)
class Reading:
    """A text as it is read, and where each character of it stands in the text.

    Attributes:
        text: What is read.
        starts: Where the part begins that each character was read from.
        ends: One past where it ends.
    """

    text: str
    starts: list[int]
    ends: list[int]


@dataclass(frozen=True, slots=True)
class Hidden:
    """Something found in a text, as it stands there and as it is read.

    Attributes:
        finding: The kind, and the place in the text.
        plain: What is read there.
    """

    finding: Finding
    plain: str


@dataclass(frozen=True, slots=True)
class CodedRun:
    """Text within base64 or hex.

    Attributes:
        start: First character of the run.
        end: One past its last.
        text: What it holds.
        packed: Whether it was compressed.
        hexadecimal: Whether it is hex, not base64.
        padded: Whether base64 is filled up with equals signs.
        for_urls: Whether it is base64 of the alphabet for URLs.
    """

    start: int
    end: int
    text: str
    packed: bool
    hexadecimal: bool
    padded: bool = True
    for_urls: bool = False

    def encoded(self, text: str) -> str | None:
        """Return another text in the same code; None for one that was compressed."""
        if self.packed:
            return None
        data = text.encode("utf-8", "replace")
        if self.hexadecimal:
            return data.hex()
        code = (base64.urlsafe_b64encode if self.for_urls else base64.b64encode)(data).decode()
        return code if self.padded else code.rstrip("=")


def reading(text: str) -> Reading | None:
    r"""Return how a text is read, None where it reads as it is written.

    Examples:
        >>> reading("ada&#64;shop.test%20\u0663").text
        'ada@shop.test 3'
        >>> reading("nothing hidden") is None
        True
    """
    if not _ODD.search(text):
        return None
    found: Reading | None = None
    for _ in range(_MOST_LAYERS):
        layer = _layer(text if found is None else found.text)
        if layer is None:
            break
        if found is not None:
            layer = Reading(
                layer.text,
                [found.starts[start] for start in layer.starts],
                [found.ends[end - 1] for end in layer.ends],
            )
        found = layer
    return found


def _layer(text: str) -> Reading | None:
    parts: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    position = 0
    for match in _ESCAPE.finditer(text):
        decoded = _unescaped(match[0])
        if decoded is None:
            continue
        _copied(text, position, match.start(), parts, starts, ends)
        position = match.end()
        at = match.start()
        for character in decoded:
            width = 3 * len(character.encode()) if match[0][0] == "%" else len(match[0])
            parts.append(character)
            starts.append(at)
            ends.append(at + width)
            at += width if match[0][0] == "%" else 0
    if position == 0 and text.translate(_PLAIN) == text:
        return None
    _copied(text, position, len(text), parts, starts, ends)
    return Reading("".join(parts), starts, ends)


def _copied(
    text: str, start: int, end: int, parts: list[str], starts: list[int], ends: list[int]
) -> None:
    piece = text[start:end]
    if piece.isascii():
        parts.append(piece)
        starts.extend(range(start, end))
        ends.extend(range(start + 1, end + 1))
        return
    for at, character in enumerate(piece, start):
        plain = _PLAIN[ord(character)]
        if plain is not None:
            parts.append(plain)
            starts.append(at)
            ends.append(at + 1)


def _unescaped(escape: str) -> str | None:
    if escape[0] == "%":
        try:
            return bytes.fromhex(escape.replace("%", "")).decode()
        except ValueError:
            return None
    if escape[0] == "&":
        read = html.unescape(escape)
        return None if read == escape else read
    kind = escape.lstrip("\\")
    if kind[0] in "ux":
        character = chr(int(kind[1:], 16))
        return None if "\ud800" <= character <= "\udfff" else character
    return kind


def find_hidden(text: str) -> list[Hidden]:
    """Return what recognisers find in a text and in its reading, in order, without overlaps.

    Examples:
        >>> [found.plain for found in find_hidden("?q=ada%2540shop.test&page=2")]
        ['ada@shop.test']
    """
    plain = find_all(text)
    read = reading(text)
    spaced = "+" in text
    if read is None and not spaced:
        return [Hidden(found, text[found.start : found.end]) for found in plain]
    if read is None:
        places = list(range(len(text) + 1))
        read = Reading(text, places[:-1], places[1:])
        inner = plain
    else:
        inner = find_all(read.text)
    if spaced:  # A plus sign is a space in a query.
        other = Reading(read.text.replace("+", " "), read.starts, read.ends)
        of_other = find_all(other.text)
        if len(of_other) > len(inner):
            read, inner = other, of_other
    found = [
        Hidden(
            Finding(each.kind, read.starts[each.start], read.ends[each.end - 1]),
            read.text[each.start : each.end],
        )
        for each in inner
    ]
    found += [Hidden(each, text[each.start : each.end]) for each in plain]
    return _apart(found)


def _apart(found: list[Hidden]) -> list[Hidden]:
    """Return findings without those that overlap a longer one."""
    kept: list[Hidden] = []
    for each in sorted(found, key=lambda h: (h.finding.start, -h.finding.end)):
        last = kept[-1].finding if kept else None
        if last is None or each.finding.start >= last.end:
            kept.append(each)
        elif each.finding.end > last.end:
            joined = Finding(last.kind, last.start, each.finding.end)
            kept[-1] = Hidden(joined, kept[-1].plain + each.plain)
    return kept


def coded_runs(text: str) -> Iterator[CodedRun]:
    """Yield the runs of base64 and hex within a text that hold text.

    Examples:
        >>> [run.text for run in coded_runs("cursor:YWRhQHNob3AudGVzdA==")]
        ['ada@shop.test']
    """
    if len(text) < SHORTEST_CODED:
        return
    for match in _RUN.finditer(text):
        run = match[0]
        if _HEX.fullmatch(run) and len(run) % 2 == 0:
            held = bytes.fromhex(run).decode("ascii", "replace")
            if held.isprintable() and "\ufffd" not in held:
                yield CodedRun(match.start(), match.end(), held, packed=False, hexadecimal=True)
                continue
        if not _CODED.fullmatch(run) or len(run.rstrip("=")) % 4 == 1:
            continue
        held_text, packed = _opened(run)
        if held_text is not None:
            yield CodedRun(
                match.start(),
                match.end(),
                held_text,
                packed=packed,
                hexadecimal=False,
                padded=len(run) % 4 == 0,
                for_urls="-" in run or "_" in run,
            )


def _opened(run: str) -> tuple[str | None, bool]:
    core = run.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        data = base64.b64decode(core + "=" * (-len(core) % 4))
    except (binascii.Error, ValueError):
        return None, False
    packed = data[:2] in _PACKED
    if packed:
        try:
            data = zlib.decompressobj(wbits=47).decompress(data, _MOST_UNPACKED)
        except zlib.error:
            return None, False
    try:
        text = data.decode()
    except ValueError:
        return None, False
    readable = text.replace("\n", "").replace("\r", "").replace("\t", "").isprintable()
    return (text if readable and text.strip() else None), packed
