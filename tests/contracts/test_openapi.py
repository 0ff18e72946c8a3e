"""OpenAPI documents of 3.0 and 3.1: operations by either name, and what each promises."""

from __future__ import annotations

from pathlib import Path

import jsonschema_rs
import pytest

from evolution_lab.contracts import DeclaredError, OpenApiDocument, OperationNames
from evolution_lab.contracts.document_text import DEEPEST, parse_document
from evolution_lab.errors import InvalidDocumentError, PathNotFoundError, UnknownNameError

YAML = """
openapi: 3.0.3
info: {title: Shop, version: 2.0.0}
servers: [{url: 'https://api.example.com/v2/'}]
security: [{token: []}]
paths:
  /orders/{orderId}:
    x-owner: orders-team
    parameters:
      - {name: orderId, in: path, required: true, schema: {type: string}}
    put:
      operationId: orders.change
      summary: Change an order.
      tags: [orders]
      deprecated: true
      parameters:
        - $ref: '#/components/parameters/Verbose'
        - {name: X-Trace, in: header, required: true, schema: {type: string}}
        - {name: Authorization, in: header, schema: {type: string}}
      requestBody:
        required: true
        content: {application/json: {schema: {$ref: '#/components/schemas/Order'}}}
      responses:
        200: {description: ok, content: {application/json: {schema: {$ref: '#/components/schemas/Order'}}}}
        204: {description: nothing}
        404:
          description: no such order
          content:
            application/json:
              schema:
                type: object
                properties: {code: {type: string, enum: [order_not_found, order_gone]}}
        409:
          description: conflict
          content: {application/json: {examples: {a: {value: {error: {code: order_locked}}}}}}
        5XX: {description: ours}
        default: {description: whatever}
components:
  parameters:
    Verbose: {name: verbose, in: query, schema: {type: boolean}}
  schemas:
    Order:
      type: object
      required: [id, items, country]
      properties:
        id: {type: string, readOnly: true}
        secret: {type: string, writeOnly: true}
        country: {type: string, enum: [no, se]}
        note: {type: string, nullable: true}
        amount: {type: number, minimum: 0, exclusiveMinimum: true}
        items: {type: array, items: {$ref: '#/components/schemas/Item'}}
    Item:
      type: object
      properties: {parts: {type: array, items: {$ref: '#/components/schemas/Item'}}}
"""


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> OpenApiDocument:
    path = tmp_path_factory.mktemp("specs") / "shop.yaml"
    path.write_text(YAML, encoding="utf-8")
    return OpenApiDocument.load(path)


def accepts(schema: dict, value: object) -> bool:
    return jsonschema_rs.validator_for(schema).is_valid(value)


def test_an_input_is_checked_place_by_place(document: OpenApiDocument):
    schema = document.spec("orders.change").input_schema
    order = {"items": [{"parts": [{}]}], "country": "no", "note": None, "amount": 1}
    good = {"path": {"orderId": "7"}, "header": {"x-trace": "t"}, "body": order}
    assert accepts(schema, good)
    assert "authorization" not in schema["properties"]["header"]["properties"]
    for wrong in (
        {**good, "path": {}},
        {**good, "header": {}},
        {**good, "query": {"verbose": "yes"}},
        {**good, "body": {**order, "country": False}},
        {**good, "body": {**order, "amount": 0}},
        {**good, "body": {**order, "items": [{"parts": 3}]}},
        {name: part for name, part in good.items() if name != "body"},
    ):
        assert not accepts(schema, wrong)


def test_an_output_shows_what_is_sent_back(document: OpenApiDocument):
    schema = document.spec("orders.change").output_schema
    assert accepts(schema, None)
    assert accepts(schema, {"id": "7", "items": [], "country": "se"})
    assert not accepts(schema, {"items": [], "country": "se"})


def test_errors_go_by_their_codes_else_by_their_status(document: OpenApiDocument):
    errors = document.spec("orders.change").errors
    assert errors["order_not_found"] == errors["order_gone"]
    assert errors["order_locked"] == DeclaredError(http=409, when="conflict")
    assert errors["5XX"] == DeclaredError(http=None, when="ours")
    assert "default" in errors
    assert "404" not in errors


