"""What the shop keeps: an sqlite database that opens with seeded products, carts and orders."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from evolution_lab.demo.people import TENANTS, USERS_PER_TENANT, person, user_id

CATEGORIES: Final = ("garden", "kitchen", "office", "toys", "tools")
PRODUCTS: Final = 200
CARTS_PER_TENANT: Final = 60
INVOICES_PER_TENANT: Final = 120
ORDERS_PER_TENANT: Final = 90
QUOTES_PER_TENANT: Final = 40
ORDER_STATES: Final = ("placed", "packed", "shipped")
CURRENCY: Final = "EUR"
TAX_PERCENT: Final = 19

_ADJECTIVES: Final = ("oak", "steel", "linen", "copper", "glass", "bamboo", "slate", "wool")
_NOUNS: Final = MappingProxyType(
    {
        "garden": ("bench", "lantern", "planter", "rake"),
        "kitchen": ("kettle", "board", "ladle", "jar"),
        "office": ("lamp", "tray", "stool", "shelf"),
        "toys": ("train", "kite", "puzzle", "drum"),
        "tools": ("hammer", "level", "chisel", "clamp"),
    }
)
_SCHEMA: Final = """
CREATE TABLE products (sku TEXT PRIMARY KEY, name TEXT, category TEXT, price_cents INTEGER,
    stock INTEGER, weight_g INTEGER, discontinued INTEGER, restocked_on TEXT);
CREATE TABLE carts (id TEXT PRIMARY KEY, tenant TEXT);
CREATE TABLE cart_items (cart_id TEXT, sku TEXT, quantity INTEGER, PRIMARY KEY (cart_id, sku));
CREATE TABLE quotes (id TEXT PRIMARY KEY, tenant TEXT, cart_id TEXT, amount_cents INTEGER,
    carrier TEXT);
CREATE TABLE invoices (seq INTEGER PRIMARY KEY, id TEXT UNIQUE, tenant TEXT, cart_id TEXT,
    quote_id TEXT, po_number TEXT, name TEXT, email TEXT, net_cents INTEGER, tax_cents INTEGER,
    issued_at TEXT);
CREATE TABLE orders (seq INTEGER PRIMARY KEY, id TEXT UNIQUE, tenant TEXT, user TEXT, cart_id TEXT,
    status TEXT, total_cents INTEGER, placed_at TEXT);
