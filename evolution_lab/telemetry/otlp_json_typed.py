"""OTLP JSON as most exporters write it, read with its types known: several times the speed.

A line that is written otherwise (snake_case, other wrappers, odd types) is none of these, and
``otlp_json`` reads it; a span that lacks an id, or whose parts cannot be true, is handed to it alone.
What a span's operation is and how it ended is worked out once for spans that have the same values where
it matters, by the same function that reads every other span.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import orjson

from evolution_lab.config import EvolutionConfig
from evolution_lab.telemetry.naming import shortened
from evolution_lab.telemetry.otlp_columns import COLUMNS, ENDED, SpanColumns
from evolution_lab.telemetry.otlp_json_spans import events_of, kind_of, plain_value, status_of
from evolution_lab.telemetry.otlp_names import LONGEST_NAME
from evolution_lab.telemetry.otlp_spans import (
    SIZES,
    Resource,
    Span,
    span_row,
    stored_attributes,
    whole_number,
)
from evolution_lab.telemetry.sampling import weight_of

MOST_KNOWN: Final = 20_000
"""Endings remembered at most; a shape that has more of them (raw paths) is read span by span."""
_LARGEST_64: Final = (1 << 63) - 1
_AT: Final = {name: COLUMNS.index(name) for name in COLUMNS}
_TRACE_DIGITS, _SPAN_DIGITS, _TIME_DIGITS = 32, 16, 19
_ODD: Final = (ValueError, TypeError, AttributeError, RecursionError)
_OTHER_VALUES: Final = ("arrayValue", "kvlistValue")


class AnyValue(msgspec.Struct, gc=False):
    """A value of an attribute; one of its parts is there."""

    stringValue: str | None = None  # noqa: N815 - OTLP's names
    intValue: str | int | None = None  # noqa: N815
    doubleValue: int | float | None = None  # noqa: N815
    boolValue: bool | None = None  # noqa: N815
    bytesValue: str | None = None  # noqa: N815
    arrayValue: msgspec.Raw | None = None  # noqa: N815
    kvlistValue: msgspec.Raw | None = None  # noqa: N815


class KeyValue(msgspec.Struct, gc=False):
    """An attribute."""

    key: str
    value: AnyValue


class Status(msgspec.Struct, gc=False):
    """How a span ended, by its own account."""

    code: int | str = 0
    message: str | None = None


class TypedSpan(msgspec.Struct, gc=False):
    """A span."""

    startTimeUnixNano: str  # noqa: N815
    endTimeUnixNano: str  # noqa: N815
    traceId: str  # noqa: N815
    spanId: str  # noqa: N815
    parentSpanId: str | None = None  # noqa: N815
    traceState: str | None = None  # noqa: N815
    name: str | None = None
    kind: int | str | None = 0
    attributes: list[KeyValue] = []
    events: list[msgspec.Raw] | None = None
    status: Status | None = None


class Scope(msgspec.Struct, gc=False):
    """Spans of one instrumentation."""

    spans: list[TypedSpan]


class TypedResource(msgspec.Struct, gc=False):
    """Who sent the spans."""

    attributes: list[KeyValue] = []


class ResourceSpans(msgspec.Struct, gc=False):
    """Spans of one resource."""

    scopeSpans: list[Scope]  # noqa: N815
    resource: TypedResource | None = None


class Request(msgspec.Struct, gc=False):
    """One line of the Collector's file exporter."""

    resourceSpans: list[ResourceSpans]  # noqa: N815


@dataclass(eq=False)
class Shape:
    """What to look at in spans that carry the same attributes in the same order.

    Attributes:
        names: Of the attributes.
        telling: Places of those that tell the operation and how it ended.
        tenant: Places to look for a tenant, in order; so the next two.
        actor: Places to look for an actor.
        session: Places to look for a session.
        size: Places to look for the payload's size.
        stored: Names and places of those that are stored.
        seen: Spans of this shape.
    """

    names: tuple[str, ...]
    telling: tuple[int, ...]
    tenant: tuple[int, ...]
    actor: tuple[int, ...]
    session: tuple[int, ...]
    size: tuple[int, ...]
    stored: tuple[tuple[str, int], ...]
    seen: int = 0

    @classmethod
    def of(cls, names: tuple[str, ...], config: EvolutionConfig) -> Shape:
        """Return the shape of some names, by the settings."""
        place = {name: at for at, name in enumerate(names)}

        def places(wanted: Sequence[str]) -> tuple[int, ...]:
            return tuple(place[name] for name in wanted if name in place)

        told = {*config.tenant_attributes, *config.actor_attributes, *config.session_attributes}
        return cls(
            names,
            telling=tuple(at for name, at in place.items() if _tells(name) and name not in told),
            tenant=places(config.tenant_attributes),
            actor=places(config.actor_attributes),
            session=places(config.session_attributes),
            size=places(SIZES),
            stored=tuple((name, place[name]) for name in config.attributes if name in place),
        )


