"""Samples as lines, short enough to be written into a pipe at once."""

from __future__ import annotations

import json
import select
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import orjson

from evolution_lab.records import OperationRef, TelemetrySample

LONGEST_LINE: Final = getattr(select, "PIPE_BUF", 512)
"""What a pipe takes whole or not at all, whoever else writes into it (POSIX, ``PIPE_BUF``)."""


def to_line(sample: TelemetrySample | Mapping[str, Any]) -> bytes | None:
    """Return a sample as one line of JSON; None where even without its texts it is too long.

    A line that is too long loses its message first, then its attributes.

    Args:
        sample: The record, or its fields by name.

    Examples:
        >>> from dataclasses import replace
        >>> from datetime import UTC
        >>> sample = TelemetrySample(operation=OperationRef("checkout"), duration_ns=5,
        ...     timestamp=datetime(2026, 1, 1, tzinfo=UTC), error_message="x" * 10_000)
        >>> from_line(to_line(sample)) == replace(sample, error_message=None)
        True
        >>> to_line(vars(sample)) == to_line(sample)
        True
    """
    line = _dump(sample)
    if len(line) <= LONGEST_LINE:
        return line
    fields = dict(_fields(sample))
    for name in ("error_message", "attributes"):
        if fields.get(name) is not None:
            fields[name] = None
            line = _dump(fields)
            if len(line) <= LONGEST_LINE:
                return line
    return None


def from_line(line: bytes) -> TelemetrySample:
    """Read a line of ``to_line``."""
    values: dict[str, Any] = orjson.loads(line)
    values["operation"] = OperationRef(**values["operation"])
    values["timestamp"] = datetime.fromisoformat(values["timestamp"])
    return TelemetrySample(**values)


def _dump(sample: TelemetrySample | Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(sample, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # A lone surrogate is no UTF-8: somebody's odd header must not be a loss.
        fields = _fields(sample)
        told = {
            **fields,
            "operation": vars(fields["operation"]),
            "timestamp": fields["timestamp"].isoformat(),
        }
        return json.dumps(told, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def _fields(sample: TelemetrySample | Mapping[str, Any]) -> Mapping[str, Any]:
    return vars(sample) if isinstance(sample, TelemetrySample) else sample
