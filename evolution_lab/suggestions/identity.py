"""What makes two suggestions the same one: what they ask for, never what was measured."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from evolution_lab.records import OperationRef, SpecSuggestion, Target

ID_DIGITS: Final = 32
"""Hexadecimal digits of a suggestion's id."""


def canonical_json(value: object) -> bytes:
    """Return JSON with sorted keys and no spaces: equal values give equal bytes.

    Raises:
        ValueError: The value holds NaN or an infinity, which JSON cannot say.
        TypeError: The value holds something JSON cannot say.

    Examples:
        >>> canonical_json({"b": 1, "a": [None, True]})
        b'{"a":[null,true],"b":1}'
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode("ascii")


def json_ready(value: Any) -> Any:
    """Return a value as JSON can say it: text keys, lists, ISO times; None for NaN and infinities.

    Evidence comes from detectors of any origin, and a single odd value must not spoil the rest;
    what JSON has no form for becomes text.

    Examples:
        >>> json_ready({"rate": float("nan"), "span": (1, 2)})
        {'rate': None, 'span': [1, 2]}
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): json_ready(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_ready(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    item = getattr(value, "item", None)
    return json_ready(item()) if callable(item) else str(value)


def suggestion_id(target: Target, change_type: str, ask: Mapping[str, Any]) -> str:
    """Return the id of a suggestion: a hash of operation, path, change type and canonical change.

    Args:
        target: What would change; its operation counts with service, version and tenant.
        change_type: ``new-spec``, ``revision``, ``policy-update`` or ``schema-update``.
        ask: The canonical change: the change without any measured number.

    Returns:
        32 hexadecimal digits (BLAKE2b, 16 bytes), the same in every process.

    Examples:
        >>> target = Target(operation=OperationRef("checkout"), path="/errors/E1")
        >>> suggestion_id(target, "revision", {"declare": "E1"})[:8]
        '399dcddf'
    """
    op = target.operation
    identity = None if op is None else [op.service, op.key, op.version, op.tenant_id]
    content = canonical_json([identity, target.path, change_type, ask])
    return hashlib.blake2b(content, digest_size=ID_DIGITS // 2).hexdigest()


def subject_of(suggestion: SpecSuggestion) -> OperationRef | None:
    """Return the operation a suggestion is counted under: its target, or a draft's first step.

    The limit of suggestions open at once is kept per subject. None for a new operation whose draft
    names no steps.
    """
    if suggestion.target.operation is not None:
        return suggestion.target.operation.without_tenant()
    steps = (suggestion.proposal.spec or {}).get("steps")
    if not isinstance(steps, list) or not steps or not isinstance(steps[0], Mapping):
        return None
    key = steps[0].get("key")
    if not isinstance(key, str) or not key:
        return None
    return OperationRef(key, service=steps[0].get("service"), version=steps[0].get("version"))


def pointer(*parts: str) -> str:
    """Return a JSON Pointer (RFC 6901) to the member named by ``parts``.

    Examples:
        >>> pointer("errors", "a/b~c")
        '/errors/a~1b~0c'
    """
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)


def points_into(document: object, path: str) -> bool:
    """Say whether a JSON Pointer names a member of a document.

    Examples:
        >>> points_into({"policy": {"retry": {}}}, "/policy/retry")
        True
        >>> points_into({"policy": {}}, "/policy/retry")
        False
    """
    if path == "":
        return True
    if not path.startswith("/"):
        return False
    for part in path[1:].split("/"):
        name = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(document, Mapping) or name not in document:
            return False
        document = document[name]
    return True
