"""Spans become the samples that their OTLP would become; a request is told of once."""

from __future__ import annotations

import asyncio

import orjson
import pytest
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware as OtelAsgi
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware as OtelWsgi
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, Status, StatusCode

from evolution_lab.config import EvolutionConfig
from evolution_lab.telemetry import (
    Lake,
    TelemetrySpanProcessor,
    create_tracing_middleware,
    land,
    land_samples,
)


def provider_of(**options) -> TracerProvider:
    resource = Resource.create({"service.name": "shop", "service.version": "1.4"})
    return TracerProvider(resource=resource, **options)


async def asgi_app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"fine"})


def wsgi_app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"fine"]


def otlp_line(spans) -> bytes:
    """The spans as a collector's file exporter writes them."""
    kinds = {"INTERNAL": 1, "SERVER": 2, "CLIENT": 3, "PRODUCER": 4, "CONSUMER": 5}

    def pairs(attributes):
        return [{"key": k, "value": _any_value(v)} for k, v in (attributes or {}).items()]

    written = [
        {
            "traceId": f"{span.context.trace_id:032x}",
            "spanId": f"{span.context.span_id:016x}",
            "parentSpanId": f"{span.parent.span_id:016x}" if span.parent else "",
            "name": span.name,
            "kind": kinds[span.kind.name],
            "startTimeUnixNano": str(span.start_time),
            "endTimeUnixNano": str(span.end_time),
            "attributes": pairs(span.attributes),
            "events": [{"name": e.name, "attributes": pairs(e.attributes)} for e in span.events],
            "status": {
                "code": span.status.status_code.value,
                "message": span.status.description or "",
            },
        }
        for span in spans
    ]
    resource = {"attributes": pairs(spans[0].resource.attributes)}
    document = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": written}]}]}
    return orjson.dumps(document) + b"\n"


def _any_value(value):
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, tuple):
        return {"arrayValue": {"values": [_any_value(each) for each in value]}}
    return {"stringValue": str(value)}


def test_spans_land_as_their_otlp_does(tmp_path):
    exporter, samples = InMemorySpanExporter(), []
    config = EvolutionConfig(attributes=("region", "tags"))
    tracing = create_tracing_middleware(on_sample=samples.append)
    provider = provider_of()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    provider.add_span_processor(TelemetrySpanProcessor(tracing, config))
    tracer = provider.get_tracer("test")
    with tracer.start_as_current_span(
        "GET /users/{id}",
        kind=SpanKind.SERVER,
        attributes={
            "http.request.method": "GET",
            "http.route": "/users/{id}",
            "http.response.status_code": 404,
            "tenant.id": "acme",
            "user.id": "ann",
            "region": "north",
            "tags": ("a", "b"),
            "secret": "never stored",
        },
    ):
        with tracer.start_as_current_span("SELECT", kind=SpanKind.CLIENT) as span:
            span.set_attributes({"db.operation.name": "SELECT", "db.collection.name": "users"})
            span.set_status(Status(StatusCode.ERROR, "gone"))
        with pytest.raises(ZeroDivisionError), tracer.start_as_current_span("count"):
            _ = 1 / 0
    provider.shutdown()
    assert len(samples) == 3
    recorded = tmp_path / "spans.jsonl"
    recorded.write_bytes(otlp_line(exporter.get_finished_spans()))
    ours, theirs = Lake(tmp_path / "ours"), Lake(tmp_path / "theirs")
    key = tmp_path / "ours" / ".key"
    land_samples(ours, samples, config=config)
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / ".key").write_bytes(key.read_bytes())
    land(theirs, recorded, config=config)
    landed = [lake.samples().sort("row_id").collect() for lake in (ours, theirs)]
    assert landed[0].height == 3
    assert landed[0].equals(landed[1])
    # And where both come to the same lake, each counts once.
    assert land(ours, recorded, config=config).rows_added == 0


def serve(app, interface, get_asgi, get_wsgi, *paths):
    return (get_asgi if interface == "asgi" else get_wsgi)(app, *paths)


