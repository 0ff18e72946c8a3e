"""Orders: placing them, paging through them, and where their shipments are."""

from __future__ import annotations

import sqlite3
import uuid
from datetime import UTC, datetime
from typing import Any, Final

import httpx

from evolution_lab.demo.shop.calls import Call, ShopError
from evolution_lab.demo.shop.carts import cart_items, known_cart, money, total_cents

_LARGEST_PAGE: Final = 50


async def checkout(call: Call) -> tuple[int, dict[str, Any]]:
    """``checkout``: pay for a cart, place its order, hand it to the worker that packs."""
    cart_id, card = call.body.get("cartId"), call.body.get("card")
    if not isinstance(cart_id, str) or not isinstance(card, str):
        raise ShopError(422, "payment_missing", "cartId and card must be texts")
    if not isinstance(call.body.get("shipTo"), dict):
        raise ShopError(422, "address_missing", "shipTo must be an address")
    await known_cart(call, cart_id, ms=9)
    cents = total_cents(cart_items(call, cart_id))
    try:
        paid = await call.shop.payments.authorize(call.shop.tracer, card=card, amount=money(cents))
    except httpx.HTTPError:
        raise ShopError(
            502, "payments_unavailable", "payments did not answer", cause="PaymentsUnavailable"
        ) from None
    if not paid:
        raise ShopError(402, "card_declined", "the card was declined")
    rows = await call.query(
        "INSERT",
        "orders",
        "INSERT INTO orders VALUES (NULL, ?, ?, ?, ?, 'placed', ?, ?) RETURNING *",
        str(uuid.uuid4()),
        call.tenant,
        call.user,
        cart_id,
        cents,
        datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        ms=14,
    )
    call.shop.orders.send(
        call.shop.tracer, order_id=rows[0]["id"], tenant=call.tenant, user=call.user
    )
    return 201, _order(call, rows[0])


async def page(call: Call) -> tuple[int, dict[str, Any]]:
    """``orders.list``: one page of a tenant's orders, oldest first."""
    number = call.whole("page", 1, highest=10_000)
    size = call.whole("pageSize", 10, highest=_LARGEST_PAGE)
    skipped = (number - 1) * size + call.shop.regressed("off-by-one-page")
    rows = await call.query(
        "SELECT",
        "orders",
        "SELECT * FROM orders WHERE tenant = ? ORDER BY seq",
        call.tenant,
        ms=26,
    )
    return 200, {
        "items": [_order(call, row) for row in rows[skipped : skipped + size]],
        "page": number,
        "pageSize": size,
        "total": len(rows),
    }


async def shipment(call: Call) -> tuple[int, dict[str, Any]]:
    """``shipping.getShipment``: where a shipment is."""
    rows = await call.query(
        "SELECT",
        "shipments",
        "SELECT * FROM shipments WHERE id = ? AND tenant = ?",
        call.path("shipmentId"),
        call.tenant,
        ms=16,
    )
    if not rows:
        raise ShopError(404, "shipment_not_found", "there is no such shipment")
    row = rows[0]
    return 200, {
        "id": row["id"],
        "orderId": row["order_id"],
        "carrier": row["carrier"],
        "status": row["status"],
    }


def _order(call: Call, row: sqlite3.Row) -> dict[str, Any]:
    status = row["status"]
    if status == "placed" and call.shop.regressed("renamed-enum"):
        status = "PLACED"
    return {
        "id": row["id"],
        "cartId": row["cart_id"],
        "status": status,
        "total": money(row["total_cents"]),
        "placedAt": row["placed_at"],
    }
