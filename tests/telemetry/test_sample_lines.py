"""A line holds its sample and always fits the pipe."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from evolution_lab.records import OperationRef, TelemetrySample
from evolution_lab.telemetry.sample_lines import LONGEST_LINE, from_line, to_line

TEXTS = st.text(st.characters(), max_size=40)  # Lone surrogates included.


@st.composite
def samples(draw, texts=TEXTS):
    names = draw(st.lists(texts, min_size=5, max_size=5))
    return TelemetrySample(
        operation=OperationRef(names[0] or "x", names[1], names[2]),
        timestamp=draw(st.datetimes(timezones=st.just(UTC))),
        duration_ns=draw(st.integers(0, 2**62)),
        success=draw(st.sampled_from([True, False, None])),
        status_code=draw(st.none() | st.integers(100, 599)),
        error_message=draw(st.none() | texts),
        tenant_id=names[3],
        actor_id=names[4],
        attributes=draw(st.none() | st.dictionaries(texts, texts, max_size=3)),
    )


@settings(max_examples=100)
@given(samples(st.text(max_size=40)))
def test_a_line_is_read_as_what_was_written(sample):
    line = to_line(sample)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert from_line(line) == sample


@settings(max_examples=50)
@given(samples(), st.sampled_from(["\0", "x", "\U0001f4a3", "\ud800"]), st.integers(0, 3_000))
def test_every_line_fits_and_no_text_is_a_reason_to_lose_a_sample(sample, letter, length):
    line = to_line(replace(sample, error_message=letter * length))
    assert len(line) <= LONGEST_LINE
    read = from_line(line)
    assert read.timestamp == sample.timestamp
    assert read.duration_ns == sample.duration_ns


def test_what_is_too_long_goes_in_its_order():
    sample = TelemetrySample(
        operation=OperationRef("checkout"),
        timestamp=datetime(2026, 1, 1, tzinfo=UTC),
        duration_ns=1,
        error_message="m" * 900,
        attributes={"a": "v" * (LONGEST_LINE - 600)},
    )
    assert from_line(to_line(sample)) == replace(sample, error_message=None)
    long = replace(sample, attributes={"a": "v" * LONGEST_LINE})
    assert from_line(to_line(long)) == replace(sample, error_message=None, attributes=None)
    assert to_line(replace(long, tenant_id="t" * LONGEST_LINE)) is None
