"""Approval: takes suggestions, gives decisions; both are kept, decisions are only ever appended.

``SpecSuggestionOrchestrator`` holds the rules, a ``SpecSuggestionRepository`` the rows, and a
``SuggestionWriter`` gets what was approved.
"""

from evolution_lab.approval.duckdb_repository import DuckDBSpecSuggestionRepository
from evolution_lab.approval.orchestrator import (
    SpecSuggestionOrchestrator,
    Submission,
    Submissions,
    SuggestionWriter,
)
from evolution_lab.approval.repository import (
    InMemorySpecSuggestionRepository,
    SpecSuggestionRepository,
    SuggestionTable,
)

__all__ = [
    "DuckDBSpecSuggestionRepository",
    "InMemorySpecSuggestionRepository",
    "SpecSuggestionOrchestrator",
    "SpecSuggestionRepository",
    "Submission",
    "Submissions",
    "SuggestionTable",
    "SuggestionWriter",
]
