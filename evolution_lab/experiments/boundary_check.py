"""Whether the control itself keeps the boundaries its variant is to be held to.

A boundary that the control breaks rolls every variant back, however harmless. So before an
experiment starts, what the operation did lately is compared with each absolute boundary by an exact
binomial interval (Clopper and Pearson 1934).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Literal

import polars as pl

from evolution_lab.errors import InputError
from evolution_lab.experiments.definition import Guardrail, GuardrailMetric

LOOKED_BACK: Final = timedelta(days=7)
CONFIDENCE: Final = 0.99
SLOW_SHARE: Final = 0.01
"""Of requests beyond a p99: its boundary is a boundary on this share."""
_FEWEST: Final = 100
"""With fewer calls nothing is said of a boundary."""

BoundaryVerdict = Literal["kept", "unclear", "broken", "unknown"]


@dataclass(frozen=True, kw_only=True)
class ControlCounts:
    """What an operation did lately.

    Attributes:
        calls: Calls.
        judged: Of them, those whose success was recorded.
        failed: Of the judged, those that failed.
        slow: Of all calls, those slower than a number of milliseconds, by that number.
        p99_ms: Their 99th percentile; None without calls.
        p99_bound_ms: A p99 boundary that the control keeps for certain; None with too few calls.
    """

    calls: int
    judged: int
    failed: int
    slow: Mapping[float, int]
    p99_ms: float | None = None
    p99_bound_ms: float | None = None


@dataclass(frozen=True, kw_only=True)
class BoundaryFinding:
    """What the control says of one boundary.

    Attributes:
        metric: The guardrail's metric.
        boundary: Its boundary.
        verdict: ``kept``, ``broken``, ``unclear`` where the interval holds the boundary, or
            ``unknown`` where too little was recorded.
        share: Share of the control's calls that failed or were slow.
        interval: Exact interval of that share.
        limit: What the share must not exceed.
        acceptable: A boundary that would be accepted, where this one is broken.
        sentence: The same in words.
    """

    metric: GuardrailMetric
    boundary: float
    verdict: BoundaryVerdict
    share: float | None
    interval: tuple[float, float] | None
    limit: float
    acceptable: float | None
    sentence: str

    def to_payload(self) -> dict[str, Any]:
        """Return it as an entry of the history keeps it."""
        return {
            "metric": self.metric,
            "boundary": self.boundary,
            "verdict": self.verdict,
            "share": self.share,
            "interval": None if self.interval is None else list(self.interval),
            "acceptable": self.acceptable,
            "sentence": self.sentence,
        }


def exact_interval(
    events: int, trials: int, *, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Return the Clopper-Pearson interval of a share.

    Examples:
        >>> low, high = exact_interval(0, 100, confidence=0.95)
        >>> low, round(high, 4)
        (0.0, 0.0362)
    """
    from scipy.stats import beta  # Serving processes import this package, and need no scipy.

    if not 0 <= events <= trials or trials == 0:
        raise InputError(f"{events} of {trials}, must be 0 <= events <= trials with trials > 0.")
    tail = (1 - confidence) / 2
    low = float(beta.ppf(tail, events, trials - events + 1)) if events else 0.0
    high = float(beta.ppf(1 - tail, events + 1, trials - events)) if events < trials else 1.0
    return low, high


def control_counts(
    samples: pl.LazyFrame, operation_keys: Iterable[str], guardrails: Iterable[Guardrail]
) -> ControlCounts:
    """Count what an operation did in the last seven days of its samples.

    Calls that were given the variant of an earlier experiment say nothing of the control.

    Args:
        samples: Landed samples (``schemas.SAMPLES``).
        operation_keys: The keys under which the operation was landed.
        guardrails: Whose boundaries are of interest.

    Examples:
        >>> from datetime import datetime
        >>> samples = pl.LazyFrame({"operation_key": ["pay"] * 4, "success": [True, True, False, None],
        ...     "duration_ns": [1, 2, 3, 10**9], "timestamp": [datetime(2026, 3, 1)] * 4})
        >>> found = control_counts(samples, ["pay"], [Guardrail(metric="latency_p99", boundary=750)])
        >>> found.calls, found.judged, found.failed, found.slow
        (4, 3, 1, {750: 1})
    """
    own = samples.filter(pl.col("operation_key").is_in(list(operation_keys)))
    if "variant_id" in samples.collect_schema():
        own = own.filter(~pl.col("variant_id").str.ends_with(":variant").fill_null(value=False))
    recent = own.filter(pl.col("timestamp") > pl.col("timestamp").max() - LOOKED_BACK)
    boundaries = [g.boundary for g in guardrails if g.metric == "latency_p99"]
    row = recent.select(
        pl.len().alias("calls"),
        pl.col("success").is_not_null().sum().alias("judged"),
        (~pl.col("success")).sum().alias("failed"),
        pl.col("duration_ns").quantile(1 - SLOW_SHARE, interpolation="linear").alias("p99"),
        *(
            (pl.col("duration_ns") > round(ms * 1_000_000)).sum().alias(f"slow {place}")
            for place, ms in enumerate(boundaries)
        ),
    ).collect()
    calls = int(row["calls"].item())
    beyond = _allowed_beyond(calls)
    bound: float | None = None
    if boundaries and beyond is not None:
        slowest = recent.select(pl.col("duration_ns").top_k(beyond + 1).min()).collect()
        bound = int(slowest.item()) / 1_000_000
    return ControlCounts(
        calls=calls,
        judged=int(row["judged"].item()),
        failed=int(row["failed"].item()),
        p99_ms=None if row["p99"].item() is None else row["p99"].item() / 1_000_000,
        slow={ms: int(row[f"slow {place}"].item()) for place, ms in enumerate(boundaries)},
        p99_bound_ms=bound,
    )


