"""Edits of a spec: what a change does, said once for OpenAPI documents and for specs in Python.

An edit names a place by what callers see (part of the request or response, then names of fields),
never by where a document happens to write it: references, compositions and versions of OpenAPI are
the business of whoever applies it (``document_edits``, ``spec_edits``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Final, Literal

from evolution_lab.suggestions.identity import json_ready, pointer

Part = Literal["path", "query", "header", "cookie", "body", "response"]
JsonType = Literal["string", "integer", "number", "boolean", "object", "array", "null"]
Limit = Literal[
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "multipleOf",
    "pattern",
]
ITEMS: Final = "*"
"""In a path: every item of a list, every value of a map."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A place in what callers send or get.

    Attributes:
        part: Which part; ``body`` is the request's.
        path: Names of fields from there, ``*`` for every item; the first is the parameter's name
            for ``path``, ``query``, ``header`` and ``cookie``.
        status: HTTP status of the response, ``200`` unless given; None for requests.

    Examples:
        >>> str(Place(part="body", path=("lines", "*", "sku")))
        'body.lines[].sku'
        >>> str(Place(part="response", path=("restockedOn",), status="200"))
        'response 200.restockedOn'
    """

    part: Part
    path: tuple[str, ...] = ()
    status: str | None = None

    @property
    def pointer(self) -> tuple[str, ...]:
        """Names from the top of the changed part down to the place."""
        if self.part == "response":
            return ("response", self.status or "200", *self.path)
        return ("request", self.part, *self.path)

    def __str__(self) -> str:
        head = f"response {self.status or '200'}" if self.part == "response" else self.part
        return head + "".join("[]" if name == ITEMS else f".{name}" for name in self.path)


@dataclass(frozen=True, kw_only=True)
class DeclareField:
    """Declare a field that traffic carries and the spec does not know.

    Attributes:
        place: The field itself; its parent is declared already.
        schema: Its JSON Schema 2020-12.
        required: Whether every object has it.
    """

    name: ClassVar[str] = "declare-field"
    measured: ClassVar[tuple[str, ...]] = ("schema",)
    place: Place
    schema: Mapping[str, Any] = field(default_factory=dict)
    required: bool = False


@dataclass(frozen=True, kw_only=True)
class AllowTypes:
    """Let a field have further types; ``null`` makes it nullable."""

    name: ClassVar[str] = "allow-types"
    measured: ClassVar[tuple[str, ...]] = ()
    place: Place
    types: tuple[JsonType, ...]


@dataclass(frozen=True, kw_only=True)
class AllowValues:
    """Let an enumerated field have further values."""

    name: ClassVar[str] = "allow-values"
    measured: ClassVar[tuple[str, ...]] = ()
    place: Place
    values: tuple[Any, ...]


@dataclass(frozen=True, kw_only=True)
class RefuseValues:
    """Take single values no longer: out of the enumeration, or refused by ``not`` without one."""

    name: ClassVar[str] = "refuse-values"
    measured: ClassVar[tuple[str, ...]] = ()
    place: Place
    values: tuple[Any, ...]


@dataclass(frozen=True, kw_only=True)
class SetFormat:
    """Declare the format of a text, or withdraw one that values do not have (None)."""

    name: ClassVar[str] = "set-format"
    measured: ClassVar[tuple[str, ...]] = ()
    place: Place
    format: str | None


@dataclass(frozen=True, kw_only=True)
class RequireField:
    """Make a field or parameter required, or the body where the place has no path."""

    name: ClassVar[str] = "require-field"
    measured: ClassVar[tuple[str, ...]] = ()
    place: Place


@dataclass(frozen=True, kw_only=True)
class RelaxField:
    """Make a required field or parameter optional."""

    name: ClassVar[str] = "relax-field"
    measured: ClassVar[tuple[str, ...]] = ()
    place: Place


@dataclass(frozen=True, kw_only=True)
class SetLimit:
    """Limit a field's length, range or number of items.

    Attributes:
        place: The field.
        keyword: The JSON Schema keyword.
        value: The limit, a number or (for ``pattern``) a regular expression.
    """

    name: ClassVar[str] = "set-limit"
    measured: ClassVar[tuple[str, ...]] = ("value",)
    place: Place
    keyword: Limit
    value: float | int | str


@dataclass(frozen=True, kw_only=True)
class DeprecateField:
    """Mark a field or parameter that nobody sends any more as deprecated."""

    name: ClassVar[str] = "deprecate-field"
    measured: ClassVar[tuple[str, ...]] = ()
    place: Place


@dataclass(frozen=True, kw_only=True)
class AddParameter:
    """Add a parameter, such as the limit of a page.

    Attributes:
        place: Part and name, such as ``Place(part="query", path=("limit",))``.
        schema: Its JSON Schema 2020-12.
        required: Whether every call must send it.
        description: One sentence for callers.
    """

    name: ClassVar[str] = "add-parameter"
    measured: ClassVar[tuple[str, ...]] = ("schema", "description")
    place: Place
    schema: Mapping[str, Any] = field(default_factory=dict)
    required: bool = False
    description: str | None = None


@dataclass(frozen=True, kw_only=True)
class DeclareError:
    """Declare an error that callers get.

    Attributes:
        code: Its code; the status as text where it has no other.
        status: HTTP status it is answered with; None where that is not known.
        when: One sentence: what leads to it.
    """

    name: ClassVar[str] = "declare-error"
    measured: ClassVar[tuple[str, ...]] = ("when",)
    code: str
    status: int | None = None
    when: str | None = None


@dataclass(frozen=True, kw_only=True)
class DeclareResponse:
    """Declare a response that callers get.

    Attributes:
        status: Its HTTP status.
        description: One sentence: when.
        schema: JSON Schema 2020-12 of its body; None without one.
    """

    name: ClassVar[str] = "declare-response"
    measured: ClassVar[tuple[str, ...]] = ("schema", "description")
    status: int
    description: str
    schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class SetExtension:
    """State how an operation is run: ``policy``, ``rollout``, ``lifecycle`` and what is below them.

    An OpenAPI document has it under ``x-policy``, ``x-rollout`` …

    Attributes:
        path: Names from there, such as ``("policy", "latency", "timeoutMs")``.
        value: A JSON value; an object is merged into what is there.
    """

    name: ClassVar[str] = "set-extension"
    measured: ClassVar[tuple[str, ...]] = ("value",)
    path: tuple[str, ...]
    value: Any


@dataclass(frozen=True, kw_only=True)
class Deprecate:
    """Mark the operation as deprecated."""

    name: ClassVar[str] = "deprecate"
    measured: ClassVar[tuple[str, ...]] = ()


@dataclass(frozen=True, kw_only=True)
class AddOperation:
    """Add an operation.

    Attributes:
        method: HTTP method.
        path: Path template, new or known.
        draft: The operation as an ``OperationSpec`` document: ``key``, ``goal``, ``inputSchema``,
            ``outputSchema``, ``errors``, ``policy``, and ``steps`` of a composite.
    """

    name: ClassVar[str] = "add-operation"
    measured: ClassVar[tuple[str, ...]] = ("draft",)
    method: str
    path: str
    draft: Mapping[str, Any]


Edit = (
    DeclareField
    | AllowTypes
    | AllowValues
    | RefuseValues
    | SetFormat
    | RequireField
    | RelaxField
    | SetLimit
    | DeprecateField
    | AddParameter
    | DeclareError
    | DeclareResponse
    | SetExtension
    | Deprecate
    | AddOperation
)


def edit_document(edit: Edit, *, measured: bool = True) -> dict[str, Any]:
    """Return an edit as a JSON object.

    Args:
        edit: The edit.
        measured: Whether what was measured is in it; without, it is the canonical form that goes
            into a suggestion's id.

    Examples:
        >>> edit = SetLimit(place=Place(part="body", path=("items",)), keyword="maxItems", value=200)
        >>> edit_document(edit, measured=False)
        {'edit': 'set-limit', 'place': ['request', 'body', 'items'], 'keyword': 'maxItems'}
    """
    shown: dict[str, Any] = {"edit": edit.name}
    for entry in fields(edit):
        if entry.name in edit.measured and not measured:
            continue
        value = getattr(edit, entry.name)
        shown[entry.name] = list(value.pointer) if isinstance(value, Place) else json_ready(value)
    return shown


def ask_of(edits: Iterable[Edit]) -> dict[str, Any]:
    """Return the canonical form of a change: its edits without what was measured."""
    return {"edits": [edit_document(edit, measured=False) for edit in edits]}


def place_of(edit: Edit) -> tuple[str, ...]:
    """Return where in the changed part an edit stands, as names from the top."""
    if isinstance(edit, SetExtension):
        return edit.path
    if isinstance(edit, DeclareError):
        return ("errors", edit.code)
    if isinstance(edit, DeclareResponse):
        return ("response", str(edit.status))
    if isinstance(edit, Deprecate):
        return ("policy", "deprecated")
    if isinstance(edit, AddOperation):
        return ("operation", f"{edit.method.upper()} {edit.path}")
    return edit.place.pointer


def changed_part(edits: Sequence[Edit]) -> dict[str, Any]:
    """Return what a change is about as one tree, for people: places with what becomes of them.

    Examples:
        >>> changed_part([RequireField(place=Place(part="body", path=("poNumber",)))])
        {'request': {'body': {'poNumber': {'required': True}}}}
    """
    tree: dict[str, Any] = {}
    for edit in edits:
        *above, last = place_of(edit)
        node = tree
        for name in above:
            below = node.get(name)
            node[name] = node = below if isinstance(below, dict) else {}
        said = _said(edit)
        known = node.get(last)
        if isinstance(known, dict) and isinstance(said, dict):
            said = {**known, **said}
        node[last] = said
    return tree


def path_of(edits: Sequence[Edit]) -> str:
    """Return the JSON Pointer of a change in its ``changed_part``: the place of its first edit.

    Examples:
        >>> path_of([RequireField(place=Place(part="body", path=("poNumber",)))])
        '/request/body/poNumber'
    """
    return pointer(*place_of(edits[0]))


def _said(edit: Edit) -> Any:  # noqa: C901 - one line a kind
    if isinstance(edit, DeclareField | AddParameter):
        return {"schema": json_ready(edit.schema), "required": edit.required}
    if isinstance(edit, AllowTypes):
        return {"alsoTypes": list(edit.types)}
    if isinstance(edit, AllowValues):
        return {"alsoValues": json_ready(edit.values)}
    if isinstance(edit, RefuseValues):
        return {"notValues": json_ready(edit.values)}
    if isinstance(edit, SetFormat):
        return {"format": edit.format}
    if isinstance(edit, RequireField | RelaxField):
        return {"required": isinstance(edit, RequireField)}
    if isinstance(edit, SetLimit):
        return {edit.keyword: edit.value}
    if isinstance(edit, DeprecateField):
        return {"deprecated": True}
    if isinstance(edit, DeclareError):
        known = {"http": edit.status, "when": edit.when}
        return {name: value for name, value in known.items() if value is not None}
    if isinstance(edit, DeclareResponse):
        schema = {} if edit.schema is None else {"schema": json_ready(edit.schema)}
        return {"description": edit.description, **schema}
    if isinstance(edit, SetExtension):
        return json_ready(edit.value)
    return True if isinstance(edit, Deprecate) else json_ready(edit.draft)
