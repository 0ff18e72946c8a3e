"""Edits applied to a spec that is declared in Python."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from evolution_lab.contracts import DeclaredError, OperationSpec
from evolution_lab.errors import InapplicableEditError
from evolution_lab.suggestions.editable import Editable
from evolution_lab.suggestions.edits import (
    AddOperation,
    AddParameter,
    DeclareError,
    DeclareField,
    DeclareResponse,
    Deprecate,
    Edit,
    Place,
    SetExtension,
)
from evolution_lab.suggestions.schema_edits import SchemaEdit, edit_schema


def edit_spec(spec: OperationSpec, edits: Iterable[Edit]) -> OperationSpec:
    """Return a spec with edits applied; the spec itself stays as it is.

    The parts of a request are properties of the input schema where it has properties of these names
    (``body``, ``query`` …), as a spec read from OpenAPI has; else the body is the whole input.

    Raises:
        InapplicableEditError: A place is not declared, or says already what is asked.

    Examples:
        >>> from evolution_lab.suggestions.edits import RequireField
        >>> spec = OperationSpec(key="cart.add", version="1", kind="command", goal="Add.",
        ...                      input_schema={"properties": {"sku": {"type": "string"}}})
        >>> edit_spec(spec, [RequireField(place=Place(part="body", path=("sku",)))]).input_schema
        {'properties': {'sku': {'type': 'string'}}, 'required': ['sku']}
    """
    for edit in edits:
        spec = _edited(spec, edit)
    return spec


def _edited(spec: OperationSpec, edit: Edit) -> OperationSpec:
    if isinstance(edit, Deprecate):
        return replace(spec, policy={**spec.policy, "deprecated": True})
    if isinstance(edit, SetExtension):
        return replace(spec, policy=_extended(spec.policy, edit))
    if isinstance(edit, DeclareError):
        if edit.code in spec.errors:
            raise InapplicableEditError(f"the error {edit.code!r} is declared already.")
        error = DeclaredError(http=edit.status, when=edit.when)
        return replace(spec, errors={**spec.errors, edit.code: error})
    if isinstance(edit, DeclareResponse):
        return _responding(spec, edit)
    if isinstance(edit, AddOperation):
        raise InapplicableEditError(f"{edit.name} adds another operation, must not edit this one.")
    if isinstance(edit, AddParameter):
        known = _declared_parts(spec, edit.place)
        further = DeclareField(place=edit.place, schema=edit.schema, required=edit.required)
        return _with_schema(known, further)
    return _with_schema(spec, edit)


def _declared_parts(spec: OperationSpec, place: Place) -> OperationSpec:
    """Return the spec with an empty object for a part of the request that it does not have yet."""
    properties = spec.input_schema.get("properties")
    known = dict(properties) if isinstance(properties, Mapping) else {}
    if place.part in known or not known.keys() & {"path", "query", "header", "cookie", "body"}:
        return spec
    known[place.part] = {"type": "object", "properties": {}}
    return replace(spec, input_schema={**spec.input_schema, "properties": known})


def _with_schema(spec: OperationSpec, edit: SchemaEdit) -> OperationSpec:
    response = edit.place.part == "response"
    schema: dict[str, Any] = copy.deepcopy(
        dict(spec.output_schema if response else spec.input_schema)
    )
    holder = {"schema": schema}
    path = edit.place.path if response else _request_path(schema, edit.place)
    edit_schema(Editable(schema, legacy=False), edit, (holder, "schema"), path)
    changed = holder["schema"]
    return replace(spec, output_schema=changed) if response else replace(spec, input_schema=changed)


def _request_path(schema: Mapping[str, Any], place: Place) -> tuple[str, ...]:
    properties = schema.get("properties")
    if isinstance(properties, Mapping) and place.part in properties:
        return (place.part, *place.path)
    return place.path


def _responding(spec: OperationSpec, edit: DeclareResponse) -> OperationSpec:
    if edit.status >= 400:
        error = DeclareError(code=str(edit.status), status=edit.status, when=edit.description)
        return _edited(spec, error)
    if edit.schema is None or not spec.output_schema:
        return spec
    return replace(spec, output_schema={"anyOf": [dict(spec.output_schema), dict(edit.schema)]})


def _extended(policy: Mapping[str, Any], edit: SetExtension) -> dict[str, Any]:
    changed: dict[str, Any] = copy.deepcopy(dict(policy))
    names = list(edit.path[1:] if edit.path[0] == "policy" else edit.path)
    if not names:
        return {**changed, **edit.value}
    node = changed
    for name in names[:-1]:
        below = node.get(name)
        node[name] = node = below if isinstance(below, dict) else {}
    known = node.get(names[-1])
    value = copy.deepcopy(edit.value)
    both = isinstance(known, dict) and isinstance(value, dict)
    node[names[-1]] = {**known, **value} if both and known is not None else value
    return changed
