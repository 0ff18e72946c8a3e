"""Approval: takes suggestions, gives decisions; both are kept, decisions are only ever appended.

``SpecSuggestionOrchestrator`` does it, ``ApprovalWorkflow`` says who may, a ``SpecSuggestionRepository`` the rows, and a
``SuggestionWriter`` gets what was approved.
"""

from evolution_lab.approval.duckdb_repository import DuckDBSpecSuggestionRepository
from evolution_lab.approval.orchestrator import SpecSuggestionOrchestrator, SuggestionWriter
from evolution_lab.approval.postgres_repository import PostgresSpecSuggestionRepository
from evolution_lab.approval.repository import (
    InMemorySpecSuggestionRepository,
    SpecSuggestionRepository,
    SuggestionTable,
)
from evolution_lab.approval.submissions import Outcome, Submission, Submissions
from evolution_lab.approval.workflow import ApprovalWorkflow

__all__ = [
    "ApprovalWorkflow",
    "DuckDBSpecSuggestionRepository",
    "InMemorySpecSuggestionRepository",
    "Outcome",
    "PostgresSpecSuggestionRepository",
    "SpecSuggestionOrchestrator",
    "SpecSuggestionRepository",
    "Submission",
    "Submissions",
    "SuggestionTable",
    "SuggestionWriter",
]
