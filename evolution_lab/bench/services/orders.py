"""Orders of a small shop: UUIDs, a counter, times, totals, links built from ids, page tokens."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

from evolution_lab.bench.services.world import Request, Response, World

PRICES = {"mug": 7.9, "lamp": 39.5, "desk": 249.0, "pen": 1.25, "chair": 119.99}
LARGEST_QUANTITY = 50
FREE_SHIPPING_FROM = 50.0


class Service:
    """Takes orders and gives them back."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._orders: dict[str, dict[str, Any]] = {}
        self._number = 1000

    def call(self, request: Request) -> Response:
        """Return the answer to a request."""
        parts = request.path.strip("/").split("/")
        if parts[0] != "orders":
            return 404, {"code": "UNKNOWN_PATH", "message": "no such path"}
        if request.method == "POST" and len(parts) == 1:
            return self._create(request.body)
        if request.method == "GET" and len(parts) == 1:
            return self._list(request.query)
        if request.method == "GET" and len(parts) == 2:
            order = self._orders.get(parts[1])
            if order is None:
                return 404, {"code": "ORDER_NOT_FOUND", "message": "no such order"}
            return 200, order
        if request.method == "POST" and parts[-1] == "cancel":
            return self._cancel(parts[1])
        return 405, {"code": "METHOD_NOT_ALLOWED", "message": request.method}

    def _create(self, body: Any) -> Response:
        items = body.get("items") if isinstance(body, dict) else None
        if not items:
            return 422, {"code": "NO_ITEMS", "message": "an order has at least one item"}
        lines = []
        total = 0.0
        for item in items:
            sku, quantity = item.get("sku"), item.get("quantity", 1)
            if sku not in PRICES:
                return 422, {"code": "UNKNOWN_SKU", "message": f"no product {sku}"}
            if quantity < 1 or quantity > LARGEST_QUANTITY:
                return 422, {"code": "BAD_QUANTITY", "message": "between 1 and 50 of a product"}
            amount = PRICES[sku] * quantity
            total = total + amount
            lines.append({"sku": sku, "quantity": quantity, "amount": round(amount, 2)})
        shipping = 0.0 if total >= FREE_SHIPPING_FROM else 4.9
        discount = 0.1 if body.get("coupon") == "TEN" else 0.0
        self._number = self._number + 1
        order_id = self._world.uuid()
        order = {
            "id": order_id,
            "number": self._number,
            "status": "open",
            "lines": lines,
            "subtotal": round(total, 2),
            "discount": round(total * discount, 2),
            "shipping": shipping,
            "total": round(total * (1 - discount) + shipping, 2),
            "priority": "high" if total > 200 else "normal",
            "createdAt": _iso(self._world.now()),
            "links": {"self": f"/orders/{order_id}", "cancel": f"/orders/{order_id}/cancel"},
        }
        self._orders[order_id] = order
        return 201, order

    def _cancel(self, order_id: str) -> Response:
        order = self._orders.get(order_id)
        if order is None:
            return 404, {"code": "ORDER_NOT_FOUND", "message": "no such order"}
        if order["status"] == "cancelled":
            return 409, {"code": "ALREADY_CANCELLED", "message": "it was cancelled before"}
        order["status"] = "cancelled"
        return 200, {"id": order_id, "status": "cancelled", "refund": order["total"]}

    def _list(self, query: dict[str, str]) -> Response:
        text = query.get("limit", "10")
        if not text.isdigit() or int(text) < 1 or int(text) > 100:
            return 400, {"code": "BAD_LIMIT", "message": "limit lies between 1 and 100"}
        products = sorted(PRICES)
        limit = int(text)
        more = len(products) > limit
        cursor = base64.urlsafe_b64encode(f"{limit}:{self._world.token(12)}".encode()).decode()
        return 200, {
            "products": [{"sku": sku, "price": PRICES[sku]} for sku in products[:limit]],
            "count": min(limit, len(products)),
            "hasMore": more,
            "next": cursor if more else None,
            "requestId": self._world.token(16),
        }


def _iso(moment: float) -> str:
    return (
        datetime.fromtimestamp(moment, UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )
