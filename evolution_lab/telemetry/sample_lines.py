"""Samples as lines, short enough to be written into a pipe at once."""

from __future__ import annotations

import json
import select
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import orjson

from evolution_lab.records import OperationRef, TelemetrySample

LONGEST_LINE: Final = getattr(select, "PIPE_BUF", 512)
"""What a pipe takes whole or not at all, whoever else writes into it (POSIX, ``PIPE_BUF``)."""


def to_line(sample: TelemetrySample) -> bytes | None:
    """Return a sample as one line of JSON; None where even without its texts it is too long.

    A line that is too long loses its message first, then its attributes.

    Examples:
        >>> from datetime import UTC
        >>> sample = TelemetrySample(operation=OperationRef("checkout"), duration_ns=5,
        ...     timestamp=datetime(2026, 1, 1, tzinfo=UTC), error_message="x" * 10_000)
        >>> from_line(to_line(sample)) == replace(sample, error_message=None)
        True
    """
    line = _dump(sample)
    if len(line) > LONGEST_LINE and sample.error_message is not None:
        sample = replace(sample, error_message=None)
        line = _dump(sample)
    if len(line) > LONGEST_LINE and sample.attributes is not None:
        line = _dump(replace(sample, attributes=None))
    return line if len(line) <= LONGEST_LINE else None


def from_line(line: bytes) -> TelemetrySample:
    """Read a line of ``to_line``."""
    values: dict[str, Any] = orjson.loads(line)
    values["operation"] = OperationRef(**values["operation"])
    values["timestamp"] = datetime.fromisoformat(values["timestamp"])
    return TelemetrySample(**values)


def _dump(sample: TelemetrySample) -> bytes:
    try:
        return orjson.dumps(sample, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # A lone surrogate is no UTF-8: somebody's odd header must not be a loss.
        text = json.dumps(_fields(sample), ensure_ascii=False)
        return text.encode("utf-8", "replace") + b"\n"


def _fields(sample: TelemetrySample) -> dict[str, Any]:
    operation = vars(sample.operation)
    return {**vars(sample), "operation": operation, "timestamp": sample.timestamp.isoformat()}
