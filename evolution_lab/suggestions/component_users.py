"""Which operations of a document refer to a component, directly or through others."""

from __future__ import annotations

from evolution_lab.contracts import OpenApiDocument
from evolution_lab.contracts.references import at_pointer
from evolution_lab.errors import InvalidDocumentError
from evolution_lab.suggestions.editable import references


def operations_using(document: OpenApiDocument, component: str) -> tuple[str, ...]:
    """Return the operations (method and template) that refer to a component, in document order.

    Args:
        document: The document.
        component: JSON Pointer, such as ``/components/schemas/Product``.

    Examples:
        >>> document = OpenApiDocument.load({"openapi": "3.1.0", "info": {"version": "1"}, "paths": {
        ...     "/a": {"get": {"responses": {"200": {"$ref": "#/components/responses/A"}}}},
        ...     "/b": {"get": {"responses": {}}}},
        ...     "components": {"responses": {"A": {"description": "A."}}}})
        >>> operations_using(document, "/components/responses/A")
        ('GET /a',)
    """
    known: dict[str, frozenset[str]] = {}
    found = []
    for operation in document.operations:
        item = document.content["paths"][operation.path]
        inner = item.get(operation.method.lower(), {}) if "$ref" not in item else item
        shared = item.get("parameters", [])
        if component in _reached(document, [inner, shared], known):
            found.append(operation.route)
    return tuple(found)


def _reached(
    document: OpenApiDocument, start: object, known: dict[str, frozenset[str]]
) -> set[str]:
    reached: set[str] = set()
    waiting = list(references(start))
    while waiting:
        path = waiting.pop()
        if path in reached:
            continue
        reached.add(path)
        if path not in known:
            try:
                known[path] = frozenset(references(at_pointer(document.content, path)))
            except InvalidDocumentError:
                known[path] = frozenset()
        waiting.extend(known[path])
    return reached
