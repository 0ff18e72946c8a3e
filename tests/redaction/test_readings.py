"""How texts are read: each character of a reading has its place, nothing is found twice."""

from __future__ import annotations

from itertools import pairwise
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolution_lab.redaction.field_kinds import is_safe_shape
from evolution_lab.redaction.readings import coded_runs, find_hidden, reading

pieces = st.sampled_from(
    ["%", "%41", "%C3%B6", "%2541", "&", "&#64;", "&amp;", "\\u0040", "\\", "\u200b", "\u0663", "+",
     "ada@shop.io", "4111 1111 1111 1111", "YWRhQHNob3AuaW8=", "x", " ", "\ud800", "é"]
)  # fmt: skip
texts = st.lists(pieces | st.text(max_size=5), max_size=12).map("".join)


@given(texts)
@settings(max_examples=300, deadline=None)
def test_every_character_read_has_its_place_in_order(text: str) -> None:
    read = reading(text)
    if read is None:
        return
    assert len(read.text) == len(read.starts) == len(read.ends)
    assert all(0 <= s < e <= len(text) for s, e in zip(read.starts, read.ends, strict=True))
    assert read.starts == sorted(read.starts)


@given(texts)
@settings(max_examples=300, deadline=None)
def test_findings_are_in_order_and_apart(text: str) -> None:
    places = [each.finding for each in find_hidden(text)]
    assert all(0 <= place.start < place.end <= len(text) for place in places)
    assert all(a.end <= b.start for a, b in pairwise(places))


@given(st.text(min_size=1, max_size=30).filter(lambda t: "\ud800" not in t))
@settings(max_examples=200, deadline=None)
def test_what_is_quoted_is_read_like_what_is_not(text: str) -> None:
    try:
        quoted = quote(text, safe="")
    except UnicodeEncodeError:
        return
    direct, through = reading(text), reading(quoted)
    assert (text if direct is None else direct.text) == (
        quoted if through is None else through.text
    )


@pytest.mark.parametrize(
    "text",
    [
        "9eaf12abc8c38e9e0ea20547eca8fc2d",
        "customerAccountId",
        "1834dcf4-7333-4f56-b41b-f85a550c888d",
    ],
)
def test_ids_and_names_hold_no_text(text: str) -> None:
    assert [run.text for run in coded_runs(text)] == []


def test_a_card_in_hex_is_no_digest() -> None:
    assert is_safe_shape("0f" * 16)
    assert not is_safe_shape(b"4111111111111111".hex())
