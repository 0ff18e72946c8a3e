"""Rollouts drawn by the thousand, to know how a configuration behaves before it is used.

Requests come at a constant pace; each look adds what came since and asks the functions that the
controller asks. Times are lognormal; only whether one is slower than the boundary is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy
from numpy.typing import NDArray

from evolution_lab.experiments.evidence import (
    ALPHA_SAMPLE_RATIO,
    CountArrays,
    EvidencePlan,
    combined_harm,
    log_harm,
    log_safety,
    log_split,
)

Floats = NDArray[np.float64]
Rule = Callable[["Look"], NDArray[np.bool_]]
"""Says which rollouts are rolled back at a look."""

BOUNDARY_MS: Final = 750.0
_FIELDS: Final = (
    *("n_variant", "n_control", "failed_variant", "failed_control"),
    *("tail_variant", "tail_control", "slow_variant"),
)
SPREAD: Final = 0.7
"""Standard deviation of the logarithm of request times."""


@dataclass(frozen=True)
class Truth:
    """How both arms behave.

    Attributes:
        name: What it is called in tables.
        control_errors: Share of the control's requests that fail.
        variant_errors: Share of the variant's.
        control_p99_ms: 99th percentile of the control's times, milliseconds.
        variant_p99_ms: Of the variant's.
        drift: How far both error rates swing over a day, as a share of themselves.
        lost_units: Share of the variant's requests that are not counted.
        misassigned: Share of the variant's requests that get the control instead.
        boundary_ms: Boundary of the 99th percentile, milliseconds.
    """

    name: str
    control_errors: float = 0.02
    variant_errors: float = 0.02
    control_p99_ms: float = 600.0
    variant_p99_ms: float = 600.0
    drift: float = 0.0
    lost_units: float = 0.0
    misassigned: float = 0.0
    boundary_ms: float = BOUNDARY_MS


def slow_share(p99_ms: float, boundary_ms: float = BOUNDARY_MS, spread: float = SPREAD) -> float:
    """Return the share of requests slower than a boundary, of lognormal times.

    Examples:
        >>> round(slow_share(750.0), 4)
        0.01
    """
    return float(
        scipy.stats.norm.sf(scipy.stats.norm.ppf(0.99) + math.log(boundary_ms / p99_ms) / spread)
    )


@dataclass(frozen=True)
class Schedule:
    """How much comes when.

    Attributes:
        shares: Share of the variant, stage by stage.
        looks_a_stage: Looks in each stage where stages are left by the clock.
        requests_a_look: Requests of both arms together between two looks.
    """

    shares: tuple[float, ...] = (0.01, 0.1, 0.5)
    looks_a_stage: int = 60
    requests_a_look: int = 2000

    @property
    def looks(self) -> int:
        """Looks in all."""
        return self.looks_a_stage * len(self.shares)


@dataclass(frozen=True)
class Look:
    """What a rule may see at one look, for all rollouts at once.

    Attributes:
        number: The look, from 0.
        stage: Stage of each rollout.
        counts: Counts so far.
        interval: Counts since the look before.
    """

    number: int
    stage: NDArray[np.int64]
    counts: CountArrays
    interval: CountArrays


@dataclass(frozen=True)
class Outcome:
    """What became of many rollouts.

    Attributes:
        stopped_at: Look of the rollback, -1 where there was none.
        variant_units: Units of the variant until then, or until the end.
        finished_at: Look at which the last stage was left, -1 where it was not.
        advanced: How often each stage was left.
        split_alarm: Look of the first alarm of the split, -1 where there was none.
    """

    stopped_at: NDArray[np.int64]
    variant_units: Floats
    finished_at: NDArray[np.int64]
    advanced: NDArray[np.int64]
    split_alarm: NDArray[np.int64]

    @property
    def stopped(self) -> float:
        """Share that was rolled back."""
        return float((self.stopped_at >= 0).mean())

    @property
    def median_units(self) -> float:
        """Median units of the variant until the rollback, over those that were rolled back."""
        rolled = self.variant_units[self.stopped_at >= 0]
        return float(np.median(rolled)) if len(rolled) else math.inf


def evidence_rule(plan: EvidencePlan) -> Rule:
    """Return our rule: roll back where the averaged evidence of harm reaches ``1 / alpha``."""
    threshold = math.log(1 / plan.alpha)

    def rule(look: Look) -> NDArray[np.bool_]:
        return np.asarray(combined_harm(plan, log_harm(plan, look.counts)) >= threshold)

    return rule


def simulate(
    truth: Truth,
    rule: Rule,
    *,
    n_rollouts: int,
    seed: int,
    schedule: Schedule | None = None,
    advance_by: EvidencePlan | None = None,
    minimum_looks: int = 5,
) -> Outcome:
    """Draw rollouts and look at each at every look.

    Args:
        truth: How both arms behave.
        rule: Rolls back.
        n_rollouts: How many.
        seed: Of all that is drawn.
        schedule: How much comes when.
        advance_by: Leave a stage when its safety is shown, at the earliest after
            ``minimum_looks``; None leaves each by the clock.
        minimum_looks: Least looks in a stage.

    Examples:
        >>> plan = EvidencePlan()
        >>> bad = Truth("bad", variant_errors=0.3)
        >>> simulate(bad, evidence_rule(plan), n_rollouts=20, seed=1).stopped
        1.0
    """
    schedule = schedule or Schedule()
    rng = np.random.default_rng(seed)
    shares = np.array(schedule.shares)
    stages = len(shares)
    edge = min(truth.control_p99_ms, truth.boundary_ms)
    tails = slow_share(truth.control_p99_ms, edge), slow_share(truth.variant_p99_ms, edge)
    slow = slow_share(truth.variant_p99_ms, truth.boundary_ms) / tails[1]
    totals = np.zeros((len(_FIELDS), n_rollouts, stages))
    rows = np.arange(n_rollouts)
    stage = np.zeros(n_rollouts, dtype=np.int64)
    entered = np.zeros(n_rollouts, dtype=np.int64)
    stopped_at, finished_at, alarm = (np.full(n_rollouts, -1, dtype=np.int64) for _ in range(3))
    units_at_stop = np.zeros(n_rollouts)
    advanced = np.zeros(stages, dtype=np.int64)
    for number in range(schedule.looks):
        live = (stopped_at < 0) & (finished_at < 0)
        if not live.any():
            break
        if advance_by is None:
            stage[:] = number // schedule.looks_a_stage
        swing = 1 + truth.drift * math.sin(2 * math.pi * number / schedule.looks_a_stage)
        drawn = _drawn(truth, tails, slow, swing, shares[stage], schedule.requests_a_look, rng)
        fresh = np.zeros_like(totals)
        fresh[:, rows, stage] = drawn
        totals += fresh
        look = Look(number, stage, _arrays(shares, totals), _arrays(shares, fresh))
        harmed = live & rule(look)
        stopped_at[harmed] = number
        seen = live & (alarm < 0) & (log_split(look.counts) >= math.log(1 / ALPHA_SAMPLE_RATIO))
        alarm[seen] = number
        units_at_stop = np.where(live, look.counts.n_variant.sum(axis=1), units_at_stop)
        if advance_by is not None:
            ready = live & ~harmed & (number - entered + 1 >= minimum_looks)
            for k in range(stages):
                here = ready & (stage == k)
                if here.any():
                    safety = log_safety(advance_by, look.counts, k)
                    level = math.log(1 / advance_by.alpha_advance)
                    here &= np.all([each >= level for each in safety.values()], axis=0)
                    advanced[k] += int(here.sum())
                    if k + 1 < stages:
                        stage[here] = k + 1
                        entered[here] = number + 1
                    else:
                        finished_at[here] = number
                    ready &= ~here
    return Outcome(stopped_at, units_at_stop, finished_at, advanced, alarm)


def _drawn(
    truth: Truth,
    tails: Sequence[float],
    slow: float,
    swing: float,
    share: Floats,
    requests: int,
    rng: np.random.Generator,
) -> Floats:
    """Return the counts of one look, in the order of ``_FIELDS``."""
    n_variant = rng.binomial(requests, share)
    n_control = requests - n_variant
    if truth.misassigned:
        moved = rng.binomial(n_variant, truth.misassigned)
        n_variant, n_control = n_variant - moved, n_control + moved
    if truth.lost_units:
        n_variant = rng.binomial(n_variant, 1 - truth.lost_units)
    tail_variant = rng.binomial(n_variant, tails[1])
    return np.array(
        [
            n_variant,
            n_control,
            rng.binomial(n_variant, min(truth.variant_errors * swing, 1.0)),
            rng.binomial(n_control, min(truth.control_errors * swing, 1.0)),
            tail_variant,
            rng.binomial(n_control, tails[0]),
            rng.binomial(tail_variant, slow),
        ],
        dtype=np.float64,
    )


def _arrays(shares: Floats, totals: Floats) -> CountArrays:
    named = dict(zip(_FIELDS, totals, strict=True))
    return CountArrays(
        shares, **named, fallbacks=np.zeros_like(totals[0]), requests=named["n_variant"]
    )