@pytest.mark.parametrize("interface", ["asgi", "wsgi"])
@pytest.mark.parametrize("place", ["inside", "outside"])
@pytest.mark.parametrize("with_processor", [True, False])
def test_one_request_is_one_sample_with_the_server_spans_ids(
    interface, place, with_processor, get_asgi, get_wsgi
):
    exporter, samples = InMemorySpanExporter(), []
    tracing = create_tracing_middleware(on_sample=samples.append, service="shop")
    provider = provider_of()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    if with_processor:
        provider.add_span_processor(TelemetrySpanProcessor(tracing))
    otel = OtelAsgi if interface == "asgi" else OtelWsgi
    ours = tracing.asgi if interface == "asgi" else tracing.wsgi
    app = asgi_app if interface == "asgi" else wsgi_app
    if place == "inside":
        served = otel(ours(app), tracer_provider=provider)
    else:
        served = ours(otel(app, tracer_provider=provider))
    answers = serve(served, interface, get_asgi, get_wsgi, "/a", "/b")
    assert [(answer.status, answer.body) for answer in answers] == [(200, b"fine")] * 2
    tracing.close()
    spans = exporter.get_finished_spans()
    servers = [f"{s.context.span_id:016x}" for s in spans if s.kind is SpanKind.SERVER]
    told = [sample.span_id for sample in samples if sample.kind == "server"]
    assert len(servers) == 2
    assert told == servers
    others = [sample for sample in samples if sample.kind != "server"]
    assert len(others) == (len(spans) - 2 if with_processor else 0)


def test_a_request_whose_trace_is_not_sampled_is_still_a_sample(get_asgi):
    samples = []
    tracing = create_tracing_middleware(on_sample=samples.append)
    provider = provider_of(sampler=ALWAYS_OFF)
    provider.add_span_processor(TelemetrySpanProcessor(tracing))
    get_asgi(OtelAsgi(tracing.asgi(asgi_app), tracer_provider=provider), "/a")
    tracing.close()
    assert [sample.operation.key for sample in samples] == ["GET /a"]


def test_a_local_span_around_a_request_is_its_caller(get_asgi):
    samples = []
    tracing = create_tracing_middleware(on_sample=samples.append)
    with provider_of().get_tracer("test").start_as_current_span("poll") as span:
        get_asgi(tracing.asgi(asgi_app), "/a")
    tracing.close()
    context = span.get_span_context()
    (sample,) = samples
    assert sample.trace_id == f"{context.trace_id:032x}"
    assert sample.parent_span_id == f"{context.span_id:016x}"
    assert sample.span_id != sample.parent_span_id


def test_what_the_span_knows_names_the_operation(get_asgi):
    samples = []
    tracing = create_tracing_middleware(on_sample=samples.append)
    provider = provider_of()

    async def app(scope, receive, send):
        from opentelemetry.trace import get_current_span

        span = get_current_span()
        if scope["path"] == "/graphql":
            span.set_attribute("graphql.operation.type", "query")
            span.set_attribute("graphql.operation.name", "findBooks")
        else:
            span.set_attribute("http.route", "/books/{isbn}")
        await asgi_app(scope, receive, send)

    served = OtelAsgi(tracing.asgi(app), tracer_provider=provider)
    get_asgi(served, "/graphql", "/books/dune")
    tracing.close()
    assert [(s.operation.key, s.name_source, s.channel) for s in samples] == [
        ("query findBooks", "graphql", "graphql"),
        ("GET /books/{isbn}", "route", "rest"),
    ]


def test_concurrent_requests_do_not_mix_up_their_spans():
    exporter, samples = InMemorySpanExporter(), []
    tracing = create_tracing_middleware(on_sample=samples.append)
    provider = provider_of()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    provider.add_span_processor(TelemetrySpanProcessor(tracing))

    async def slow(scope, receive, send):
        await asyncio.sleep(0.01 * (int(scope["path"][-1]) % 3))
        await asgi_app(scope, receive, send)

    served = tracing.asgi(OtelAsgi(slow, tracer_provider=provider))

    async def no_receive():
        return {"type": "http.request"}

    async def no_send(message):
        pass

    async def main():
        base = {"type": "http", "method": "GET", "headers": [], "query_string": b""}
        base |= {"scheme": "http", "server": ("shop", 80), "http_version": "1.1"}
        scopes = [{**base, "path": f"/call{number}"} for number in range(9)]
        await asyncio.gather(*(served(scope, no_receive, no_send) for scope in scopes))

    asyncio.run(main())
    tracing.close()
    spans = {
        f"{s.context.span_id:016x}": s.attributes.get("http.target", s.attributes.get("url.path"))
        for s in exporter.get_finished_spans()
        if s.kind is SpanKind.SERVER
    }
    servers = [sample for sample in samples if sample.kind == "server"]
    assert {s.span_id: f"/{s.operation.key[5:]}" for s in servers} == spans
