"""OpenAPI Overlay 1.0: a change as actions on the team's own document, and their application.

An overlay's target is a JSONPath that selects objects or lists, an update is merged into them. So a
value that is no object or list is removed by replacing what holds it. ``oas-patch`` applies overlays;
it passes over targets that match nothing and cannot merge into an item of a list, so targets are
checked here, and an item changes with its whole list.

Source: OpenAPI Overlay Specification 1.0.0, section 4.4; JSONPath is RFC 9535.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Final

from evolution_lab.errors import InvalidOverlayError
from evolution_lab.suggestions.json_patch import same_json

OVERLAY_VERSION: Final = "1.0.0"
EXTENSION: Final = "x-evolution-lab"
"""Where an overlay says which suggestion it is of, and for which tenant alone it holds."""

Path = tuple[str | int, ...]


def make_overlay(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    *,
    title: str,
    version: str = "1",
    about: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the overlay that makes ``after`` of ``before``.

    Args:
        before: The document as it is.
        after: The document as proposed.
        title: What the overlay does, one sentence.
        version: Version of the overlay: the suggestion's revision.
        about: What ``x-evolution-lab`` says, nothing where None.

    Raises:
        InvalidOverlayError: No overlay can say the change, or there is none.

    Examples:
        >>> overlay = make_overlay({"openapi": "3.1.0", "paths": {"/a": {"get": {}}}},
        ...     {"openapi": "3.1.0", "paths": {"/a": {"get": {"deprecated": True}}}}, title="Retire.")
        >>> overlay["actions"]
        [{'target': "$['paths']['/a']['get']", 'update': {'deprecated': True}}]
    """
    actions = _actions((), before, after)
    if actions is None:
        raise InvalidOverlayError("the change removes what no overlay target can select.")
    if not actions:
        raise InvalidOverlayError("nothing changes, an overlay must have at least one action.")
    return {
        "overlay": OVERLAY_VERSION,
        "info": {"title": title, "version": version},
        **({} if about is None else {EXTENSION: dict(about)}),
        "actions": copy.deepcopy(actions),
    }


def apply_overlay(document: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document with an overlay applied by ``oas-patch``; the document stays as it is.

    Raises:
        InvalidOverlayError: An action's target is no JSONPath, or selects no object or list.

    Examples:
        >>> apply_overlay({"paths": {}}, {"actions": [{"target": "$.path", "update": {}}]})
        Traceback (most recent call last):
        ...
        evolution_lab.errors.InvalidOverlayError: action 1: target '$.path' selects 0 objects or lists, must select at least one and nothing else.
    """
    from oas_patch.overlay import apply_overlay as apply_actions

    changed: dict[str, Any] = copy.deepcopy(dict(document))
    actions = overlay.get("actions")
    if not isinstance(actions, list) or not actions:
        raise InvalidOverlayError("it has no actions, must have at least one.")
    for number, action in enumerate(actions, start=1):
        target = action.get("target") if isinstance(action, Mapping) else None
        found = _selected(changed, target, number)
        if not found or not all(isinstance(value, dict | list) for value in found):
            count = sum(isinstance(value, dict | list) for value in found)
            raise InvalidOverlayError(
                f"action {number}: target {target!r} selects {count} objects or lists, "
                "must select at least one and nothing else."
            )
        try:
            changed = apply_actions(changed, {"actions": [copy.deepcopy(dict(action))]})
        except Exception as error:  # noqa: BLE001 - whatever the library meets in an odd overlay
            raise InvalidOverlayError(f"action {number} cannot be applied: {error}") from None
    return changed


def targets_matched(document: Mapping[str, Any], overlay: Mapping[str, Any]) -> list[int]:
    """Return how many objects or lists each action's target selects in the document as it comes.

    Actions apply in turn, so a target is counted in what those before it have left.

    Raises:
        InvalidOverlayError: A target is no JSONPath or an action cannot be applied.
    """
    counts = []
    current: dict[str, Any] = copy.deepcopy(dict(document))
    for number, action in enumerate(overlay.get("actions", ()), start=1):
        found = _selected(current, action["target"], number)
        counts.append(sum(isinstance(value, dict | list) for value in found))
        if counts[-1]:
            current = apply_overlay(current, {"actions": [action]})
    return counts


def json_path(path: Path) -> str:
    r"""Return the normalized JSONPath of a path of names and places (RFC 9535, section 2.7).

    Examples:
        >>> print(json_path(("paths", "/o'clock", "parameters", 0)))
        $['paths']['/o\'clock']['parameters'][0]
    """
    return "$" + "".join(
        f"[{part}]" if isinstance(part, int) else f"['{_escaped(part)}']" for part in path
    )


def _escaped(name: str) -> str:
    return name.replace("\\", "\\\\").replace("'", "\\'")


def _selected(document: Mapping[str, Any], target: object, number: int) -> list[Any]:
    from jsonpath_rfc9535 import JSONPathError, find

    if not isinstance(target, str):
        raise InvalidOverlayError(f"action {number}: target == {target!r}, must be a JSONPath.")
    try:
        return list(find(target, dict(document)).values())
    except JSONPathError as error:
        reason = " ".join(str(error).split())[:200]
        raise InvalidOverlayError(
            f"action {number}: target {target!r} is no JSONPath: {reason}"
        ) from None


def _actions(path: Path, before: Any, after: Any) -> list[dict[str, Any]] | None:
    """Return the actions that change the value at ``path``; None where it must be replaced."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        return _object_actions(path, before, after)
    if isinstance(before, list) and isinstance(after, list):
        return _list_actions(path, before, after)
    return None


def _object_actions(
    path: Path, before: Mapping[str, Any], after: Mapping[str, Any]
) -> list[dict[str, Any]] | None:
    actions: list[dict[str, Any]] = []
    update: dict[str, Any] = {}
    for name, old in before.items():
        if name in after and same_json(old, after[name]):
            continue
        below = _actions((*path, name), old, after[name]) if name in after else None
        if below is not None:
            actions += below
            continue
        if isinstance(old, Mapping | list):
            if not _selectable(name):
                return None
            actions.append({"target": json_path((*path, name)), "remove": True})
        elif name not in after:
            return None
        if name in after:
            update[name] = after[name]
    update |= {name: value for name, value in after.items() if name not in before}
    if update:
        if path and not _selectable(path[-1]):
            return None
        actions.append({"target": json_path(path), "update": update})
    return actions


def _list_actions(path: Path, before: list[Any], after: list[Any]) -> list[dict[str, Any]] | None:
    if len(after) < len(before):
        return None
    actions: list[dict[str, Any]] = []
    for place, (old, new) in enumerate(zip(before, after, strict=False)):
        if not same_json(old, new):
            below = _actions((*path, place), old, new)
            if below is None:
                return None
            actions += below
    added = after[len(before) :]
    if added and (not path or not _selectable(path[-1]) or any(isinstance(v, list) for v in added)):
        return None
    return actions + [{"target": json_path(path), "update": value} for value in added]


def _selectable(part: str | int) -> bool:
    """Say whether an action may target the member: by name, in a form all readers understand."""
    return isinstance(part, str) and part != "*" and part.isprintable()
