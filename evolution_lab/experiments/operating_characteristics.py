"""How one configuration behaves before it starts: false rollbacks, power and days, by simulation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

import numpy as np

from evolution_lab.display import ResultMixin
from evolution_lab.errors import InputError
from evolution_lab.experiments.definition import SpecExperiment
from evolution_lab.experiments.evidence import EvidencePlan
from evolution_lab.experiments.simulation import (
    Outcome,
    Schedule,
    Truth,
    evidence_rule,
    simulate,
)
from evolution_lab.records.json_form import CAMEL_CASE

LOOKS: Final = 600
"""Looks of one simulated rollout; they are as far apart as the longest dwell needs."""
LONGEST_DAYS: Final = 28.0
ERROR_RATIOS: Final = (1.25, 1.5, 2.0, 4.0)
SLOWER: Final = (1.25, 1.5)


@dataclass(frozen=True, kw_only=True)
class RecentTraffic:
    """What an operation did lately, as a simulation takes it.

    Attributes:
        requests_per_day: Calls a day, over the span that was landed.
        error_rate: Share of the calls whose success was recorded that failed.
        p99_ms: 99th percentile, milliseconds.
    """

    requests_per_day: float
    error_rate: float
    p99_ms: float


@dataclass(frozen=True, kw_only=True)
class OperatingPoint:
    """What becomes of rollouts of one kind of variant.

    Attributes:
        variant: What the variant does, in words.
        harmful: Whether it should be rolled back.
        rolled_back: Share that was.
        arrived: Share that reached 100 %.
        undecided: Share in which a person would have been asked in the end.
        median_requests: Median requests of the variant until a rollback; None without any.
        median_days: Median days until the end, whichever it was; None without an end.
    """

    __pydantic_config__ = CAMEL_CASE

    variant: str
    harmful: bool
    rolled_back: float
    arrived: float
    undecided: float
    median_requests: float | None
    median_days: float | None


@dataclass(frozen=True, kw_only=True, repr=False)
class OperatingCharacteristics(ResultMixin):
    """What a configuration does to harmless and to bad variants, at the operation's traffic.

    Attributes:
        points: One a kind of variant.
        requests_per_day: Of the operation.
        n_rollouts: Simulated a row.
        days: Simulated at most.
        note: What the simulation takes for granted.
    """

    __pydantic_config__ = CAMEL_CASE
    _title: ClassVar[str] = "what this rollout would do"

    points: tuple[OperatingPoint, ...]
    requests_per_day: float
    n_rollouts: int
    days: float
    note: str

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one dict a kind of variant."""
        return [
            {
                "variant": point.variant,
                "rolled back": f"{point.rolled_back:.1%}",
                "reached 100 %": f"{point.arrived:.1%}",
                "undecided": f"{point.undecided:.1%}",
                "median requests": point.median_requests,
                "median days": point.median_days,
            }
            for point in self.points
        ]


