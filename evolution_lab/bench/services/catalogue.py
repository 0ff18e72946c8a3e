"""A catalogue: tags without an order, floats that are not the same twice, entity tags, facets."""

from __future__ import annotations

from typing import Any

from evolution_lab.bench.services.world import Request, Response, World

PRODUCTS: dict[str, dict[str, Any]] = {
    "mug-01": {
        "title": "Blue mug",
        "cents": 790,
        "tags": ["kitchen", "ceramic", "gift"],
        "stock": 12,
    },
    "mug-02": {"title": "Red mug", "cents": 850, "tags": ["kitchen", "ceramic"], "stock": 0},
    "lamp-01": {"title": "Desk lamp", "cents": 3950, "tags": ["office", "light"], "stock": 3},
    "lamp-02": {"title": "Floor lamp", "cents": 8900, "tags": ["light", "living"], "stock": 7},
    "desk-01": {"title": "Oak desk", "cents": 24900, "tags": ["office", "wood"], "stock": 1},
    "pen-01": {"title": "Gel pen", "cents": 125, "tags": ["office", "gift"], "stock": 400},
}
RATES = {"EUR": 1.0, "USD": 1.0843, "PLN": 4.3125}


class Service:
    """Finds products."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._views = 0

    def call(self, request: Request) -> Response:
        """Return the answer to a request."""
        parts = request.path.strip("/").split("/")
        if request.method != "GET" or parts[0] != "products":
            return 404, {"error": {"code": "not_found", "detail": request.path}}
        currency = request.query.get("currency", "EUR")
        if currency not in RATES:
            return 400, {"error": {"code": "unknown_currency", "detail": currency}}
        if len(parts) == 1:
            return self._search(request.query, currency)
        if parts[1] not in PRODUCTS:
            return 404, {"error": {"code": "unknown_product", "detail": parts[1]}}
        self._views = self._views + 1
        found = self._shown(parts[1], currency)
        found["views"] = self._views
        found["etag"] = f'W/"{self._world.token(10)}"'
        return 200, found

    def _search(self, query: dict[str, str], currency: str) -> Response:
        tag = query.get("tag")
        cheapest = int(query.get("min", "0"))
        dearest = int(query.get("max", "1000000"))
        if cheapest > dearest:
            return 422, {"error": {"code": "empty_range", "detail": f"{cheapest} to {dearest}"}}
        found = []
        facets: dict[str, int] = {}
        for sku in sorted(PRODUCTS):
            product = PRODUCTS[sku]
            fits = tag is None or tag in product["tags"]
            if fits and product["cents"] >= cheapest and product["cents"] <= dearest:
                found.append(self._shown(sku, currency))
                for each in product["tags"]:
                    facets[each] = facets.get(each, 0) + 1
        return 200, {
            "items": found,
            "total": len(found),
            "facets": facets,
            "averagePrice": sum(item["price"] for item in found) / len(found) if found else None,
            "tookMs": round(self._world.noise() * 20, 3),
        }

    def _shown(self, sku: str, currency: str) -> dict[str, Any]:
        product = PRODUCTS[sku]
        stock = product["stock"]
        return {
            "sku": sku,
            "title": product["title"],
            "price": product["cents"] / 100 * RATES[currency],
            "currency": currency,
            "tags": self._world.shuffled(product["tags"]),
            "availability": "none" if stock == 0 else "few" if stock < 5 else "plenty",
            "url": f"https://shop.test/p/{sku}?c={currency.lower()}",
        }