CREATE TABLE shipments (id TEXT PRIMARY KEY, order_id TEXT, tenant TEXT, carrier TEXT, status TEXT);
"""


def sku(number: int) -> str:
    """Return the sku of a product, counted from 1.

    Examples:
        >>> sku(7)
        'sku-0007'
    """
    return f"sku-{number:04d}"


def seeded_id(kind: str, tenant: str, number: int) -> str:
    """Return the id of something the shop opens with, counted from 1.

    Examples:
        >>> seeded_id("cart", "acme", 12)
        'cart-acme-0012'
    """
    return f"{kind}-{tenant}-{number:04d}"


def tax_cents(net_cents: int, *, cut_off: bool = False) -> int:
    """Return the tax on a net amount, rounded half up to a cent (or cut off).

    Examples:
        >>> tax_cents(1050), tax_cents(1050, cut_off=True)
        (200, 199)
    """
    return (net_cents * TAX_PERCENT + (0 if cut_off else 50)) // 100


@dataclass
class Store:
    """The database of a shop, in memory, made anew from a seed.

    Attributes:
        seed: Equal seeds open with equal contents.
    """

    seed: int
    _connection: sqlite3.Connection = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._connection = sqlite3.connect(
            ":memory:", check_same_thread=False, isolation_level=None
        )
        self._connection.row_factory = sqlite3.Row
        self._connection.executescript(_SCHEMA)
        self._fill(np.random.default_rng(self.seed))

    def rows(self, sql: str, *parameters: object) -> list[sqlite3.Row]:
        """Run a statement and return its rows."""
        return self._connection.execute(sql, parameters).fetchall()

    def close(self) -> None:
        """Close the database; its contents are gone."""
        self._connection.close()

    def _fill(self, rng: np.random.Generator) -> None:
        self._insert("products", 8, _products(rng))
        for tenant in TENANTS:
            self._insert("carts", 2, _carts(tenant))
            self._insert("cart_items", 3, _cart_items(rng, tenant))
            self._insert("quotes", 5, _quotes(rng, tenant))
            self._insert("invoices", 11, _invoices(rng, tenant))
            self._insert("orders", 8, _orders(rng, tenant))
            self._insert("shipments", 5, _shipments(rng, tenant))

    def _insert(self, table: str, columns: int, rows: Iterator[tuple[Any, ...]]) -> None:
        marks = ", ".join("?" * columns)
        self._connection.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)  # noqa: S608


def _products(rng: np.random.Generator) -> Iterator[tuple[Any, ...]]:
    for number in range(1, PRODUCTS + 1):
        category = CATEGORIES[number % len(CATEGORIES)]
        name = f"{rng.choice(_ADJECTIVES)} {rng.choice(_NOUNS[category])}"
        yield (
            sku(number),
            name,
            category,
            int(rng.integers(199, 19_999)),
            int(rng.integers(0, 400)),
            int(rng.integers(40, 9_000)),
            int(number % 25 == 0),
            f"2025-{1 + number % 12:02d}-{1 + number % 28:02d}",
        )


def _carts(tenant: str) -> Iterator[tuple[Any, ...]]:
    for number in range(1, CARTS_PER_TENANT + 1):
        yield seeded_id("cart", tenant, number), tenant


def _cart_items(rng: np.random.Generator, tenant: str) -> Iterator[tuple[Any, ...]]:
    for number in range(1, CARTS_PER_TENANT + 1):
        chosen = rng.choice(PRODUCTS, size=int(rng.integers(2, 6)), replace=False)
        for product in sorted(int(one) for one in chosen):
            yield seeded_id("cart", tenant, number), sku(product + 1), int(rng.integers(1, 5))


def _quotes(rng: np.random.Generator, tenant: str) -> Iterator[tuple[Any, ...]]:
    for number in range(1, QUOTES_PER_TENANT + 1):
        cart = seeded_id("cart", tenant, 1 + number % CARTS_PER_TENANT)
        amount = int(rng.integers(390, 4_900))
        yield seeded_id("quote", tenant, number), tenant, cart, amount, "parcel"


def _invoices(rng: np.random.Generator, tenant: str) -> Iterator[tuple[Any, ...]]:
    for number in range(1, INVOICES_PER_TENANT + 1):
        buyer = person(tenant, 1 + number % USERS_PER_TENANT)
        net = int(rng.integers(1_000, 90_000))
        yield (
            None,
            seeded_id("invoice", tenant, number),
            tenant,
            seeded_id("cart", tenant, 1 + number % CARTS_PER_TENANT),
            seeded_id("quote", tenant, 1 + number % QUOTES_PER_TENANT),
            f"PO-{number:05d}",
            buyer.name,
            buyer.email,
            net,
            tax_cents(net),
            f"2025-01-{1 + number % 28:02d}T10:00:00Z",
        )


def _orders(rng: np.random.Generator, tenant: str) -> Iterator[tuple[Any, ...]]:
    for number in range(1, ORDERS_PER_TENANT + 1):
        yield (
            None,
            seeded_id("order", tenant, number),
            tenant,
            user_id(tenant, 1 + number % USERS_PER_TENANT),
            seeded_id("cart", tenant, 1 + number % CARTS_PER_TENANT),
            ORDER_STATES[number % len(ORDER_STATES)],
            int(rng.integers(1_000, 90_000)),
            f"2025-01-{1 + number % 28:02d}T09:00:00Z",
        )


def _shipments(rng: np.random.Generator, tenant: str) -> Iterator[tuple[Any, ...]]:
    for number in range(1, ORDERS_PER_TENANT + 1):
        yield (
            seeded_id("shipment", tenant, number),
            seeded_id("order", tenant, number),
            tenant,
            str(rng.choice(["parcel", "express"])),
            ("in_transit", "delivered")[number % 2],
        )
