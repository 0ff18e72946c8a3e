"""Outcomes of services that only send telemetry: landed samples that say which arm served them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import polars as pl

from evolution_lab.contracts import FALLBACK
from evolution_lab.errors import InputError
from evolution_lab.experiments.decisions import CountedOutcomes
from evolution_lab.experiments.definition import SpecExperiment
from evolution_lab.experiments.repository import HistoryEntry
from evolution_lab.experiments.tallies import ARMS, NO_UNIT, SUMS, TALLY, counts_of, tallies

SETTLING: Final = timedelta(seconds=10)
"""Serving processes learn of a stage up to 5 seconds after it began."""
_WHOLE: Final = ("server", "consumer")
_CALLERS: Final = ("client", "producer")


def stages_entered(history: Iterable[HistoryEntry]) -> dict[int, datetime]:
    """Return when each stage of a rollout began, from its history.

    Examples:
        >>> at = datetime(2026, 3, 2, tzinfo=UTC)
        >>> entry = HistoryEntry(key="try", version=1, at=at, actor="ada", action="start")
        >>> list(stages_entered([entry]))
        [0]
    """
    entered: dict[int, datetime] = {}
    for entry in history:
        if entry.action == "start":
            entered[0] = entry.at
        elif entry.action == "advance":
            entered[int(entry.payload["to"])] = entry.at
    return entered


def outcomes_from_telemetry(
    samples: pl.LazyFrame,
    experiment: SpecExperiment,
    entered: Mapping[int, datetime],
    *,
    until: datetime | None = None,
    settling: timedelta = SETTLING,
) -> CountedOutcomes:
    """Return the outcomes that landed samples tell of, each execution once.

    A sample is of an arm by its ``variant_id``: ``<key>@<version>:<arm>`` as our middleware and
    runtime write it, or ``<key>:<arm>`` as a span's ``feature_flag.key`` and
    ``feature_flag.result.variant`` are landed. Copies of a span (equal trace and span) are one. Of
    the labelled spans of one trace those of servers and consumers are the executions; where there
    are none, those that lie in no other. Callers' spans are left out: the server tells of the same.
    Where users keep their arm, a user is whom the sample names as actor, else as tenant; a sample
    that names neither is not counted. Fallbacks are told by the attribute ``variant.fallback``: name
    it in the setting ``attributes``, or landing only counts it.

    Args:
        samples: Landed samples, the columns of ``schemas.SAMPLES``.
        experiment: The definition.
        entered: When each stage began, see ``stages_entered``.
        until: Leave out what began at or after this; the end of the rollout.
        settling: Leave out what began within this time after a change of stage.

    Raises:
        InputError: ``entered`` names a stage that there is not, or is empty.
    """
    rows = executions(samples, experiment, entered, until=until, settling=settling)
    if experiment.sticky:
        unit = pl.coalesce("actor_id", "tenant_id")
        rows = rows.with_columns(unit.alias("unit")).filter(pl.col("unit").is_not_null())
        number = pl.col("unit").rank("dense").cast(pl.Int64)
    else:
        number = pl.lit(NO_UNIT, dtype=pl.Int64)
    counted = (
        rows.with_columns(number.alias("unit"), *_marks(experiment))
        .group_by("stage", "arm", "unit")
        .agg(pl.col(SUMS).sum())
    )
    table = tallies(counted.select(TALLY.names or ()).sort("stage", "arm", "unit").iter_rows())
    newest = rows["timestamp"].max()
    return CountedOutcomes(
        counts=counts_of(experiment, table),
        newest=newest.astimezone(UTC) if isinstance(newest, datetime) else None,
    )


def executions(
    samples: pl.LazyFrame,
    experiment: SpecExperiment,
    entered: Mapping[int, datetime],
    *,
    until: datetime | None = None,
    settling: timedelta = SETTLING,
) -> pl.DataFrame:
    """Return the landed samples that are executions of an experiment, with ``arm`` and ``stage``.

    Arguments, rules and errors are those of ``outcomes_from_telemetry``.
    """
    stages = _stages(experiment, entered)
    rows = (
        samples.with_columns(_arm(experiment).alias("arm"), _stage(stages, settling).alias("stage"))
        .filter(pl.col("arm").is_not_null(), pl.col("stage").is_not_null())
        .filter(pl.lit(value=True) if until is None else pl.col("timestamp") < until)
        .filter(~pl.col("kind").is_in(_CALLERS).fill_null(value=False))
        .collect()
    )
    return _once(rows)


def _stages(experiment: SpecExperiment, entered: Mapping[int, datetime]) -> dict[int, datetime]:
    if not entered:
        raise InputError(
            f"experiment {experiment.key!r} was never started: nothing is its outcome."
        )
    for stage in entered:
        experiment.share_at(stage)
    return dict(sorted(entered.items(), key=lambda item: item[1]))


def _arm(experiment: SpecExperiment) -> pl.Expr:
    key, version = experiment.key, experiment.version
    labels = {
        label: number
        for number, arm in enumerate(ARMS)
        for label in (f"{key}@{version}:{arm}", f"{key}:{arm}")
    }
    return pl.col("variant_id").replace_strict(labels, default=None, return_dtype=pl.Int64)


def _stage(entered: Mapping[int, datetime], settling: timedelta) -> pl.Expr:
    stage = pl.lit(None, dtype=pl.Int64)
    for number, at in entered.items():
        since = pl.col("timestamp") - at
        settled = pl.when(since >= settling).then(pl.lit(number, dtype=pl.Int64))
        stage = pl.when(since >= timedelta(0)).then(settled).otherwise(stage)
    return stage


def _once(rows: pl.DataFrame) -> pl.DataFrame:
    """Return one row an execution."""
    rows = rows.sort("row_id", "timestamp").unique("row_id", keep="first", maintain_order=True)
    traced = rows.filter(pl.col("trace_id").is_not_null(), pl.col("span_id").is_not_null())
    loose = rows.filter(pl.col("trace_id").is_null() | pl.col("span_id").is_null())
    traced = traced.unique(["trace_id", "span_id"], keep="first", maintain_order=True)
    whole = pl.col("kind").is_in(_WHOLE).fill_null(value=False)
    traced = traced.with_columns(whole.alias("whole")).with_columns(
        pl.col("whole").any().over("trace_id", "arm").alias("has_whole")
    )
    ids = traced.select("trace_id", pl.col("span_id").alias("parent_span_id"), "arm")
    inside = traced.join(ids, on=["trace_id", "parent_span_id", "arm"], how="semi")["row_id"]
    kept = traced.filter(
        pl.when("has_whole").then("whole").otherwise(~pl.col("row_id").is_in(inside.implode()))
    )
    return pl.concat([kept.drop("whole", "has_whole"), loose])


def _marks(experiment: SpecExperiment) -> list[pl.Expr]:
    guardrail = experiment.guardrail("latency_p99")
    slow = tail = float("inf")
    if guardrail is not None:
        slow = guardrail.boundary * 1e6
        tail = slow if guardrail.reference is None else guardrail.reference * 1e6
    fell_back = pl.col("attributes").str.contains(f'"{FALLBACK}"', literal=True)
    found = {
        "requests": pl.lit(value=True),
        "failed": (~pl.col("success")).fill_null(value=False),
        "slow": pl.col("duration_ns") > slow,
        "tail": pl.col("duration_ns") > tail,
        "fallbacks": fell_back.fill_null(value=False),
    }
    return [found[name].cast(pl.Int64).alias(name) for name in SUMS]
