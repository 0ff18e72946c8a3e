"""Normalising and judging raw rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from evolution_lab.telemetry.reading import RAW_SCHEMA
from evolution_lab.telemetry.validation import normalise, validate

LANDED_AT = datetime(2026, 4, 1, tzinfo=UTC)
GOOD = {
    "operation_key": "checkout",
    "timestamp": LANDED_AT,
    "duration_ns": 5,
    "weight": 1.0,
    "name_source": "span",
    "line": 7,
}


def raw(**values):
    return pl.DataFrame([{**GOOD, **values}], schema=RAW_SCHEMA, orient="row")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("AABBccdd00112233", "aabbccdd00112233"),
        ("123E4567-E89B-12D3-A456-426614174000", "123e4567e89b12d3a456426614174000"),
        ("Base62Kept", "Base62Kept"),
        ("0000000000000000", None),
        ("0", None),
        (" ", None),
        (None, None),
    ],
)
def test_ids_take_one_form(given, kept):
    rows = normalise(raw(trace_id=given, span_id=given, parent_span_id=given))
    assert rows.select("trace_id", "span_id", "parent_span_id").row(0) == (kept,) * 3


def test_empty_text_is_no_value():
    rows = normalise(raw(service=" ", error_message="", tenant_id=" t ", weight=None))
    assert rows.select("service", "error_message", "tenant_id", "weight").row(0) == (
        *(None, None, "t", 1.0),
    )


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"operation_key": " "}, "The operation has no name."),
        ({"timestamp": None}, "The timestamp is missing."),
        ({"timestamp": datetime(1989, 12, 31, tzinfo=UTC)}, "The timestamp is before 1990."),
        (
            {"timestamp": LANDED_AT + timedelta(days=1, microseconds=1)},
            "The timestamp is more than a day after the landing time.",
        ),
        ({"duration_ns": -1}, "The duration is negative."),
        ({"duration_ns": None}, "The duration is missing."),
        ({"duration_ns": 2**62}, "The duration is longer than 7 days."),
        ({"weight": float("nan")}, "The weight is not a number of at least 1."),
        ({"weight": 0.5}, "The weight is not a number of at least 1."),
        ({"payload_bytes": -1}, "The payload's size is negative."),
        ({"kind": "alien"}, "The kind is none of server, client, consumer, producer, internal."),
    ],
)
def test_what_cannot_be_true_is_refused_in_a_sentence(values, reason):
    rows, refused = validate(normalise(raw(**values)), LANDED_AT)
    assert rows.is_empty()
    assert [(reject.line, reject.reason) for reject in refused] == [(7, reason)]


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"timestamp": LANDED_AT + timedelta(days=1)},
        {"timestamp": datetime(1990, 1, 1, tzinfo=UTC)},
        {"duration_ns": 0},
        {"kind": "server", "channel": "rest", "weight": 1024.0, "payload_bytes": 0},
    ],
)
def test_the_edges_of_the_rules_are_believed(values):
    rows, refused = validate(normalise(raw(**values)), LANDED_AT)
    assert (rows.height, refused) == (1, ())
