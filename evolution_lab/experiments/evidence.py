"""The evidence of a rollout: for harm, which rolls back, and for safety, which advances.

Harm is a union: any guardrail may be broken, so that their e-values are averaged with weights that sum
to 1 and compared with ``1 / alpha`` once. Safety is an intersection: each guardrail that has a boundary
must be shown to lie within it, each at the whole level, in the stage that is to be left (Berger 1982).

Functions take counts of one rollout or of many at once (leading axes), and the simulation calls the
very functions that the controller calls.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from evolution_lab.errors import InputError
from evolution_lab.experiments.counters import RolloutCounts
from evolution_lab.experiments.statistics.combining import log_weighted_mean
from evolution_lab.experiments.statistics.ratios import ERRORS, SLOW, log_e_ratio
from evolution_lab.experiments.statistics.sample_ratio import log_e_sample_ratio
from evolution_lab.experiments.statistics.shares import log_e_share_above, log_e_share_below

Floats = NDArray[np.float64]
Kind = Literal["error boundary", "errors over control", "slow boundary", "slow over control"]

RELATIVE_WEIGHT: Final = 0.4
BOUNDARY_WEIGHT: Final = 0.1
"""Of the level: what a release breaks shows first against the control of the same hours; a boundary
is crossed by a control that was near it, too."""
ALPHA_SAMPLE_RATIO: Final = 0.01


@dataclass(frozen=True)
class CountArrays:
    """Counts as arrays whose last axis runs over stages; leading axes over rollouts.

    Attributes:
        shares: Share of the variant, one a stage.
        n_variant: Units of the variant.
        n_control: Units of the control.
        failed_variant: Of them, those that failed.
        failed_control: Likewise.
        slow_variant: Of them, those that were slow.
        slow_control: Likewise.
    """

    shares: Floats
    n_variant: Floats
    n_control: Floats
    failed_variant: Floats
    failed_control: Floats
    slow_variant: Floats
    slow_control: Floats

    @classmethod
    def of(cls, counts: RolloutCounts, *, sticky: bool = False) -> CountArrays:
        """Return the counts of one rollout: requests, or units where they keep their arm."""

        def row(arm: str, name: str) -> Floats:
            return np.array(
                [getattr(getattr(stage, arm), name) for stage in counts.stages], dtype=np.float64
            )

        units, failed, slow = (
            ("units", "failed_units", "slow_units") if sticky else ("requests", "failed", "slow")
        )
        return cls(
            np.array([stage.share for stage in counts.stages]),
            row("variant", units),
            row("control", units),
            row("variant", failed),
            row("control", failed),
            row("variant", slow),
            row("control", slow),
        )


@dataclass(frozen=True)
class EvidencePlan:
    """What is guarded, and how the level is spent.

    Attributes:
        alpha: Probability of a false rollback, over guardrails, stages and looks together.
        error_boundary: Largest harmless share of failures; None guards none.
        slow_boundary: Largest harmless share of slow requests (0.01 for a p99); None guards none.
        harmless_ratio: Ratio of the variant's rates to the control's that is still harmless.
        sticky: Units keep their arm: what one did in a stage it may do in the next, so that the
            evidence of stages is averaged, not multiplied.
        alpha_advance: Probability to advance, in one stage, what lies on a boundary.

    Examples:
        >>> plan = EvidencePlan()
        >>> sum(plan.weights.values())
        1.0
    """

    alpha: float = 0.05
    error_boundary: float | None = 0.05
    slow_boundary: float | None = 0.01
    harmless_ratio: float = 1.0
    sticky: bool = False
    alpha_advance: float = 0.05
    stage_weights: tuple[float, ...] = field(default=(0.5, 0.25, 0.125, 0.125))

    @property
    def weights(self) -> dict[Kind, float]:
        """Shares of the level by kind of evidence; they sum to 1."""
        found: dict[Kind, float] = {"errors over control": RELATIVE_WEIGHT}
        if self.error_boundary is not None and not self.sticky:
            found["error boundary"] = BOUNDARY_WEIGHT
        if self.slow_boundary is not None:
            found["slow over control"] = RELATIVE_WEIGHT
            if not self.sticky:
                found["slow boundary"] = BOUNDARY_WEIGHT
        total = sum(found.values())
        return {kind: weight / total for kind, weight in found.items()}


def log_harm(plan: EvidencePlan, counts: CountArrays) -> dict[Kind, Floats]:
    """Return the log e-values against "the variant does no harm", by kind of evidence.

    Args:
        plan: What is guarded.
        counts: Counts so far.
    """
    found: dict[Kind, Floats] = {}
    for kind in plan.weights:
        if kind == "errors over control":
            found[kind] = _over_control(
                plan, counts, counts.failed_variant, counts.failed_control, slow=False
            )
        elif kind == "slow over control":
            found[kind] = _over_control(
                plan, counts, counts.slow_variant, counts.slow_control, slow=True
            )
        else:
            events = counts.failed_variant if kind == "error boundary" else counts.slow_variant
            boundary = plan.error_boundary if kind == "error boundary" else plan.slow_boundary
            if boundary is None:
                raise InputError(f"{kind} is guarded without a boundary.")
            found[kind] = log_e_share_above(
                events.sum(axis=-1), counts.n_variant.sum(axis=-1), boundary
            )
    return found


def combined_harm(plan: EvidencePlan, harm: dict[Kind, Floats]) -> Floats:
    """Return the log e-value of the union of guardrails; roll back at ``log(1 / alpha)``."""
    weights = plan.weights
    return log_weighted_mean([harm[kind] for kind in weights], list(weights.values()))


def log_safety(plan: EvidencePlan, counts: CountArrays, stage: int) -> dict[Kind, Floats]:
    """Return the log e-values against "the boundary is reached", from one stage alone.

    Args:
        plan: What is guarded.
        counts: Counts so far.
        stage: The stage that is to be left.
    """
    found: dict[Kind, Floats] = {}
    n_obs = counts.n_variant[..., stage]
    if plan.error_boundary is not None:
        found["error boundary"] = log_e_share_below(
            counts.failed_variant[..., stage], n_obs, plan.error_boundary
        )
    if plan.slow_boundary is not None:
        found["slow boundary"] = log_e_share_below(
            counts.slow_variant[..., stage], n_obs, plan.slow_boundary
        )
    return found


def log_split(counts: CountArrays) -> Floats:
    """Return the log e-value against "units are split as configured"."""
    return log_e_sample_ratio(counts.n_variant, counts.n_control, counts.shares)


def _over_control(
    plan: EvidencePlan, counts: CountArrays, variant: Floats, control: Floats, *, slow: bool
) -> Floats:
    prior = SLOW if slow else ERRORS
    if not plan.sticky:
        return log_e_ratio(variant, control, counts.shares, ratio=plan.harmless_ratio, prior=prior)
    stages = counts.shares.shape[-1]
    each = np.stack(
        [
            log_e_ratio(
                variant[..., k : k + 1],
                control[..., k : k + 1],
                counts.shares[k : k + 1],
                ratio=plan.harmless_ratio,
                prior=prior,
            )
            for k in range(stages)
        ]
    )
    weights = np.array(plan.stage_weights[:stages], dtype=np.float64)
    return log_weighted_mean(each, weights / weights.sum())
