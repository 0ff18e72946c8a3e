"""JSON of strangers: what is all but JSON is read, so that one odd value takes no neighbour along."""

from __future__ import annotations

import json
import math
from typing import Any, Final

import orjson

_MOST: Final = 1 << 64
_LEAST: Final = -(1 << 63)


def parsed_json(content: bytes) -> Any:
    r"""Parse JSON.

    Bytes that are no UTF-8 and halves of surrogate pairs become U+FFFD, numbers that are none
    (``NaN``) or that nothing here can hold become null.

    Raises:
        orjson.JSONDecodeError: It is no JSON.

    Examples:
        >>> parsed_json(b'[1, NaN, "a\xff", "\\ud800", 1e999, 2e0]')
        [1, None, 'a�', '�', None, 2.0]
    """
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        try:
            text = content.decode("utf-8", "replace")
            return _held(json.loads(text, parse_constant=lambda _: None))
        except (ValueError, RecursionError):
            raise error from None


def _held(value: Any) -> Any:
    """Return a value with what no frame, file or database could hold replaced."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value if _LEAST <= value < _MOST else None
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [_held(item) for item in value]
    return {_held(key): _held(item) for key, item in value.items()}