def test_policy_and_kind_are_read(document: OpenApiDocument):
    spec = document.spec("PUT /orders/{id}")
    assert (spec.kind, spec.version, spec.goal) == ("command", "2.0.0", "Change an order.")
    assert spec.policy == {
        "auth": [["token"]],
        "idempotent": True,
        "deprecated": True,
        "tags": ["orders"],
        "owner": "orders-team",
    }


@pytest.mark.parametrize(
    "name", ["orders.change", "PUT /orders/{orderId}", "PUT /orders/:id", "PUT /v2/orders/{x}"]
)
def test_either_name_finds_the_operation(document: OpenApiDocument, name: str):
    assert name in document
    assert document.operation(name).pointer == "/paths/~1orders~1{orderId}/put"


def test_an_unknown_operation_names_the_nearest(document: OpenApiDocument):
    assert 7 not in document
    with pytest.raises(UnknownNameError, match=r"orders\.change"):
        document.operation("orders.chnge")


def test_names_of_one_document(document: OpenApiDocument):
    names = OperationNames(document, ["PUT /v2/orders/{a}", "GET /x/{a}", "GET /x/{b}"])
    assert names.same("orders.change", "PUT /v2/orders/{a}")
    assert names.other("PUT /orders/{orderId}") == "orders.change"
    assert names.find("GET /x/:c").keys == ("GET /x/{a}", "GET /x/{b}")
    assert names.other("GET /x/{a}") is None
    assert len(names.to_dicts()) == 2
    with pytest.raises(UnknownNameError):
        names.find("GET /y")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({}, "openapi"),
        ({"swagger": "2.0"}, "swagger"),
        ({"openapi": "4.0.0"}, "4.0.0"),
        (
            {
                "openapi": "3.1.0",
                "paths": {
                    "/a": {"get": {"operationId": "x"}},
                    "/b": {"get": {"operationId": "x"}},
                },
            },
            "'x'",
        ),
    ],
)
def test_what_is_no_document_is_refused(content: dict, words: str):
    with pytest.raises(InvalidDocumentError, match=words):
        OpenApiDocument.load(content)


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"$ref": "#/components/schemas/Gone"}, "Gone"),
        ({"$ref": "https://example.com/a.json"}, "example.com"),
        ({"$ref": 3}, "3"),
        (["string"], "schema"),
        ({"$dynamicRef": "#a"}, "dynamicRef"),
    ],
)
def test_a_schema_that_cannot_be_read_names_its_operation(schema: object, words: str):
    document = OpenApiDocument.load(
        {
            "openapi": "3.1.0",
            "info": {"version": "1"},
            "paths": {
                "/a": {
                    "post": {"requestBody": {"content": {"application/json": {"schema": schema}}}}
                }
            },
        }
    )
    with pytest.raises(InvalidDocumentError, match=words) as raised:
        document.spec("POST /a")
    assert "POST /a" in str(raised.value)


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path):
    with pytest.raises(PathNotFoundError):
        OpenApiDocument.load(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"openapi: 3.0.0 \xff")
    with pytest.raises(InvalidDocumentError, match="UTF-8"):
        OpenApiDocument.load(tmp_path / "latin.yaml")
    (tmp_path / "list.json").write_text("[]", encoding="utf-8")
    with pytest.raises(InvalidDocumentError, match="object"):
        OpenApiDocument.load(tmp_path / "list.json")


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "a: [",
        "!!python/object/apply:os.system ['true']",
        "x: " + "[" * (DEEPEST + 9) + "]" * (DEEPEST + 9),
        "x: " + "[" * 100_000,
        "a: &a [1,1]\nb: &b [*a,*a]\n"
        + "".join(
            f"{chr(c)}: &{chr(c)} [{','.join(['*' + chr(c - 1)] * 9)}]\n" for c in range(99, 110)
        ),
    ],
    ids=["json", "yaml", "object", "deep", "deeper", "aliases"],
)
def test_hostile_text_is_refused_with_a_reason(text: str):
    with pytest.raises(InvalidDocumentError, match="the document"):
        parse_document(text)
