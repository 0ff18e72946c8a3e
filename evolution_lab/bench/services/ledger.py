"""A ledger: prefixed ids, times in milliseconds, digests of ids, statements in pages. Kept for judging."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from evolution_lab.bench.services.world import Request, Response, World

OPENED = {"acc-100": 1500.0, "acc-200": 80.25, "acc-300": 0.0}
LARGEST_TRANSFER = 1000.0
FEE_SHARE = 0.015


class Service:
    """Moves money between accounts; every answer is computed from the opening balances."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._transfers: dict[str, dict[str, Any]] = {}
        self._sequence = 5000

    def call(self, request: Request) -> Response:
        """Return the answer to a request."""
        parts = request.path.strip("/").split("/")
        if parts[0] == "transfers" and request.method == "POST" and len(parts) == 1:
            return self._transfer(request.body or {})
        if parts[0] == "transfers" and len(parts) == 2:
            held = self._transfers.get(parts[1])
            return (404, _problem("transfer_missing")) if held is None else (200, held)
        if parts[0] == "accounts" and len(parts) >= 2:
            if parts[1] not in OPENED:
                return 404, _problem("account_missing")
            return self._account(parts[1], request.query, statement=len(parts) == 3)
        return 404, _problem("path_missing")

    def _transfer(self, body: dict[str, Any]) -> Response:
        source, target, amount = body.get("from"), body.get("to"), body.get("amount", 0)
        if source not in OPENED or target not in OPENED:
            return 422, _problem("account_missing")
        if source == target:
            return 422, _problem("same_account")
        if amount <= 0:
            return 422, _problem("amount_not_positive")
        if amount > LARGEST_TRANSFER:
            return 422, {**_problem("amount_too_large"), "limit": LARGEST_TRANSFER}
        fee = round(amount * FEE_SHARE, 2) if amount >= 100 else 0.0
        if OPENED[source] < amount + fee:
            return 402, {
                **_problem("balance_too_low"),
                "missing": round(amount + fee - OPENED[source], 2),
            }
        self._sequence = self._sequence + 1
        transfer_id = f"tr_{self._world.token(26)}"
        digest = sha256(f"{transfer_id}:{amount}".encode()).hexdigest()
        transfer = {
            "id": transfer_id,
            "sequence": self._sequence,
            "from": {"account": source, "balance": round(OPENED[source] - amount - fee, 2)},
            "to": {"account": target, "balance": round(OPENED[target] + amount, 2)},
            "amount": amount,
            "fee": fee,
            "kind": "large" if amount >= 500 else "small",
            "executedAt": int(self._world.now() * 1000),
            "receipt": {"digest": digest, "href": f"/receipts/{transfer_id}.pdf"},
            "memo": body.get("memo"),
        }
        self._transfers[transfer_id] = transfer
        return 201, transfer

    def _account(self, account: str, query: dict[str, str], *, statement: bool) -> Response:
        balance = OPENED[account]
        if not statement:
            labels = (
                ["current", "standard"] if balance < 1000 else ["current", "premium", "insured"]
            )
            return 200, {
                "account": account,
                "balance": balance,
                "status": "empty" if balance == 0 else "active",
                "labels": self._world.shuffled(labels),
                "interest": balance * 0.021 / 12,
                "asOf": int(self._world.now()),
            }
        months = int(query.get("months", "3"))
        if months < 1 or months > 12:
            return 400, {**_problem("months_invalid"), "months": months}
        shown = min(months, 4)
        lines = [
            {"month": month, "in": round(balance * 0.3, 2), "out": round(balance * 0.25 + month, 2)}
            for month in range(1, shown + 1)
        ]
        return 200, {
            "account": account,
            "lines": lines,
            "sum": round(sum(line["in"] - line["out"] for line in lines), 2),
            "cursor": self._world.token(18) if months > shown else None,
            "trace": self._world.uuid(),
        }


def _problem(code: str) -> dict[str, Any]:
    return {"problem": code, "retryable": code == "balance_too_low"}
