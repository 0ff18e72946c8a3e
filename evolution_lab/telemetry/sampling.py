"""How many executions a sampled span stands for."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_ALL: Final = 1 << 56
_LONGEST_THRESHOLD: Final = 14
_THRESHOLD = re.compile(rf"[0-9a-fA-F]{{1,{_LONGEST_THRESHOLD}}}")


@lru_cache(maxsize=4096)
def weight_of(tracestate: str | None) -> float:
    """Return the adjusted count of a span from the ``th`` of its ``tracestate``.

    The threshold is up to 14 hexadecimal digits, padded with zeros on the right; a span is kept with
    probability ``1 - th / 2**56`` (OpenTelemetry, "TraceState: Probability Sampling", section
    "Rejection threshold"). Without a readable threshold a span stands for itself.

    Examples:
        >>> weight_of("ot=th:8"), weight_of("ot=rv:abc;th:f,vendor=x"), weight_of("vendor=x")
        (2.0, 16.0, 1.0)
    """
    if not tracestate:
        return 1.0
    for entry in tracestate.split(","):
        vendor, _, fields = entry.strip().partition("=")
        if vendor != "ot":
            continue
        for field in fields.split(";"):
            name, _, value = field.partition(":")
            if name == "th" and _THRESHOLD.fullmatch(value):
                return _ALL / (_ALL - int(value.ljust(_LONGEST_THRESHOLD, "0"), 16))
    return 1.0
