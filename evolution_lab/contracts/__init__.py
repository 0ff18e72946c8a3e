"""Contracts: takes declarations, gives ``OperationSpec``, what an operation promises to its callers.

A spec is declared in Python or read from an OpenAPI 3.0 or later document (``OpenApiDocument``).
``OperationNames`` binds the names that telemetry and the document have for one operation,
``BoundSpecs`` those of all documents and services of a lab.
``OperationRegistry`` runs operations: it checks inputs, lets ``HandlerContext.spec_variant_resolver``
choose a variant, and tells of each execution as a ``TelemetrySample``.
"""

from evolution_lab.contracts.binding import NamedOperation, OperationNames
from evolution_lab.contracts.bound_specs import (
    BoundDocument,
    BoundSpecs,
    SpecReference,
    bind_specs,
)
from evolution_lab.contracts.context import (
    Handler,
    HandlerContext,
    SpecVariant,
    SpecVariantResolver,
)
from evolution_lab.contracts.execution import FALLBACK, FallbackReason
from evolution_lab.contracts.input_schema import InputSchema
from evolution_lab.contracts.listeners import SampleListener
from evolution_lab.contracts.openapi import OpenApiDocument, OpenApiOperation
from evolution_lab.contracts.operation_spec import DeclaredError, OperationKind, OperationSpec
from evolution_lab.contracts.registry import OperationRegistry

__all__ = [
    "FALLBACK",
    "BoundDocument",
    "BoundSpecs",
    "DeclaredError",
    "FallbackReason",
    "Handler",
    "HandlerContext",
    "InputSchema",
    "NamedOperation",
    "OpenApiDocument",
    "OpenApiOperation",
    "OperationKind",
    "OperationNames",
    "OperationRegistry",
    "OperationSpec",
    "SampleListener",
    "SpecReference",
    "SpecVariant",
    "SpecVariantResolver",
    "bind_specs",
]
