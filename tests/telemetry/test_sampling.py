"""Adjusted counts: the specification's own examples, and what cannot be read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolution_lab.telemetry.sampling import weight_of


@pytest.mark.parametrize(
    ("tracestate", "weight"),
    [
        (None, 1.0),
        ("", 1.0),
        ("ot=th:0", 1.0),
        ("ot=th:8", 2.0),
        ("ot=th:c", 4.0),
        ("ot=th:fd70a4", 1 / (1 - 0xFD70A4 / 2**24)),
        ("vendor=th:8, ot=rv:6e6d1a75832a2f;th:f", 16.0),
        ("ot=th:ffffffffffffff", 2.0**56),
        ("vendor=th:8", 1.0),
        ("ot=th:", 1.0),
        ("ot=th:zz", 1.0),
        ("ot=th:-8", 1.0),
        ("ot=th:0x8", 1.0),
        ("ot=th:1_0", 1.0),
        ("ot=th:" + "f" * 15, 1.0),
    ],
)
def test_weights(tracestate: str | None, weight: float):
    assert weight_of(tracestate) == pytest.approx(weight, rel=1e-12)


@given(st.text(max_size=60))
def test_a_span_stands_for_itself_at_least(text: str):
    assert weight_of(text) >= 1.0
    assert weight_of(f"ot=th:{text}") >= 1.0
