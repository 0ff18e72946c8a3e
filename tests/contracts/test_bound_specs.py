"""Documents bound to what telemetry has: either name, per service, unmatched ones listed."""

from __future__ import annotations

import pytest

from evolution_lab.contracts import OpenApiDocument, bind_specs
from evolution_lab.errors import UnknownNameError
from evolution_lab.records import OperationRef

DOCUMENT = OpenApiDocument.load(
    {
        "openapi": "3.1.0",
        "info": {"title": "Shop", "version": "3"},
        "servers": [{"url": "/api"}],
        "paths": {
            "/carts/{id}": {"get": {"operationId": "cart.get", "responses": {}}},
            "/quotes": {"post": {"responses": {}}},
            "/orders": {"get": {"operationId": "orders.list", "responses": {}}},
        },
    }
)
SEEN = [
    ("shop", "GET /api/carts/:cart"),
    ("shop", "POST /quotes"),
    ("shop", "GET /health"),
    ("mail", "GET /carts/{id}"),
    (None, "send"),
]


def test_either_name_means_the_operation_of_its_service():
    bound = bind_specs([("shop", DOCUMENT)], SEEN)
    assert bound.keys_of("cart.get") == (("shop", "GET /api/carts/:cart"),)
    assert bound.keys_of("GET /api/carts/:cart") == bound.keys_of("cart.get")
    assert bound.keys_of("GET /carts/{id}") == (
        ("mail", "GET /carts/{id}"),
        ("shop", "GET /api/carts/:cart"),
    )


def test_a_document_without_a_service_describes_those_that_have_its_operations():
    bound = bind_specs([(None, DOCUMENT)], SEEN)
    assert bound.documents[0].services == ("mail", "shop")


def test_another_services_operation_of_the_same_name_has_no_spec():
    bound = bind_specs([("shop", DOCUMENT)], SEEN)
    other = OperationRef("GET /carts/{id}", service="mail")
    assert bound.spec_of(other) is None
    assert bound.reference_of(other) is None
    own = OperationRef("GET /api/carts/:cart", service="shop", version="2.4.1")
    assert bound.spec_of(own).key == own.key
    assert str(bound.reference_of(own)) == "cart.get (openapi#/paths/~1carts~1{id}/get)"


def test_what_only_one_side_has_is_listed():
    bound = bind_specs([("shop", DOCUMENT)], SEEN)
    assert bound.undocumented == (("shop", "GET /health"),)
    assert bound.unseen == ("orders.list",)
    rows = {(row["service"], row["seenAs"], row["operationId"]) for row in bound.to_dicts()}
    assert rows == {
        ("shop", "GET /api/carts/:cart", "cart.get"),
        ("shop", "POST /quotes", None),
        (None, None, "orders.list"),
        ("shop", "GET /health", None),
        ("mail", "GET /carts/{id}", None),
        (None, "send", None),
    }


@pytest.mark.parametrize(
    ("name", "nearest"), [("cart.gett", "cart.get"), ("GET /helth", "GET /health")]
)
def test_an_unknown_name_gives_the_nearest_of_either_side(name, nearest):
    with pytest.raises(UnknownNameError, match=nearest):
        bind_specs([("shop", DOCUMENT)], SEEN).keys_of(name)


def test_an_operation_that_was_never_seen_has_no_keys():
    with pytest.raises(UnknownNameError, match=r"orders\.list"):
        bind_specs([("shop", DOCUMENT)], SEEN).keys_of("orders.list")


def test_without_documents_keys_are_names():
    bound = bind_specs([], SEEN)
    assert bound.keys_of("send") == ((None, "send"),)
    assert bound.undocumented == ()
