"""``OperationNames``: what telemetry calls an operation, and what its OpenAPI document calls it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

from evolution_lab.contracts.openapi import OpenApiDocument, OpenApiOperation
from evolution_lab.contracts.route_shapes import route_shape
from evolution_lab.display import ResultMixin
from evolution_lab.errors import UnknownNameError


@dataclass(frozen=True)
class NamedOperation:
    """One operation under all its names.

    Attributes:
        operation: What the document says, None where it does not have it.
        keys: Operation keys in telemetry, sorted; empty where it was never seen.
    """

    operation: OpenApiOperation | None
    keys: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What people are told: ``operationId``, else method and template, else the key."""
        return self.keys[0] if self.operation is None else self.operation.name


@dataclass(frozen=True, eq=False)
class OperationNames(ResultMixin):
    """Binds names: method with route template and ``operationId`` of a document are one operation.

    Telemetry may know an operation under several keys: routers write parameters in their own ways,
    a proxy adds a base path, a resolver says the ``operationId``. A path that was called but is no
    template (``GET /users/me``) is not bound to a template that happens to fit it
    (``GET /users/{id}``).

    Attributes:
        document: The document.
        seen: Operation keys in telemetry, those of the service that the document describes.

    Examples:
        >>> document = OpenApiDocument.load({
        ...     "openapi": "3.1.0", "info": {"version": "1"}, "servers": [{"url": "/api"}],
        ...     "paths": {"/carts/{id}": {"get": {"operationId": "cart.get"}},
        ...               "/quotes": {"post": {"operationId": "quotes.ask"}}}})
        >>> names = OperationNames(document, ("GET /api/carts/:cart", "GET /health"))
        >>> names.other("cart.get"), names.other("GET /api/carts/:cart")
        ('GET /carts/{id}', 'cart.get')
        >>> names.keys_of("cart.get")
        ('GET /api/carts/:cart',)
        >>> names.undocumented, [operation.name for operation in names.unseen]
        (('GET /health',), ['quotes.ask'])
    """

    document: OpenApiDocument
    seen: Iterable[str] = field(default=(), repr=False)

    _title: ClassVar[str] = "Operations by their names"

    def __post_init__(self) -> None:
        object.__setattr__(self, "seen", tuple(sorted(set(self.seen))))

    @cached_property
    def operations(self) -> tuple[NamedOperation, ...]:
        """The document's operations in its order, then those that it does not have, by key."""
        keys: dict[str, list[str]] = {
            operation.pointer: [] for operation in self.document.operations
        }
        strangers: dict[str, list[str]] = {}
        for key in self.seen:
            if key in self.document:
                keys[self.document.operation(key).pointer].append(key)
            else:
                strangers.setdefault(route_shape(key), []).append(key)
        known = [NamedOperation(o, tuple(keys[o.pointer])) for o in self.document.operations]
        return (*known, *(NamedOperation(None, tuple(own)) for own in strangers.values()))

    @property
    def undocumented(self) -> tuple[str, ...]:
        """Keys seen in telemetry that the document does not have."""
        return tuple(k for named in self.operations if named.operation is None for k in named.keys)

    @property
    def unseen(self) -> tuple[OpenApiOperation, ...]:
        """The document's operations that telemetry never saw."""
        return tuple(n.operation for n in self.operations if n.operation is not None and not n.keys)

    def find(self, name: str) -> NamedOperation:
        """Return an operation by any of its names.

        Raises:
            UnknownNameError: Neither the document nor telemetry has the name.
        """
        if name in self.document:
            return self._by_pointer[self.document.operation(name).pointer]
        shape = route_shape(name)
        for named in self.operations:
            if named.operation is None and route_shape(named.name) == shape:
                return named
        known = [o.name for o in self.operations] + [o.route for o in self.document.operations]
        raise UnknownNameError("operation", name, [*known, *self.seen])

    def other(self, name: str) -> str | None:
        """Return the other name: the route for an ``operationId``, the ``operationId`` for a route.

        None where there is no other one.

        Raises:
            UnknownNameError: Neither the document nor telemetry has the name.
        """
        operation = self.find(name).operation
        if operation is None or operation.operation_id is None:
            return None
        return operation.route if name == operation.operation_id else operation.operation_id

    def keys_of(self, name: str) -> tuple[str, ...]:
        """Return the keys under which telemetry has an operation; empty where it was never seen.

        Raises:
            UnknownNameError: Neither the document nor telemetry has the name.
        """
        return self.find(name).keys

    def same(self, one: str, other: str) -> bool:
        """Say whether two names mean one operation.

        Raises:
            UnknownNameError: Neither the document nor telemetry has one of them.
        """
        return self.find(one) == self.find(other)

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one dict an operation, those that only one side has included."""
        return [
            {
                "operation": named.name,
                "route": None if named.operation is None else named.operation.route,
                "seenAs": ", ".join(named.keys) or None,
                "documented": named.operation is not None,
            }
            for named in self.operations
        ]

    @cached_property
    def _by_pointer(self) -> Mapping[str, NamedOperation]:
        return {n.operation.pointer: n for n in self.operations if n.operation is not None}
