"""What a client of the shop sends: the request of every operation, right ones and wrong ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from evolution_lab.demo.people import Person, person, user_id
from evolution_lab.demo.sessions import Session, Step
from evolution_lab.demo.shop.payments import DECLINED_CARD
from evolution_lab.demo.shop.store import (
    CARTS_PER_TENANT,
    CATEGORIES,
    INVOICES_PER_TENANT,
    ORDERS_PER_TENANT,
    PRODUCTS,
    QUOTES_PER_TENANT,
    seeded_id,
    sku,
)
from evolution_lab.demo.timeline import PLAN

WRONG_SHARE: Final = 0.012
"""Share of the requests that are wrong in some way when nothing else is: unknown ids, bad numbers."""
PO_NUMBER_SHARE: Final = 1 - PLAN["missing-field"].magnitude["errorRate"]
_MOST_ITEMS: Final = 700
_PRODUCT_PAGE: Final = (
    "query ProductPage($sku: ID!) "
    "{ product(sku: $sku) { sku name price related { sku name price } } }"
)

_ORDER_HISTORY: Final = "query OrderHistory($last: Int) { orders(last: $last) { id status total } }"


@dataclass(frozen=True)
class Request:
    """A request as it is sent, but for the address of the shop.

    Attributes:
        method: HTTP method.
        path: Path with its query.
        headers: Who calls. There is no ``traceparent``: browsers and partners send none.
        body: JSON body; None for none.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: dict[str, Any] | None = None


