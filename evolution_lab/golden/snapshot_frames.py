"""A call on its way from the request to the writer: packed fast, unpacked where there is time.

Only a service and the writer it started speak this; nothing of it reaches the disk. Python's own
``marshal`` packs what JSON is made of (and bytes, ``NaN``, integers of any size) in a few microseconds,
and can hold nothing that runs.
"""

from __future__ import annotations

import dataclasses
import json
import marshal
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final
from uuid import UUID

from evolution_lab.golden.http_snapshots import HeaderList, HttpCall, http_snapshot
from evolution_lab.golden.store_frames import plain
from evolution_lab.records import OperationRef, RecordedError, TrafficSnapshot

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def packed(call: dict[str, Any]) -> bytes:
    """Return a call as bytes.

    Values that are no plain JSON are taken as most frameworks send them: dates and times in ISO
    8601, enumerations by value, decimals and UUIDs as text, records by field.

    Raises:
        TypeError: It holds something else, which no test could compare.
        ValueError: It is nested too deep, or holds itself.
    """
    try:
        return marshal.dumps(call)
    except ValueError:  # Subclasses, records, times: by way of JSON.
        return marshal.dumps(json.loads(json.dumps(call, default=_json_value)))


def unpacked_snapshot(frame: bytes, headers: HeaderList) -> TrafficSnapshot:
    """Return the snapshot of what ``packed`` made.

    Raises:
        UnrecordableError: Its body is binary, damaged or too large.
        InputError: It holds what JSON has no word for.
    """
    call: dict[str, Any] = marshal.loads(frame)  # noqa: S302 - our own service's, and no code in it
    operation = OperationRef(call["key"], call["service"], call["version"])
    timestamp = _EPOCH + timedelta(microseconds=call["started_ns"] // 1_000)
    metadata = plain(call["metadata"])
    if "http" in call:
        method, path, query, sent, request_body, status, got, response_body = call["http"]
        wire = HttpCall(
            method=method,
            path=path,
            query=query,
            request_headers=sent,
            request_body=request_body,
            status=status,
            response_headers=got,
            response_body=response_body,
        )
        return http_snapshot(
            wire,
            operation=operation,
            timestamp=timestamp,
            duration_ms=call["duration_ms"],
            headers=headers,
            metadata=metadata,
            id=call["id"],
            sample_rate=call["sample_rate"],
            tenant_id=call["tenant_id"],
            user_id=call["user_id"],
        )
    error = call["error"]
    return TrafficSnapshot(
        id=call["id"],
        operation=operation,
        input=plain(call["input"]),
        output=plain(call["output"]),
        error=None
        if error is None
        else RecordedError(name=error[0], message=error[1], code=error[2]),
        success=call["success"],
        timestamp=timestamp,
        duration_ms=call["duration_ms"],
        tenant_id=call["tenant_id"],
        user_id=call["user_id"],
        channel=call["channel"],
        metadata=metadata,
        sample_rate=call["sample_rate"],
    )


def _json_value(value: object) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, UUID | Decimal):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    dump = getattr(value, "model_dump", None)
    if callable(dump) and not isinstance(value, type):
        return dump(mode="json")
    raise TypeError(f"a {type(value).__name__} is no JSON value.")
