"""What a change does to a spec's document: the changed document and a unified diff."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Any


def merge_patch(document: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document with a JSON Merge Patch (RFC 7396) applied; None removes a member.

    Examples:
        >>> merge_patch({"a": 1, "b": {"c": 2}}, {"a": None, "b": {"d": 3}})
        {'b': {'c': 2, 'd': 3}}
    """
    merged = dict(document)
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, Mapping):
            below = merged.get(name)
            merged[name] = merge_patch(below if isinstance(below, Mapping) else {}, value)
        else:
            merged[name] = value
    return merged


def unified_diff(
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any],
    *,
    name: str,
    in_order: bool = False,
) -> str:
    """Return the unified diff of two documents as indented JSON with sorted keys.

    Args:
        before: The document as it is; None where there is none yet (``/dev/null``).
        after: The document as proposed.
        name: The file name shown in the header; on one line.
        in_order: Keep the documents' own order of keys, as a reader of the file knows it.

    Examples:
        >>> print(unified_diff({"a": 1}, {"a": 2}, name="spec.json"))
        --- a/spec.json
        +++ b/spec.json
        @@ -1,3 +1,3 @@
         {
        -  "a": 1
        +  "a": 2
         }
        <BLANKLINE>
    """
    old = [] if before is None else _lines(before, in_order=in_order)
    new = _lines(after, in_order=in_order)
    origin = "/dev/null" if before is None else f"a/{name}"
    return "\n".join([*difflib.unified_diff(old, new, origin, f"b/{name}", lineterm=""), ""])


def _lines(document: Mapping[str, Any], *, in_order: bool) -> list[str]:
    # ASCII only: a diff is shown in terminals, where text from traffic must not be obeyed.
    return json.dumps(document, indent=2, sort_keys=not in_order).splitlines()
