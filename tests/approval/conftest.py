"""A valid suggestion and every repository, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from evolution_lab.approval import (
    DuckDBSpecSuggestionRepository,
    InMemorySpecSuggestionRepository,
    PostgresSpecSuggestionRepository,
    SpecSuggestionRepository,
)
from evolution_lab.records import EvidenceItem, OperationRef, Proposal, SpecSuggestion, Target
from evolution_lab.suggestions import suggestion_id

CREATED = datetime(2026, 3, 2, 10, 15, 0, 123456, tzinfo=UTC)


@pytest.fixture(params=["memory", "duckdb", "postgres"])
def repository(request, tmp_path) -> SpecSuggestionRepository:
    if request.param == "memory":
        return InMemorySpecSuggestionRepository()
    if request.param == "postgres":
        return PostgresSpecSuggestionRepository(request.getfixturevalue("postgres"))
    return DuckDBSpecSuggestionRepository(tmp_path)


@pytest.fixture
def suggestion() -> Callable[..., SpecSuggestion]:
    """Make a valid suggestion to declare an error code, with changes."""

    def make(
        code: str = "E1",
        *,
        key: str = "POST /orders",
        signal: str = "signal-1",
        observed: float = 0.12,
        strength: float = 0.1,
        **changes: Any,
    ) -> SpecSuggestion:
        target = Target(operation=OperationRef(key, service="shop"), path=f"/errors/{code}")
        ask = {"declare-error": code}
        evidence = EvidenceItem(
            description=f"Errors rose to {observed}.",
            data={"signalId": signal, "observed": observed, "interval": [0.1, 0.2]},
        )
        made = SpecSuggestion(
            id=suggestion_id(target, "revision", ask),
            intent="error-spike",
            target=target,
            proposal=Proposal(
                summary=f"Declare {code}.",
                rationale=f"Errors rose to {observed}.",
                change_type="revision",
                spec={"errors": {code: {"when": "…"}}},
                metadata={"ask": ask, "strength": strength},
            ),
            confidence=None,
            risk=0.2,
            created_at=CREATED,
            evidence=(evidence,),
            priority="high",
            tags=("error-spike",),
            signal_ids=(signal,),
        )
        return replace(made, **changes)

    return make
