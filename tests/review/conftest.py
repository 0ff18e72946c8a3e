"""A suggestion as the panel is given it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from evolution_lab.records import (
    EvidenceItem,
    OperationRef,
    Proposal,
    SpecSuggestion,
    Target,
)


def _suggestion(number: int, **changes: Any) -> SpecSuggestion:
    made = SpecSuggestion(
        id=f"{number:016x}",
        intent="latency-regression",
        target=Target(operation=OperationRef(f"op{number}"), path="/policy/limits"),
        proposal=Proposal(
            summary=f"Limit items of op{number}",
            rationale="Calls with many items are slow.",
            change_type="policy-update",
            diff="--- spec\n+++ spec\n@@ -1 +1 @@\n-items: {}\n+items: {maxItems: 50}\n",
            metadata={"recommendedActions": ["limit items to 50"]},
        ),
        confidence=0.9,
        risk=0.2,
        created_at=datetime(2026, 3, 1, tzinfo=UTC),
        evidence=(EvidenceItem(description="p99 rose"),),
        priority="high" if number % 3 == 0 else "medium",
    )
    return replace(made, **changes)


@pytest.fixture(scope="session")
def suggestion() -> Callable[..., SpecSuggestion]:
    """Make the suggestion of a number, with changes."""
    return _suggestion
