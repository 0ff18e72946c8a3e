"""Paths in recorded calls as places of a spec, and in words."""

from __future__ import annotations

from typing import Final

from evolution_lab.suggestions.edits import ITEMS, Place
from evolution_lab.suggestions.traffic.values import ITEM, Path
from evolution_lab.suggestions.wording import name_of

_PARTS: Final = {"path": "path", "query": "query", "header": "header", "cookie": "cookie"}


def request_place(path: Path, *, http: bool) -> Place:
    """Return the place of an input's path; what is not HTTP is all body.

    Examples:
        >>> str(request_place(("body", "items", "[]", "sku"), http=True))
        'body.items[].sku'
        >>> str(request_place(("sku",), http=False)), str(request_place(("query", "q"), http=True))
        ('body.sku', 'query.q')
    """
    names = tuple(ITEMS if name == ITEM else name for name in path)
    if not http:
        return Place(part="body", path=names)
    part = _PARTS.get(names[0], "body") if names else "body"
    return Place(part=part, path=names[1:])  # type: ignore[arg-type]


def response_place(path: Path, status: int | None) -> Place:
    """Return the place of an answer's path."""
    names = tuple(ITEMS if name == ITEM else name for name in path)
    return Place(part="response", path=names, status=str(status or 200))


def shown(path: Path) -> str:
    """Return a path as people write it; the body is not named.

    Examples:
        >>> shown(("body", "items", "[]", "sku")), shown(("query", "limit")), shown(())
        ('items[].sku', 'query.limit', 'the body')
    """
    parts = path[1:] if path[:1] == ("body",) else path
    return name_of(".".join(parts).replace(f".{ITEM}", ITEM)) or "the body"