def operating_characteristics(
    experiment: SpecExperiment,
    *,
    requests_per_day: float,
    error_rate: float,
    p99_ms: float,
    n_rollouts: int = 1_000,
    seed: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> OperatingCharacteristics:
    """Simulate rollouts of variants as good as the control, worse, and beyond the boundaries.

    Args:
        experiment: The configuration.
        requests_per_day: The operation's traffic, of both arms together.
        error_rate: Of the control.
        p99_ms: The control's 99th percentile, milliseconds.
        n_rollouts: Simulated for each kind of variant.
        seed: Of all that is drawn.
        progress: Called with (kinds done, kinds in all).

    Raises:
        InputError: There is no traffic, a rate is no share, or ``n_rollouts`` is below 1.

    Examples:
        >>> from evolution_lab.experiments.definition import Binding
        >>> arm = {"operation": "checkout"}
        >>> experiment = SpecExperiment(
        ...     key="checkout-2", operation="checkout", unit="request",
        ...     control=Binding(version="1", **arm), variant=Binding(version="2", **arm))
        >>> told = operating_characteristics(
        ...     experiment, requests_per_day=1e6, error_rate=0.01, p99_ms=400, n_rollouts=50)
        >>> told.points[-1].rolled_back > 0.9 > 0.1 > told.points[0].rolled_back
        True
    """
    if not requests_per_day > 0 or not 0 <= error_rate < 1 or n_rollouts < 1 or not p99_ms > 0:
        raise InputError(
            f"requests_per_day == {requests_per_day}, error_rate == {error_rate}, p99_ms == "
            f"{p99_ms}, n_rollouts == {n_rollouts}: they must be above 0, error_rate a fraction."
        )
    plan = replace(EvidencePlan.of(experiment), sticky=False, fallback_boundary=None)
    slow = experiment.guardrail("latency_p99")
    boundary = slow.boundary if slow is not None else 2 * p99_ms
    kinds = _kinds(error_rate, p99_ms, plan.error_boundary, boundary if slow is not None else None)
    shares = tuple(stage.share for stage in experiment.stages if stage.share < 1)
    staged = [stage for stage in experiment.stages if stage.share < 1]
    days = min(sum(s.maximum_dwell.total_seconds() for s in staged) / 86_400, LONGEST_DAYS)
    day_a_look = days / LOOKS
    schedule = Schedule(
        shares=shares,
        looks_a_stage=-(-LOOKS // len(shares)),
        requests_a_look=max(round(requests_per_day * day_a_look), 1),
    )
    least = max(s.minimum_dwell.total_seconds() for s in staged) / 86_400 / day_a_look
    points = []
    for number, (name, harmful, truth) in enumerate(kinds, start=1):
        outcome = simulate(
            replace(truth, boundary_ms=boundary),
            evidence_rule(plan),
            n_rollouts=n_rollouts,
            seed=seed + number,
            schedule=schedule,
            advance_by=plan,
            minimum_looks=max(int(least) + 1, 1),
        )
        points.append(_point(name, outcome, day_a_look, harmful=harmful))
        if progress is not None:
            progress(number, len(kinds))
    note = "Requests come evenly over the day and times are lognormal."
    if experiment.sticky:
        note += (
            " Requests are drawn as independent; of users that fail again and again it takes more."
        )
    return OperatingCharacteristics(
        points=tuple(points),
        requests_per_day=requests_per_day,
        n_rollouts=n_rollouts,
        days=days,
        note=note,
    )


def _kinds(
    error_rate: float, p99_ms: float, error_boundary: float | None, boundary_ms: float | None
) -> list[tuple[str, bool, Truth]]:
    def truth(errors: float, p99: float) -> Truth:
        return Truth("", error_rate, min(errors, 0.99), p99_ms, p99)

    kinds = [("as good as the control", False, truth(error_rate, p99_ms))]
    if boundary_ms is not None:
        kinds += [
            (f"p99 {ratio:g} times the control's", True, truth(error_rate, ratio * p99_ms))
            for ratio in SLOWER
        ]
    if error_boundary is not None:
        base = max(error_rate, 0.001)
        kinds += [
            (f"errors {ratio:g} times the control's", True, truth(ratio * base, p99_ms))
            for ratio in ERROR_RATIOS
        ]
        worst = max(2 * error_boundary, ERROR_RATIOS[-1] * base)
        kinds.append((f"errors {worst:.1%}", True, truth(worst, p99_ms)))
    return kinds


def _point(name: str, outcome: Outcome, day_a_look: float, *, harmful: bool) -> OperatingPoint:
    stopped, finished = outcome.stopped_at >= 0, outcome.finished_at >= 0
    ends = np.maximum(outcome.stopped_at, outcome.finished_at)[stopped | finished]
    requests = outcome.variant_units[stopped]
    return OperatingPoint(
        variant=name,
        harmful=harmful,
        rolled_back=float(stopped.mean()),
        arrived=float(finished.mean()),
        undecided=float((~stopped & ~finished).mean()),
        median_requests=float(np.median(requests)) if len(requests) else None,
        median_days=float(np.median(ends) + 1) * day_a_look if len(ends) else None,
    )
