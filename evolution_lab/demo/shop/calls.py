"""One call of the shop: what a handler gets, what it gives, and how refusals become answers."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from opentelemetry.trace import SpanKind, Tracer, get_current_span
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from evolution_lab.demo.shop.pace import Pace
from evolution_lab.demo.shop.payments import Payments
from evolution_lab.demo.shop.queue import OrderQueue
from evolution_lab.demo.shop.settings import ShopSettings
from evolution_lab.demo.shop.store import Store
from evolution_lab.demo.shop.tracing import fail
from evolution_lab.demo.timeline import Faults
from evolution_lab.experiments import current_variant

_LARGEST_BODY: Final = 1 << 20


class ShopError(Exception):
    """A call that is refused (4xx) or that failed (5xx).

    Attributes:
        status: HTTP status.
        code: What the answer's ``error.code`` says.
        message: What its ``error.message`` says.
        cause: Class of a failure, as telemetry names it; None for refusals.
    """

    def __init__(self, status: int, code: str, message: str, *, cause: str | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.cause = status, code, message, cause


@dataclass(frozen=True, kw_only=True)
class Shop:
    """What all calls of one version of the shop share.

    Attributes:
        settings: How it is to behave.
        faults: What is wrong with it now.
        store: Its database.
        pace: Its waits and its failures.
        payments: Its client of the payments service.
        orders: The queue it hands placed orders to.
        tracer: Of this version.
        variants: Handlers on trial, by operation (``POST /invoices``).
    """

    settings: ShopSettings
    faults: Faults
    store: Store
    pace: Pace
    payments: Payments
    orders: OrderQueue
    tracer: Tracer
    variants: Mapping[str, Handler] = field(default_factory=dict)

    def regressed(self, name: str) -> bool:
        """Say whether a regression is built in."""
        return name in self.settings.regressions


@dataclass(frozen=True, kw_only=True)
class Call:
    """A call: the shop, who calls, and what was sent.

    Attributes:
        shop: Who answers.
        request: What came.
        tenant: From ``X-Tenant-Id``: what a call can see is this tenant's.
        user: From ``X-User-Id``.
        body: The JSON object of a POST; empty for a GET.
    """

    shop: Shop
    request: Request
    tenant: str
    user: str
    body: dict[str, Any]

    def path(self, name: str) -> str:
        """Return a parameter of the path."""
        return str(self.request.path_params[name])

    def whole(self, name: str, default: int, *, highest: int) -> int:
        """Return a parameter of the query that counts something.

        Raises:
            ShopError: It is no whole number between 1 and ``highest``.
        """
        text = self.request.query_params.get(name, str(default))
        if not text.isascii() or not text.isdecimal() or not 1 <= int(text[:9]) <= highest:
            raise ShopError(
                400, "invalid_parameter", f"{name} must be a whole number from 1 to {highest}"
            )
        return int(text)

    async def query(
        self, action: str, table: str, sql: str, *parameters: object, ms: float
    ) -> list[sqlite3.Row]:
        """Run a statement within a span; ``ms`` is the median time a real database would take."""
        with self.shop.tracer.start_as_current_span(
            f"{action} {table}",
            kind=SpanKind.CLIENT,
            attributes={
                "db.system.name": "sqlite",
                "db.operation.name": action,
                "db.collection.name": table,
            },
            record_exception=False,
        ):
            await self.shop.pace.wait(ms)
            return self.shop.store.rows(sql, *parameters)


Handler = Callable[[Call], Awaitable[tuple[int, dict[str, Any]]]]
"""Takes a call, gives the status and the body of its answer."""


def endpoint(
    shop: Shop, handler: Handler, operation: str
) -> Callable[[Request], Awaitable[Response]]:
    """Return a Starlette endpoint that runs a handler and answers its refusals.

    Where an experiment on the operation gives its caller the variant, the shop's variant runs.
    """

    async def answer(request: Request) -> Response:
        try:
            call = await _call(shop, request)
            assigned = current_variant(operation) if operation in shop.variants else None
            trying = assigned is not None and assigned.arm == "variant"
            status, body = await (shop.variants[operation] if trying else handler)(call)
            if shop.pace.fails():
                raise ShopError(
                    500,
                    "store_timeout",
                    "the store did not answer in time",
                    cause="StoreTimeout",
                )
        except ShopError as error:
            if error.cause is not None:
                user = request.headers.get("x-user-id", "somebody")
                fail(get_current_span(), error.cause, f"{error.message}, asked by {user}")
            status = error.status
            body = {"error": {"code": error.code, "message": error.message}}
        return JSONResponse(body, status)

    return answer


async def _call(shop: Shop, request: Request) -> Call:
    tenant, user = request.headers.get("x-tenant-id"), request.headers.get("x-user-id")
    if not tenant or not user:
        raise ShopError(401, "unauthenticated", "X-Tenant-Id and X-User-Id say who is calling")
    return Call(shop=shop, request=request, tenant=tenant, user=user, body=await _body(request))


async def _body(request: Request) -> dict[str, Any]:
    if request.method != "POST":
        return {}
    raw = await request.body()
    try:
        if len(raw) > _LARGEST_BODY:
            raise ValueError("too long")
        body = json.loads(raw)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise ShopError(400, "invalid_body", "the body must be a JSON object")
    return body
