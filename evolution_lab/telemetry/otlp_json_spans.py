"""One span as OTLP JSON writes it, in its many spellings.

Ids are hexadecimal (base64 from some SDKs), 64-bit integers text or numbers, enumerations numbers
or names, field names camelCase or snake_case.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any, Final

from evolution_lab.telemetry.otlp_names import Attributes
from evolution_lab.telemetry.otlp_spans import KINDS, STATUS_ERROR, Span

_KIND_NAMES: Final = frozenset(KINDS.values())
_ERROR_NAMES: Final = frozenset({"STATUS_CODE_ERROR", "ERROR", str(STATUS_ERROR)})
_HEX = re.compile(r"[0-9a-fA-F]+")
_WHOLE = re.compile(r"-?[0-9]{1,20}")
_LIMIT: Final = 1 << 63
_DEEPEST: Final = 64


def span_of(raw: Mapping[str, Any]) -> Span:
    """Return the span of a JSON object.

    Raises:
        TypeError: A part is of another type than it must be.
        ValueError: A time or an id cannot be one.
    """
    if "startTimeUnixNano" not in raw and "start_time_unix_nano" in raw:
        raw = {_camel(name): value for name, value in raw.items()}
    get = raw.get
    status = get("status")
    if status is not None and not isinstance(status, dict):
        raise TypeError(f"status == {status!r:.64}, must be an object.")
    state = get("traceState")
    return Span(
        name=str(get("name") or ""),
        kind=kind_of(get("kind")),
        start_ns=_nanos("startTimeUnixNano", get("startTimeUnixNano")),
        end_ns=_nanos("endTimeUnixNano", get("endTimeUnixNano")),
        status=status_of(status.get("code")) if status else 0,
        status_message=status.get("message") if status else None,
        attributes=attributes_of(get("attributes")),
        events=events_of(get("events")),
        trace_id=hex_id(get("traceId"), 16),
        span_id=hex_id(get("spanId"), 8),
        parent_span_id=hex_id(get("parentSpanId"), 8),
        tracestate=state if isinstance(state, str) else None,
    )


def hex_id(value: object, size: int) -> str | None:
    """Return an id as lower-case hexadecimal, whether it came as hexadecimal or as base64.

    The length tells them apart. All zeros means none.

    Args:
        value: What stands there.
        size: Bytes of an id: 16 for traces, 8 for spans.

    Raises:
        TypeError: It is no text.
        ValueError: It is no id of that size.

    Examples:
        >>> hex_id("5B8EFFF798038103D269B633813FC60C", 16) == hex_id("W47/95gDgQPSabYzgT/GDA==", 16)
        True
    """
    if not value:
        return None
    if not isinstance(value, str):
        raise TypeError(f"an id must be text, not {type(value).__name__}.")
    if len(value) == 2 * size and _HEX.fullmatch(value):
        return value.lower() if value.strip("0") else None
    try:
        raw = base64.b64decode(value, validate=True)
    except ValueError:
        raw = b""
    if len(raw) != size:
        raise ValueError(
            f"the id {value[:64]!r} must be {2 * size} hexadecimal digits, or {size} bytes as base64."
        )
    return raw.hex() if any(raw) else None


def attributes_of(items: object) -> dict[str, Any]:
    """Return the attributes of a list of ``KeyValue``s; what is none of them is passed over.

    Examples:
        >>> attributes_of([{"key": "http.response.status_code", "value": {"intValue": "200"}}])
        {'http.response.status_code': 200}
    """
    found: dict[str, Any] = {}
    if isinstance(items, list):
        for item in items:
            try:
                name, value = item["key"], item["value"]
                # Text, by far the most frequent, without another call.
                plain = value["stringValue"] if "stringValue" in value else plain_value(value)
            except (KeyError, TypeError):
                continue
            if isinstance(name, str):
                found[name] = plain
    return found


def plain_value(value: object, depth: int = 0) -> Any:
    """Return the value of an ``AnyValue`` as plain Python; of bytes, their base64."""
    if not isinstance(value, dict) or depth > _DEEPEST:
        return None
    for name, inner in value.items():
        if name in {"intValue", "int_value"}:
            return int(inner) if _is_whole(inner) else None
        if name in {"arrayValue", "array_value"}:
            items = inner.get("values") if isinstance(inner, dict) else None
            return [plain_value(item, depth + 1) for item in items or ()]
        if name in {"kvlistValue", "kvlist_value"}:
            items = inner.get("values") if isinstance(inner, dict) else None
            return {
                str(item["key"]): plain_value(item.get("value"), depth + 1)
                for item in items or ()
                if isinstance(item, dict) and "key" in item
            }
        return inner
    return None


def events_of(items: object) -> list[tuple[str, Attributes]]:
    """Return name and attributes of a span's events.

    Raises:
        TypeError: They are no list.
    """
    if not items:
        return []
    if not isinstance(items, list):
        raise TypeError(f"events == {items!r:.64}, must be a list.")
    return [
        (str(event.get("name") or ""), attributes_of(event.get("attributes")))
        for event in items
        if isinstance(event, dict)
    ]


def _nanos(name: str, value: object) -> int:
    if value is None:
        raise ValueError(f"{name} is missing.")
    if isinstance(value, str) and len(value) == 19 and value.isdecimal():
        number = int(value)
    elif _is_whole(value):
        number = int(value)  # type: ignore[call-overload]
    else:
        raise ValueError(f"{name} == {value!r:.64}, must be whole nanoseconds.")
    if not -_LIMIT <= number < _LIMIT:
        raise ValueError(f"{name} == {number}, must fit 64 bits.")
    return number


def _is_whole(value: object) -> bool:
    if isinstance(value, str):
        return _WHOLE.fullmatch(value) is not None
    if isinstance(value, float):
        return value.is_integer()
    return isinstance(value, int) and not isinstance(value, bool)


def kind_of(value: object) -> str | None:
    """Return a span's kind, whether it came as a number or as a name."""
    if isinstance(value, int):
        return KINDS.get(value)
    if not isinstance(value, str):
        return None
    name = value.removeprefix("SPAN_KIND_").lower()
    if len(name) == 1 and name.isdecimal():
        return KINDS.get(int(name))
    return name if name in _KIND_NAMES else None


def status_of(value: object) -> int:
    """Return the code of a status, whether it came as a number or as a name."""
    if isinstance(value, str):
        return STATUS_ERROR if value in _ERROR_NAMES else 0
    return value if isinstance(value, int) else 0


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))
