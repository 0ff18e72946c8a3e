"""Which column of a table plays which role: ``--map ROLE=COLUMN[:UNIT]``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from evolution_lab.errors import MappingError, did_you_mean

ROLES: Final[Mapping[str, str]] = {
    "timestamp": "when the execution began; unit s, ms, us or ns, none for ISO 8601 text",
    "end": "when it ended, in place of a duration; units as for timestamp",
    "duration": "how long it took; unit s, ms, us or ns",
    "operation": "the operation's key, such as a route template",
    "path": "a raw request path, in place of an operation; templated",
    "method": "put before the operation or the path: GET, POST, …",
    "service": "the service that answers",
    "version": "the service's version",
    "kind": "server, client, consumer, producer or internal",
    "environment": "production, staging, …",
    "success": "whether it succeeded: a boolean column, or a condition such as status:OK",
    "status": "HTTP status",
    "error": "a code of the failure, empty without one, or a condition such as code:>=500",
    "error_message": "free text of the failure; redacted",
    "tenant": "the tenant",
    "actor": "who called; pseudonymised",
    "session": "the session; pseudonymised",
    "trace_id": "the trace",
    "span_id": "the span",
    "parent": "the span that called; empty or unknown for a root",
    "channel": "rest, graphql, rpc or worker",
    "variant": "the experiment's variant",
    "payload": "bytes of the request's payload",
    "weight": "how many executions the row stands for; at least 1",
}
"""Roles that a column can play, with what they mean."""

TIME_UNITS: Final[Mapping[str, int]] = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
"""Nanoseconds in each unit."""

OTHER_NAMES: Final[Mapping[str, str]] = {
    "operation_key": "operation",
    "operation_name": "operation",
    "start": "timestamp",
    "time": "timestamp",
    "operation_version": "version",
    "status_code": "status",
    "error_code": "error",
    "tenant_id": "tenant",
    "actor_id": "actor",
    "user": "actor",
    "user_id": "actor",
    "session_id": "session",
    "trace": "trace_id",
    "span": "span_id",
    "parent_id": "parent",
    "parent_span_id": "parent",
    "variant_id": "variant",
    "payload_bytes": "payload",
}
"""What people and the lake's own columns call the roles."""

_TIME_ROLES: Final = frozenset({"timestamp", "end", "duration"})
_CONDITION_ROLES: Final = frozenset({"success", "error"})
_COMPARISON = re.compile(r"^(<=|>=|!=|<|>|=)\s*(.+)$")

NATIVE_NAMES: Final[Mapping[str, Sequence[tuple[str, str | None]]]] = {
    "timestamp": (
        ("timestamp", None),
        ("timestamp_ns", "ns"),
        ("timestamp_us", "us"),
        ("timestamp_ms", "ms"),
    ),
    "end": (("end", None),),
    "duration": (
        ("duration_ns", "ns"),
        ("duration_us", "us"),
        ("duration_ms", "ms"),
        ("duration_s", "s"),
        ("duration", None),
    ),
    "operation": (("operation_key", None), ("operation", None)),
    "service": (("service", None),),
    "version": (("operation_version", None), ("version", None)),
    "kind": (("kind", None),),
    "environment": (("environment", None),),
    "success": (("success", None),),
    "status": (("status_code", None),),
    "error": (("error_code", None),),
    "error_message": (("error_message", None),),
    "tenant": (("tenant_id", None), ("tenant", None)),
    "actor": (("actor_id", None), ("actor", None)),
    "session": (("session_id", None), ("session", None)),
    "trace_id": (("trace_id", None),),
    "span_id": (("span_id", None),),
    "parent": (("parent_span_id", None), ("parent", None)),
    "channel": (("channel", None),),
    "variant": (("variant_id", None), ("variant", None)),
    "payload": (("payload_bytes", None), ("payload", None)),
    "weight": (("weight", None),),
}
"""Column names that say their role themselves, best first, with their unit."""


