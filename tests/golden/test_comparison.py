"""The meaning of expected trees: what passes, what does not, whatever the order of properties."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolution_lab.golden.comparison import compare, compare_error, resolve
from evolution_lab.golden.matchers import (
    DEEPEST,
    array_of,
    bind,
    close_to,
    epoch,
    from_input,
    literal,
    named,
    number,
    of_type,
    one_of,
    optional,
    pattern,
    ref,
    text,
    unordered,
)
from evolution_lab.golden.suite import ExpectedError

UUID = "0b8f7d1e-3c55-4a4e-9d5e-0f3f5f1f2a3b"
KEYS = st.text(max_size=5) | st.sampled_from(
    ["$match", "$$match", "$matches", "$ref", "__proto__", ""]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


def kinds(actual, expected, **rest):
    return [(d.path, d.kind) for d in compare(actual, expected, **rest)]


@given(JSON)
def test_every_value_fits_its_own_literal_also_after_json(value):
    tree = json.loads(json.dumps(literal(value), allow_nan=False))
    assert compare(value, tree) == []


@given(JSON, JSON)
def test_another_value_does_not_fit(value, other):
    same = json.dumps(canonical(value), sort_keys=True) == json.dumps(
        canonical(other), sort_keys=True
    )
    assert (compare(other, literal(value)) == []) == same


def canonical(value):
    """The value as the rules see it: numbers as doubles, -0 as 0."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int | float):
        try:
            return float(value) + 0.0
        except OverflowError:
            return math.copysign(math.inf, value)
    if isinstance(value, dict):
        return {key: canonical(item) for key, item in value.items()}
    return [canonical(item) for item in value]


@pytest.mark.parametrize(
    ("actual", "expected", "differences"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1.0}, []),
        ({}, {"a": None}, [("/a", "missing")]),
        ({"a": None, "b": 1}, {"a": None}, [("/b", "extra")]),
        (True, 1, [("", "type")]),
        (-0.0, 0, []),
        (2**53, number(2**53 + 1), []),
        (2**53 + 2, number(2**53 + 1), [("", "value")]),
        (math.nan, number(math.nan), []),
        ("1", 1, [("", "type")]),
        ([1, 2], [2, 1], [("/0", "value"), ("/1", "value")]),
        ([1], [1, 2], [("", "length")]),
        ({"a/b": {"~": 1}}, {"a/b": {"~": 2}}, [("/a~1b/~0", "value")]),
        (UUID, named("uuid"), []),
        (UUID + "\n", named("uuid"), [("", "shape")]),
        (None, named("uuid"), [("", "type")]),
        ("ch_1", pattern("ch_[0-9]{1,3}"), []),
        ("xch_1", pattern("ch_[0-9]{1,3}"), [("", "shape")]),
        (1.0, of_type("integer"), []),
        (1.5, of_type("integer"), [("", "type")]),
        (1, of_type("number"), []),
        (0.1 + 0.2, close_to(0.3, tolerance=1e-9), []),
        (0.4, close_to(0.3, tolerance=1e-9), [("", "value")]),
        (1_700_000_000, epoch("s"), []),
        (1_700_000_000, epoch("ms"), [("", "value")]),
        (None, one_of([None, named("uuid")]), []),
        (3, one_of([None, named("uuid")]), [("", "shape")]),
        ({}, {"a": optional(1)}, []),
        ({"a": 2}, {"a": optional(1)}, [("/a", "value")]),
        ([3, 1, 2], unordered([1, 2, 3]), []),
        ([3, 1, 1], unordered([1, 2, 3]), [("", "element")]),
        ([1, UUID], unordered([of_type("integer"), 1]), [("", "element")]),
        ([UUID, 1], unordered([one_of([1, named("uuid")]), 1]), []),
        ([1, 2], array_of(of_type("integer"), at_least=1), []),
        ([], array_of(of_type("integer"), at_least=1), [("", "length")]),
        ([1, "a"], array_of(of_type("integer")), [("/1", "type")]),
    ],
)
def test_rules(actual, expected, differences):
    assert kinds(actual, expected) == differences


def test_names_are_collected_before_anything_is_compared():
    expected = {
        "a_url": text(["/orders/", ref("id", of_type("integer")), pattern("(?:\\?[a-z]{1,9})?")]),
        "id": bind("id", of_type("integer")),
    }
    assert compare({"a_url": "/orders/7?full", "id": 7}, expected) == []
    assert kinds({"a_url": "/orders/8", "id": 7}, expected) == [("/a_url", "link")]


def test_names_reach_the_next_step_and_its_input():
    names: dict[str, object] = {}
    assert compare({"id": UUID}, {"id": bind("id", named("uuid"))}, names=names) == []
    sent = resolve({"path": text(["/orders/", ref("id", named("uuid"))]), "n": 1}, names)
    assert sent == {"path": f"/orders/{UUID}", "n": 1}
    again = {"id": ref("id", named("uuid")), "path": from_input("/path")}
    assert compare({"id": UUID, "path": sent["path"]}, again, names=names, sent=sent) == []
    assert kinds({"id": "x", "path": "y"}, again, names=names, sent=sent) == [
        ("/id", "link"),
        ("/path", "link"),
    ]


def test_text_behind_base64_is_compared():
    expected = {
        "id": bind("id", of_type("integer")),
        "node": text(["Thing", ref("id", of_type("integer"))], encoding="base64"),
    }
    assert compare({"id": 12, "node": "VGhpbmcxMg=="}, expected) == []
    assert kinds({"id": 13, "node": "VGhpbmcxMg=="}, expected) == [("/node", "link")]
    assert kinds({"id": 13, "node": "not base64!"}, expected) == [("/node", "link")]


def test_what_a_linked_text_is_made_of_is_no_pattern():
    expected = {"id": bind("id", of_type("string")), "url": text(["/", ref("id", "")])}
    assert kinds({"id": ".*", "url": "/anything"}, expected) == [("/url", "link")]


def test_depth_is_a_difference_and_no_crash():
    value: list[object] = []
    for _ in range(5000):
        value = [value]
    tree: list[object] = []
    for _ in range(5000):
        tree = [tree]
    assert [d.kind for d in compare(value, tree)] == ["depth"]
    with pytest.raises(ValueError, match=str(DEEPEST)):
        literal(value)


@pytest.mark.parametrize(
    ("came", "differences"),
    [
        (("CardError", "declined", "card 4 declined"), []),
        (("CardError", "expired", "card 4 declined"), ["/error/code"]),
        (("ValueError", "declined", "card 4 declined"), ["/error/name"]),
        (("CardError", "declined", "no"), ["/error/message"]),
        (("CardError", None, None), ["/error/code", "/error/message"]),
    ],
)
def test_only_the_recorded_error_passes(came, differences):
    expected = ExpectedError(
        name="CardError", code="declined", message=pattern("card [0-9]{1,4} declined")
    )
    assert [d.path for d in compare_error(*came, expected)] == differences