@dataclass(eq=False)
class TypedReader:
    """Reads lines into columns.

    Attributes:
        config: Which attributes are stored, and where tenants, actors and sessions are looked for.
        resource_of: Reads the attributes of a resource.
        columns: Where rows go.
        refer: Given the places of a resource, a scope and a span, has that span read otherwise.
    """

    config: EvolutionConfig
    resource_of: Callable[[dict[str, Any]], Resource]
    columns: SpanColumns
    _shapes: dict[tuple[str, ...], Shape] = field(default_factory=dict)
    _endings: dict[tuple[Any, ...], int] = field(default_factory=dict)
    _services: dict[tuple[Any, ...], tuple[Resource, int]] = field(default_factory=dict)
    _decode: Callable[[bytes], Request] = field(default=msgspec.json.Decoder(Request).decode)

    def start(self, columns: SpanColumns) -> None:
        """Begin a new chunk."""
        self.columns = columns
        self._endings.clear()
        self._services.clear()
        for shape in self._shapes.values():
            shape.seen = 0

    def counts(self) -> Counter[tuple[str, ...]]:
        """Return how many spans of the chunk had which names of attributes."""
        return Counter({names: shape.seen for names, shape in self._shapes.items() if shape.seen})

    def read(self, line: bytes, number: int, refer: Callable[[int, int, int], None]) -> bool:
        """Add the spans of a line; False where it is written otherwise, and nothing was added.

        Args:
            line: One request.
            number: Of the line, counted from 1.
            refer: Called with the places of a resource, scope and span that has to be read otherwise.
        """
        try:
            request = self._decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return False
        for at, group in enumerate(request.resourceSpans):
            resource, service = self._resource(group.resource)
            for inner, scope in enumerate(group.scopeSpans):
                try:
                    self._add_all(scope.spans, resource, service, number)
                except _ODD:
                    # Something about one of them: each for itself.
                    for place, span in enumerate(scope.spans):
                        try:
                            self._add_all([span], resource, service, number)
                        except _ODD:
                            refer(at, inner, place)
        return True

    def _add_all(
        self, spans: Sequence[TypedSpan], resource: Resource, service: int, line: int
    ) -> None:
        """Add spans, column by column: all of them, or none where one is not plain."""
        n = len(spans)
        trace_ids = _plain_ids([span.traceId for span in spans], _TRACE_DIGITS)
        span_ids = _plain_ids([span.spanId for span in spans], _SPAN_DIGITS)
        parents = [span.parentSpanId or None for span in spans]
        _plain_ids([parent for parent in parents if parent is not None], _SPAN_DIGITS)
        began = _plain_times([span.startTimeUnixNano for span in spans])
        ended = _plain_times([span.endTimeUnixNano for span in spans])
        tenants, actors = [resource.tenant] * n, [resource.actor] * n
        sessions: list[str | None] = [resource.session] * n
        sizes: list[int | None] = [None] * n
        stored: list[str | None] = [None] * n
        endings, shapes = [], []
        for at, span in enumerate(spans):
            attributes = span.attributes
            names = tuple([each.key for each in attributes])
            shape = self._shapes.get(names)
            if shape is None:
                shape = self._shapes[names] = Shape.of(names, self.config)
            endings.append(self._ending(span, shape, resource, line))
            shapes.append(shape)
            if shape.tenant:
                tenants[at] = _first(attributes, shape.tenant) or resource.tenant
            if shape.actor:
                actors[at] = _first(attributes, shape.actor) or resource.actor
            if shape.session:
                sessions[at] = _first(attributes, shape.session) or resource.session
            if shape.size:
                sizes[at] = whole_number(_plain(attributes[shape.size[0]].value), _LARGEST_64)
            if shape.stored:
                held = {name: _plain(attributes[place].value) for name, place in shape.stored}
                stored[at] = stored_attributes(held, held)
        for shape in shapes:
            shape.seen += 1
        own = self.columns.own
        own["timestamp"] += [start // 1_000 for start in began]
        own["duration_ns"] += [end - start for start, end in zip(began, ended, strict=True)]
        own["tenant_id"] += tenants
        own["actor_id"] += actors
        own["session_id"] += sessions
        own["trace_id"] += trace_ids
        own["span_id"] += span_ids
        own["parent_span_id"] += parents
        own["payload_bytes"] += sizes
        own["weight"] += [weight_of(span.traceState) if span.traceState else 1.0 for span in spans]
        own["attributes"] += stored
        own["line"] += [line] * n
        own["line_hash"] += [None] * n
        self.columns.service += [service] * n
        self.columns.ending += endings

    def _ending(self, span: TypedSpan, shape: Shape, resource: Resource, line: int) -> int:
        status = span.status
        plain = not span.events and (status is None or not status.message)
        key: tuple[Any, ...] = ()
        if plain:
            attributes = span.attributes
            values = [attributes[at].value for at in shape.telling]
            key = (
                shape,
                span.name,
                span.kind,
                status.code if status is not None else 0,
                *[v.stringValue or v.intValue or _telling(v) for v in values],
            )
            known = self._endings.get(key)
            if known is not None:
                return known
        row = span_row(_general(span), resource, self.config, line=line, line_hash=None)
        place = len(self.columns.endings)
        self.columns.endings.append(tuple([row[_AT[name]] for name in ENDED]))
        if plain and len(self._endings) < MOST_KNOWN:
            self._endings[key] = place
        return place

    def _resource(self, found: TypedResource | None) -> tuple[Resource, int]:
        attributes = found.attributes if found is not None else []
        key = tuple([(each.key, _telling(each.value)) for each in attributes])
        known = self._services.get(key)
        if known is None:
            resource = self.resource_of(_dict(attributes))
            known = resource, len(self.columns.services)
            self.columns.services.append((resource.service, resource.version, resource.environment))
            self._services[key] = known
        return known


def _plain_ids(ids: list[str], digits: int) -> list[str]:
    """Return ids that are hexadecimal, in small letters and not all zeros.

    Raises:
        ValueError: One is not.
    """
    if not ids:
        return ids
    together = "".join(ids)
    if (
        set(map(len, ids)) != {digits}
        or len(bytes.fromhex(together)) * 2 != len(together)
        or together.lower() != together
        or "0" * digits in ids
    ):
        raise ValueError("not plain ids")
    return ids


def _plain_times(times: list[str]) -> list[int]:
    """Return times of nineteen digits.

    Raises:
        ValueError: One is something else.
    """
    together = "".join(times)
    if set(map(len, times)) - {_TIME_DIGITS} or not (together.isascii() and together.isdigit()):
        raise ValueError("not plain times")
    found = list(map(int, times))
    if max(found) > _LARGEST_64:
        raise ValueError("not plain times")
    return found


def _tells(name: str) -> bool:
    """Say whether an attribute may tell which operation a span is, or how it ended."""
    return name not in SIZES and name.startswith(
        ("http.", "url.", "graphql.", "rpc.", "messaging.", "db.", "error.", "feature_flag.")
    )


def _general(span: TypedSpan) -> Span:
    """Return a span as every other reader does; ids play no part in it."""
    status = span.status
    return Span(
        name=span.name or "",
        kind=kind_of(span.kind),
        start_ns=int(span.startTimeUnixNano),
        end_ns=int(span.endTimeUnixNano),
        status=status_of(status.code) if status is not None else 0,
        status_message=status.message if status is not None else None,
        attributes=_dict(span.attributes),
        events=events_of([orjson.loads(event) for event in span.events or ()]),
    )


def _dict(attributes: Sequence[KeyValue]) -> dict[str, Any]:
    return {each.key: _plain(each.value) for each in attributes}


def _plain(value: AnyValue) -> Any:
    """Return a value as ``otlp_json_spans.plain_value`` does."""
    if value.stringValue is not None:
        return value.stringValue
    if value.intValue is not None:
        whole = value.intValue
        if isinstance(whole, str) and not (whole.isascii() and whole.isdigit() and len(whole) < 20):
            return plain_value({"intValue": whole})
        return int(whole)
    if value.boolValue is not None:
        return value.boolValue
    if value.doubleValue is not None:
        return value.doubleValue
    if value.bytesValue is not None:
        return value.bytesValue
    for name in _OTHER_VALUES:
        raw = getattr(value, name)
        if raw is not None:
            return plain_value({name: orjson.loads(raw)})
    return None


def _telling(value: AnyValue) -> object:
    """Return something that is equal for equal values, and can be looked up."""
    if value.stringValue is not None:
        return value.stringValue
    return orjson.dumps(_plain(value))


def _first(attributes: Sequence[KeyValue], places: tuple[int, ...]) -> str | None:
    """Return the first of some attributes that has a value."""
    for at in places:
        value = attributes[at].value
        text = value.stringValue
        if text is None:
            plain = _plain(value)
            text = None if plain is None else str(plain)
        if text:
            return text if len(text) <= LONGEST_NAME else shortened(text, LONGEST_NAME)
    return None
