"""Which operation a path belongs to, where no framework said its route."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from evolution_lab.contracts.openapi import OpenApiDocument
from evolution_lab.contracts.route_shapes import route_shape
from evolution_lab.records import OperationRef
from evolution_lab.telemetry.naming import template_path


@dataclass(frozen=True, eq=False)
class RouteNames:
    """Names operations by method and path.

    With an OpenAPI document a path is that of the template it fits, a fixed one before one with
    parameters; any other path gets placeholders for what names one thing.

    Attributes:
        document: The document, if there is one.
        service: Name of the service.
        version: Its version.

    Examples:
        >>> document = OpenApiDocument.load({"openapi": "3.1.0", "info": {"version": "1"},
        ...     "servers": [{"url": "/api"}],
        ...     "paths": {"/users/{id}": {"get": {}}, "/users/me": {"get": {}}}})
        >>> names = RouteNames(document, service="accounts")
        >>> [names.operation("GET", path).key for path in ("/api/users/jane", "/users/me", "/x/7")]
        ['GET /users/{id}', 'GET /users/me', 'GET /x/{id}']
    """

    document: OpenApiDocument | None = None
    service: str | None = None
    version: str | None = None

    def operation(self, method: str, path: str) -> OperationRef:
        """Return the operation of a decoded path, without its query."""
        key = self._documented(method.upper(), path)
        return OperationRef(
            key or f"{method.upper()} {template_path(path)}", self.service, self.version
        )

    def _documented(self, method: str, path: str) -> str | None:
        if self.document is None:
            return None
        for base in ("", *self.document.base_paths):
            if path.startswith(f"{base}/"):
                parts = path.removeprefix(base).strip("/").split("/")
                for key, template in self._templates.get((method, len(parts)), ()):
                    if all(own in {"{}", part} for own, part in zip(template, parts, strict=True)):
                        return key
        return None

    @cached_property
    def _templates(self) -> dict[tuple[str, int], list[tuple[str, list[str]]]]:
        found: dict[tuple[str, int], list[tuple[str, list[str]]]] = {}
        for operation in self.document.operations if self.document else ():
            shape = route_shape(operation.route).partition(" ")[2].strip("/").split("/")
            kept = found.setdefault((operation.method, len(shape)), [])
            kept.append((operation.route, shape))
        for templates in found.values():
            templates.sort(key=lambda each: [part == "{}" for part in each[1]])
        return found
