"""Snapshots as rows of a table and back, exactly."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import polars as pl

from evolution_lab.errors import InputError
from evolution_lab.golden.matchers import DEEPEST
from evolution_lab.records import OperationRef, RecordedError, TrafficSnapshot
from evolution_lab.schemas import TRAFFIC, check, polars_schema


def to_frame(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Return rows of ``to_row`` as a frame of ``schemas.TRAFFIC``, in their order."""
    schema = polars_schema(TRAFFIC)
    columns = {name: [row[name] for row in rows] for name in schema}
    return check(pl.DataFrame(columns, schema=schema), TRAFFIC)


def to_row(snapshot: TrafficSnapshot) -> dict[str, Any]:
    """Return a snapshot as one row.

    Raises:
        InputError: It holds what JSON has no word for.
    """
    operation, error = snapshot.operation, snapshot.error
    return {
        "id": snapshot.id,
        "service": operation.service,
        "operation_key": operation.key,
        "operation_version": operation.version,
        "op_id": operation.op_id,
        "timestamp": snapshot.timestamp,
        "duration_ms": snapshot.duration_ms,
        "success": snapshot.success,
        "channel": snapshot.channel,
        "tenant_id": snapshot.tenant_id,
        "user_id": snapshot.user_id,
        "trace_id": snapshot.trace_id,
        "session_id": snapshot.session_id,
        "input": json_text(snapshot.input),
        "output": json_text(snapshot.output),
        "has_error": error is not None,
        "error_name": None if error is None else error.name,
        "error_message": None if error is None else error.message,
        "error_code": None if error is None else error.code,
        "metadata": json_text(dict(snapshot.metadata)),
        "sample_rate": snapshot.sample_rate,
    }


def from_row(row: Mapping[str, Any]) -> TrafficSnapshot:
    """Return the snapshot of a row; the inverse of ``to_row``."""
    error = None
    if row["has_error"]:
        error = RecordedError(
            name=row["error_name"], message=row["error_message"], code=row["error_code"]
        )
    timestamp: datetime = row["timestamp"]
    return TrafficSnapshot(
        id=row["id"],
        operation=OperationRef(row["operation_key"], row["service"], row["operation_version"]),
        input=json.loads(row["input"]),
        output=json.loads(row["output"]),
        error=error,
        success=row["success"],
        timestamp=timestamp.astimezone(UTC),
        duration_ms=row["duration_ms"],
        tenant_id=row["tenant_id"],
        user_id=row["user_id"],
        channel=row["channel"],
        metadata=json.loads(row["metadata"]),
        sample_rate=row["sample_rate"],
    )


def json_text(value: object) -> str:
    r"""Return a value as ASCII JSON in which nothing is lost: ``NaN``, 2^53+1, half surrogates.

    Raises:
        InputError: The value is no JSON value, or nested deeper than golden tests compare.

    Examples:
        >>> json_text({"ü": [1, float("nan")]})
        '{"\\u00fc": [1, NaN]}'
    """
    try:
        return json.dumps(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"a value of a snapshot cannot be stored: {error}.") from error


def plain(value: object, depth: int = 0) -> Any:
    """Return a value as JSON has it: lists of tuples, texts of keys, base64 of bytes.

    Raises:
        InputError: The value is no JSON value, or nested deeper than golden tests compare.

    Examples:
        >>> plain({"at": (1, 2), 7: b"x"})
        {'at': [1, 2], '7': {'base64': 'eA=='}}
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if depth > DEEPEST:
        raise InputError(f"a value nested deeper than {DEEPEST} levels cannot be compared.")
    if isinstance(value, Mapping):
        return {_key(key): plain(each, depth + 1) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each, depth + 1) for each in value]
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    raise InputError(f"a {type(value).__name__} is no JSON value.")


def _key(key: object) -> str:
    if isinstance(key, str):
        return key
    if key is None or isinstance(key, bool | int | float):
        return json.dumps(key)
    raise InputError(f"a {type(key).__name__} as a key is no JSON.")
