"""Which declared spec an operation seen in telemetry has."""

from __future__ import annotations

from collections.abc import Iterable

from evolution_lab.contracts import OperationSpec
from evolution_lab.records import OperationRef


def spec_for(
    operation: OperationRef | None, specs: Iterable[OperationSpec]
) -> OperationSpec | None:
    """Return the declared spec of an operation, None where none or several could be meant.

    The key must be equal. Of several versions the one the telemetry names is taken; a key declared
    once is taken whatever its version, since a service's build number is often not its spec's.

    Examples:
        >>> spec = OperationSpec(key="GET /a", version="1.0.0", kind="query", goal="Read a.")
        >>> spec_for(OperationRef("GET /a", version="build-77"), [spec]) is spec
        True
        >>> spec_for(OperationRef("GET /b"), [spec]) is None
        True
    """
    if operation is None:
        return None
    same_key = [spec for spec in specs if spec.key == operation.key]
    same_version = [spec for spec in same_key if spec.version == operation.version]
    matches = same_version or same_key
    return matches[0] if len(matches) == 1 else None