@dataclass
class Shopper:
    """Makes the requests of one session, one after the other.

    What is sent depends on the session's seed and on the answers to its workflow alone.

    Attributes:
        session: Whose calls these are.
    """

    session: Session
    _rng: np.random.Generator = field(init=False, repr=False)
    _person: Person = field(init=False, repr=False)
    _cart: dict[str, Any] | None = field(default=None, init=False, repr=False)
    _quote: dict[str, Any] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(self.session.seed)
        self._person = person(self.session.tenant, self.session.user)

    def request(self, step: Step, *, bulk: bool = False) -> Request:
        """Return the request of a step.

        Args:
            step: The call that is to be made.
            bulk: Whether quotes are asked for hundreds of items now and then, but for workflows.
        """
        if not step.workflow:
            self._cart = self._quote = None
        wrong = bool(self._rng.random() < WRONG_SHARE) and not step.workflow
        path, body = _BUILDERS[step.key](self, wrong=wrong)
        large = PLAN["unbounded-list"].magnitude["callsShare"]
        if bulk and not step.workflow and body and "items" in body and self._rng.random() < large:
            body["items"] = self._items(int(self._rng.integers(150, _MOST_ITEMS)))
        headers = {
            "X-Tenant-Id": self.session.tenant,
            "X-User-Id": user_id(self.session.tenant, self.session.user),
            "X-Session-Id": self.session.id,
        }
        return Request("GET" if body is None else "POST", path, headers, body)

    def learn(self, step: Step, answer: dict[str, Any]) -> None:
        """Take from a workflow's answer what its next step needs."""
        if step.workflow and "items" in answer:
            self._cart = answer
        elif step.workflow and "quoteId" in answer:
            self._quote = answer

    def _search(self, *, wrong: bool) -> tuple[str, None]:
        category = "cellar" if wrong else CATEGORIES[self._pick(len(CATEGORIES)) - 1]
        word = ("", "oak", "steel", "la")[self._pick(4) - 1]
        return f"/products?category={category}&q={word}&limit={5 * self._pick(3)}", None

    def _product(self, *, wrong: bool) -> tuple[str, None]:
        return f"/products/{sku(9_000 if wrong else self._pick(PRODUCTS))}", None

    def _get_cart(self, *, wrong: bool) -> tuple[str, None]:
        return f"/carts/{self._cart_id(wrong=wrong)}", None

    def _add(self, *, wrong: bool) -> tuple[str, dict[str, Any]]:
        quantity: int | str = "two" if wrong else self._pick(3)
        body = {"sku": sku(self._pick(PRODUCTS)), "quantity": quantity}
        return f"/carts/{self._cart_id()}/items", body

    def _ask_quote(self, *, wrong: bool) -> tuple[str, dict[str, Any]]:
        if self._cart is not None:
            items = [{"sku": i["sku"], "quantity": i["quantity"]} for i in self._cart["items"]]
            return "/quotes", {"cartId": self._cart["id"], "items": items}
        items = [] if wrong else self._items(self._pick(5))
        return "/quotes", {"cartId": self._cart_id(), "items": items}

    def _write_invoice(self, *, wrong: bool) -> tuple[str, dict[str, Any]]:
        cart, quote = self._cart_id(), self._seeded("quote", QUOTES_PER_TENANT, wrong=wrong)
        if self._quote is not None:
            cart, quote = self._quote["cartId"], self._quote["quoteId"]
        body: dict[str, Any] = {
            "cartId": cart,
            "quoteId": quote,
            "customer": {"name": self._person.name, "email": self._person.email},
        }
        if self._rng.random() < PO_NUMBER_SHARE:
            body["poNumber"] = f"PO-{self._pick(99_999):05d}"
        return "/invoices", body

    def _get_invoice(self, *, wrong: bool) -> tuple[str, None]:
        return f"/invoices/{self._seeded('invoice', INVOICES_PER_TENANT, wrong=wrong)}", None

    def _checkout(self, *, wrong: bool) -> tuple[str, dict[str, Any]]:
        who = self._person
        address = {
            "name": who.name,
            "street": who.street,
            "town": who.town,
            "postcode": who.postcode,
        }
        card = DECLINED_CARD if wrong else f"card-{self._pick(9_999):04d}"
        body = {"cartId": self._cart_id(), "card": card, "shipTo": address, "phone": who.phone}
        return "/checkout", body

    def _orders(self, *, wrong: bool) -> tuple[str, None]:
        return f"/orders?page={0 if wrong else self._pick(6)}&pageSize={5 * self._pick(2)}", None

    def _shipment(self, *, wrong: bool) -> tuple[str, None]:
        return f"/shipments/{self._seeded('shipment', ORDERS_PER_TENANT, wrong=wrong)}", None

    def _product_page(self, *, wrong: bool) -> tuple[str, dict[str, Any]]:
        del wrong
        variables = {"sku": sku(self._pick(PRODUCTS))}
        return "/graphql", {"query": _PRODUCT_PAGE, "variables": variables}

    def _order_history(self, *, wrong: bool) -> tuple[str, dict[str, Any]]:
        variables = {"last": 0 if wrong else self._pick(10)}
        return "/graphql", {"query": _ORDER_HISTORY, "variables": variables}

    def _items(self, count: int) -> list[dict[str, Any]]:
        return [{"sku": sku(self._pick(PRODUCTS)), "quantity": self._pick(4)} for _ in range(count)]

    def _cart_id(self, *, wrong: bool = False) -> str:
        return self._seeded("cart", CARTS_PER_TENANT, wrong=wrong)

    def _seeded(self, kind: str, count: int, *, wrong: bool) -> str:
        return seeded_id(kind, self.session.tenant, 9_000 if wrong else self._pick(count))

    def _pick(self, highest: int) -> int:
        return int(self._rng.integers(1, highest + 1))


_BUILDERS: Final[Mapping[str, Callable[..., tuple[str, dict[str, Any] | None]]]] = {
    "GET /products": Shopper._search,
    "GET /products/{sku}": Shopper._product,
    "GET /carts/{cartId}": Shopper._get_cart,
    "POST /carts/{cartId}/items": Shopper._add,
    "POST /quotes": Shopper._ask_quote,
    "POST /invoices": Shopper._write_invoice,
    "GET /invoices/{invoiceId}": Shopper._get_invoice,
    "POST /checkout": Shopper._checkout,
    "GET /orders": Shopper._orders,
    "GET /shipments/{shipmentId}": Shopper._shipment,
    "query ProductPage": Shopper._product_page,
    "query OrderHistory": Shopper._order_history,
}
