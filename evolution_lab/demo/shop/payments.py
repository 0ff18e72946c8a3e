"""The payments service: a small service of its own that the shop's checkout waits for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import httpx
from opentelemetry.propagate import inject
from opentelemetry.trace import SpanKind, Tracer
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from evolution_lab.demo.shop.pace import Pace
from evolution_lab.demo.shop.tracing import SpanMiddleware, Tracing, fail
from evolution_lab.demo.timeline import PLAN, VERSIONS, Faults

DECLINED_CARD: Final = "card-declined"
_AUTHORIZE_MS: Final = 45.0
_TIMEOUT_SECONDS: Final = 20.0


def create_payments(*, pace: Pace, faults: Faults, tracing: Tracing) -> Starlette:
    """Return the payments service as an ASGI application."""

    async def authorize(request: Request) -> Response:
        slower = PLAN["slow-dependency"].magnitude["latencyFactor"]
        slow = faults.active("slow-dependency")
        await pace.wait(_AUTHORIZE_MS * (slower if slow else 1.0))
        body = await request.json()
        if body.get("card") == DECLINED_CARD:
            return JSONResponse({"status": "declined"}, 402)
        return JSONResponse({"status": "authorized", "amount": body["amount"]}, 201)

    routes = [Route("/authorizations", authorize, methods=["POST"])]
    tracer = tracing.tracer("payments", VERSIONS["payments"])
    watch = Middleware(SpanMiddleware, tracer=tracer, routes=list(routes))
    return Starlette(routes=routes, middleware=[watch])


@dataclass(frozen=True)
class Payments:
    """The shop's client of the payments service.

    Attributes:
        client: Sends the requests; over the network, or straight into the application.
    """

    client: httpx.AsyncClient

    @classmethod
    def at(cls, url: str) -> Payments:
        """Return a client of the service at an address."""
        return cls(httpx.AsyncClient(base_url=url, timeout=_TIMEOUT_SECONDS))

    @classmethod
    def within(cls, app: Starlette) -> Payments:
        """Return a client of the application itself: no port, no network."""
        transport = httpx.ASGITransport(app=app)
        return cls(httpx.AsyncClient(base_url="http://payments", transport=transport))

    async def authorize(self, tracer: Tracer, *, card: str, amount: float) -> bool:
        """Ask for money within a client span that the service's span becomes a child of.

        Returns:
            Whether the card was accepted.

        Raises:
            httpx.HTTPError: The service did not answer, or failed.
        """
        with tracer.start_as_current_span(
            "POST",
            kind=SpanKind.CLIENT,
            attributes={
                "http.request.method": "POST",
                "url.template": "/authorizations",
                "server.address": "payments",
            },
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            headers: dict[str, str] = {}
            inject(headers)
            try:
                answer = await self.client.post(
                    "/authorizations", json={"card": card, "amount": amount}, headers=headers
                )
            except httpx.HTTPError as error:
                fail(span, type(error).__name__, "the payments service did not answer")
                raise
            span.set_attribute("http.response.status_code", answer.status_code)
            if answer.status_code >= 400:
                fail(span, str(answer.status_code), "")
            if answer.status_code == 402:
                return False
            answer.raise_for_status()
            return True
