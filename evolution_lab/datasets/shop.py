"""The small synthetic shop whose traffic is recorded: services, endpoints, tenants, one workflow.

Nothing here is random; ``traffic`` draws from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from evolution_lab.records import OperationRef


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One operation of the shop and how it behaves when nothing is wrong.

    Attributes:
        service: The service that answers.
        method: HTTP method; empty for a consumer of messages.
        route: HTTP route template, or the destination of a consumer.
        graphql: Type and name of the GraphQL operation behind the route, None for plain REST.
        own_ms: Median of the time spent in the endpoint itself, milliseconds.
        sigma: Standard deviation of the logarithm of that time (lognormal).
        share: Relative share among the calls of clients; 0 for what only services call.
        error_rate: Failures (5xx) when nothing is wrong, fraction.
        error_type: Class of those failures.
        client_error: Status of a wrong request of a client, None where there is none.
        client_error_rate: Share of clients' calls that are wrong, fraction.
        calls: Keys of the endpoints it calls, in order.
        query: Database operation and table of a query it makes, None without.
        publishes: Key of the consumer that gets a message from it, None without.
    """

    service: str
    method: str
    route: str
    graphql: tuple[Literal["query", "mutation"], str] | None = None
    own_ms: float
    sigma: float = 0.45
    share: float = 0.0
    error_rate: float = 0.004
    error_type: str = "InternalError"
    client_error: int | None = None
    client_error_rate: float = 0.0
    calls: tuple[str, ...] = ()
    query: tuple[str, str] | None = None
    publishes: str | None = None

    @property
    def key(self) -> str:
        """The operation key that landing derives from the endpoint's spans.

        Examples:
            >>> ENDPOINTS["GET /stock/{sku}"].key, ENDPOINTS["query ProductPage"].key
            ('GET /stock/{sku}', 'query ProductPage')
        """
        if self.graphql is not None:
            return " ".join(self.graphql)
        return f"{self.method or 'process'} {self.route}"


_ENDPOINTS: Final = (
    Endpoint(
        service="storefront",
        method="POST",
        route="/graphql",
        graphql=("query", "ProductPage"),
        own_ms=22,
        share=0.14,
        error_type="GraphQLError",
        calls=("GET /products/{sku}",),
    ),
    Endpoint(
        service="storefront",
        method="POST",
        route="/checkout",
        own_ms=35,
        share=0.07,
        client_error=409,
        client_error_rate=0.015,
        calls=("POST /payments",),
        publishes="process orders.placed",
    ),
    Endpoint(
        service="catalog",
        method="GET",
        route="/products",
        own_ms=38,
        sigma=0.6,
        share=0.19,
        client_error=400,
        client_error_rate=0.008,
    ),
    Endpoint(
        service="catalog",
        method="GET",
        route="/products/{sku}",
        own_ms=12,
        share=0.08,
        client_error=404,
        client_error_rate=0.02,
    ),
    Endpoint(
        service="catalog",
        method="GET",
        route="/stock/{sku}",
        own_ms=9,
        query=("SELECT", "stock_levels"),
    ),
    Endpoint(
        service="cart",
        method="GET",
        route="/carts/{cart_id}",
        own_ms=8,
        share=0.08,
        client_error=404,
        client_error_rate=0.01,
    ),
    Endpoint(
        service="cart",
        method="POST",
        route="/carts/{cart_id}/items",
        own_ms=18,
        share=0.12,
        client_error=422,
        client_error_rate=0.012,
        calls=("GET /stock/{sku}",),
    ),
    Endpoint(
        service="billing",
        method="POST",
        route="/payments",
        own_ms=85,
        sigma=0.55,
        share=0.11,
        error_rate=0.007,
        error_type="ProcessorTimeout",
        client_error=402,
        client_error_rate=0.02,
    ),
    Endpoint(
        service="billing",
        method="POST",
        route="/invoices",
        own_ms=45,
        share=0.04,
        client_error=422,
        client_error_rate=0.01,
    ),
    Endpoint(
        service="billing",
        method="GET",
        route="/invoices/{invoice_id}",
        own_ms=14,
        share=0.06,
        client_error=404,
        client_error_rate=0.015,
    ),
    Endpoint(
        service="shipping",
        method="POST",
        route="/quotes",
        own_ms=28,
        share=0.05,
        client_error=422,
        client_error_rate=0.01,
        calls=("GET /stock/{sku}",),
    ),
    Endpoint(
        service="shipping",
        method="GET",
        route="/shipments/{shipment_id}",
        own_ms=16,
        share=0.12,
        client_error=404,
        client_error_rate=0.02,
    ),
    Endpoint(service="shipping", method="", route="orders.placed", own_ms=60, error_rate=0.006),
)

ENDPOINTS: Final = MappingProxyType({endpoint.key: endpoint for endpoint in _ENDPOINTS})
"""The endpoints by operation key."""

VERSIONS: Final = MappingProxyType(
    {
        "billing": "3.0.4",
        "cart": "1.9.3",
        "catalog": "2.7.1",
        "shipping": "1.4.0",
        "storefront": "4.2.0",
    }
)
"""The version of each service at the beginning."""

ENVIRONMENT: Final = "production"
"""The deployment environment of all services."""

TENANTS: Final = MappingProxyType({"acme": 0.34, "globex": 0.31, "initech": 0.21, "umbrella": 0.14})
"""Tenants and their share of the sessions."""

USERS_PER_TENANT: Final = 90
"""Actors are ``<tenant>.user-<n>@example.com``: synthetic, in the shape of personal data."""

WORKFLOW: Final = ("GET /carts/{cart_id}", "POST /quotes", "POST /invoices")
"""Three calls that clients make one after the other because no single operation does it all."""

WORKFLOW_SHARE: Final = 0.3
"""Share of sessions in which a client runs the workflow once, fraction."""


def operation(key: str, *, version: str | None = None, tenant: str | None = None) -> OperationRef:
    """Return the identity of an endpoint as landing gives it.

    Examples:
        >>> print(operation("GET /stock/{sku}"))
        catalog · GET /stock/{sku} · 2.7.1
    """
    service = ENDPOINTS[key].service
    return OperationRef(
        key, service=service, version=version or VERSIONS[service], tenant_id=tenant
    )


def callers(key: str) -> tuple[str, ...]:
    """Return the keys of the endpoints that call one, sorted.

    Examples:
        >>> callers("GET /stock/{sku}")
        ('POST /carts/{cart_id}/items', 'POST /quotes')
    """
    return tuple(sorted(name for name, endpoint in ENDPOINTS.items() if key in endpoint.calls))
