"""Products: searching, reading, and the same by GraphQL."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

from graphql import GraphQLError, GraphQLResolveInfo, build_schema, graphql, parse
from graphql.language import OperationDefinitionNode
from opentelemetry.trace import get_current_span

from evolution_lab.demo.shop.calls import Call, ShopError
from evolution_lab.demo.shop.carts import money
from evolution_lab.demo.shop.store import CATEGORIES, CURRENCY
from evolution_lab.demo.shop.tracing import fail
from evolution_lab.demo.timeline import FAULTY_TENANT, PLAN

_MOST_PRODUCTS: Final = 50
_SCHEMA: Final = build_schema(
    """
    type Product { sku: ID!  name: String!  category: String!  price: Float!  related: [Product!]! }
    type Order { id: ID!  status: String!  total: Float! }
    type Query {
      product(sku: ID!): Product
      orders(last: Int = 5): [Order!]!
    }
    """
)


async def search(call: Call) -> tuple[int, dict[str, Any]]:
    """``catalog.search``: products of a category or with a word in their name."""
    burst = PLAN["tenant-error-burst"]
    if (
        call.tenant == FAULTY_TENANT
        and call.shop.faults.active(burst.name)
        and call.shop.pace.fails(burst.magnitude["errorRate"])
    ):
        raise ShopError(
            503, "search_unavailable", "the search index is gone", cause="IndexUnavailable"
        )
    category = call.request.query_params.get("category")
    if category is not None and category not in CATEGORIES:
        raise ShopError(400, "unknown_category", f"there is no category {category[:40]!r}")
    limit = call.whole("limit", 10, highest=_MOST_PRODUCTS)
    found = await call.query(
        "SELECT",
        "products",
        "SELECT * FROM products WHERE (?1 IS NULL OR category = ?1) AND instr(name, ?2) > 0 "
        "ORDER BY sku",
        category,
        call.request.query_params.get("q", ""),
        ms=32,
    )
    if call.shop.regressed("reversed-order"):
        found.reverse()
    items = [
        {"sku": row["sku"], "name": row["name"], "price": money(row["price_cents"])}
        for row in found[:limit]
    ]
    return 200, {"items": items, "total": len(found)}


async def get(call: Call) -> tuple[int, dict[str, Any]]:
    """``catalog.getProduct``: one product."""
    row = await _product(call, call.path("sku"))
    if row is None:
        raise ShopError(404, "product_not_found", "there is no such product")
    found = {
        "sku": row["sku"],
        "name": row["name"],
        "category": row["category"],
        "price": money(row["price_cents"]),
        "currency": CURRENCY,
        "inStock": row["stock"] > 0,
    }
    if call.shop.regressed("dropped-field"):
        del found["currency"]
    if call.shop.faults.active("undocumented-field"):
        found["restockedOn"] = row["restocked_on"]
    return 200, found


async def query(call: Call) -> tuple[int, dict[str, Any]]:
    """``graphql``: products and orders, as much of them as is asked for."""
    text, variables = call.body.get("query"), call.body.get("variables")
    if not isinstance(text, str) or not isinstance(variables, dict | None):
        raise ShopError(400, "invalid_body", "query must be a text and variables an object")
    _name_span(text)
    result = await graphql(
        _SCHEMA, text, root_value=_Root(), context_value=call, variable_values=variables
    )
    answer: dict[str, Any] = dict(result.formatted)
    if result.errors:
        fail(get_current_span(), "GraphQLError", str(result.errors[0].message))
    return 200, answer


class _Root:
    """Resolves the fields of ``Query``."""

    async def product(self, info: GraphQLResolveInfo[Call], sku: str) -> dict[str, Any] | None:
        call = info.context
        row = await _product(call, sku)
        return None if row is None else _graph_product(row)

    async def orders(self, info: GraphQLResolveInfo[Call], last: int) -> list[dict[str, Any]]:
        call = info.context
        if not 1 <= last <= _MOST_PRODUCTS:
            raise GraphQLError(f"last must be between 1 and {_MOST_PRODUCTS}")
        rows = await call.query(
            "SELECT",
            "orders",
            "SELECT * FROM orders WHERE tenant = ? ORDER BY seq LIMIT ?",
            call.tenant,
            last,
            ms=22,
        )
        return [
            {"id": row["id"], "status": row["status"], "total": money(row["total_cents"])}
            for row in rows
        ]


def _graph_product(row: sqlite3.Row) -> dict[str, Any]:
    async def related(info: GraphQLResolveInfo[Call]) -> list[dict[str, Any]]:
        call = info.context
        rows = await call.query(
            "SELECT",
            "products",
            "SELECT * FROM products WHERE category = ? AND sku <> ? ORDER BY sku LIMIT 3",
            row["category"],
            row["sku"],
            ms=14,
        )
        return [_graph_product(one) for one in rows]

    return {
        "sku": row["sku"],
        "name": row["name"],
        "category": row["category"],
        "price": money(row["price_cents"]),
        "related": related,
    }


async def _product(call: Call, sku: str) -> sqlite3.Row | None:
    rows = await call.query(
        "SELECT", "products", "SELECT * FROM products WHERE sku = ?", sku, ms=12
    )
    return rows[0] if rows else None


def _name_span(text: str) -> None:
    """Say on the span which operation the document holds, as GraphQL instrumentations do."""
    try:
        definitions = parse(text).definitions
    except GraphQLError:
        return
    for definition in definitions:
        if isinstance(definition, OperationDefinitionNode):
            span = get_current_span()
            span.set_attribute("graphql.operation.type", definition.operation.value)
            if definition.name is not None:
                span.set_attribute("graphql.operation.name", definition.name.value)
            return
