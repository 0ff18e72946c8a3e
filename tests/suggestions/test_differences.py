from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from evolution_lab.suggestions.differences import merge_patch, unified_diff
from evolution_lab.suggestions.identity import pointer, points_into

NAMES = st.sampled_from(["a", "b", "c", "~", "/"])
DOCUMENTS = st.recursive(
    st.dictionaries(NAMES, st.integers(), max_size=3),
    lambda inner: st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


@given(DOCUMENTS, DOCUMENTS)
@settings(max_examples=50)
def test_a_patch_applied_twice_is_applied_once(document, patch):
    once = merge_patch(document, patch)
    assert merge_patch(once, patch) == once


@given(DOCUMENTS, DOCUMENTS)
@settings(max_examples=50)
def test_a_patch_changes_nothing_it_does_not_name(document, patch):
    merged = merge_patch(document, patch)
    assert {n: v for n, v in merged.items() if n not in patch} == {
        n: v for n, v in document.items() if n not in patch
    }


def test_the_examples_of_rfc_7396():
    assert merge_patch({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}) == {"a": {"b": "d"}}
    assert merge_patch({"a": [1]}, {"a": {"b": 1}}) == {"a": {"b": 1}}
    assert merge_patch({"e": None}, {"a": 1}) == {"e": None, "a": 1}
    assert merge_patch({}, {"a": {"bb": {"ccc": None}}}) == {"a": {"bb": {}}}


def test_equal_documents_have_no_diff():
    assert unified_diff({"a": 1}, {"a": 1}, name="x").strip() == ""


def test_text_from_traffic_cannot_drive_a_terminal():
    diff = unified_diff(None, {"\x1b[31m": "\u202e"}, name="x")
    assert all(c.isprintable() or c == "\n" for c in diff)


@given(st.lists(st.text(max_size=4), min_size=1, max_size=3))
@settings(max_examples=50)
def test_a_pointer_points_at_what_it_was_made_for(parts):
    document: object = 1
    for part in reversed(parts):
        document = {part: document}
    assert points_into(document, pointer(*parts))
    assert not points_into(document, pointer(*parts, "more"))
