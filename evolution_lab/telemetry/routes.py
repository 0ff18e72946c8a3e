"""The route template that a framework matched, in the spelling its OpenTelemetry package uses.

So that a service's operations have one name, whether its spans or this middleware named them:
``/users/{id}`` from FastAPI and Starlette, ``/users/<int:id>`` from Flask, ``users/<int:pk>/`` from
Django.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from typing import Any


def matched_route(protocol: str, request: Mapping[str, Any], *, django: bool = False) -> str | None:
    """Return the template that the framework matched for a scope or an environment, or None.

    Looked for where frameworks leave it: ``scope["route"]`` (Starlette, FastAPI), the request that
    Werkzeug puts into the environment (Flask), Django's resolver.

    Args:
        protocol: ``asgi`` or ``wsgi``.
        request: The scope or the environment, after the application has answered.
        django: Whether Django's own handler served it.

    Examples:
        >>> matched_route("asgi", {"path": "/users/7"}) is None
        True
    """
    if django:
        return _django_route(protocol, request)
    if protocol == "asgi":
        route = request.get("route")
        path = getattr(route, "path_format", None) or getattr(route, "path", None)
    else:
        path = getattr(getattr(request.get("werkzeug.request"), "url_rule", None), "rule", None)
    return str(path) if path else None


def is_django_handler(app: object) -> bool:
    """Say whether an application is Django's own ASGI or WSGI handler."""
    base = sys.modules.get("django.core.handlers.base")
    return base is not None and isinstance(app, base.BaseHandler)


def _django_route(protocol: str, request: Mapping[str, Any]) -> str | None:
    urls = importlib.import_module("django.urls")
    if protocol == "asgi":
        path = str(request.get("path", "/")).removeprefix(str(request.get("root_path", "")))
    else:
        raw = str(request.get("PATH_INFO", "/"))
        path = raw.encode("latin-1", "replace").decode("utf-8", "replace")
    try:
        return str(urls.resolve(path).route) or None
    except urls.Resolver404:
        return None
