"""The shop put together: its routes, its services, and the release it is rolled out with."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from opentelemetry.sdk.trace.export import SpanExporter
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from evolution_lab.demo.shop import billing, carts, catalog, orders
from evolution_lab.demo.shop.calls import Handler, Shop, endpoint
from evolution_lab.demo.shop.openapi import openapi_document
from evolution_lab.demo.shop.pace import Pace
from evolution_lab.demo.shop.payments import Payments, create_payments
from evolution_lab.demo.shop.queue import OrderQueue
from evolution_lab.demo.shop.settings import ShopSettings
from evolution_lab.demo.shop.store import Store
from evolution_lab.demo.shop.tracing import SpanMiddleware, Tracing
from evolution_lab.demo.shop.watching import Watch
from evolution_lab.demo.timeline import CANARY_SHARE, CANARY_VERSION, VERSIONS, Faults

_ENDPOINTS: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("GET", "/products", catalog.search),
    ("GET", "/products/{sku}", catalog.get),
    ("GET", "/carts/{cartId}", carts.get),
    ("POST", "/carts/{cartId}/items", carts.add),
    ("POST", "/quotes", carts.quote),
    ("POST", "/invoices", billing.create),
    ("GET", "/invoices/{invoiceId}", billing.get),
    ("POST", "/checkout", orders.checkout),
    ("GET", "/orders", orders.page),
    ("GET", "/shipments/{shipmentId}", orders.shipment),
    ("POST", "/graphql", catalog.query),
)


@dataclass
class ShopApp:
    """The shop as one ASGI application, with the release that is being rolled out behind it.

    Attributes:
        stable: The application that owns the database and the worker.
        canary: The next version over the same database; a fifth of the sessions get it while the
            fault ``bad-version`` is on.
        shop: What the stable version's calls share.
        tracing: Where its spans go; shut it down to write out the last ones.
    """

    stable: ASGIApp
    canary: ASGIApp
    shop: Shop
    tracing: Tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve with the version that the caller's session is given."""
        app = self.stable
        if (
            scope["type"] == "http"
            and self.shop.faults.active("bad-version")
            and _share(Headers(scope=scope).get("x-session-id", "")) < CANARY_SHARE
        ):
            app = self.canary
        await app(scope, receive, send)


def create_shop(
    settings: ShopSettings | None = None,
    *,
    faults: Faults | None = None,
    exporter: SpanExporter | None = None,
    payments_url: str | None = None,
    watch: Watch | None = None,
    variants: Mapping[str, Handler] | None = None,
) -> ShopApp:
    """Return the shop, its database filled, its spans going to an exporter.

    Args:
        settings: How it behaves; without it, a shop that waits nowhere and has no regression.
        faults: What is wrong with it, and when.
        exporter: Where its spans, and those of the services it uses, go.
        payments_url: Where the payments service listens; without it, it is called in this process.
        watch: The package's own middleware, put inside the server span.
        variants: Other handlers by operation (``POST /invoices``), for callers to whom an experiment
            gives the variant; ``watch`` needs a ``SpecExperimentAdapter`` among its listeners.

    Examples:
        >>> import asyncio, httpx
        >>> who = {"X-Tenant-Id": "acme", "X-User-Id": "acme.user-001@example.com"}
        >>> async def ask(path):
        ...     transport = httpx.ASGITransport(app=create_shop())
        ...     async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        ...         return (await client.get(path, headers=who)).json()
        >>> asyncio.run(ask("/shipments/shipment-acme-0001"))["status"]
        'delivered'
    """
    settings = settings or ShopSettings()
    faults = faults or Faults()
    tracing = Tracing(exporter)
    pace = Pace(settings.pace, settings.failure_rate, settings.seed)
    store = Store(settings.seed)
    payments = (
        Payments.at(payments_url)
        if payments_url is not None
        else Payments.within(create_payments(pace=pace, faults=faults, tracing=tracing))
    )
    shop = Shop(
        settings=settings,
        faults=faults,
        store=store,
        pace=pace,
        payments=payments,
        orders=OrderQueue(store, pace, tracing.tracer("fulfilment", VERSIONS["fulfilment"])),
        tracer=tracing.tracer("shop", settings.version),
        variants=variants or {},
    )
    next_shop = replace(
        shop,
        settings=replace(settings, version=CANARY_VERSION),
        tracer=tracing.tracer("shop", CANARY_VERSION),
    )
    return ShopApp(
        stable=_application(shop, watch),
        canary=_application(next_shop, watch),
        shop=shop,
        tracing=tracing,
    )


def _application(shop: Shop, watch: Watch | None) -> Starlette:
    async def document(_request: Request) -> Response:
        return JSONResponse(openapi_document(shop.settings.version))

    routes: list[BaseRoute] = [
        Route(path, endpoint(shop, handler, f"{method} {path}"), methods=[method])
        for method, path, handler in _ENDPOINTS
    ]
    middleware = [Middleware(SpanMiddleware, tracer=shop.tracer, routes=list(routes))]
    if watch is not None:
        middleware.append(watch.middleware(shop.settings.version))
    return Starlette(
        routes=[*routes, Route("/openapi.json", document)],
        middleware=middleware,
        lifespan=lambda _app: _working(shop),
    )


@contextlib.asynccontextmanager
async def _working(shop: Shop) -> AsyncIterator[None]:
    """Keep the worker at work while the application is up; let it finish what was sent."""
    worker = asyncio.create_task(shop.orders.work())
    try:
        yield
        await shop.orders.drained()
    finally:
        worker.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await worker
        await shop.payments.client.aclose()
        shop.store.close()


def _share(session: str) -> float:
    """Return a number from 0 to 1 that a session keeps."""
    return int.from_bytes(hashlib.blake2b(session.encode(), digest_size=4).digest(), "big") / 2**32
