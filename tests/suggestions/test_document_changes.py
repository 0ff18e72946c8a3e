"""Overlays on the demo's document and on three public ones: what must hold of every one."""

import pytest

from evolution_lab.bench.public_documents import PUBLIC_DOCUMENTS, bench_documents
from evolution_lab.bench.suggestion_overlays import measure_overlays
from evolution_lab.contracts import OpenApiDocument
from evolution_lab.errors import InapplicableEditError
from evolution_lab.suggestions.document_change import change_document
from evolution_lab.suggestions.edits import (
    AddOperation,
    AddParameter,
    AllowTypes,
    AllowValues,
    DeclareError,
    DeclareField,
    DeprecateField,
    Place,
    RelaxField,
    RequireField,
    SetExtension,
    SetFormat,
    SetLimit,
)


def test_every_overlay_on_public_documents_does_what_it_says_and_nothing_else():
    assert set(bench_documents()) == {"demo", *PUBLIC_DOCUMENTS}
    report = measure_overlays(at_most=5)
    assert report.passed, report.tables
    assert [target.value for target in report.targets[:-1]] == [1.0] * 7


@pytest.mark.slow
def test_every_overlay_on_public_documents_does_what_it_says_in_depth():
    report = measure_overlays(at_most=40)
    assert report.passed, report.tables


def document(schema: dict, *, version: str = "3.1.0", other: bool = True) -> OpenApiDocument:
    answer = {
        "200": {
            "description": "Done.",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Cart"}}},
        }
    }
    paths = {
        "/carts/{id}": {
            "parameters": [
                {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}},
                {"name": "full", "in": "query", "schema": {"type": "boolean"}},
            ],
            "get": {"operationId": "cart.get", "responses": answer},
            "delete": {"responses": {"204": {"description": "Gone."}}},
        }
    }
    if other:
        paths["/carts"] = {"get": {"operationId": "cart.list", "responses": answer}}
    return OpenApiDocument.load(
        {
            "openapi": version,
            "info": {"title": "Carts", "version": "1"},
            "paths": paths,
            "components": {"schemas": {"Cart": schema}},
        }
    )


def at(*path: str) -> Place:
    return Place(part="response", path=path)


CART = {"type": "object", "properties": {"total": {"type": "integer"}}, "required": ["total"]}


def test_a_component_that_others_use_is_copied_and_they_keep_it():
    source = document(CART)
    edit = DeclareField(place=at("note"), schema={"type": "string"})
    change = change_document(source, "cart.get", [edit], title="Declare note.")
    assert change.content["components"] == source.content["components"]
    assert [(c.component, c.kept_by) for c in change.copied] == [
        ("/components/schemas/Cart", ("GET /carts",))
    ]
    after = OpenApiDocument(change.content)
    assert after.spec("cart.list") == source.spec("cart.list")
    assert "note" in after.spec("cart.get").output_schema["properties"]
    assert (change.affects, change.breaking) == ((), False)


def test_a_component_of_this_operation_alone_is_changed_where_it_stands():
    change = change_document(
        document(CART, other=False),
        "cart.get",
        [AllowTypes(place=at("total"), types=("null",))],
        title="Admit null.",
    )
    assert change.changed == ("/components/schemas/Cart",)
    assert change.overlay["actions"] == [
        {
            "target": "$['components']['schemas']['Cart']['properties']['total']",
            "update": {"type": ["integer", "null"]},
        }
    ]
    assert [(d.kind, d.breaking) for d in change.differences] == [("response-widened", True)]


def test_null_is_said_in_the_words_of_the_version():
    change = change_document(
        document(CART, version="3.0.3", other=False),
        "cart.get",
        [AllowTypes(place=at("total"), types=("null",))],
        title="Admit null.",
    )
    cart = change.content["components"]["schemas"]["Cart"]
    assert cart["properties"]["total"] == {"type": "integer", "nullable": True}


@pytest.mark.parametrize("version", ["3.0.3", "3.1.0"])
def test_a_shared_schema_may_be_null_for_one_operation(version):
    owned = {"type": "object", "properties": {"owner": {"$ref": "#/components/schemas/Cart"}}}
    source = document(owned, version=version, other=False)
    change = change_document(
        source, "cart.get", [AllowTypes(place=at("owner"), types=("null",))], title="Admit null."
    )
    assert {"$ref": "#/components/schemas/Cart"} in next(iter(_values(change, "anyOf")))


def _values(change, keyword):
    stack = [change.content]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            if keyword in node:
                yield node[keyword]
            stack.extend(node.values())
        elif isinstance(node, list):
            stack.extend(node)


