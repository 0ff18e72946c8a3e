"""References inside a document: ``{"$ref": "#/components/schemas/Order"}``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote

from evolution_lab.errors import InvalidDocumentError

REF: Final = "$ref"


def pointer(*tokens: str) -> str:
    """Return the JSON Pointer (RFC 6901) of a path of keys.

    Examples:
        >>> pointer("paths", "/orders/{id}", "get")
        '/paths/~1orders~1{id}/get'
    """
    return "".join("/" + token.replace("~", "~0").replace("/", "~1") for token in tokens)


def local_pointer(reference: object) -> str:
    """Return the JSON Pointer of a reference that points into its own document.

    Raises:
        InvalidDocumentError: It points elsewhere, or to an anchor.

    Examples:
        >>> local_pointer("#/paths/~1orders~1%7Bid%7D/get")
        '/paths/~1orders~1{id}/get'
    """
    if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
        raise InvalidDocumentError(
            f"$ref == {reference!r}, must point into its own document: '#/components/…'. "
            "Bundle the document into one file first."
        )
    return unquote(reference[1:])


def at_pointer(document: object, path: str) -> Any:
    """Return what a JSON Pointer points to.

    Raises:
        InvalidDocumentError: Nothing is there.
    """
    value = document
    for token in path.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, Mapping) and name in value:
            value = value[name]
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            raise InvalidDocumentError(f"'#{path}' points to nothing: there is no {name!r}.")
    return value


def resolved(document: Mapping[str, Any], value: object) -> Any:
    """Return an object of the document, references followed to their end.

    Raises:
        InvalidDocumentError: A reference points elsewhere, to nothing, or in a circle.
    """
    seen: list[str] = []
    while isinstance(value, Mapping) and REF in value:
        path = local_pointer(value[REF])
        if path in seen:
            raise InvalidDocumentError(f"references go in a circle: {' → '.join([*seen, path])}.")
        seen.append(path)
        value = at_pointer(document, path)
    return value
