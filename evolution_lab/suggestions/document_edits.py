"""Edits applied to an OpenAPI document, 3.0 or later."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from evolution_lab.contracts import OpenApiDocument, OpenApiOperation
from evolution_lab.contracts.openapi_parts import json_media_name
from evolution_lab.errors import InapplicableEditError
from evolution_lab.suggestions.draft_references import grounded
from evolution_lab.suggestions.drafted_operation import drafted_operation
from evolution_lab.suggestions.editable import Editable
from evolution_lab.suggestions.edits import (
    AddOperation,
    AddParameter,
    DeclareError,
    DeclareResponse,
    Deprecate,
    DeprecateField,
    Edit,
    Place,
    RelaxField,
    RequireField,
    SetExtension,
)
from evolution_lab.suggestions.error_edits import declare_error
from evolution_lab.suggestions.schema_edits import SchemaEdit, Site, edit_schema
from evolution_lab.suggestions.schema_words import in_words_of

_PARAMETERS: Final = ("path", "query", "header", "cookie")


@dataclass(frozen=True, kw_only=True)
class EditedDocument:
    """A document with edits applied.

    Attributes:
        content: The changed document; shares nothing with the source.
        copied: JSON Pointers of shared components of which the operation got a copy of its own, so
            that no other operation changes.
        changed: JSON Pointers of components that this operation alone refers to, changed in place.
    """

    content: dict[str, Any]
    copied: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()


def edit_document_of(
    document: OpenApiDocument, operation: str | None, edits: Iterable[Edit]
) -> EditedDocument:
    """Return the document with edits of one operation applied.

    Args:
        document: The team's own document; it stays as it is.
        operation: ``operationId`` or method and template of the operation; None where edits only
            add operations.
        edits: What to change, in this order.

    Raises:
        UnknownNameError: The document has no such operation.
        InapplicableEditError: A place is not declared, or says already what is asked.
        InvalidDocumentError: A reference leads nowhere or out of the document.

    Examples:
        >>> from evolution_lab.suggestions.edits import DeclareField
        >>> document = OpenApiDocument.load({"openapi": "3.1.0", "info": {"version": "1"}, "paths": {
        ...     "/carts": {"post": {"requestBody": {"content": {"application/json": {"schema": {
        ...         "type": "object"}}}}, "responses": {}}}}})
        >>> field = DeclareField(place=Place(part="body", path=("note",)), schema={"type": "string"})
        >>> edited = edit_document_of(document, "POST /carts", [field])
        >>> edited.content["paths"]["/carts"]["post"]["requestBody"]["content"]["application/json"]
        {'schema': {'type': 'object', 'properties': {'note': {'type': 'string'}}}}
    """
    target = Editable(copy.deepcopy(dict(document.content)), legacy=document.legacy)
    found = None if operation is None else document.operation(operation)
    for edit in edits:
        if isinstance(edit, AddOperation):
            _add_operation(target, edit, document)
        elif found is None:
            raise InapplicableEditError(f"{edit.name} names no operation, must do so.")
        else:
            _OperationEditor(target, found).apply(edit)
    return EditedDocument(
        content=target.root, copied=tuple(target.copied), changed=tuple(target.changed)
    )


@dataclass(eq=False)
class _OperationEditor:
    target: Editable
    operation: OpenApiOperation

    def apply(self, edit: Edit) -> None:
        if isinstance(edit, Deprecate):
            if self._object().get("deprecated") is True:
                raise InapplicableEditError("the operation is deprecated already.")
            self._object()["deprecated"] = True
        elif isinstance(edit, SetExtension):
            self._extend(edit)
        elif isinstance(edit, DeclareError):
            declare_error(self.target, self._object(), edit)
        elif isinstance(edit, DeclareResponse):
            self._respond(edit)
        elif isinstance(edit, AddParameter):
            self._add_parameter(edit)
        elif not isinstance(edit, AddOperation):
            self._edit_part(edit)

    def _object(self) -> dict[str, Any]:
        item = self.target.own(self.target.root["paths"], self.operation.path)
        found = item[self.operation.method.lower()]
        assert isinstance(found, dict)
        return found

    def _edit_part(self, edit: SchemaEdit) -> None:
        place = edit.place
        if place.part in _PARAMETERS:
            parameter = self._parameter(place)
            if len(place.path) == 1 and isinstance(edit, RequireField | RelaxField):
                parameter["required"] = isinstance(edit, RequireField)
                return
            if len(place.path) == 1 and isinstance(edit, DeprecateField):
                parameter["deprecated"] = True
                return
            edit_schema(self.target, edit, self._schema(parameter, place), place.path[1:])
            return
        if place.part == "body":
            operation = self._object()
            if "requestBody" not in operation:
                raise InapplicableEditError(f"{place}: the operation declares no body.")
            body = self.target.own(operation, "requestBody")
            if not place.path and isinstance(edit, RequireField | RelaxField):
                body["required"] = isinstance(edit, RequireField)
                return
            edit_schema(self.target, edit, self._media_schema(body, place), place.path)
            return
        response = self._response(place)
        edit_schema(self.target, edit, self._media_schema(response, place), place.path)

    def _response(self, place: Place) -> dict[str, Any]:
        responses = self._object().get("responses")
        status = place.status or "200"
        known = responses if isinstance(responses, dict) else {}
        for name in (status, f"{status[0]}XX", f"{status[0]}xx", "default"):
            if name in known:
                return self.target.own(known, name)
        raise InapplicableEditError(f"{place}: the response {status} is not declared.")

    def _schema(self, parameter: dict[str, Any], place: Place) -> Site:
        return (
            (parameter, "schema") if "schema" in parameter else self._media_schema(parameter, place)
        )

    def _media_schema(self, holder: dict[str, Any], place: Place) -> Site:
        content = holder.get("content")
        name = json_media_name(holder)
        if name is None or not isinstance(content, dict):
            raise InapplicableEditError(f"{place}: no JSON is declared there.")
        media = self.target.own(content, name)
        media.setdefault("schema", {})
        return media, "schema"

    def _parameter(self, place: Place) -> dict[str, Any]:
        """Return a parameter, one of the path's copied to the operation: others have it too."""
        if not place.path:
            raise InapplicableEditError(f"{place} names no parameter, must have a path.")
        operation = self._object()
        own = operation.get("parameters")
        for number, value in enumerate(own if isinstance(own, list) else ()):
            if self._is(value, place):
                return self.target.own(own, number)
        item = self.target.peek(self.target.root["paths"][self.operation.path])
        for value in item.get("parameters") or ():
            if self._is(value, place):
                parameter: dict[str, Any] = copy.deepcopy(self.target.peek(value))
                operation["parameters"] = [*(own or ()), parameter]
                return parameter
        raise InapplicableEditError(f"{place} is not declared, must name a declared parameter.")

    def _is(self, value: object, place: Place) -> bool:
        parameter = self.target.peek(value)
        if not isinstance(parameter, Mapping) or parameter.get("in") != place.part:
            return False
        name, wanted = str(parameter.get("name")), place.path[0]
        return name.lower() == wanted.lower() if place.part == "header" else name == wanted

    def _add_parameter(self, edit: AddParameter) -> None:
        place = edit.place
        try:
            self._parameter(place)
        except InapplicableEditError:
            pass
        else:
            raise InapplicableEditError(f"{place} is declared already.")
        parameter: dict[str, Any] = {"name": place.path[0], "in": place.part}
        if edit.description:
            parameter["description"] = edit.description
        if edit.required or place.part == "path":
            parameter["required"] = True
        parameter["schema"] = in_words_of(edit.schema, legacy=self.target.legacy)
        operation = self._object()
        operation["parameters"] = [*(operation.get("parameters") or ()), parameter]

    def _respond(self, edit: DeclareResponse) -> None:
        operation = self._object()
        responses = operation.setdefault("responses", {})
        if str(edit.status) in responses:
            raise InapplicableEditError(f"the response {edit.status} is declared already.")
        response: dict[str, Any] = {"description": edit.description}
        if edit.schema is not None:
            schema = in_words_of(edit.schema, legacy=self.target.legacy)
            response["content"] = {"application/json": {"schema": schema}}
        responses[str(edit.status)] = response

    def _extend(self, edit: SetExtension) -> None:
        top, *below = edit.path
        if top == "lifecycle" and edit.value == {"state": "deprecated"}:
            self._object()["deprecated"] = True
        node = self._object()
        names = [f"x-{top}", *below]
        for name in names[:-1]:
            inner = node.get(name)
            node[name] = node = inner if isinstance(inner, dict) else {}
        known = node.get(names[-1])
        value = copy.deepcopy(edit.value)
        if isinstance(known, dict) and isinstance(value, dict):
            value = {**known, **value}
        if known == value and names[-1] in node:
            raise InapplicableEditError(f"{'.'.join(edit.path)} is stated already.")
        node[names[-1]] = value


def _add_operation(target: Editable, edit: AddOperation, document: OpenApiDocument) -> None:
    method = edit.method.lower()
    if f"{edit.method.upper()} {edit.path}" in document:
        raise InapplicableEditError(f"{edit.method.upper()} {edit.path} is declared already.")
    paths = target.root.setdefault("paths", {})
    item = target.own(paths, edit.path) if edit.path in paths else paths.setdefault(edit.path, {})
    draft = dict(edit.draft)
    for name in ("inputSchema", "outputSchema"):
        if isinstance(draft.get(name), Mapping):
            draft[name] = grounded(draft[name], document)
    edit = replace(edit, draft=draft)
    item[method] = drafted_operation(edit, legacy=target.legacy, taken=_ids(document))


def _ids(document: OpenApiDocument) -> frozenset[str]:
    return frozenset(o.operation_id for o in document.operations if o.operation_id is not None)