def test_a_parameter_of_the_path_is_changed_for_the_operation_alone():
    source = document(CART)
    edit = RequireField(place=Place(part="query", path=("full",)))
    change = change_document(source, "cart.get", [edit], title="Require full.")
    after = OpenApiDocument(change.content)
    assert "query" in after.spec("cart.get").input_schema["required"]
    delete = "DELETE /carts/{id}"
    assert after.spec(delete) == source.spec(delete)


WIDE = {
    "type": "object",
    "required": ["state"],
    "properties": {
        "state": {"type": "string", "enum": ["open"]},
        "when": {"type": "string", "format": "date-time"},
        "lines": {"type": "array", "items": {"type": "object", "properties": {"n": {}}}},
    },
}


@pytest.mark.parametrize("version", ["3.0.3", "3.1.0"])
@pytest.mark.parametrize(
    ("edit", "kinds"),
    [
        (AllowValues(place=at("state"), values=("paid",)), {"response-widened"}),
        (AllowTypes(place=at("state"), types=("integer",)), {"response-widened"}),
        (SetFormat(place=at("when"), format=None), {"response-widened"}),
        (SetFormat(place=at("state"), format="uuid"), {"response-narrowed"}),
        (RelaxField(place=at("state")), {"response-widened"}),
        (RequireField(place=at("when")), {"response-narrowed"}),
        (SetLimit(place=at("lines"), keyword="maxItems", value=9), {"response-narrowed"}),
        (
            DeclareField(place=at("lines", "*", "sku"), schema={"type": ["string", "null"]}),
            {"response-widened"},
        ),
        (DeprecateField(place=at("when")), set()),
        (DeclareError(code="cart_gone", status=410), {"error-added"}),
        (
            AddParameter(place=Place(part="query", path=("limit",)), schema={"type": "integer"}),
            {"request-widened"},
        ),
        (SetExtension(path=("policy", "rateLimit"), value={"perMinute": 60}), {"policy-changed"}),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_each_kind_of_edit_in_both_versions(version, edit, kinds):
    change = change_document(document(WIDE, version=version), "cart.get", [edit], title="Edit.")
    assert {difference.kind for difference in change.differences} == kinds
    with pytest.raises(InapplicableEditError):
        change_document(OpenApiDocument(change.content), "cart.get", [edit], title="Again.")


def test_a_drafted_operation_becomes_a_new_path():
    draft = {
        "key": "carts.buy",
        "version": "0.1.0",
        "kind": "command",
        "goal": "Buy a cart.",
        "inputSchema": {"type": "object", "properties": {"sku": {"type": ["string", "null"]}}},
        "outputSchema": {"type": "object", "properties": {"id": {"type": "string"}}},
        "errors": {"OUT_OF_STOCK": {"http": 409}},
        "steps": [{"key": "GET /carts"}],
    }
    edit = AddOperation(method="POST", path="/carts/{id}/purchase", draft=draft)
    source = document(CART, version="3.0.3")
    change = change_document(source, None, [edit], title="Buy at once.")
    spec = OpenApiDocument(change.content).spec("carts.buy")
    assert (spec.goal, set(spec.errors)) == ("Buy a cart.", {"OUT_OF_STOCK"})
    assert [d.kind for d in change.differences] == ["operation-added"]


def test_what_is_not_declared_cannot_be_edited():
    with pytest.raises(InapplicableEditError, match=r"response 200\.nothing\.x is not declared"):
        change_document(
            document(CART),
            "cart.get",
            [SetLimit(place=at("nothing", "x"), keyword="maxLength", value=3)],
            title="Limit.",
        )


def test_definitions_of_a_draft_become_components_or_copies():
    own = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}
    draft = {
        "key": "carts.walk",
        "version": "0.1.0",
        "kind": "query",
        "goal": "Walk.",
        "outputSchema": {
            "type": "object",
            "properties": {"cart": {"$ref": "#/$defs/Cart"}, "node": {"$ref": "#/$defs/Node"}},
            "$defs": {"Cart": CART, "Node": own},
        },
    }
    edit = AddOperation(method="POST", path="/walks", draft=draft)
    change = change_document(document(CART), None, [edit], title="Walk.")
    schema = change.content["paths"]["/walks"]["post"]["responses"]["200"]["content"][
        "application/json"
    ]["schema"]
    assert schema["properties"]["cart"] == {"$ref": "#/components/schemas/Cart"}
    assert schema["properties"]["node"]["properties"]["next"]["type"] == "object"
    assert change.content["components"] == document(CART).content["components"]


def test_an_error_that_is_declared_is_told_of_more_closely():
    source = document(CART)
    edit = DeclareError(code="204", status=204, when="it was gone before")
    change = change_document(source, "DELETE /carts/{id}", [edit], title="Say when.")
    assert [o["value"] for o in change.json_patch] == ["Gone: it was gone before."]
