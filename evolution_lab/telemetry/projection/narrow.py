"""Narrow rows: what windows are made of, five columns wide, in the order that quantiles need.

A row says which operation ran, in which minute of the day, for how long, and how it ended. Rows are
sorted by operation, quarter of an hour and duration: the quantiles of a window are then positions in
a slice. Operations are numbered densely within one set of rows, two bytes instead of eight.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

MINUTES_OF_DAY: Final = 1440
SLOT_MINUTES: Final = 15
"""Rows are kept together by quarter of an hour, the default window."""
SLOTS_OF_DAY: Final = MINUTES_OF_DAY // SLOT_MINUTES
_MINUTE_US: Final = 60_000_000

ANSWERING: Final = ("server", "consumer")
"""Kinds of spans that are operations wherever they stand in a trace."""

OK: Final = 0
CLIENT_ERROR: Final = 1
ERROR: Final = 2
UNKNOWN: Final = 3
UNKNOWN_CLIENT_ERROR: Final = 4
NOT_RECORDED: Final = 5
_OUTCOME_BITS: Final = 3
_WORD_BITS: Final = 64
_BLOCK: Final = 1 << 16

Array = npt.NDArray[np.generic]


@dataclass(frozen=True, eq=False)
class NarrowRows:
    """Rows of one day, sorted by operation, quarter of an hour, duration and weight.

    Attributes:
        op_ids: Int64, ascending; an operation's number is its place here.
        operation: Number of each row's operation, unsigned.
        minute: Minute of the day, UInt16.
        duration_ns: Int64.
        outcome: UInt8: ``OK``, ``CLIENT_ERROR``, ``ERROR``; success unknown but a status recorded
            (``UNKNOWN``, ``UNKNOWN_CLIENT_ERROR``); neither (``NOT_RECORDED``).
        weight: Float64; None where each row weighs 1.
    """

    op_ids: npt.NDArray[np.int64]
    operation: npt.NDArray[np.unsignedinteger]
    minute: npt.NDArray[np.uint16]
    duration_ns: npt.NDArray[np.int64]
    outcome: npt.NDArray[np.uint8]
    weight: npt.NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.duration_ns)


def outcome_of() -> pl.Expr:
    """Return how a sample ended, of its columns ``success`` and ``status_code``.

    Examples:
        >>> rows = {"success": [True, True, False, None, None], "status_code": [200, 404, 500, 404, None]}
        >>> pl.DataFrame(rows).select(outcome=outcome_of())["outcome"].to_list()
        [0, 1, 2, 4, 5]
    """
    success, status = pl.col("success"), pl.col("status_code")
    refused = status.is_between(400, 499).fill_null(value=False)
    known = pl.when(success).then(refused.cast(pl.UInt8)).otherwise(pl.lit(ERROR, dtype=pl.UInt8))
    unknown = (
        pl.when(status.is_null())
        .then(pl.lit(NOT_RECORDED, dtype=pl.UInt8))
        .otherwise(refused.cast(pl.UInt8) + pl.lit(UNKNOWN, dtype=pl.UInt8))
    )
    return pl.when(success.is_null()).then(unknown).otherwise(known)


def minute_of() -> pl.Expr:
    """Return the minute of the day of the column ``timestamp``, UTC.

    Examples:
        >>> from datetime import datetime
        >>> rows = {"timestamp": [datetime(2026, 1, 1, 0, 7), datetime(1969, 12, 31, 23, 59)]}
        >>> pl.DataFrame(rows).select(minute=minute_of())["minute"].to_list()
        [7, 1439]
    """
    minutes = pl.col("timestamp").dt.epoch("us").floordiv(_MINUTE_US)
    return (minutes % MINUTES_OF_DAY).cast(pl.UInt16)


def narrow_rows(frame: pl.DataFrame) -> NarrowRows:
    """Return the narrow rows of samples of one day, sorted.

    Args:
        frame: ``op_id``, ``minute``, ``duration_ns``, ``outcome``, and ``weight`` where rows weigh
            other than 1.
    """
    return ordered(unordered_rows(frame))


def unordered_rows(frame: pl.DataFrame) -> NarrowRows:
    """Return the narrow rows of samples in the order that they are in; see ``narrow_rows``."""
    given = frame["op_id"]
    op_ids = given.unique().sort().to_numpy()
    return NarrowRows(
        op_ids=op_ids,
        operation=_numbered(given.to_numpy(), op_ids),
        minute=frame["minute"].to_numpy(),
        duration_ns=frame["duration_ns"].to_numpy(),
        outcome=frame["outcome"].to_numpy(),
        weight=frame["weight"].to_numpy() if "weight" in frame.columns else None,
    )


def merged(parts: Sequence[NarrowRows]) -> NarrowRows:
    """Return the rows of several sets of one day as one, sorted."""
    op_ids = np.unique(np.concatenate([part.op_ids for part in parts]))
    dtype = _number_type(len(op_ids))
    weighted = any(part.weight is not None for part in parts)
    return ordered(
        NarrowRows(
            op_ids=op_ids,
            operation=np.concatenate(
                [
                    np.searchsorted(op_ids, part.op_ids).astype(dtype)[part.operation]
                    for part in parts
                ]
            ),
            minute=np.concatenate([part.minute for part in parts]),
            duration_ns=np.concatenate([part.duration_ns for part in parts]),
            outcome=np.concatenate([part.outcome for part in parts]),
            weight=np.concatenate([_weights(part) for part in parts]) if weighted else None,
        )
    )


def ordered(rows: NarrowRows, *, slot_minutes: int = SLOT_MINUTES) -> NarrowRows:
    """Return the rows sorted by operation, slot, duration and weight.

    Args:
        rows: In any order.
        slot_minutes: Length of a slot; divides a day.
    """
    if not len(rows):
        return rows
    layout = None if rows.weight is not None else _Layout.of(rows, slot_minutes)
    if layout is not None:
        return _packed(rows, layout)
    slot = rows.minute // np.uint16(slot_minutes)
    keys: list[Array] = [rows.duration_ns, slot, rows.operation]
    if rows.weight is not None:
        keys.insert(0, rows.weight)
    order = np.lexsort(keys)
    return NarrowRows(
        op_ids=rows.op_ids,
        operation=rows.operation[order],
        minute=rows.minute[order],
        duration_ns=rows.duration_ns[order],
        outcome=rows.outcome[order],
        weight=None if rows.weight is None else rows.weight[order],
    )


def _packed(rows: NarrowRows, layout: _Layout) -> NarrowRows:
    """Sort whole rows as one number each: much faster than to sort their places.

    Block by block, so that what is in between stays in the processor's cache.
    """
    n = len(rows)
    word = np.empty(n, dtype=np.uint64)
    for block in _blocks(n):
        slot, within = np.divmod(rows.minute[block], np.uint16(layout.slot_minutes))
        part = rows.operation[block].astype(np.uint64)
        part <<= np.uint64(layout.slot_bits)
        part |= slot
        part <<= np.uint64(layout.duration_bits)
        part |= rows.duration_ns[block].view(np.uint64)
        part <<= np.uint64(layout.minute_bits)
        part |= within
        part <<= np.uint64(_OUTCOME_BITS)
        part |= rows.outcome[block]
        word[block] = part
    word.sort()
    operation = np.empty(n, dtype=rows.operation.dtype)
    minute = np.empty(n, dtype=np.uint16)
    duration_ns = np.empty(n, dtype=np.int64)
    outcome = np.empty(n, dtype=np.uint8)
    for block in _blocks(n):
        part = word[block]
        outcome[block] = part & _mask(_OUTCOME_BITS)
        part >>= np.uint64(_OUTCOME_BITS)
        within = (part & _mask(layout.minute_bits)).astype(np.uint16)
        part >>= np.uint64(layout.minute_bits)
        duration_ns[block] = part & _mask(layout.duration_bits)
        part >>= np.uint64(layout.duration_bits)
        slot = (part & _mask(layout.slot_bits)).astype(np.uint16)
        slot *= np.uint16(layout.slot_minutes)
        slot += within
        minute[block] = slot
        part >>= np.uint64(layout.slot_bits)
        operation[block] = part
    return NarrowRows(rows.op_ids, operation, minute, duration_ns, outcome)


@dataclass(frozen=True)
class _Layout:
    """How many bits of a number each part of a row takes."""

    slot_minutes: int
    slot_bits: int
    duration_bits: int
    minute_bits: int

    @classmethod
    def of(cls, rows: NarrowRows, slot_minutes: int) -> _Layout | None:
        """Return the layout for some rows, None where they are too wide."""
        layout = cls(
            slot_minutes,
            (MINUTES_OF_DAY // slot_minutes - 1).bit_length(),
            int(rows.duration_ns.max()).bit_length(),
            (slot_minutes - 1).bit_length(),
        )
        bits = (len(rows.op_ids) - 1).bit_length() + layout.slot_bits + layout.duration_bits
        return layout if bits + layout.minute_bits + _OUTCOME_BITS <= _WORD_BITS else None


def _blocks(n: int) -> Iterator[slice]:
    return (slice(at, at + _BLOCK) for at in range(0, n, _BLOCK))


def _mask(bits: int) -> np.uint64:
    return np.uint64((1 << bits) - 1)


def _numbered(
    given: npt.NDArray[np.int64], op_ids: npt.NDArray[np.int64]
) -> npt.NDArray[np.unsignedinteger]:
    dtype = _number_type(len(op_ids))
    names, numbers = pl.Series(op_ids), pl.Series(np.arange(len(op_ids), dtype=dtype))
    if names.is_empty():
        return np.empty(0, dtype=dtype)
    return pl.Series(given).replace_strict(names, numbers, return_dtype=numbers.dtype).to_numpy()


def _number_type(operations: int) -> type[np.uint16 | np.uint32]:
    return np.uint16 if operations <= np.iinfo(np.uint16).max + 1 else np.uint32


def _weights(part: NarrowRows) -> npt.NDArray[np.float64]:
    return np.ones(len(part)) if part.weight is None else part.weight