def check_boundaries(
    guardrails: Iterable[Guardrail], recent: ControlCounts
) -> tuple[BoundaryFinding, ...]:
    """Say of each absolute boundary whether the control keeps it.

    Args:
        guardrails: Of the experiment; ``fallback_rate`` is no matter of the control.
        recent: What the control did lately.

    Examples:
        >>> recent = ControlCounts(calls=10_000, judged=10_000, failed=800, slow={})
        >>> found, = check_boundaries([Guardrail(metric="error_rate", boundary=0.05)], recent)
        >>> found.verdict, found.acceptable
        ('broken', 0.088)
    """
    found = []
    for guardrail in guardrails:
        if guardrail.metric == "error_rate":
            highest = _rounded_up(_interval(recent.failed, recent.judged)[1])
            found.append(_finding(guardrail, recent.failed, recent.judged, highest))
        elif guardrail.metric == "latency_p99":
            slow = recent.slow.get(guardrail.boundary)
            if slow is None:
                raise InputError(
                    f"slow requests were counted beyond {sorted(recent.slow)} ms, must be counted "
                    f"beyond {guardrail.boundary} ms."
                )
            bound = recent.p99_bound_ms
            upwards = None if bound is None else _rounded_up(bound)
            found.append(_finding(guardrail, slow, recent.calls, upwards))
    return tuple(found)


def _interval(events: int, trials: int) -> tuple[float, float]:
    return exact_interval(events, trials) if trials else (0.0, 1.0)


def _finding(
    guardrail: Guardrail, events: int, trials: int, acceptable: float | None
) -> BoundaryFinding:
    metric, boundary = guardrail.metric, guardrail.boundary
    is_share = metric == "error_rate"
    limit = boundary if is_share else SLOW_SHARE
    low, high = interval = _interval(events, trials)
    verdict: BoundaryVerdict
    if trials < _FEWEST:
        verdict = "unknown"
    elif low > limit:
        verdict = "broken"
    else:
        verdict = "kept" if high <= limit else "unclear"
    if acceptable is not None and is_share and acceptable >= 1:
        acceptable = None
    shown = f"{boundary:.3g}" if is_share else f"{boundary:g} ms"
    what = "failed" if is_share else f"were slower than {shown}"
    counted = (
        f"in the last 7 days {events} of {trials} calls of the control {what}"
        f" ({low:.2%} to {high:.2%})"
    )
    if verdict == "broken":
        unit = "" if is_share else " ms"
        offer = "" if acceptable is None else f" {acceptable:g}{unit} would be accepted."
        sentence = f"{metric} boundary == {shown}, which the control breaks: {counted}.{offer}"
    elif verdict == "unknown":
        sentence = f"{metric} boundary == {shown}: too few calls of the control to check it."
    elif verdict == "unclear":
        sentence = f"{metric} boundary == {shown} is about where the control is: {counted}."
    else:
        sentence = f"{metric} boundary == {shown} is kept by the control: {counted}."
    return BoundaryFinding(
        metric=metric,
        boundary=boundary,
        verdict=verdict,
        share=events / trials if trials else None,
        interval=interval if trials else None,
        limit=limit,
        acceptable=acceptable if verdict == "broken" else None,
        sentence=sentence,
    )


def _allowed_beyond(calls: int) -> int | None:
    """Return how many calls may be beyond a p99 that is kept for certain; None with too few."""
    if calls < _FEWEST or exact_interval(0, calls)[1] > SLOW_SHARE:
        return None
    low, high = 0, math.ceil(calls * SLOW_SHARE)
    while low < high - 1:
        middle = (low + high) // 2
        low, high = (
            (middle, high) if exact_interval(middle, calls)[1] <= SLOW_SHARE else (low, middle)
        )
    return low


def _rounded_up(value: float) -> float:
    """Return a value rounded up to two digits.

    Examples:
        >>> _rounded_up(0.0871), _rounded_up(812.5)
        (0.088, 820.0)
    """
    if value <= 0:
        return 0.0001
    digits = 1 - math.floor(math.log10(value))
    scaled = value * 10.0**digits
    rounded = math.ceil(scaled - 1e-9)
    return round(rounded / 10.0**digits, max(digits, 0))
