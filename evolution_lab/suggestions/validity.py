"""Whether a changed document is still valid OpenAPI."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_MOST: Final = 20


def new_faults(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return what ``openapi-spec-validator`` finds in one document and not in the other.

    A team's document may have faults of its own; they are not the change's business.

    Returns:
        At most 20 faults, each with its place; empty where the change brings none.

    Examples:
        >>> source = {"openapi": "3.1.0", "info": {"title": "A", "version": "1"}, "paths": {}}
        >>> new_faults(source, source)
        []
        >>> len(new_faults(source, {**source, "paths": []}))
        1
    """
    found = _faults(after)
    if not found:
        return []
    known = set(_faults(before))
    return [fault for fault in found if fault not in known]


def _faults(document: Mapping[str, Any]) -> list[str]:
    from openapi_spec_validator import OpenAPIV30SpecValidator, OpenAPIV31SpecValidator

    legacy = str(document.get("openapi", "")).startswith("3.0")
    validator = OpenAPIV30SpecValidator if legacy else OpenAPIV31SpecValidator
    faults: list[str] = []
    try:
        for error in validator(dict(document)).iter_errors():
            place = "".join(f"/{part}" for part in getattr(error, "absolute_path", ()))
            faults.append(f"{place or '/'}: {' '.join(str(error.args[0]).split())[:300]}")
            if len(faults) == _MOST:
                break
    except Exception as error:  # noqa: BLE001 - a document it cannot walk is a fault too
        faults.append(f"/: {type(error).__name__}: {' '.join(str(error).split())[:300]}")
    return faults
