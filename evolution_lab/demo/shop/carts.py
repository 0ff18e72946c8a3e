"""Carts: reading them, adding to them, and what shipping them would cost."""

from __future__ import annotations

import uuid
from typing import Any, Final

from evolution_lab.demo.shop.calls import Call, ShopError
from evolution_lab.demo.shop.store import CURRENCY

_MOST_OF_ONE: Final = 99
_BASE_CENTS: Final = 390
_CENTS_PER_KG: Final = 45
_ITEM_MS: Final = 1.2


async def get(call: Call) -> tuple[int, dict[str, Any]]:
    """``cart.get``: what is in a cart, and what it costs."""
    cart_id = call.path("cartId")
    await known_cart(call, cart_id, ms=9)
    return 200, await _cart(call, cart_id)


async def add(call: Call) -> tuple[int, dict[str, Any]]:
    """``cart.add``: put a product into a cart."""
    cart_id = call.path("cartId")
    sku, quantity = call.body.get("sku"), call.body.get("quantity", 1)
    if not isinstance(sku, str):
        raise ShopError(422, "sku_missing", "sku must be a text")
    if not _counts(quantity):
        raise ShopError(422, "invalid_quantity", f"quantity must be from 1 to {_MOST_OF_ONE}")
    await known_cart(call, cart_id, ms=9)
    found = await call.query(
        "SELECT", "products", "SELECT discontinued FROM products WHERE sku = ?", sku, ms=8
    )
    if not found:
        raise ShopError(404, "product_not_found", "there is no such product")
    if found[0]["discontinued"] and call.shop.faults.active("undocumented-error"):
        raise ShopError(409, "sku_discontinued", "this product is no longer sold")
    await call.query(
        "INSERT",
        "cart_items",
        "INSERT INTO cart_items VALUES (?, ?, ?) ON CONFLICT (cart_id, sku) "
        "DO UPDATE SET quantity = min(?, quantity + excluded.quantity)",
        cart_id,
        sku,
        quantity,
        _MOST_OF_ONE,
        ms=11,
    )
    return 201, await _cart(call, cart_id)


async def quote(call: Call) -> tuple[int, dict[str, Any]]:
    """``shipping.quote``: the price of sending a list of items; each takes its time."""
    cart_id, items = call.body.get("cartId"), call.body.get("items")
    if not isinstance(cart_id, str):
        raise ShopError(422, "cart_missing", "cartId must be a text")
    if not isinstance(items, list) or not items:
        raise ShopError(422, "items_missing", "items must hold at least one item")
    await known_cart(call, cart_id, ms=9)
    grams = 0
    for item in items:
        if not isinstance(item, dict) or not _counts(item.get("quantity", 1)):
            raise ShopError(422, "invalid_item", "an item has a sku and a quantity")
        found = call.shop.store.rows(
            "SELECT weight_g FROM products WHERE sku = ?", str(item.get("sku"))
        )
        if not found:
            raise ShopError(422, "unknown_item", "an item is no product of this shop")
        grams += found[0]["weight_g"] * item.get("quantity", 1)
    await call.shop.pace.wait(20 + _ITEM_MS * len(items))
    amount = _BASE_CENTS + _CENTS_PER_KG * -(-grams // 1000)
    quote_id = str(uuid.uuid4())
    await call.query(
        "INSERT",
        "quotes",
        "INSERT INTO quotes VALUES (?, ?, ?, ?, 'parcel')",
        quote_id,
        call.tenant,
        cart_id,
        amount,
        ms=8,
    )
    price: float | str = money(amount)
    if call.shop.regressed("number-as-text"):
        price = f"{price:.2f}"
    return 201, {
        "quoteId": quote_id,
        "cartId": cart_id,
        "amount": price,
        "currency": CURRENCY,
        "carrier": "parcel",
    }


async def known_cart(call: Call, cart_id: str, *, ms: float) -> None:
    """Check that a cart is there and is the tenant's.

    Raises:
        ShopError: It is not.
    """
    found = await call.query(
        "SELECT",
        "carts",
        "SELECT id FROM carts WHERE id = ? AND tenant = ?",
        cart_id,
        call.tenant,
        ms=ms,
    )
    if not found:
        wrong = call.shop.regressed("wrong-error-code")
        code = "invoice_not_found" if wrong else "cart_not_found"
        raise ShopError(404, code, "there is no such cart")


def cart_items(call: Call, cart_id: str) -> list[dict[str, Any]]:
    """Return the items of a cart, by sku."""
    rows = call.shop.store.rows(
        "SELECT sku, quantity, name, price_cents FROM cart_items JOIN products USING (sku) "
        "WHERE cart_id = ? ORDER BY sku",
        cart_id,
    )
    return [dict(row) for row in rows]


def total_cents(items: list[dict[str, Any]]) -> int:
    """Return the sum of prices times quantities.

    Examples:
        >>> total_cents([{"price_cents": 250, "quantity": 2}])
        500
    """
    return sum(item["price_cents"] * item["quantity"] for item in items)


def money(cents: int) -> float:
    """Return an amount as JSON gives it.

    Examples:
        >>> money(1050)
        10.5
    """
    return round(cents / 100, 2)


async def _cart(call: Call, cart_id: str) -> dict[str, Any]:
    items = cart_items(call, cart_id)
    total = total_cents(items)
    if call.shop.regressed("wrong-total"):
        total = sum(item["price_cents"] for item in items)
    return {
        "id": cart_id,
        "items": [
            {
                "sku": item["sku"],
                "name": item["name"],
                "quantity": item["quantity"],
                "price": money(item["price_cents"]),
            }
            for item in items
        ],
        "total": money(total),
        "currency": CURRENCY,
    }


def _counts(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _MOST_OF_ONE