@dataclass(frozen=True)
class Condition:
    """A test on a column's value, such as ``>=500`` or ``OK|UNSET``.

    Attributes:
        operator: ``in``, ``<``, ``<=``, ``>``, ``>=`` or ``!=``.
        values: What the value is compared with; one value unless the operator is ``in``.

    Examples:
        >>> Condition.parse("OK|UNSET")
        Condition(operator='in', values=('OK', 'UNSET'))
        >>> Condition.parse(">=500").number
        500.0
    """

    operator: str
    values: tuple[str, ...]

    @property
    def number(self) -> float | None:
        """The number that an ordering compares with; None for a comparison of text."""
        return float(self.values[0]) if self.operator in {"<", "<=", ">", ">="} else None

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Read a condition.

        Raises:
            MappingError: An ordering compares with something that is not a number.
        """
        match = _COMPARISON.match(text.strip())
        if match is None or match[1] == "=":
            values = match[2] if match else text
            return cls("in", tuple(value.strip() for value in values.split("|")))
        operator, value = match[1], match[2].strip()
        if operator != "!=":
            try:
                float(value)
            except ValueError:
                raise MappingError(
                    f"condition {text!r} compares with {value!r}, must be a number: '>=500'."
                ) from None
        return cls(operator, (value,))

    def __str__(self) -> str:
        return "|".join(self.values) if self.operator == "in" else self.operator + self.values[0]


@dataclass(frozen=True)
class RoleColumn:
    """The column of one role.

    Attributes:
        column: Its name in the table.
        unit: ``s``, ``ms``, ``us`` or ``ns`` for times; None for text in ISO 8601 and typed columns.
        condition: For ``success`` and ``error``: what the value must fulfil.
    """

    column: str
    unit: str | None = None
    condition: Condition | None = None

    def __str__(self) -> str:
        suffix = self.unit or (str(self.condition) if self.condition else "")
        return f"{self.column}:{suffix}" if suffix else self.column


@dataclass(frozen=True)
class ColumnMapping:
    """Which column plays which role.

    Attributes:
        roles: By role.
        tz: Zone of times that carry none, where it was confirmed together with the mapping.

    Examples:
        >>> mapping = ColumnMapping.parse(["operation=Name", "timestamp=Start:ns", "duration=Took:us"])
        >>> mapping.roles["duration"]
        RoleColumn(column='Took', unit='us', condition=None)
        >>> print(mapping)
        duration=Took:us operation=Name timestamp=Start:ns
    """

    roles: Mapping[str, RoleColumn]
    tz: str | None = None

    @classmethod
    def parse(cls, items: Iterable[str] | Mapping[str, str]) -> ColumnMapping:
        """Read ``ROLE=COLUMN[:UNIT]`` items, or a mapping of roles to ``COLUMN[:UNIT]``.

        Raises:
            MappingError: An item has another form, a role is unknown or named twice, a unit is
                unknown, or a needed role is missing.
        """
        if isinstance(items, Mapping):
            items = [f"{role}={column}" for role, column in items.items()]
        roles: dict[str, RoleColumn] = {}
        for item in items:
            role, separator, text = item.partition("=")
            role, text = role.strip(), text.strip()
            role = OTHER_NAMES.get(role, role)
            if not separator or not text:
                raise MappingError(
                    f"mapping {item!r} must be ROLE=COLUMN[:UNIT], such as 'duration=Took:ms'."
                )
            if role not in ROLES:
                raise MappingError(
                    f"mapping {item!r} names the unknown role {role!r}."
                    f"{did_you_mean(role, ROLES)} Roles: {', '.join(ROLES)}."
                )
            if role in roles:
                raise MappingError(f"role {role!r} is mapped twice: {roles[role]} and {text}.")
            roles[role] = _role_column(role, text, item)
        mapping = cls(roles)
        missing = mapping.missing_roles()
        if missing:
            raise MappingError(
                f"the mapping lacks {' and '.join(missing)}; "
                "timestamp, duration (or end) and operation (or path) are needed."
            )
        return mapping

    @classmethod
    def guess(cls, columns: Sequence[str]) -> ColumnMapping | None:
        """Return the mapping that the column names say themselves, None where a role is missing.

        Only exact names count: ``timestamp``, ``duration_ms``, ``operation_key`` …

        Examples:
            >>> print(ColumnMapping.guess(["timestamp", "operation", "duration_ms", "colour"]))
            duration=duration_ms:ms operation=operation timestamp=timestamp
        """
        mapping = cls(named_roles(columns))
        return None if mapping.missing_roles() else mapping

    def missing_roles(self) -> list[str]:
        """Return the roles that every table must have and this mapping lacks."""
        alternatives = (
            ("timestamp", "timestamp"),
            ("duration", "end"),
            ("operation", "path"),
        )
        return [a for a, b in alternatives if a not in self.roles and b not in self.roles]

    def check_columns(self, columns: Sequence[str]) -> None:
        """Check that a table has every mapped column, once.

        Raises:
            MappingError: A column is missing (the nearest one is named) or stands there twice.
        """
        for role, target in sorted(self.roles.items()):
            count = list(columns).count(target.column)
            if count == 1:
                continue
            if count > 1:
                raise MappingError(f"column {target.column!r} stands {count} times in the table.")
            raise MappingError(
                f"{role}={target} names column {target.column!r}, which is not in the table."
                f"{did_you_mean(target.column, columns)} Columns: {listed(columns)}."
            )

    def fits(self, columns: Sequence[str]) -> bool:
        """Say whether a table has every mapped column, once."""
        return all(list(columns).count(target.column) == 1 for target in self.roles.values())

    def to_settings(self) -> dict[str, str]:
        """Return the mapping as text by role, sorted."""
        return {role: str(column) for role, column in sorted(self.roles.items())}

    def __str__(self) -> str:
        return " ".join(f"{role}={column}" for role, column in self.to_settings().items())


def named_roles(columns: Sequence[str]) -> dict[str, RoleColumn]:
    """Return the roles that columns say themselves, by their exact names."""
    found = {}
    for role, names in NATIVE_NAMES.items():
        for name, unit in names:
            if list(columns).count(name) == 1:
                found[role] = RoleColumn(name, unit)
                break
    return found


def _role_column(role: str, text: str, item: str) -> RoleColumn:
    column, separator, suffix = text.rpartition(":")
    if not separator:
        return RoleColumn(text)
    if role in _TIME_ROLES:
        unit = suffix.strip().lower()
        unit = {"µs": "us", "μs": "us", "iso": ""}.get(unit, unit)
        if unit and unit not in TIME_UNITS:
            raise MappingError(
                f"mapping {item!r} has the unknown unit {suffix!r}, must be one of "
                f"{', '.join(TIME_UNITS)}.{did_you_mean(unit, TIME_UNITS)}"
            )
        return RoleColumn(column, unit or None)
    if role in _CONDITION_ROLES:
        column, _, suffix = text.partition(":")
        return RoleColumn(column, condition=Condition.parse(suffix))
    return RoleColumn(text)


def listed(columns: Sequence[str], limit: int = 20) -> str:
    """Return column names for a message."""
    shown = ", ".join(repr(column) for column in columns[:limit])
    return shown + (f" and {len(columns) - limit} more" if len(columns) > limit else "")
