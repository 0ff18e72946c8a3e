"""Who left an operation whose calls fell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import polars as pl

from evolution_lab.records import IntentSignal, OperationRef
from evolution_lab.schemas import SAMPLES, polars_schema
from evolution_lab.suggestions.traffic.departures import callers_who_left


def calls(start: datetime, rows: list[tuple[str, str, int]]) -> pl.DataFrame:
    frame = pl.DataFrame(
        {
            "operation_key": [key for _, key, _ in rows],
            "service": ["shop"] * len(rows),
            "actor_id": [actor for actor, _, _ in rows],
            "tenant_id": ["acme"] * len(rows),
            "timestamp": [start + timedelta(minutes=minute) for _, _, minute in rows],
        }
    )
    types = polars_schema(SAMPLES)
    return frame.select(
        (pl.col(n) if n in frame.columns else pl.lit(None)).cast(t).alias(n)
        for n, t in types.items()
    )


def test_callers_are_told_apart(signal: Callable[..., IntentSignal], start: datetime):
    fell = replace(
        signal(kind="throughput-drop"),
        operation=OperationRef("GET /a", service="shop"),
        window_start=start,
        window_end=start + timedelta(hours=1),
    )
    rows = [(f"u{i}", "GET /a", -30) for i in range(10)]
    rows += [(f"u{i}", "GET /b", 10) for i in range(6)] + [("u9", "GET /a", 20)]
    item = callers_who_left(fell, calls(start, rows))
    assert (item.data["callers"], item.data["leftForOthers"], item.data["gone"]) == (10, 6, 3)
    assert item.data["lean"] == "deprecate"
    gone = callers_who_left(fell, calls(start, rows[:10]))
    assert gone.data["lean"] == "restore-routing"
    assert callers_who_left(fell, calls(start, [("u1", "GET /b", -5)])) is None
