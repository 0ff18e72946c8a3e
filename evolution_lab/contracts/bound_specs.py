"""``BoundSpecs``: the OpenAPI documents of a lab, bound to the operations that its telemetry has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from evolution_lab.contracts.binding import OperationNames
from evolution_lab.contracts.openapi import OpenApiDocument
from evolution_lab.contracts.operation_spec import OperationSpec
from evolution_lab.display import ResultMixin
from evolution_lab.errors import UnknownNameError
from evolution_lab.records import OperationRef


@dataclass(frozen=True, kw_only=True)
class SpecReference:
    """Where the spec of an operation stands.

    Attributes:
        document: File name of the document.
        pointer: JSON Pointer of the operation in it.
        operation_id: Its ``operationId``, None without one.
        version: Version of the API that the document describes.
    """

    document: str
    pointer: str
    operation_id: str | None
    version: str

    def __str__(self) -> str:
        place = f"{self.document}#{self.pointer}"
        return place if self.operation_id is None else f"{self.operation_id} ({place})"


@dataclass(frozen=True, eq=False)
class BoundDocument:
    """One document, the services it describes, and their operations under both names.

    Attributes:
        names: The document's operations beside the keys of those services.
        services: Services whose telemetry it describes; None stands for telemetry without one.
    """

    names: OperationNames
    services: tuple[str | None, ...]


@dataclass(frozen=True, eq=False)
class BoundSpecs(ResultMixin):
    """What the lab's OpenAPI documents say of the operations seen, and what has no counterpart.

    Made by ``bind_specs``.

    Attributes:
        documents: One entry a document.
        seen: (service, key) of every operation in telemetry, sorted.

    Examples:
        >>> document = OpenApiDocument.load({
        ...     "openapi": "3.1.0", "info": {"version": "1"},
        ...     "paths": {"/carts/{id}": {"get": {"operationId": "cart.get", "responses": {}}}}})
        >>> bound = bind_specs([(None, document)], [("shop", "GET /carts/:cart"), ("mail", "send")])
        >>> bound.keys_of("cart.get"), bound.documents[0].services
        ((('shop', 'GET /carts/:cart'),), ('shop',))
        >>> bound.spec_of(OperationRef("GET /carts/:cart", service="shop")).kind
        'query'
        >>> bound.spec_of(OperationRef("send", service="mail")) is None
        True
    """

    documents: tuple[BoundDocument, ...] = ()
    seen: tuple[tuple[str | None, str], ...] = field(default=(), repr=False)

    _title: ClassVar[str] = "Operations by their names"

    def spec_of(self, operation: OperationRef) -> OperationSpec | None:
        """Return what a document promises of an operation; None where none has it.

        Raises:
            InvalidDocumentError: The document has it, but in a form that cannot be read.
        """
        bound = self._document_of(operation)
        if bound is None:
            return None
        return bound.names.document.spec(operation.key, key=operation.key)

    def reference_of(self, operation: OperationRef) -> SpecReference | None:
        """Return where the spec of an operation stands; None where no document has it."""
        bound = self._document_of(operation)
        if bound is None:
            return None
        document = bound.names.document
        found = document.operation(operation.key)
        return SpecReference(
            document=Path(document.source or "openapi").name,
            pointer=found.pointer,
            operation_id=found.operation_id,
            version=document.version,
        )

    def document_of(self, operation: OperationRef) -> OpenApiDocument | None:
        """Return the document that has an operation; None where none has it."""
        bound = self._document_of(operation)
        return None if bound is None else bound.names.document

    def keys_of(self, name: str) -> tuple[tuple[str | None, str], ...]:
        """Return (service, key) of the operations that a name means, sorted.

        Args:
            name: A key of telemetry, or an ``operationId`` or method and template of a document.

        Raises:
            UnknownNameError: Neither telemetry nor a document has the name, or telemetry never saw
                the operation; the nearest name is given.
        """
        wanted = {pair for pair in self.seen if pair[1] == name}
        for bound in self.documents:
            if name in bound.names.document:
                keys = set(bound.names.keys_of(name))
                wanted |= {p for p in self.seen if p[0] in bound.services and p[1] in keys}
        if not wanted:
            raise UnknownNameError("operation", name, self._known)
        return tuple(sorted(wanted, key=_by_service))

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one dict an operation of any document or of telemetry, unmatched ones included."""
        rows = []
        bound_pairs: set[tuple[str | None, str]] = set()
        for bound in self.documents:
            for named in bound.names.operations:
                if named.operation is None:
                    continue
                pairs = [p for p in self.seen if p[0] in bound.services and p[1] in named.keys]
                bound_pairs.update(pairs)
                shown: list[tuple[str | None, str | None]] = [*pairs] or [(None, None)]
                rows += [
                    _row(service, key, named.operation.operation_id, bound, named.name)
                    for service, key in shown
                ]
        rows += [
            {"service": service, "seenAs": key, "operationId": None, "spec": None}
            for service, key in self.seen
            if (service, key) not in bound_pairs
        ]
        return rows

    @property
    def undocumented(self) -> tuple[tuple[str | None, str], ...]:
        """(service, key) of what the services of a document do without it saying so."""
        services = {service for bound in self.documents for service in bound.services}
        return tuple(
            (service, key)
            for service, key in self.seen
            if service in services and self._document_of(OperationRef(key, service=service)) is None
        )

    @property
    def unseen(self) -> tuple[str, ...]:
        """Names of what documents have and telemetry never saw."""
        return tuple(operation.name for bound in self.documents for operation in bound.names.unseen)

    def _document_of(self, operation: OperationRef) -> BoundDocument | None:
        for bound in self.documents:
            if operation.service in bound.services and operation.key in bound.names.document:
                return bound
        return None

    @cached_property
    def _known(self) -> tuple[str, ...]:
        documented = {
            name
            for bound in self.documents
            for operation in bound.names.document.operations
            for name in (operation.name, operation.route)
        }
        return tuple(sorted({key for _, key in self.seen} | documented))


def bind_specs(
    documents: Iterable[tuple[str | None, OpenApiDocument]],
    operations: Iterable[tuple[str | None, str]],
) -> BoundSpecs:
    """Bind documents to the operations of telemetry.

    Args:
        documents: Each with the service it describes; None lets it describe every service that has
            at least one of its operations.
        operations: (service, key) of telemetry.
    """
    seen = tuple(sorted(set(operations), key=_by_service))
    bound = []
    for service, document in documents:
        services = (
            tuple(sorted({s for s, key in seen if key in document}, key=lambda s: s or ""))
            if service is None
            else (service,)
        )
        keys = [key for s, key in seen if s in services]
        bound.append(BoundDocument(OperationNames(document, keys), services))
    return BoundSpecs(tuple(bound), seen)


def _row(
    service: str | None, key: str | None, operation_id: str | None, bound: BoundDocument, name: str
) -> dict[str, Any]:
    document = bound.names.document
    route = document.operation(name).route
    return {
        "service": service,
        "seenAs": key,
        "operationId": operation_id,
        "spec": f"{Path(document.source or 'openapi').name}: {route}",
    }


def _by_service(pair: tuple[str | None, str]) -> tuple[str, str]:
    return (pair[0] or "", pair[1])
