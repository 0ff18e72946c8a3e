"""Values beside schemas: each kind of difference, references and combinations."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolution_lab.suggestions.traffic.schema_walk import SchemaWalker, typed
from evolution_lab.suggestions.traffic.values import inferred_schema

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text(max_size=8),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=5), below, max_size=3),
    max_leaves=8,
)  # fmt: skip
THING = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "state": {"enum": ["open", "done"]},
        "n": {"type": "integer", "maximum": 9},
        "at": {"type": "string", "format": "date-time"},
        "parts": {"type": "array", "items": {"$ref": "#/$defs/Part"}},
    },
    "required": ["id"],
    "$defs": {"Part": {"properties": {"sku": {"type": "string"}, "inner": {"$ref": "#/$defs/Part"}}}},
}  # fmt: skip


def told(schema: dict[str, Any], value: Any) -> set[tuple[str, tuple[str, ...], str]]:
    walk = SchemaWalker(schema).walk(value)
    return {(d.kind, d.path, d.detail) for d in walk.differences}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"id": "a"}, set()),
        ({"id": "a", "new": 1}, {("field", (), "new")}),
        ({}, {("required", (), "id")}),
        ({"id": 7}, {("type", ("id",), "integer")}),
        ({"id": None}, {("null", ("id",), "null")}),
        ({"id": "a", "state": "held"}, {("enum", ("state",), "held")}),
        ({"id": "a", "n": 10}, {("limit", ("n",), "maximum")}),
        ({"id": "a", "at": "2026-01-01"}, {("format", ("at",), "date-time")}),
        ({"id": "a", "parts": [{"x": 1}]}, {("field", ("parts", "[]"), "x")}),
        (
            {"id": "a", "parts": [{"inner": {"inner": {"x": 1}}}]},
            {("field", ("parts", "[]", "inner", "inner"), "x")},
        ),
        ({"id": "[email]", "at": "[date]"}, set()),
    ],
)
def test_each_kind_of_difference(value: Any, expected: set[Any]):
    assert told(THING, value) == expected


def test_the_branch_that_fits_is_taken():
    card = {"type": "object", "properties": {"pan": {"type": "string"}}, "required": ["pan"]}
    bank = {"type": "object", "properties": {"iban": {"type": "string"}}, "required": ["iban"]}
    schema = {"properties": {"pay": {"anyOf": [card, bank, {"type": "null"}]}}}
    assert told(schema, {"pay": {"iban": "x"}}) == set()
    assert told(schema, {"pay": None}) == set()
    assert told(schema, {"pay": {"iban": "x", "bic": "y"}}) == {("field", ("pay",), "bic")}


def test_fields_of_all_parts_are_declared():
    schema = {"allOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}]}
    assert told(schema, {"a": 1, "b": 2}) == set()


@pytest.mark.parametrize(
    "more", [{"additionalProperties": True}, {"additionalProperties": {"type": "string"}}, {"patternProperties": {}}]
)  # fmt: skip
def test_open_maps_have_no_undeclared_fields(more: dict[str, Any]):
    assert told({"properties": {"a": {}}, **more}, {"b": "x"}) == set()


@given(st.lists(JSON, min_size=1, max_size=4))
def test_an_inferred_schema_takes_what_it_was_made_of(values: list[Any]):
    schema = inferred_schema(values)
    walker = SchemaWalker(schema)
    for value in values:
        assert walker.accepts(value)
        assert not walker.walk(value).differences


def test_endless_references_end():
    walker = SchemaWalker({"$ref": "#/$defs/A", "$defs": {"A": {"allOf": [{"$ref": "#/$defs/A"}]}}})
    assert walker.walk({"a": 1}).differences == {}


def test_parameters_are_read_as_declared():
    assert typed("3", {"type": "integer"}) == 3
    assert typed(["1", "x"], {"type": "array", "items": {"type": "integer"}}) == [1, "x"]
    assert typed("true", {"type": "boolean"}) is True
