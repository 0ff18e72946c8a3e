"""Which operation a span is, by OpenTelemetry's semantic conventions, old spellings included.

What says more goes first: GraphQL before HTTP (else every query is ``POST /graphql``), then RPC,
messaging, database, and the span's own name. A raw path is never a name: without a route it is
templated and marked ``derived``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from evolution_lab.telemetry.naming import shortened, template_path

Attributes = Mapping[str, Any]
Named = tuple[str, str, str | None]
"""Operation key, where it comes from (one of ``schemas.NAME_SOURCES``), channel."""

LONGEST_NAME: Final = 300
_METHOD = re.compile(r"[A-Za-z][A-Za-z-]{0,19}")
_PATH_IN_NAME = re.compile(r"((?:[A-Z]{3,10} )?)(/\S*|https?://\S+)")


def operation_name(name: str, kind: str | None, a: Attributes) -> Named:
    """Return the operation key of a span, where it comes from, and the channel.

    Args:
        name: The span's own name.
        kind: The span's kind; a client's route is ``url.template``.
        a: The span's attributes.

    Examples:
        >>> operation_name("x", "server", {"http.method": "GET", "http.route": "/users/{id}"})
        ('GET /users/{id}', 'route', 'rest')
        >>> operation_name("GET /users/7", "server", {})
        ('GET /users/{id}', 'derived', None)
    """
    if "graphql.operation.type" in a or "graphql.operation.name" in a:
        key = _words(" ", a.get("graphql.operation.type"), a.get("graphql.operation.name"))
        if key:
            return key, "graphql", "graphql"
    method = a.get("http.request.method") or a.get("http.method")
    if method:
        return _http_name(name, kind, _method(str(method)), a)
    if "rpc.method" in a or "rpc.service" in a:
        key = _rpc_name(a)
        if key:
            return key, "rpc", "rpc"
    if "messaging.system" in a or "messaging.destination.name" in a:
        key = _words(" ", _messaging_operation(a), _destination(a))
        if key:
            return key, "messaging", "worker"
    if "db.operation.name" in a or "db.operation" in a or "db.query.summary" in a:
        operation = a.get("db.operation.name") or a.get("db.operation")
        collection = a.get("db.collection.name") or a.get("db.sql.table")
        words = (operation, collection) if operation else (a.get("db.query.summary"),)
        key = _words(" ", *words)
        if key:
            return key, "db", None
    return _own_name(name, None)


def _http_name(name: str, kind: str | None, method: str, a: Attributes) -> Named:
    if kind == "client":
        route = a.get("url.template") or a.get("http.route")
    else:
        route = a.get("http.route") or a.get("url.template")
    if route:
        key = f"{method} {route}"
        return key if len(key) <= LONGEST_NAME else shortened(key, LONGEST_NAME), "route", "rest"
    path = a.get("url.path") or a.get("http.target") or a.get("url.full") or a.get("http.url")
    if path:
        return f"{method} {template_path(str(path))}", "derived", "rest"
    return _own_name(name or method, "rest")


def _rpc_name(a: Attributes) -> str:
    method = str(a.get("rpc.method") or "")
    # Since 1.38 of the conventions the method carries its service.
    service = None if "/" in method else a.get("rpc.service")
    return _words("/", service, method)


def _method(method: str) -> str:
    """Return a method in capitals; for ``_OTHER`` and what is no word, ``HTTP``."""
    return method.upper() if _METHOD.fullmatch(method) else "HTTP"


def _messaging_operation(a: Attributes) -> object:
    return (
        a.get("messaging.operation.name")
        or a.get("messaging.operation.type")
        or a.get("messaging.operation")
    )


def _destination(a: Attributes) -> object:
    """Return where a message goes; destinations made for one answer are one."""
    template = a.get("messaging.destination.template")
    if template:
        return template
    for short_lived in ("temporary", "anonymous"):
        if a.get(f"messaging.destination.{short_lived}") is True:
            return f"({short_lived})"
    return a.get("messaging.destination.name") or a.get("messaging.destination")


def _own_name(name: str, channel: str | None) -> Named:
    key, source = _without_path(name)
    return key, source, channel


@lru_cache(maxsize=4096)
def _without_path(name: str) -> tuple[str, str]:
    """Template the raw path that some instrumentations put into a span's name."""
    found = _PATH_IN_NAME.fullmatch(name)
    if found is not None:
        templated = found[1] + template_path(found[2])
        if templated != name:
            return templated, "derived"
    return shortened(name, LONGEST_NAME), "span"


def _words(separator: str, *parts: object) -> str:
    return shortened(separator.join(str(part) for part in parts if part), LONGEST_NAME)
