"""The shop's own OpenAPI document: what it promises, and so not what goes wrong with it."""

from __future__ import annotations

from typing import Any, Final

from evolution_lab.demo.shop.store import CATEGORIES, CURRENCY, ORDER_STATES
from evolution_lab.demo.timeline import STABLE_VERSION

_JSON: Final = "application/json"
_TEXT: Final = {"type": "string"}
_MONEY: Final = {"type": "number", "minimum": 0}
_TIME: Final = {"type": "string", "format": "date-time"}
_QUANTITY: Final = {"type": "integer", "minimum": 1, "maximum": 99}


def openapi_document(version: str = STABLE_VERSION) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of the shop.

    Four things are left open on purpose, for traffic to show: products have no ``restockedOn``,
    adding to a cart answers no 409, ``poNumber`` is optional, and ``items`` of a quote has no
    largest length.

    Args:
        version: Of the shop.

    Examples:
        >>> document = openapi_document()
        >>> document["paths"]["/invoices"]["post"]["operationId"]
        'billing.createInvoice'
    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "The demo shop",
            "version": version,
            "description": "A small shop for several tenants.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "http://shop.example.com"}],
        "security": [{"tenant": [], "user": []}],
        "tags": [{"name": name} for name in ("catalog", "cart", "billing", "orders", "graphql")],
        "paths": _paths(),
        "components": {
            "securitySchemes": {
                "tenant": {"type": "apiKey", "in": "header", "name": "X-Tenant-Id"},
                "user": {"type": "apiKey", "in": "header", "name": "X-User-Id"},
            },
            "schemas": _schemas(),
        },
    }


def _paths() -> dict[str, Any]:
    return {
        "/products": {
            "get": _operation(
                "catalog.search",
                "Search products",
                "catalog",
                {200: "ProductPage"},
                refusals=(400, 503),
                parameters=[
                    _query("q", {"type": "string"}),
                    _query("category", {"type": "string", "enum": list(CATEGORIES)}),
                    _query("limit", _page_size(10)),
                ],
            )
        },
        "/products/{sku}": {
            "get": _operation(
                "catalog.getProduct",
                "Read a product",
                "catalog",
                {200: "Product"},
                refusals=(404,),
                parameters=[_path("sku")],
            )
        },
        "/carts/{cartId}": {
            "get": _operation(
                "cart.get",
                "Read a cart",
                "cart",
                {200: "Cart"},
                refusals=(404,),
                parameters=[_path("cartId")],
            )
        },
        "/carts/{cartId}/items": {
            "post": _operation(
                "cart.add",
                "Put a product into a cart",
                "cart",
                {201: "Cart"},
                refusals=(404, 422),
                parameters=[_path("cartId")],
                body="NewItem",
            )
        },
        "/quotes": {
            "post": _operation(
                "shipping.quote",
                "Ask what shipping costs",
                "orders",
                {201: "Quote"},
                refusals=(404, 422),
                body="NewQuote",
            )
        },
        "/invoices": {
            "post": _operation(
                "billing.createInvoice",
                "Write the invoice of a cart",
                "billing",
                {201: "Invoice"},
                refusals=(404, 422),
                body="NewInvoice",
            )
        },
        "/invoices/{invoiceId}": {
            "get": _operation(
                "billing.getInvoice",
                "Read an invoice",
                "billing",
                {200: "Invoice"},
                refusals=(404,),
                parameters=[_path("invoiceId")],
            )
        },
        "/checkout": {
            "post": _operation(
                "checkout",
                "Pay for a cart and place its order",
                "orders",
                {201: "Order"},
                refusals=(402, 404, 422, 502),
                body="NewOrder",
            )
        },
        "/orders": {
            "get": _operation(
                "orders.list",
                "Page through the tenant's orders, oldest first",
                "orders",
                {200: "OrderPage"},
                refusals=(400,),
                parameters=[
                    _query("page", {"type": "integer", "minimum": 1, "default": 1}),
                    _query("pageSize", _page_size(10)),
                ],
            )
        },
        "/shipments/{shipmentId}": {
            "get": _operation(
                "shipping.getShipment",
                "Find a shipment",
                "orders",
                {200: "Shipment"},
                refusals=(404,),
                parameters=[_path("shipmentId")],
            )
        },
        "/graphql": {
            "post": _operation(
                "graphql",
                "Query products and orders",
                "graphql",
                {200: "GraphAnswer"},
                refusals=(),
                body="GraphQuery",
            )
        },
    }


