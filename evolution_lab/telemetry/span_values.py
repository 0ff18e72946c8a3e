"""Values of spans in tracing systems' own JSON, brought to OpenTelemetry's form."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import orjson

from evolution_lab.telemetry.otlp_rows import RowCollector

_LARGEST: Final = (1 << 63) - 1
_HEX = re.compile(r"[0-9a-fA-F]{1,32}")


def hex_id(value: object, digits: int, name: str) -> str | None:
    """Return an id with all its digits: tracing systems leave leading zeros out.

    Args:
        value: What stands there; null and empty text are no id.
        digits: 32 for traces, 16 for spans.
        name: What errors call it.

    Raises:
        ValueError: It is not hexadecimal, or too long.

    Examples:
        >>> hex_id("AB1", 16, "spanID")
        '0000000000000ab1'
    """
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not _HEX.fullmatch(value) or len(value) > digits:
        raise ValueError(f"{name} == {str(value)[:50]!r}, must be at most {digits} hex digits.")
    return value.lower().zfill(digits)


def nanoseconds(value: object, name: str) -> int:
    """Return microseconds as nanoseconds.

    Raises:
        ValueError: It is missing, not a number, or does not fit 63 bits of nanoseconds.

    Examples:
        >>> nanoseconds("1500", "duration"), nanoseconds(1.5, "duration")
        (1500000, 1500)
    """
    if value is None:
        raise ValueError(f"{name} is missing.")
    try:
        if isinstance(value, bool):
            raise TypeError
        number = round(value * 1000) if isinstance(value, float) else int(value) * 1000  # type: ignore[call-overload]
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name} == {str(value)[:50]!r}, must be microseconds.") from None
    if abs(number) > _LARGEST:
        raise ValueError(f"{name} == {str(value)[:50]}, must fit 63 bits of nanoseconds.")
    return int(number)


def objects(items: object, collector: RowCollector, line: int | None) -> Iterator[dict[str, Any]]:
    """Yield the objects of a list and refuse what is none; null stands for an empty list."""
    if items is None:
        return
    if not isinstance(items, list):
        collector.refuse(line, "not a span: a list is expected.", dumped(items))
        return
    for item in items:
        if isinstance(item, dict):
            yield item
        elif item is not None:
            collector.refuse(line, "not a span: no object.", dumped(item))


def dumped(value: object) -> bytes:
    """Return a value as canonical JSON, for hashes and excerpts."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except (TypeError, ValueError, RecursionError):
        return b"(cannot be shown)"
