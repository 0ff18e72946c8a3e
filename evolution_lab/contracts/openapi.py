"""``OpenApiDocument``: the operations of an OpenAPI 3.0 or 3.1 document, by either of their names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from evolution_lab.contracts.document_text import plain_document, read_document
from evolution_lab.contracts.openapi_parts import OperationParts
from evolution_lab.contracts.operation_spec import OperationSpec
from evolution_lab.contracts.references import pointer, resolved
from evolution_lab.contracts.route_shapes import route_shape
from evolution_lab.errors import InvalidDocumentError, UnknownNameError

METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch", "trace", "query")
_VERSION: Final = re.compile(r"3\.(\d+)(\.\d+)?(-\S*)?")
_NEWEST_MINOR: Final = 2


@dataclass(frozen=True, kw_only=True)
class OpenApiOperation:
    """One operation of a document, and where it stands in it.

    Attributes:
        method: HTTP method in capitals.
        path: Path template as the document writes it.
        operation_id: Its ``operationId``, None without one.
        pointer: JSON Pointer of its object: ``/paths/~1orders/post``.
    """

    method: str
    path: str
    operation_id: str | None
    pointer: str

    @property
    def route(self) -> str:
        """Method and path template: the name under which HTTP telemetry knows it."""
        return f"{self.method} {self.path}"

    @property
    def name(self) -> str:
        """The ``operationId``, or method and path template without one."""
        return self.operation_id or self.route

    def __str__(self) -> str:
        return self.name if self.operation_id is None else f"{self.operation_id} ({self.route})"


@dataclass(frozen=True, eq=False)
class OpenApiDocument:
    """An OpenAPI document; its operations are listed at once, their schemas read when asked for.

    Attributes:
        content: The document as JSON values; not to be changed.
        source: Where it came from, for messages and reports; None for one made in Python.

    Examples:
        >>> document = OpenApiDocument.load({
        ...     "openapi": "3.1.0", "info": {"title": "Shop", "version": "2.0.0"},
        ...     "paths": {"/orders": {"post": {"operationId": "orders.place", "responses": {}}}}})
        >>> document.operation("POST /orders").operation_id
        'orders.place'
        >>> document.spec("orders.place").version
        '2.0.0'
    """

    content: Mapping[str, Any] = field(repr=False)
    source: str | None = None

    @classmethod
    def load(cls, source: str | Path | Mapping[str, Any]) -> OpenApiDocument:
        """Read a document from a JSON or YAML file, or take one that was read already.

        Raises:
            PathNotFoundError: There is no such file.
            InvalidDocumentError: It is no OpenAPI 3.0 or later document, or two of its operations
                have one ``operationId``.
        """
        if isinstance(source, Mapping):
            document = cls(plain_document(source))
        else:
            document = cls(read_document(Path(source)), str(source))
        document._check()
        return document

    @property
    def version(self) -> str:
        """The version of the API that the document describes."""
        info = self.content.get("info")
        version = info.get("version") if isinstance(info, Mapping) else None
        return str(version) if isinstance(version, str | int | float) and version != "" else "0"

    @property
    def legacy(self) -> bool:
        """Whether it is OpenAPI 3.0, whose schemas are not JSON Schema."""
        return self._minor == 0

    @cached_property
    def operations(self) -> tuple[OpenApiOperation, ...]:
        """All operations, in the document's order of paths and OpenAPI's order of methods."""
        return tuple(self._found())

    @cached_property
    def base_paths(self) -> tuple[str, ...]:
        """Paths under which servers serve the document's paths, such as ``/api/v1``; sorted."""
        servers = self.content.get("servers")
        urls = [s.get("url") for s in servers or () if isinstance(s, Mapping)]
        paths = {_base_path(url) for url in urls if isinstance(url, str)}
        return tuple(sorted(path for path in paths if path))

    def operation(self, name: str) -> OpenApiOperation:
        """Return an operation by its ``operationId``, or by method and path template.

        Names of parameters do not count (``GET /users/:id`` is ``GET /users/{userId}``), nor whether
        a server's base path precedes the path.

        Raises:
            UnknownNameError: The document has no such operation; the nearest one is named.
        """
        found = self._by_name.get(name)
        if found is None and " " in name:
            found = self._by_shape.get(route_shape(name))
        if found is None:
            raise UnknownNameError("operation", name, self._by_name)
        return found

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        return name in self._by_name or (" " in name and route_shape(name) in self._by_shape)

    def spec(self, name: str, *, key: str | None = None) -> OperationSpec:
        """Return what the document promises of an operation.

        Its input is ``{"path": …, "query": …, "header": …, "cookie": …, "body": …}``, as far as the
        operation declares these.

        Args:
            name: ``operationId``, or method and path template.
            key: The spec's key; ``operationId`` (or method and template without one) unless given.

        Raises:
            UnknownNameError: The document has no such operation.
            InvalidDocumentError: A schema is none, or a reference leads nowhere or out of the
                document.
        """
        operation = self.operation(name)
        parts = self.parts(name)
        try:
            return OperationSpec(
                key=key or operation.name,
                version=self.version,
                kind=parts.kind(),
                goal=_first_text(parts.operation, "summary", "description") or operation.name,
                input_schema=parts.input_schema(),
                output_schema=parts.output_schema(),
                errors=parts.errors(),
                policy=parts.policy(),
            )
        except InvalidDocumentError as error:
            raise InvalidDocumentError(f"{operation}: {error}") from None

    def parts(self, name: str) -> OperationParts:
        """Return what the document says of an operation, to be read part by part.

        Raises:
            UnknownNameError: The document has no such operation.
        """
        operation = self.operation(name)
        path_item, found = self._objects(operation)
        return OperationParts(
            document=self.content,
            path_item=path_item,
            operation=found,
            method=operation.method.lower(),
            legacy=self.legacy,
        )

    def specs(self) -> tuple[OperationSpec, ...]:
        """Return the specs of all operations.

        Raises:
            InvalidDocumentError: One of them cannot be read.
        """
        return tuple(self.spec(operation.route) for operation in self.operations)

    @cached_property
    def _by_name(self) -> Mapping[str, OpenApiOperation]:
        names = {operation.route: operation for operation in self.operations}
        named = {o.operation_id: o for o in self.operations if o.operation_id}
        return named | names

    @cached_property
    def _by_shape(self) -> Mapping[str, OpenApiOperation]:
        shapes: dict[str, OpenApiOperation] = {}
        for base in ("", *self.base_paths):  # A path of the document itself wins.
            for operation in self.operations:
                shape = route_shape(f"{operation.method} {base}{operation.path}")
                shapes.setdefault(shape, operation)
        return shapes

    @cached_property
    def _minor(self) -> int:
        stated = str(self.content.get("openapi", ""))
        match = _VERSION.fullmatch(stated)
        if match is None or int(match[1]) > _NEWEST_MINOR:
            found = f"swagger {self.content['swagger']}" if "swagger" in self.content else stated
            raise InvalidDocumentError(
                f"{self.source or 'the document'}: openapi == {found!r}, must be 3.0, 3.1 or 3.2."
            )
        return int(match[1])

    def _check(self) -> None:
        _ = self._minor
        ids: dict[str, OpenApiOperation] = {}
        for operation in self.operations:
            other = ids.setdefault(operation.operation_id or operation.route, operation)
            if other is not operation:
                raise InvalidDocumentError(
                    f"operationId {operation.operation_id!r} names {other.route} and "
                    f"{operation.route}, must name one operation."
                )

    def _found(self) -> Iterator[OpenApiOperation]:
        paths = self.content.get("paths", {})
        if not isinstance(paths, Mapping):
            raise InvalidDocumentError(f"paths == {paths!r}, must be an object.")
        for path, value in paths.items():
            item = resolved(self.content, value) if path.startswith("/") else None
            if not isinstance(item, Mapping):
                continue
            for method in METHODS:
                operation = item.get(method)
                if not isinstance(operation, Mapping):
                    continue
                stated = operation.get("operationId")
                yield OpenApiOperation(
                    method=method.upper(),
                    path=path,
                    operation_id=stated if isinstance(stated, str) and stated else None,
                    pointer=pointer("paths", path, method),
                )

    def _objects(self, operation: OpenApiOperation) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        item = resolved(self.content, self.content["paths"][operation.path])
        return item, item[operation.method.lower()]


def _base_path(url: str) -> str:
    """Return the path of a server's URL; empty where it is the root or holds variables."""
    try:
        path = urlsplit(url).path.rstrip("/")
    except ValueError:
        return ""
    return "" if "{" in path or not path.startswith("/") else path


def _first_text(holder: Mapping[str, Any], *names: str) -> str | None:
    values = (holder.get(name) for name in names)
    return next((v.strip() for v in values if isinstance(v, str) and v.strip()), None)
