"""Contracts: takes declarations, gives ``OperationSpec``, what an operation promises to its callers.

Reading OpenAPI documents, the registry that runs operations and the classification of breaking
changes will live here too; this release has the record alone.
"""

from evolution_lab.contracts.operation_spec import DeclaredError, OperationSpec

__all__ = ["DeclaredError", "OperationSpec"]
