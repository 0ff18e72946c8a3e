from __future__ import annotations

import pytest

from evolution_lab.contracts import DeclaredError, OperationSpec
from evolution_lab.records import from_json, to_json


def spec(**changes: object) -> OperationSpec:
    values: dict[str, object] = {
        "key": "POST /orders",
        "version": "1.2.0",
        "kind": "command",
        "goal": "Place an order.",
        "input_schema": {"type": "object", "required": ["cart_id"]},
        "errors": {"OUT_OF_STOCK": DeclaredError(http=409, gql_code="OUT_OF_STOCK")},
        "policy": {"auth": "user"},
    }
    return OperationSpec(**(values | changes))  # type: ignore[arg-type]


def test_json_uses_the_seed_names_and_comes_back_equal():
    text = to_json(spec())
    assert b'"inputSchema"' in text
    assert b'"gqlCode":"OUT_OF_STOCK"' in text
    assert from_json(OperationSpec, text) == spec()


def test_names_inside_schemas_are_left_as_they_are():
    assert spec().to_document()["inputSchema"]["required"] == ["cart_id"]


def test_document_says_only_what_an_error_declares():
    document = spec(errors={"E": DeclaredError(http=500)}).to_document()
    assert document["errors"] == {"E": {"http": 500}}


@pytest.mark.parametrize(
    ("kind", "policy", "repeatable"),
    [
        ("query", {}, True),
        ("command", {}, False),
        ("command", {"idempotent": True}, True),
        ("command", {"idempotent": "yes"}, False),
    ],
)
def test_only_queries_and_idempotent_commands_may_be_repeated(kind, policy, repeatable):
    assert spec(kind=kind, policy=policy).repeatable is repeatable


@pytest.mark.parametrize("changes", [{"key": ""}, {"version": ""}, {"kind": "event"}])
def test_a_spec_without_name_version_or_known_kind_is_refused(changes):
    with pytest.raises(ValueError, match="must"):
        spec(**changes)
