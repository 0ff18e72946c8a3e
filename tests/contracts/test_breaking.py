import hypothesis.strategies as st
import jsonschema_rs
import pytest
from hypothesis import given, settings

from evolution_lab.contracts import DeclaredError, OpenApiDocument, OperationSpec
from evolution_lab.contracts.breaking import document_differences, spec_differences
from evolution_lab.contracts.schema_changes import schema_changes

TEXT = {"type": "string"}


@pytest.mark.parametrize(
    ("before", "after", "kinds"),
    [
        ({}, TEXT, {"narrowed"}),
        (TEXT, {"type": ["string", "null"]}, {"widened"}),
        ({"type": "integer"}, {"type": "number"}, {"widened"}),
        ({"type": "number"}, {"type": "integer"}, {"narrowed"}),
        (TEXT, {"type": "integer"}, {"changed"}),
        ({"enum": ["a"]}, {"enum": ["a", "b"]}, {"widened"}),
        ({"enum": ["a"]}, {"const": "b"}, {"narrowed", "widened"}),
        ({"maxItems": 5}, {"maxItems": 9}, {"widened"}),
        ({"minLength": 1}, {"minLength": 2}, {"narrowed"}),
        ({"pattern": "a"}, {"pattern": "b"}, {"changed"}),
        ({"properties": {"a": TEXT}}, {"properties": {"a": TEXT, "b": {}}}, {"field-added"}),
        ({"properties": {"a": TEXT}}, {"properties": {}}, {"field-removed"}),
        ({"properties": {"a": TEXT}}, {"properties": {"b": TEXT}}, {"field-renamed"}),
        ({"required": ["a"]}, {"required": ["a", "b"]}, {"narrowed"}),
        (TEXT, {"anyOf": [TEXT, {"type": "null"}]}, {"widened"}),
        ({"anyOf": [TEXT, {"type": "null"}]}, TEXT, {"narrowed"}),
        ({"additionalProperties": False}, {}, {"widened"}),
        ({"items": {"maxLength": 1}}, {"items": {"maxLength": 2}}, {"widened"}),
        ({"not": TEXT}, {"not": {}}, {"changed"}),
        ({"title": "A"}, {"title": "B", "description": "C"}, set()),
        ({"$ref": "#/$defs/A", "$defs": {"A": TEXT}}, TEXT, set()),
    ],
)
def test_what_differs_between_two_schemas(before, after, kinds):
    assert {change.kind for change in schema_changes(before, after)} == kinds
    assert schema_changes(before, before) == schema_changes(after, after) == ()


def test_a_schema_that_contains_itself_is_compared_to_its_end():
    tree = {"$ref": "#/$defs/T", "$defs": {"T": {"properties": {"next": {"$ref": "#/$defs/T"}}}}}
    assert schema_changes(tree, tree) == ()


scalars = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["string", "integer", ["string", "null"], "number"]),
        "maxLength": st.integers(0, 3),
        "minimum": st.integers(-2, 2),
        "enum": st.lists(st.sampled_from(["a", "bb", 1, None]), min_size=1, unique=True),
    },
)
objects = st.fixed_dictionaries(
    {"type": st.just("object")},
    optional={
        "properties": st.dictionaries(st.sampled_from("ab"), scalars, max_size=2),
        "required": st.lists(st.sampled_from("ab"), unique=True),
    },
)
values = st.one_of(
    st.none(),
    st.integers(-3, 3),
    st.text("ab", max_size=4),
    st.dictionaries(st.sampled_from("ab"), st.sampled_from(["a", "bb", 1, 0, None]), max_size=2),
)


@given(st.one_of(scalars, objects), st.one_of(scalars, objects), st.lists(values, max_size=20))
@settings(max_examples=300, deadline=None)
def test_a_value_that_only_one_schema_admits_is_told_by_a_change(before, after, tried):
    old, new = jsonschema_rs.validator_for(before), jsonschema_rs.validator_for(after)
    kinds = {change.kind for change in schema_changes(before, after)}
    for value in tried:
        if old.is_valid(value) and not new.is_valid(value):
            assert kinds & {"narrowed", "changed", "field-added", "field-renamed"}
        if new.is_valid(value) and not old.is_valid(value):
            assert kinds & {"widened", "changed", "field-removed", "field-renamed"}


def spec(**parts) -> OperationSpec:
    return OperationSpec(key="cart.get", version="1", kind="query", goal="Read.", **parts)


@pytest.mark.parametrize(
    ("before", "after", "kind", "breaking"),
    [
        ({"input_schema": {}}, {"input_schema": TEXT}, "request-narrowed", True),
        ({"input_schema": TEXT}, {"input_schema": {}}, "request-widened", False),
        ({"output_schema": {}}, {"output_schema": TEXT}, "response-narrowed", False),
        ({"output_schema": TEXT}, {"output_schema": {}}, "response-widened", True),
        ({}, {"errors": {"E": DeclaredError(http=409)}}, "error-added", False),
        ({"errors": {"E": DeclaredError()}}, {}, "error-removed", False),
        (
            {"errors": {"E": DeclaredError(http=400)}},
            {"errors": {"E": DeclaredError(http=409)}},
            "error-changed",
            True,
        ),
        ({}, {"policy": {"rateLimit": {"perMinute": 1}}}, "policy-changed", True),
        ({}, {"policy": {"latency": {"timeoutMs": 1}}}, "policy-changed", False),
        ({}, {"policy": {"deprecated": True}}, "deprecated", False),
    ],
)
def test_who_breaks_by_a_difference(before, after, kind, breaking):
    (difference,) = spec_differences(spec(**before), spec(**after))
    assert (difference.kind, difference.breaking) == (kind, breaking)


def test_operations_that_come_go_and_are_renamed():
    def document(**paths):
        return OpenApiDocument.load(
            {
                "openapi": "3.1.0",
                "info": {"version": "1"},
                "paths": {
                    f"/{name}": {
                        "get": {
                            "responses": {"200": {"description": d}},
                            "parameters": [{"name": d, "in": "query", "schema": {}}],
                        }
                    }
                    for name, d in paths.items()
                },
            }
        )

    found = document_differences(document(a="x", b="y", c="z"), document(a="x", d="y", e="new"))
    assert {route: [d.kind for d in ds] for route, ds in found.items()} == {
        "GET /b": ["operation-renamed"],
        "GET /c": ["operation-removed"],
        "GET /e": ["operation-added"],
    }
