"""Who a call is assigned by: the user, else the organisation, else an anonymous id."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Final, NamedTuple

from evolution_lab.contracts import HandlerContext
from evolution_lab.experiments.definition import UnitKind

_ORDER: Final[tuple[UnitKind, ...]] = ("user", "organisation", "anonymous")
ANONYMOUS_ID: Final = "anonymous_id"
"""Name in ``HandlerContext.metadata`` of the id that a visitor carries before signing in."""


class Unit(NamedTuple):
    """Who is assigned.

    Attributes:
        kind: What the id is of.
        id: The id; it is hashed as it is, so that other services assign the same.
    """

    kind: UnitKind
    id: str


def resolve_unit(context: HandlerContext, kind: UnitKind = "user") -> Unit | None:
    """Return the unit of a call, None for a call without any: it gets the control, uncounted.

    Args:
        context: The call's surroundings.
        kind: The first kind that is looked for: a ``user`` falls back to the organisation, that to
            the anonymous id. A ``request`` is its own unit, by its trace where it has one.

    Examples:
        >>> resolve_unit(HandlerContext(user_id="u-7", tenant_id="acme"))
        Unit(kind='user', id='u-7')
        >>> resolve_unit(HandlerContext(tenant_id="acme"))
        Unit(kind='organisation', id='acme')
        >>> resolve_unit(HandlerContext()) is None
        True
    """
    if kind == "request":
        return Unit("request", context.trace_id or secrets.token_hex(16))
    for name in _ORDER[_ORDER.index(kind) :]:
        found = _id(context, name)
        if isinstance(found, str) and found:
            return Unit(name, found)
    return None


def _id(context: HandlerContext, kind: UnitKind) -> object:
    if kind == "user":
        return context.user_id
    if kind == "organisation":
        return context.tenant_id
    return context.metadata.get(ANONYMOUS_ID)


def attributes_of(context: HandlerContext) -> Mapping[str, object]:
    """Return what targeting sees of a call: its metadata, and the names of its own fields.

    Examples:
        >>> attributes_of(HandlerContext(user_id="u-7", metadata={"country": "NL"}))["country"]
        'NL'
    """
    return {
        **context.metadata,
        "id": context.user_id,
        "organisation": context.tenant_id,
        "channel": context.channel,
        "environment": context.environment,
    }
