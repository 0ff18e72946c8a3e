"""Which declared spec an operation seen in telemetry has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from evolution_lab.contracts import OpenApiDocument, OperationSpec, SpecReference
from evolution_lab.records import OperationRef


class SpecSource(Protocol):
    """Knows the specs of operations; ``contracts.BoundSpecs`` is one."""

    def spec_of(self, operation: OperationRef) -> OperationSpec | None:
        """Return the spec of an operation, None where there is none."""
        ...

    def reference_of(self, operation: OperationRef) -> SpecReference | None:
        """Return where that spec stands, None where it stands in no document."""
        ...

    def document_of(self, operation: OperationRef) -> OpenApiDocument | None:
        """Return the document that has the operation, None where none does."""
        ...


@dataclass(frozen=True)
class DeclaredSpecs:
    """Specs declared in Python.

    Attributes:
        specs: The specs.

    Examples:
        >>> spec = OperationSpec(key="GET /a", version="1.0.0", kind="query", goal="Read a.")
        >>> DeclaredSpecs((spec,)).spec_of(OperationRef("GET /a", version="build-77")) is spec
        True
        >>> DeclaredSpecs((spec,)).spec_of(OperationRef("GET /b")) is None
        True
    """

    specs: tuple[OperationSpec, ...] = ()

    def spec_of(self, operation: OperationRef) -> OperationSpec | None:
        """Return the declared spec of an operation, None where none or several could be meant.

        The key must be equal. Of several versions the one the telemetry names is taken; a key
        declared once is taken whatever its version, since a service's build number is often not its
        spec's.
        """
        same_key = [spec for spec in self.specs if spec.key == operation.key]
        same_version = [spec for spec in same_key if spec.version == operation.version]
        matches = same_version or same_key
        return matches[0] if len(matches) == 1 else None

    def reference_of(self, operation: OperationRef) -> SpecReference | None:  # noqa: ARG002
        """Return None: a spec declared in Python stands in no document."""
        return None

    def document_of(self, operation: OperationRef) -> OpenApiDocument | None:  # noqa: ARG002
        """Return None: a spec declared in Python stands in no document."""
        return None


def as_source(specs: SpecSource | Iterable[OperationSpec]) -> SpecSource:
    """Take specs in either form."""
    return DeclaredSpecs(tuple(specs)) if isinstance(specs, Iterable) else specs
