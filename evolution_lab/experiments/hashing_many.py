"""The same hashes over a column of units at once, a million and more a second."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import mmh3
import numpy as np
import numpy.typing as npt
import polars as pl

from evolution_lab.experiments.definition import HashAlgorithm
from evolution_lab.experiments.hashing import FNV_OFFSET, FNV_PRIME, bucketing, fnv1a

_PRIME: Final = np.uint32(FNV_PRIME)
_DIGITS: Final = 10
_CHUNK: Final = 65_536
"""Rows at a time: what is worked on stays in the processor's cache."""

Places = npt.NDArray[np.float64]
Words = npt.NDArray[np.uint32]


def places(
    units: pl.Series | Sequence[str], algorithm: HashAlgorithm, seed: str, version: int = 2
) -> Places:
    """Return where ``bucketing`` places each unit, in [0, 1).

    Args:
        units: Texts, none of them null.
        algorithm: Whose hash.
        seed: What is hashed with each.
        version: GrowthBook's and flagd's 1 or 2.

    Examples:
        >>> from evolution_lab.experiments.hashing import growthbook_hash
        >>> float(places(["user-7"], "growthbook", "try")[0]) == growthbook_hash("try", "user-7")
        True
    """
    column = units if isinstance(units, pl.Series) else pl.Series("unit", units, dtype=pl.String)
    if algorithm == "growthbook":
        return _growthbook(column, seed, version)
    place = bucketing(algorithm, seed, version)
    if algorithm == "flagd" and version == 2:
        head = seed.encode()
        hashes = np.fromiter(
            (mmh3.hash(head + unit.encode(), 0, False) for unit in column),  # noqa: FBT003
            np.uint64,
            len(column),
        )
        return (hashes * np.uint64(10_000) >> np.uint64(32)) / 10_000
    return np.fromiter((place(unit) for unit in column), np.float64, len(column))


def _growthbook(column: pl.Series, seed: str, version: int) -> Places:
    if not len(column):
        return np.empty(0)
    if version == 1:
        return _fnv_column(column, tail=seed) % np.uint32(1_000) / 1_000
    return _fnv_digits(_fnv_column(column, head=seed)) % np.uint32(10_000) / 10_000


def _fnv_column(column: pl.Series, *, head: str = "", tail: str = "") -> Words:
    """Return FNV-1a of head, unit and tail for each unit."""
    text = column.to_arrow()
    offsets, data = _buffers(text)
    start = fnv1a(head)
    hashes = np.empty(len(column), np.uint32)
    for first in range(0, len(column), _CHUNK):
        rows = slice(first, min(first + _CHUNK, len(column)))
        hashes[rows] = _fnv_rows(offsets[rows.start : rows.stop + 1], data, start)
    if not (head + tail).isascii() or (data[offsets[0] : offsets[-1]] > 127).any():
        return _with_other_letters(column, hashes, head, tail)
    return _append(hashes, tail)


def _buffers(text: Any) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    import pyarrow as pa

    text = text.cast(pa.large_string())
    _, ends, letters = text.buffers()
    offsets = np.frombuffer(ends, np.int64)[text.offset : text.offset + len(text) + 1]
    data = np.frombuffer(letters, np.uint8) if letters is not None else np.empty(0, np.uint8)
    return offsets, data


def _fnv_rows(offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8], start: int) -> Words:
    starts, lengths = offsets[:-1], np.diff(offsets)
    hashes = np.full(len(starts), start, np.uint32)
    shortest = int(lengths.min())
    for place in range(shortest):
        hashes ^= data[starts + place]
        hashes *= _PRIME
    rows = np.flatnonzero(lengths > shortest)
    place = shortest
    while len(rows):
        hashes[rows] = (hashes[rows] ^ data[starts[rows] + place]) * _PRIME
        place += 1
        rows = rows[lengths[rows] > place]
    return hashes


def _append(hashes: Words, tail: str) -> Words:
    for letter in tail.encode():
        hashes = (hashes ^ np.uint32(letter)) * _PRIME
    return hashes


def _with_other_letters(column: pl.Series, hashes: Words, head: str, tail: str) -> Words:
    """Hash one by one what is not ASCII: its bytes are not what GrowthBook hashes."""
    if not (head + tail).isascii():
        return np.fromiter((fnv1a(head + unit + tail) for unit in column), np.uint32, len(column))
    hashes = _append(hashes, tail)
    other = (column.str.len_bytes() != column.str.len_chars()).to_numpy()
    for row in np.flatnonzero(other):
        hashes[row] = fnv1a(head + column[int(row)] + tail)
    return hashes


def _fnv_digits(numbers: Words) -> Words:
    """Return FNV-1a of each number written in decimal digits."""
    hashes = np.empty(len(numbers), np.uint32)
    for first in range(0, len(numbers), _CHUNK):
        rows = slice(first, first + _CHUNK)
        part = numbers[rows]
        digits = np.empty((_DIGITS, len(part)), np.uint8)
        rest = part
        for place in range(_DIGITS - 1, -1, -1):
            upper = rest // np.uint32(10)
            digits[place] = rest - upper * np.uint32(10)
            rest = upper
        value = np.full(len(part), FNV_OFFSET, np.uint32)
        for place in range(_DIGITS):
            stepped = (value ^ (digits[place] | np.uint8(48))) * _PRIME
            # Leading zeros are not written; the last digit of 0 is.
            value = np.where(_written(part, place), stepped, value)
        hashes[rows] = value
    return hashes


def _written(numbers: Words, place: int) -> npt.NDArray[np.bool_]:
    if place == _DIGITS - 1:
        return np.ones(len(numbers), np.bool_)
    return numbers >= np.uint32(10 ** (_DIGITS - 1 - place))
