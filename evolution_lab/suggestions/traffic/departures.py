"""Who left an operation whose calls fell, and whether they are still there."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import polars as pl

from evolution_lab.display import format_value
from evolution_lab.records import EvidenceItem, IntentSignal
from evolution_lab.suggestions.traffic.findings import share_bounds
from evolution_lab.suggestions.wording import name_of

LONGEST: Final = timedelta(days=7)
"""How far before the fall callers are looked for."""
_MOST_TENANTS: Final = 10


def callers_who_left(
    signal: IntentSignal, samples: pl.DataFrame | pl.LazyFrame
) -> EvidenceItem | None:
    """Return who called an operation before its calls fell, and what they do since.

    A caller is an actor, or a tenant where actors are not known. Callers who are still seen elsewhere
    but not here have left the operation; callers who are not seen at all have left the service, and
    a route that broke leaves all of them trying elsewhere. The share of those still seen who left is
    given with its exact interval.

    Args:
        signal: A ``throughput-drop``.
        samples: Landed telemetry (``schemas.SAMPLES``).

    Returns:
        None where telemetry names no callers, or there were none before.
    """
    op, start = signal.operation, signal.window_start
    caller = pl.coalesce("actor_id", "tenant_id")
    here = (pl.col("operation_key") == op.key) & pl.col("service").eq_missing(pl.lit(op.service))
    before = pl.col("timestamp") < start
    rows = (
        samples.lazy()
        .filter(
            (pl.col("timestamp") >= start - LONGEST)
            & (pl.col("timestamp") < signal.window_end)
            & caller.is_not_null()
        )
        .group_by(caller.alias("caller"))
        .agg(
            pl.col("tenant_id").drop_nulls().min(),
            (here & before).sum().alias("before"),
            (here & ~before).sum().alias("after"),
            (~here & ~before).sum().alias("elsewhere"),
        )
        .filter(pl.col("before") > 0)
        .sort("caller")
        .collect()
    )
    if not rows.height:
        return None
    left = rows.filter((pl.col("after") == 0) & (pl.col("elsewhere") > 0)).height
    gone = rows.filter((pl.col("after") == 0) & (pl.col("elsewhere") == 0)).height
    seen = rows.height - gone
    tenants = _by_tenant(rows)
    lean = "deprecate" if seen and left >= seen / 2 else "restore-routing"
    sentence = (
        f"{name_of(op)}: of {rows.height:,} callers before the fall, {left:,} call other operations "
        f"but not this one any more, {gone:,} are not seen at all"
        + (f"; by tenant: {tenants['words']}." if tenants["words"] else ".")
    )
    return EvidenceItem(
        description=sentence,
        data={
            "callers": rows.height,
            "leftForOthers": left,
            "gone": gone,
            "shareLeft": left / seen if seen else None,
            "shareLeftInterval": list(share_bounds(left, seen)) if seen else None,
            "tenants": tenants["rows"],
            "lean": lean,
        },
    )


def _by_tenant(rows: pl.DataFrame) -> dict[str, Any]:
    found = (
        rows.drop_nulls("tenant_id")
        .group_by("tenant_id")
        .agg(pl.col("before", "after").sum())
        .sort(["before", "tenant_id"], descending=[True, False])
        .head(_MOST_TENANTS)
    )
    words = ", ".join(
        f"{name_of(tenant)} {format_value(before)} → {format_value(after)} calls"
        for tenant, before, after in found.head(3).iter_rows()
    )
    return {"words": words, "rows": found.to_dicts()}