def _operation(
    name: str,
    summary: str,
    tag: str,
    answers: dict[int, str],
    *,
    refusals: tuple[int, ...],
    parameters: list[dict[str, Any]] | None = None,
    body: str | None = None,
) -> dict[str, Any]:
    always = (401, 500) if body is None else (400, 401, 500)
    codes = dict.fromkeys((*refusals, *always), "Error") | answers
    found: dict[str, Any] = {"operationId": name, "summary": summary, "tags": [tag]}
    if parameters:
        found["parameters"] = parameters
    if body is not None:
        found["requestBody"] = {"required": True, "content": {_JSON: {"schema": _ref(body)}}}
    found["responses"] = {
        str(status): {
            "description": "Done" if status < 400 else "Refused" if status < 500 else "Failed",
            "content": {_JSON: {"schema": _ref(schema)}},
        }
        for status, schema in sorted(codes.items())
    }
    return found


def _schemas() -> dict[str, Any]:
    listed = _object({"sku": _TEXT, "name": _TEXT, "price": _MONEY})
    item = _object({"sku": _TEXT, "quantity": _QUANTITY}, required=("sku",))
    customer = _object({"name": _TEXT, "email": _TEXT})
    currency = {"type": "string", "const": CURRENCY}
    return {
        "ProductPage": _object({"items": _array(listed), "total": {"type": "integer"}}),
        "Product": _object(
            {
                "sku": _TEXT,
                "name": _TEXT,
                "category": {"type": "string", "enum": list(CATEGORIES)},
                "price": _MONEY,
                "currency": currency,
                "inStock": {"type": "boolean"},
            }
        ),
        "Cart": _object(
            {
                "id": _TEXT,
                "items": _array(
                    _object({"sku": _TEXT, "name": _TEXT, "quantity": _QUANTITY, "price": _MONEY})
                ),
                "total": _MONEY,
                "currency": currency,
            }
        ),
        "NewItem": item,
        "NewQuote": _object({"cartId": _TEXT, "items": _array(item) | {"minItems": 1}}),
        "Quote": _object(
            {
                "quoteId": _TEXT,
                "cartId": _TEXT,
                "amount": _MONEY,
                "currency": currency,
                "carrier": {"type": "string", "enum": ["parcel", "express"]},
            }
        ),
        "NewInvoice": _object(
            {"cartId": _TEXT, "quoteId": _TEXT, "customer": customer, "poNumber": _TEXT},
            required=("cartId", "quoteId", "customer"),
        ),
        "Invoice": _object(
            {
                "id": _TEXT,
                "number": {"type": "string", "pattern": "^INV-\\d{6}$"},
                "cartId": _TEXT,
                "quoteId": _TEXT,
                "poNumber": {"type": ["string", "null"]},
                "customer": customer,
                "net": _MONEY,
                "tax": _MONEY,
                "total": _MONEY,
                "currency": currency,
                "issuedAt": _TIME,
            }
        ),
        "NewOrder": _object(
            {
                "cartId": _TEXT,
                "card": _TEXT,
                "shipTo": _object(
                    {"name": _TEXT, "street": _TEXT, "town": _TEXT, "postcode": _TEXT},
                ),
                "phone": _TEXT,
            },
            required=("cartId", "card", "shipTo"),
        ),
        "Order": _object(
            {
                "id": _TEXT,
                "cartId": _TEXT,
                "status": {"type": "string", "enum": list(ORDER_STATES)},
                "total": _MONEY,
                "placedAt": _TIME,
            }
        ),
        "OrderPage": _object(
            {
                "items": _array(_ref("Order")),
                "page": {"type": "integer"},
                "pageSize": {"type": "integer"},
                "total": {"type": "integer"},
            }
        ),
        "Shipment": _object(
            {
                "id": _TEXT,
                "orderId": _TEXT,
                "carrier": {"type": "string", "enum": ["parcel", "express"]},
                "status": {"type": "string", "enum": ["in_transit", "delivered"]},
            }
        ),
        "GraphQuery": _object(
            {
                "query": _TEXT,
                "operationName": {"type": ["string", "null"]},
                "variables": {"type": ["object", "null"]},
            },
            required=("query",),
        ),
        "GraphAnswer": _object(
            {"data": {"type": ["object", "null"]}, "errors": _array({"type": "object"})},
            required=(),
        ),
        "Error": _object({"error": _object({"code": _TEXT, "message": _TEXT})}),
    }


def _object(
    properties: dict[str, Any], *, required: tuple[str, ...] | None = None
) -> dict[str, Any]:
    names = list(properties) if required is None else list(required)
    return {"type": "object", "properties": properties} | ({"required": names} if names else {})


def _array(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": _TEXT}


def _query(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema}


def _page_size(default: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": 1, "maximum": 50, "default": default}
