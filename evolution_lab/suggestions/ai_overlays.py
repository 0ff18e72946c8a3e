"""What a language model may propose: actions on the team's document, checked like every overlay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from evolution_lab.contracts import OpenApiDocument
from evolution_lab.contracts.breaking import SpecDifference, spec_differences
from evolution_lab.errors import InputError, InvalidOverlayError
from evolution_lab.suggestions.component_users import operations_using
from evolution_lab.suggestions.differences import unified_diff
from evolution_lab.suggestions.identity import pointer
from evolution_lab.suggestions.json_patch import json_patch
from evolution_lab.suggestions.overlays import OVERLAY_VERSION, apply_overlay
from evolution_lab.suggestions.validity import new_faults

_MOST_ACTIONS: Final = 50


@dataclass(frozen=True, kw_only=True)
class DraftedAction:
    """One action of an OpenAPI Overlay 1.0.

    Attributes:
        target: JSONPath (RFC 9535) that selects objects or lists of the document as it is.
        update: Merged into each object selected, appended to each list; None where it is removed.
        remove: Whether what is selected goes away.
    """

    target: str
    update: dict[str, Any] | None = None
    remove: bool = False


@dataclass(frozen=True, kw_only=True)
class DraftedChange:
    """A change of a document that was applied, is valid, and concerns one operation alone.

    Attributes:
        overlay: OpenAPI Overlay 1.0.
        diff: Unified diff of both documents.
        json_patch: RFC 6902, from the source to the changed document.
        differences: What the change means for callers.
        lasting: Whether taking it back would break callers.
    """

    overlay: Mapping[str, Any]
    diff: str = field(repr=False)
    json_patch: tuple[Mapping[str, Any], ...]
    differences: tuple[SpecDifference, ...]
    lasting: bool


def check_draft(
    actions: Sequence[DraftedAction],
    document: OpenApiDocument,
    *,
    route: str | None,
    title: str,
) -> DraftedChange:
    """Return what drafted actions do to a document, or refuse them.

    Args:
        actions: What the model proposes.
        document: The team's own document; it stays as it is.
        route: The operation, as ``operationId`` or method and template; None for a new one.
        title: What the overlay does, one sentence.

    Raises:
        InvalidOverlayError: An action does not apply, the changed document has a new fault, or
            something other than the operation would change; the message says which.

    Examples:
        >>> document = OpenApiDocument.load({"openapi": "3.1.0", "info": {"title": "A",
        ...     "version": "1"}, "paths": {"/a": {"get": {"responses": {}}}}})
        >>> action = DraftedAction(target="$.info", update={"title": "B"})
        >>> check_draft([action], document, route="GET /a", title="Rename.")
        Traceback (most recent call last):
        ...
        evolution_lab.errors.InvalidOverlayError: it changes /info/title, must change GET /a alone.
    """
    if len(actions) > _MOST_ACTIONS:
        raise InvalidOverlayError(f"{len(actions)} actions, must be at most {_MOST_ACTIONS}.")
    for name in _foreign_references([action.update for action in actions]):
        # Checked first: a validator would fetch it.
        raise InvalidOverlayError(f"$ref == {name!r}, must stay within the document: '#/…'.")
    overlay = {
        "overlay": OVERLAY_VERSION,
        "info": {"title": title, "version": "1"},
        "actions": [_action(action) for action in actions],
    }
    changed = apply_overlay(document.content, overlay)
    patch = json_patch(document.content, changed)
    if not patch:
        raise InvalidOverlayError("nothing changes, an overlay must change something.")
    faults = new_faults(document.content, changed)
    if faults:
        raise InvalidOverlayError(f"the changed document is not valid: {faults[0]}")
    for operation in patch:
        _check_reach(operation, document, route)
    try:
        after = OpenApiDocument.load(changed)
        differences, lasting = _meaning(document, after, route)
    except (InputError, KeyError) as error:
        raise InvalidOverlayError(f"the changed document cannot be read: {error}") from None
    return DraftedChange(
        overlay=overlay,
        diff=unified_diff(document.content, changed, name="openapi.json", in_order=True),
        json_patch=tuple(patch),
        differences=differences,
        lasting=lasting,
    )


def _action(action: DraftedAction) -> dict[str, Any]:
    if action.remove == (action.update is not None):
        raise InvalidOverlayError(
            f"action on {action.target!r}: must either update or remove, and not both."
        )
    if action.remove:
        return {"target": action.target, "remove": True}
    return {"target": action.target, "update": action.update}


def _check_reach(change: Mapping[str, Any], document: OpenApiDocument, route: str | None) -> None:
    """Refuse what lies outside the operation: additions apart, everybody else keeps their spec."""
    path = str(change["path"])
    if route is None:
        allowed = change["op"] == "add" and _is_new(path, ("paths", "components"))
    else:
        operation = document.operation(route)
        own = pointer("paths", operation.path, operation.method.lower())
        component = "/".join(path.split("/")[:4])
        allowed = (
            (
                path.startswith(own + "/")
                and path[len(own) + 1 :].split("/", maxsplit=1)[0] not in _NOT_ASKED
            )
            or (change["op"] == "add" and _is_new(path, ("components",)))
            or (
                path.startswith("/components/")
                and operations_using(document, component) == (operation.route,)
            )
        )
    if not allowed:
        what = f"{route} alone" if route is not None else "nothing that is there already"
        raise InvalidOverlayError(f"it changes {path}, must change {what}.")


def _is_new(path: str, sections: Sequence[str]) -> bool:
    """Say whether an addition is a whole component, path or operation that was not there."""
    parts = path.split("/")[1:]
    if parts[0] not in sections or len(parts) > 3:
        return False
    if parts[0] == "paths":
        return len(parts) == 2 or (len(parts) == 3 and parts[2] in _METHODS)
    return len(parts) <= 3


_NOT_ASKED: Final = frozenset({"servers", "security", "callbacks"})
"""Members of an operation that traffic says nothing about, and that say where data goes."""
_METHODS: Final = frozenset({"get", "put", "post", "delete", "options", "head", "patch", "trace"})


def _meaning(
    before: OpenApiDocument, after: OpenApiDocument, route: str | None
) -> tuple[tuple[SpecDifference, ...], bool]:
    if route is not None:
        known = before.operation(route)
        old, new = before.spec(known.route), after.spec(known.route)
        back = spec_differences(new, old)
        return spec_differences(old, new), any(difference.breaking for difference in back)
    there = {operation.route for operation in before.operations}
    added = [operation.route for operation in after.operations if operation.route not in there]
    found = [each for name in added for each in spec_differences(None, after.spec(name))]
    return tuple(found), bool(added)


def _foreign_references(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            if name == "$ref" and not (isinstance(item, str) and item.startswith("#/")):
                yield str(item)
            yield from _foreign_references(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _foreign_references(item)


def texts_of(value: object) -> Iterator[str]:
    """Yield every text in a JSON value, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield str(name)
            yield from texts_of(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts_of(item)
