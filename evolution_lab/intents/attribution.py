"""What a shift is concentrated in: one tenant, one version, one error code.

For each dimension the calls of the episode are compared with those of the time before it. A value is
named when it carries at least four fifths of the excess, when its own calls changed more than all
others together (Fisher's exact test, Bonferroni over the values), and when there are others to
compare it with. Where the excess follows the whole traffic nothing is named. What is named together
must carry it beside each other (logistic regression); and large calls are named where the affected
ones are the large ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import polars as pl
import scipy

from evolution_lab.intents.carriers import (
    payload_carrier,
    rate_difference,
    remaining_carriers,
)
from evolution_lab.records import OperationRef

DIMENSIONS: Final = {
    "tenantId": "tenant_id",
    "version": "operation_version",
    "errorCode": "error_code",
    "channel": "channel",
}
CARRIED: Final = 0.8
LEVEL: Final = 0.01
NEW_BELOW: Final = 0.25
"""A value with fewer calls before than this share of those during is new: others say what is usual.

What a new version did in the minutes before anybody could tell was the fault already.
"""
_HISTORY_WINDOWS: Final = 96
_MOST_VALUES: Final = 200


@dataclass(frozen=True)
class Question:
    """Which calls count as affected, and when.

    Attributes:
        operation: Whose calls; all versions of it.
        metric: One of ``schemas.METRICS``.
        start: Start of the episode, UTC.
        end: Its end, UTC.
        window: Length of a window; the comparison looks at most 96 windows back.
        onset: Start of the first window of the evidence that opened the episode: calls from here to
            ``start`` count neither as before nor as during.
        threshold_ns: For latency, calls slower than this are affected.
    """

    operation: OperationRef
    metric: str
    start: datetime
    end: datetime
    window: timedelta
    threshold_ns: float | None = None
    onset: datetime | None = None

    @property
    def since(self) -> datetime:
        """Start of the time that the episode is compared with."""
        return self.start - self.window * _HISTORY_WINDOWS


def attribute(samples: pl.LazyFrame, questions: Sequence[Question]) -> list[dict[str, Any] | None]:
    """Name the values that carry shifts of errors or latency.

    Args:
        samples: A ``SAMPLES`` frame; read once, however many questions there are.
        questions: What is asked.

    Returns:
        For each question, by dimension (``tenantId``, ``version``, ``errorCode``, ``channel``) a
        mapping with ``value``, ``carried`` (share of the excess), ``interval`` (of its rate less that
        of others) and ``pValue``; ``payloadBytes`` where size carries it; None where nothing
        is named. Throughput is not attributed.
    """
    asked = [question for question in questions if _affected(question) is not None]
    if not asked:
        return [None] * len(questions)
    calls = (
        samples.filter(
            pl.col("operation_key").is_in(sorted({q.operation.key for q in asked})),
            pl.col("timestamp") >= min(q.since for q in asked),
            pl.col("timestamp") < max(q.end for q in asked),
        )
        .select(
            "service",
            "operation_key",
            "timestamp",
            "duration_ns",
            "success",
            "status_code",
            "payload_bytes",
            *DIMENSIONS.values(),
        )
        .collect()
        .partition_by("service", "operation_key", as_dict=True)
    )
    return [
        _answer(calls.get((question.operation.service, question.operation.key)), question)
        for question in questions
    ]


def _answer(calls: pl.DataFrame | None, question: Question) -> dict[str, Any] | None:
    affected = _affected(question)
    if calls is None or affected is None:
        return None
    compared = calls.filter(
        pl.col("timestamp") >= question.since,
        pl.col("timestamp") < question.end,
        ~pl.col("timestamp").is_between(question.onset or question.start, question.start, "left"),
    ).select(
        *DIMENSIONS.values(),
        "payload_bytes",
        during=pl.col("timestamp") >= question.start,
        affected=affected.fill_null(value=False),
    )
    named = {}
    for name, column in DIMENSIONS.items():
        if column == "error_code":
            rates = question.metric.endswith("error-rate")
            found = _dominant_code(compared) if rates else None
        else:
            found = _carrier(compared, column)
        if found is not None:
            named[name] = found
    during = compared.filter("during")
    kept = remaining_carriers(
        during,
        {DIMENSIONS[name]: str(named[name]["value"]) for name in named if name != "errorCode"},
    )
    named = {n: f for n, f in named.items() if n == "errorCode" or DIMENSIONS[n] in kept}
    size = payload_carrier(during)
    if size is not None:
        named["payloadBytes"] = size
    return named or None


def _affected(question: Question) -> pl.Expr | None:
    client = pl.col("status_code").is_between(400, 499) & pl.col("success").ne_missing(other=False)
    if question.metric == "error-rate":
        return ~pl.col("success")
    if question.metric == "client-error-rate":
        return client
    if question.metric.startswith("latency") and question.threshold_ns is not None:
        return pl.col("duration_ns") > question.threshold_ns
    return None


def _carrier(calls: pl.DataFrame, column: str) -> dict[str, Any] | None:
    """Return the value of a column that carries the excess of affected calls."""
    table = (
        calls.drop_nulls(column)
        .group_by(column)
        .agg(
            calls=pl.col("during").sum().cast(pl.Int64),
            hit=(pl.col("during") & pl.col("affected")).sum().cast(pl.Int64),
            before=(~pl.col("during")).sum().cast(pl.Int64),
            hit_before=(~pl.col("during") & pl.col("affected")).sum().cast(pl.Int64),
        )
        .sort(column)
    )
    if not 2 <= table.height <= _MOST_VALUES:
        return None
    overall = int(table["hit_before"].sum()) / max(int(table["before"].sum()), 1)
    usual = (
        pl.when(pl.col("before") > NEW_BELOW * pl.col("calls"))
        .then(pl.col("hit_before") / pl.col("before"))
        .otherwise(overall)
    )
    table = table.with_columns(excess=pl.col("hit") - pl.col("calls") * usual)
    total = float(table["excess"].sum())
    top = table.sort("excess", column, descending=[True, False]).row(0, named=True)
    if total <= 0 or top["excess"] < CARRIED * total or top["calls"] == 0:
        return None
    others = table.filter(pl.col(column) != top[column])
    other_calls, other_hits = int(others["calls"].sum()), int(others["hit"].sum())
    if other_calls == 0:
        return None
    p_value = scipy.stats.fisher_exact(
        [[top["hit"], top["calls"] - top["hit"]], [other_hits, other_calls - other_hits]],
        alternative="greater",
    ).pvalue
    p_value = min(float(p_value) * table.height, 1.0)
    if p_value > LEVEL:
        return None
    return {
        "value": top[column],
        "carried": min(float(top["excess"] / total), 1.0),
        "calls": top["calls"],
        "rate": top["hit"] / top["calls"],
        "rateOfOthers": other_hits / other_calls,
        "interval": rate_difference(top["hit"], top["calls"], other_hits, other_calls),
        "pValue": p_value,
    }


def _dominant_code(calls: pl.DataFrame) -> dict[str, Any] | None:
    """Return the error code that most affected calls of the episode carry."""
    codes = (
        calls.filter(pl.col("during") & pl.col("affected"))
        .group_by("error_code")
        .len()
        .sort("len", "error_code", descending=[True, False], nulls_last=True)
    )
    if codes.is_empty() or codes["error_code"][0] is None:
        return None
    share = codes["len"][0] / codes["len"].sum()
    return {"value": codes["error_code"][0], "carried": share} if share >= CARRIED else None
