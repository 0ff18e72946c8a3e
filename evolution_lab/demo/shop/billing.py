"""Invoices: writing and reading them."""

from __future__ import annotations

import hashlib
import sqlite3
import uuid
from datetime import UTC, datetime
from typing import Any

from evolution_lab.demo.shop.calls import Call, ShopError
from evolution_lab.demo.shop.carts import cart_items, known_cart, money, total_cents
from evolution_lab.demo.shop.store import CURRENCY, tax_cents
from evolution_lab.demo.timeline import CANARY_VERSION, PLAN


async def create(call: Call) -> tuple[int, dict[str, Any]]:
    """``billing.createInvoice``: write the invoice of a cart with its shipping."""
    cart_id, quote_id, customer = (call.body.get(n) for n in ("cartId", "quoteId", "customer"))
    if not isinstance(cart_id, str) or not isinstance(quote_id, str):
        raise ShopError(422, "reference_missing", "cartId and quoteId must be texts")
    if not isinstance(customer, dict) or not {"name", "email"} <= customer.keys():
        raise ShopError(422, "customer_missing", "customer must have a name and an email")
    po_number = call.body.get("poNumber")
    if po_number is None and call.shop.faults.active("missing-field"):
        raise ShopError(422, "ledger_rejected", "the ledger does not take this invoice")
    await known_cart(call, cart_id, ms=9)
    quotes = await call.query(
        "SELECT",
        "quotes",
        "SELECT amount_cents FROM quotes WHERE id = ? AND tenant = ?",
        quote_id,
        call.tenant,
        ms=9,
    )
    if not quotes:
        raise ShopError(404, "quote_not_found", "there is no such quote")
    net = total_cents(cart_items(call, cart_id)) + quotes[0]["amount_cents"]
    invoice_id = str(uuid.uuid4())
    rows = await call.query(
        "INSERT",
        "invoices",
        "INSERT INTO invoices VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING *",
        invoice_id,
        call.tenant,
        cart_id,
        quote_id,
        po_number,
        str(customer["name"]),
        str(customer["email"]),
        net,
        tax_cents(net, cut_off=call.shop.regressed("changed-rounding")),
        datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        ms=24,
    )
    return 201, _invoice(rows[0])


async def get(call: Call) -> tuple[int, dict[str, Any]]:
    """``billing.getInvoice``: read an invoice."""
    invoice_id = call.path("invoiceId")
    rows = await call.query(
        "SELECT",
        "invoices",
        "SELECT * FROM invoices WHERE id = ? AND tenant = ?",
        invoice_id,
        call.tenant,
        ms=14,
    )
    if not rows:
        raise ShopError(404, "invoice_not_found", "there is no such invoice")
    if call.shop.settings.version == CANARY_VERSION and _unreadable(invoice_id):
        raise ShopError(
            500, "internal_error", "the invoice cannot be read", cause="CurrencyMissing"
        )
    return 200, _invoice(rows[0])


def _unreadable(invoice_id: str) -> bool:
    """Say whether the bad version stumbles over an invoice: always the same ones."""
    digest = hashlib.blake2b(invoice_id.encode(), digest_size=2).digest()
    share = int.from_bytes(digest, "big") / 65_536
    return share < PLAN["bad-version"].magnitude["errorRate"]


def _invoice(row: sqlite3.Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "number": f"INV-{row['seq']:06d}",
        "cartId": row["cart_id"],
        "quoteId": row["quote_id"],
        "poNumber": row["po_number"],
        "customer": {"name": row["name"], "email": row["email"]},
        "net": money(row["net_cents"]),
        "tax": money(row["tax_cents"]),
        "total": money(row["net_cents"] + row["tax_cents"]),
        "currency": CURRENCY,
        "issuedAt": row["issued_at"],
    }
