"""The shop under the OpenTelemetry SDK: providers by service, and a span for every request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from opentelemetry.propagate import extract
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    Span,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    format_span_id,
    format_trace_id,
)
from starlette.datastructures import Headers, MutableHeaders
from starlette.routing import BaseRoute, Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ENVIRONMENT: Final = "production"
_SCOPE: Final = "evolution_lab.demo.shop"
_EXPORT_EVERY_MS: Final = 5_000
_HEADERS: Final = {
    "x-tenant-id": "tenant.id",
    "x-user-id": "user.id",
    "x-session-id": "session.id",
}


@dataclass
class Tracing:
    """Tracer providers, one for each service and version, that end in one exporter.

    Attributes:
        exporter: Where spans go; None for nowhere (they are made all the same).
    """

    exporter: SpanExporter | None = None
    _providers: dict[tuple[str, str], TracerProvider] = field(default_factory=dict, init=False)

    def provider(self, service: str, version: str) -> TracerProvider:
        """Return the provider of a service, whose resource says who it is.

        The resource is spelt out, so that nothing of the machine gets into a recording.
        """
        found = self._providers.get((service, version))
        if found is None:
            resource = Resource(
                {
                    "service.name": service,
                    "service.version": version,
                    "deployment.environment.name": ENVIRONMENT,
                    "telemetry.sdk.language": "python",
                    "telemetry.sdk.name": "opentelemetry",
                }
            )
            found = TracerProvider(sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False)
            if self.exporter is not None:
                found.add_span_processor(
                    BatchSpanProcessor(
                        self.exporter,
                        max_queue_size=8_192,
                        schedule_delay_millis=_EXPORT_EVERY_MS,
                    )
                )
            self._providers[service, version] = found
        return found

    def tracer(self, service: str, version: str) -> Tracer:
        """Return the tracer of a service."""
        return self.provider(service, version).get_tracer(_SCOPE)

    def shutdown(self) -> None:
        """Write out what is still held, and close."""
        for provider in self._providers.values():
            provider.shutdown()


def fail(span: Span, error_type: str, message: str) -> None:
    """Mark a span as failed. No stack trace: it would name files of this machine."""
    span.set_attribute("error.type", error_type)
    span.set_status(Status(StatusCode.ERROR, message))


@dataclass
class SpanMiddleware:
    """ASGI middleware: a server span around every request, its ids in the answer's ``traceresponse``.

    Attributes:
        app: What it wraps.
        tracer: Of the service that answers.
        routes: To name the span by the route and not by the path.
    """

    app: ASGIApp
    tracer: Tracer
    routes: list[BaseRoute]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request within a span."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        method, route = scope["method"], self._route(scope)
        attributes: dict[str, str | int] = {
            "http.request.method": method,
            "url.path": scope["path"],
            "url.scheme": scope["scheme"],
        }
        if route is not None:
            attributes["http.route"] = route
        attributes |= {_HEADERS[name]: value for name, value in headers.items() if name in _HEADERS}
        if headers.get("content-length", "").isdecimal():
            attributes["http.request.body.size"] = int(headers["content-length"])
        with self.tracer.start_as_current_span(
            f"{method} {route}" if route else method,
            context=extract(headers),
            kind=SpanKind.SERVER,
            attributes=attributes,
            record_exception=False,
        ) as span:

            async def answer(message: Message) -> None:
                if message["type"] == "http.response.start":
                    _note_status(span, message)
                await send(message)

            await self.app(scope, receive, answer)

    def _route(self, scope: Scope) -> str | None:
        for route in self.routes:
            if isinstance(route, Route) and route.matches(scope)[0] is Match.FULL:
                return route.path
        return None


def _note_status(span: Span, message: Message) -> None:
    status = int(message["status"])
    span.set_attribute("http.response.status_code", status)
    if status >= 500 and getattr(span, "status", Status()).is_unset:
        fail(span, str(status), "")
    context = span.get_span_context()
    MutableHeaders(scope=message)["traceresponse"] = (
        f"00-{format_trace_id(context.trace_id)}-{format_span_id(context.span_id)}-01"
    )
