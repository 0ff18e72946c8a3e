"""An OpenTelemetry span processor that emits samples, for services that are instrumented already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson

from evolution_lab.config import EvolutionConfig, load_config
from evolution_lab.errors import MissingExtraError
from evolution_lab.records import OperationRef, TelemetrySample
from evolution_lab.telemetry.middleware import TracingMiddleware
from evolution_lab.telemetry.observation import under_way
from evolution_lab.telemetry.otlp_columns import COLUMNS
from evolution_lab.telemetry.otlp_spans import Resource, Span, resource_of, span_row
from evolution_lab.telemetry.span_claims import SpanClaims
from evolution_lab.telemetry.trace_ids import span_ids

try:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
    from opentelemetry.sdk.trace import Span as SdkSpan
    from opentelemetry.trace import SpanKind
except ImportError:
    raise MissingExtraError("otel", "TelemetrySpanProcessor") from None

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_IDENTITY: Final = frozenset({"service", "operation_key", "operation_version"})
_NOT_OF_SAMPLES: Final = frozenset({"line", "line_hash", "timestamp", "attributes"}) | _IDENTITY


@dataclass(eq=False)
class TelemetrySpanProcessor(SpanProcessor):
    """Emits a sample for each recorded span, named and judged as the same span read from OTLP.

    Samples go where those of the middleware go: to ``on_sample`` and to the lab. A request that the
    middleware watches too is told of once, by the middleware, with the ids of its server span.

    Attributes:
        tracing: The middleware; it need not wrap any application.
        config: Which attributes are stored, where tenant and actor are looked for; those of the
            lab unless given.

    Examples:
        >>> from evolution_lab.telemetry import create_tracing_middleware
        >>> from opentelemetry.sdk.trace import TracerProvider
        >>> seen = []
        >>> tracing = create_tracing_middleware(on_sample=seen.append, service="shop")
        >>> provider = TracerProvider()
        >>> provider.add_span_processor(TelemetrySpanProcessor(tracing))
        >>> with provider.get_tracer("shop").start_as_current_span("restock"):
        ...     pass
        >>> provider.shutdown()
        >>> print(seen[0].operation.key, seen[0].kind)
        restock internal
    """

    tracing: TracingMiddleware
    config: EvolutionConfig | None = None
    _config: EvolutionConfig = field(init=False, repr=False)
    _claims: SpanClaims = field(default_factory=SpanClaims, init=False, repr=False)
    _resource: tuple[object, Resource] = field(default=(None, Resource()), init=False, repr=False)

    def __post_init__(self) -> None:
        pipe = self.tracing.pipe
        data_dir = None if pipe is None else pipe.data_dir
        self._config = self.config or load_config(data_dir=data_dir)
        self.tracing.claim_spans(self._claims)

    def on_start(
        self,
        span: SdkSpan,
        parent_context: Context | None = None,  # noqa: ARG002 - the SDK's signature
    ) -> None:
        """Tell the request under way which span stands for it."""
        request = under_way.get()
        if request is not None and request.ids is None and span.kind is SpanKind.SERVER:
            request.ids = span_ids(span)
            self._claims.claim(request.ids)

    def on_end(self, span: ReadableSpan) -> None:
        """Emit the span's sample."""
        context = span.get_span_context()
        if context is None or not context.trace_flags.sampled:
            return
        if self._claims.release(f"{context.span_id:016x}"):
            return
        try:
            sample = self._sample(span)
        except Exception as error:  # noqa: BLE001 - a span must end whatever we misread
            self.tracing.failed("reading a span", error)
        else:
            self.tracing.sampled(sample)

    def shutdown(self) -> None:
        """Land what waits."""
        self.tracing.close()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Land what waits; return whether nothing does any more."""
        return self.tracing.close(timeout_millis / 1_000).waiting == 0

    def _sample(self, span: ReadableSpan) -> TelemetrySample:
        context, parent = span.get_span_context(), span.parent
        assert context is not None
        row = span_row(
            Span(
                name=span.name,
                kind=span.kind.name.lower(),
                start_ns=span.start_time or 0,
                end_ns=span.end_time or 0,
                status=span.status.status_code.value,
                status_message=span.status.description,
                attributes=span.attributes or {},
                events=[(event.name, event.attributes or {}) for event in span.events],
                trace_id=f"{context.trace_id:032x}",
                span_id=f"{context.span_id:016x}",
                parent_span_id=None if parent is None else f"{parent.span_id:016x}",
                tracestate=context.trace_state.to_header() or None,
            ),
            self._resource_of(span),
            self._config,
            line=0,
            line_hash=None,
        )
        return _sample_of(dict(zip(COLUMNS, row, strict=True)))

    def _resource_of(self, span: ReadableSpan) -> Resource:
        """Return what a provider says of all its spans, worked out once."""
        known, resource = self._resource
        if known is not span.resource:
            maker = self.tracing.maker
            resource = resource_of(span.resource.attributes, self._config, service=maker.service)
            self._resource = (span.resource, resource)
        return resource


def _sample_of(row: Mapping[str, Any]) -> TelemetrySample:
    stored = row["attributes"]
    return TelemetrySample(
        operation=OperationRef(row["operation_key"], row["service"], row["operation_version"]),
        timestamp=_EPOCH + timedelta(microseconds=row["timestamp"]),
        attributes=orjson.loads(stored) if stored else None,
        **{name: value for name, value in row.items() if name not in _NOT_OF_SAMPLES},
    )
