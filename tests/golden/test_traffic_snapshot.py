"""The record of one call: what it refuses, and that its JSON form gives it back."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolution_lab.records import (
    OperationRef,
    RecordedError,
    TrafficSnapshot,
    from_json,
    to_json,
)

WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda children: (
        st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4)
    ),
    max_leaves=12,
)


def snapshot(**changes: Any) -> TrafficSnapshot:
    fields: dict[str, Any] = {
        "id": "s1",
        "operation": OperationRef("cart.add", service="shop"),
        "input": {"sku": "A-1"},
        "output": {"added": 1},
        "success": True,
        "timestamp": WHEN,
    }
    return TrafficSnapshot(**{**fields, **changes})


@given(JSON, JSON)
def test_json_gives_back_what_was_recorded(value: Any, output: Any) -> None:
    made = snapshot(input=value, output=output, metadata={"traceId": "t", "x": [1]})
    assert from_json(TrafficSnapshot, to_json(made)) == made


def test_errors_and_links_survive() -> None:
    made = snapshot(
        output=None,
        success=False,
        error=RecordedError(name="CardDeclined", message="no", code="DECLINED"),
        metadata={"traceId": "t1", "sessionId": 7},
        sample_rate=0.05,
    )
    read = from_json(TrafficSnapshot, to_json(made))
    assert read == made
    assert (read.trace_id, read.session_id) == ("t1", None)


def test_times_become_utc() -> None:
    made = snapshot(timestamp=WHEN.astimezone(timezone(timedelta(hours=2))))
    assert made.timestamp.utcoffset() == timedelta(0)
    assert made.timestamp == WHEN


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"id": ""}, "id == ''"),
        ({"sample_rate": 0.0}, "sample_rate == 0.0"),
        ({"sample_rate": 1.5}, "sample_rate == 1.5"),
        ({"sample_rate": math.nan}, "sample_rate == nan"),
        ({"duration_ms": -1.0}, r"duration_ms == -1.0"),
        ({"timestamp": datetime(2026, 1, 1)}, "no time zone"),  # noqa: DTZ001
    ],
)
def test_refuses(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        snapshot(**changes)
