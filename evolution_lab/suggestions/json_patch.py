"""JSON Patch (RFC 6902): what changed between two JSON documents, said as operations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from evolution_lab.suggestions.identity import pointer


def json_patch(before: Any, after: Any) -> list[dict[str, Any]]:
    """Return the operations that make ``after`` of ``before``; empty where they are equal.

    Objects are compared member by member. Lists that grew at their end are appended to, lists of
    one length compared item by item, all others replaced: a patch that moves items about is shorter
    but nobody reviews it.

    Examples:
        >>> json_patch({"required": ["sku"], "a": 1}, {"required": ["sku", "po"]})
        [{'op': 'remove', 'path': '/a'}, {'op': 'add', 'path': '/required/-', 'value': 'po'}]
    """
    return list(_operations((), before, after))


def apply_json_patch(document: Any, patch: Sequence[Mapping[str, Any]]) -> Any:
    """Return a document with a JSON Patch applied; the document itself stays as it is.

    Raises:
        jsonpatch.JsonPatchException: An operation does not fit the document.
        jsonpointer.JsonPointerException: A path points to nothing.

    Examples:
        >>> apply_json_patch({"a": 1}, [{"op": "add", "path": "/b", "value": 2}])
        {'a': 1, 'b': 2}
    """
    import jsonpatch

    return jsonpatch.apply_patch(document, [dict(operation) for operation in patch])


def same_json(one: Any, other: Any) -> bool:
    """Say whether two values are the same JSON; unlike in Python ``true`` is not 1.

    Examples:
        >>> same_json({"a": [1]}, {"a": [1.0]}), same_json(1, True)
        (True, False)
    """
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same_json(one[k], other[k]) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same_json, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return bool(one == other) and isinstance(one, str) == isinstance(other, str)


def _operations(path: tuple[str, ...], before: Any, after: Any) -> Iterator[dict[str, Any]]:
    if same_json(before, after):
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in before:
            if name not in after:
                yield {"op": "remove", "path": pointer(*path, name)}
        for name, value in after.items():
            if name in before:
                yield from _operations((*path, name), before[name], value)
            else:
                yield {"op": "add", "path": pointer(*path, name), "value": value}
    elif isinstance(before, list) and isinstance(after, list) and len(before) <= len(after):
        for place, (old, new) in enumerate(zip(before, after, strict=False)):
            yield from _operations((*path, str(place)), old, new)
        for value in after[len(before) :]:
            yield {"op": "add", "path": pointer(*path, "-"), "value": value}
    else:
        yield {"op": "replace", "path": pointer(*path), "value": after}
