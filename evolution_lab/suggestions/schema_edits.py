"""Edits of schemas: fields declared, types and values admitted, limits set, fields required."""

from __future__ import annotations

from typing import Any

from evolution_lab.errors import InapplicableEditError
from evolution_lab.suggestions.editable import Editable
from evolution_lab.suggestions.edits import (
    AllowTypes,
    AllowValues,
    DeclareField,
    DeprecateField,
    Place,
    RefuseValues,
    RelaxField,
    RequireField,
    SetFormat,
    SetLimit,
)
from evolution_lab.suggestions.json_patch import same_json
from evolution_lab.suggestions.schema_words import allow_types, in_words_of, null_beside

SchemaEdit = (
    DeclareField
    | AllowTypes
    | AllowValues
    | RefuseValues
    | SetFormat
    | RequireField
    | RelaxField
    | SetLimit
    | DeprecateField
)
Site = tuple[Any, str | int]
"""Where a schema is kept: what holds it, and under which name or at which place."""


def edit_schema(target: Editable, edit: SchemaEdit, top: Site, path: tuple[str, ...]) -> None:
    """Apply an edit to the schema at ``top``, in place.

    Args:
        target: The document that the schema is in.
        edit: The edit; its place names the field.
        top: Where the schema of the whole part is kept.
        path: Names from there to the field.

    Raises:
        InapplicableEditError: The schema does not know the field, or says already what is asked.
    """
    if isinstance(edit, DeclareField | RequireField | RelaxField):
        if not path:
            raise InapplicableEditError(f"{edit.place} names no field, must have a path.")
        for holder, key in sites(target, top, path[:-1], edit.place):
            for schema in target.objects(holder, key):
                _edit_object(target, edit, schema, path[-1])
        return
    changed = False
    for holder, key in sites(target, top, path, edit.place):
        changed |= _edit_value(target, edit, holder, key)
    if not changed:
        raise InapplicableEditError(f"{edit.name}: the schema of {edit.place} says so already.")


def sites(target: Editable, top: Site, path: tuple[str, ...], place: Place) -> list[Site]:
    """Return where the schemas of a field are kept.

    Raises:
        InapplicableEditError: The schema does not know the field.
    """
    found: list[Site] = [top]
    for name in path:
        found = [site for holder, key in found for site in target.fields(holder, key, name)]
    if not found:
        raise InapplicableEditError(f"{place} is not declared, must name a declared field.")
    return found


def _edit_object(
    target: Editable,
    edit: DeclareField | RequireField | RelaxField,
    schema: dict[str, Any],
    name: str,
) -> None:
    required = schema.get("required")
    required = list(required) if isinstance(required, list) else []
    if not isinstance(edit, DeclareField) and isinstance(edit, RequireField) is (name in required):
        raise InapplicableEditError(f"{edit.name}: the schema of {edit.place} says so already.")
    if isinstance(edit, DeclareField):
        properties = schema.setdefault("properties", {})
        if name in properties:
            raise InapplicableEditError(f"{edit.place} is declared already.")
        properties[name] = in_words_of(edit.schema, legacy=target.legacy)
    is_needed = isinstance(edit, RequireField) or (isinstance(edit, DeclareField) and edit.required)
    if is_needed and name not in required:
        schema["required"] = [*required, name]
    elif isinstance(edit, RelaxField) and name in required:
        required.remove(name)
        if required:
            schema["required"] = required
        else:  # OpenAPI 3.0 allows no empty list.
            del schema["required"]


def _edit_value(
    target: Editable,
    edit: AllowTypes | AllowValues | RefuseValues | SetFormat | SetLimit | DeprecateField,
    holder: Any,
    key: str | int,
) -> bool:
    """Apply an edit to one schema and say whether that changed it."""
    stated = holder[key]
    if isinstance(edit, AllowTypes):
        if set(edit.types) == {"null"} and target.is_shared(stated):
            holder[key] = null_beside(stated, legacy=target.legacy)
            return True
        schema = target.own(holder, key)
        return _changed(schema, lambda: allow_types(schema, edit.types, legacy=target.legacy))
    schema = target.essence(holder, key)
    if isinstance(edit, AllowValues):
        return _changed(schema, lambda: _allow_values(target, schema, edit))
    if isinstance(edit, RefuseValues):
        return _changed(schema, lambda: _refuse_values(schema, edit))
    if isinstance(edit, SetFormat):
        return _changed(schema, lambda: _set(schema, "format", edit.format))
    if isinstance(edit, DeprecateField):
        return _changed(schema, lambda: schema.update({"deprecated": True}))
    words = in_words_of({edit.keyword: edit.value}, legacy=target.legacy)
    return _changed(schema, lambda: schema.update(words))


def _changed(schema: dict[str, Any], change: Any) -> bool:
    before = dict(schema)
    change()
    return not same_json(before, schema)


def _set(schema: dict[str, Any], keyword: str, value: object) -> None:
    if value is None:
        schema.pop(keyword, None)
    else:
        schema[keyword] = value


def _allow_values(target: Editable, schema: dict[str, Any], edit: AllowValues) -> None:
    if "const" in schema:
        schema["enum"] = [schema.pop("const")]
    known = schema.get("enum")
    if not isinstance(known, list):
        raise InapplicableEditError(f"{edit.place} enumerates no values, so all are allowed.")
    schema["enum"] = known + [
        value for value in edit.values if not any(same_json(value, other) for other in known)
    ]
    if None in edit.values and "type" in schema:
        allow_types(schema, ["null"], legacy=target.legacy)


def _refuse_values(schema: dict[str, Any], edit: RefuseValues) -> None:
    known = schema.get("enum")
    if isinstance(known, list):
        schema["enum"] = [
            value for value in known if not any(same_json(value, other) for other in edit.values)
        ]
        return
    refused = {"enum": list(edit.values)}
    held = schema.get("not")
    schema["not"] = refused if held is None else {"anyOf": [held, refused]}
