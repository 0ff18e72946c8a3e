"""Route templates without the names of their parameters.

Frameworks write one route in their own ways: ``/users/{id}``, ``/users/:id``, ``/users/<int:id>``,
``/files/{path:path}``. What they have in common is where the parameters are.
"""

from __future__ import annotations

import re
from typing import Final

_PARAMETER: Final = re.compile(r"\{[^{}/]*\}|<[^<>/]*>|(?<=/):[^/{}<>:]+")


def route_shape(name: str) -> str:
    """Return method and template with each parameter written ``{}``; other names as they are.

    A slash at the end does not count: frameworks redirect between the two.

    Examples:
        >>> [route_shape(f"GET {path}") for path in ("/users/{id}", "/users/:id", "/users/<int:id>/")]
        ['GET /users/{}', 'GET /users/{}', 'GET /users/{}']
        >>> route_shape("billing.createInvoice")
        'billing.createInvoice'
    """
    method, space, path = name.partition(" ")
    if not space or not path.startswith("/"):
        return name
    shape = _PARAMETER.sub("{}", path).rstrip("/") or "/"
    return f"{method.upper()} {shape}"
