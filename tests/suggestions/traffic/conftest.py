"""Recorded calls that the tests of this folder are made of."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from evolution_lab.records import OperationRef, TrafficSnapshot

START = datetime(2026, 3, 2, 10, tzinfo=UTC)


@pytest.fixture(scope="session")
def snapshot() -> Callable[..., TrafficSnapshot]:
    """Make the n-th recorded call: of session n and tenant n modulo 3 unless told otherwise."""

    def make(n: int, key: str = "POST /orders", **given: Any) -> TrafficSnapshot:
        status = given.get("status", 201)
        return TrafficSnapshot(
            id=f"r{n:05d}",
            operation=OperationRef(key, service="shop"),
            input={
                "path": given.get("path", key.split(" ")[1]),
                "query": given.get("query", {}),
                "headers": {},
                "body": given.get("body"),
            },
            output={"status": status, "headers": {}, "body": given.get("answer")},
            success=status < 500,
            timestamp=START + timedelta(seconds=given.get("at", 10 * n)),
            duration_ms=given.get("ms", 20.0),
            tenant_id=given.get("tenant", f"t{n % 3}"),
            metadata={"sessionId": given.get("session", f"s{n}"), "traceId": f"{n:032x}"},
        )

    return make
