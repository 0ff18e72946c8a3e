"""The evidence of a rollout: for harm, which rolls back, and for safety, which advances.

Harm is a union: any guardrail may be broken, so that their e-values are averaged with weights and
compared with ``1 / alpha`` once. Safety is an intersection: each guardrail must be shown to lie within
its boundary, each at the whole level, in the stage that is to be left (Berger 1982).

Functions take counts of one rollout or of many at once (leading axes), and the simulation calls the
very functions that the controller calls.

References:
    Ramdas, Grünwald, Vovk, Shafer (2023), Game-theoretic statistics and safe anytime-valid inference,
    Statistical Science 38(4).
    Berger (1982), Multiparameter hypothesis testing and acceptance sampling, Technometrics 24(4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, Self

import numpy as np
from numpy.typing import NDArray

from evolution_lab.experiments.counters import RolloutCounts
from evolution_lab.experiments.definition import SpecExperiment
from evolution_lab.experiments.statistics.asymptotic import RatioSums, log_e_mean_above
from evolution_lab.experiments.statistics.combining import log_weighted_mean
from evolution_lab.experiments.statistics.ratios import ERRORS, SLOW, RatioPrior, log_e_ratio
from evolution_lab.experiments.statistics.sample_ratio import log_e_sample_ratio
from evolution_lab.experiments.statistics.shares import log_e_share_above, log_e_share_below

Floats = NDArray[np.float64]
Kind = Literal[
    "error boundary",
    "errors over control",
    "slow boundary",
    "slow over control",
    "fallback boundary",
]

WEIGHTS: Final[dict[Kind, float]] = {
    "errors over control": 0.20,
    "slow over control": 0.15,
    "error boundary": 0.03,
    "slow boundary": 0.03,
    "fallback boundary": 0.03,
}
"""Shares of the level. What a release breaks shows first against the control of the same hours; a
boundary is crossed by a control that was near it, too. More than half of the level is kept back: a
harmless variant has to arrive in 99 of 100 rollouts, not in 95."""
STAGE_WEIGHTS: Final = (0.5, 0.25, 0.125)
"""Where evidence of stages is averaged, the first counts most: it is there that harm is cheap. Later
stages share the last weight evenly."""
ALPHA_SAMPLE_RATIO: Final = 0.01
P99: Final = 0.01
"""A 99th percentile lies at or under a boundary when at most this share is slower."""


@dataclass(frozen=True)
class EvidencePlan:
    """What is guarded, and how the level is spent.

    Attributes:
        alpha: Probability of a false rollback, over guardrails, stages and looks together.
        error_boundary: Largest harmless share of failures; None guards none.
        slow_boundary: Largest harmless share of slow requests (0.01 for a p99); None guards none.
        fallback_boundary: Largest harmless share of executions in which the variant could not
            start; None guards none.
        error_ratio: Ratio of the variant's error rate to the control's that is still harmless.
        slow_ratio: Likewise of the shares slower than the reference.
        sticky: Units keep their arm: what one did in a stage it may do in the next, so that the
            evidence of stages is averaged, not multiplied.
        alpha_advance: Probability to advance, in one stage, what lies on a boundary.

    Examples:
        >>> round(sum(EvidencePlan().weights.values()), 2)
        0.41
    """

    alpha: float = 0.05
    error_boundary: float | None = 0.05
    slow_boundary: float | None = P99
    fallback_boundary: float | None = None
    error_ratio: float = 1.0
    slow_ratio: float = 1.0
    sticky: bool = False
    alpha_advance: float = 0.05

    @classmethod
    def of(cls, experiment: SpecExperiment) -> Self:
        """Return what an experiment's guardrails ask for."""
        errors, slow, fallbacks = (
            experiment.guardrail(name) for name in ("error_rate", "latency_p99", "fallback_rate")
        )
        return cls(
            alpha=experiment.alpha,
            error_boundary=None if errors is None else errors.boundary,
            slow_boundary=None if slow is None else P99,
            fallback_boundary=None if fallbacks is None else fallbacks.boundary,
            error_ratio=1.0 + ((errors and errors.relative_margin) or 0.0),
            slow_ratio=1.0 + ((slow and slow.relative_margin) or 0.0),
            sticky=experiment.sticky,
        )

    @property
    def boundaries(self) -> dict[Kind, float]:
        """The boundaries that are guarded, by kind of evidence."""
        every: dict[Kind, float | None] = {
            "error boundary": self.error_boundary,
            "slow boundary": self.slow_boundary,
            "fallback boundary": self.fallback_boundary,
        }
        return {kind: boundary for kind, boundary in every.items() if boundary is not None}

    @property
    def weights(self) -> dict[Kind, float]:
        """Shares of the level by kind of evidence; what they leave is not spent."""
        kinds = set(self.boundaries)
        if self.error_boundary is not None:
            kinds.add("errors over control")
        if self.slow_boundary is not None:
            kinds.add("slow over control")
        return {kind: weight for kind, weight in WEIGHTS.items() if kind in kinds}


@dataclass(frozen=True)
class CountArrays:
    """Counts as arrays whose last axis runs over stages; leading axes over rollouts.

    A *unit* is a request, or a user where users keep their arm.

    Attributes:
        shares: Share of the variant, one a stage.
        n_variant: Units of the variant.
        n_control: Units of the control.
        failed_variant: Units of the variant that failed.
        failed_control: Likewise of the control.
        tail_variant: Units of the variant slower than the reference.
        tail_control: Likewise of the control.
        slow_variant: Requests of the variant slower than the boundary.
        fallbacks: Requests for which the variant could not start.
        requests: Requests of the variant.
        failures: Where units are users, the sums of their failures over their requests, one a
            stage, of the variant; empty otherwise.
        slowness: Likewise of slow requests.
    """

    shares: Floats
    n_variant: Floats
    n_control: Floats
    failed_variant: Floats
    failed_control: Floats
    tail_variant: Floats
    tail_control: Floats
    slow_variant: Floats
    fallbacks: Floats
    requests: Floats
    failures: tuple[RatioSums, ...] = ()
    slowness: tuple[RatioSums, ...] = ()

    @classmethod
    def of(cls, counts: RolloutCounts, *, sticky: bool = False) -> CountArrays:
        """Return the counts of one rollout: requests, or units where they keep their arm."""

        def row(arm: str, name: str) -> Floats:
            return np.array(
                [getattr(getattr(stage, arm), name) for stage in counts.stages], dtype=np.float64
            )

        units, failed, tail = (
            ("units", "failed_units", "tail_units") if sticky else ("requests", "failed", "tail")
        )
        return cls(
            np.array([stage.share for stage in counts.stages]),
            row("variant", units),
            row("control", units),
            row("variant", failed),
            row("control", failed),
            row("variant", tail),
            row("control", tail),
            row("variant", "slow"),
            row("variant", "fallbacks"),
            row("variant", "requests"),
            tuple(stage.variant.failures() for stage in counts.stages) if sticky else (),
            tuple(stage.variant.slowness() for stage in counts.stages) if sticky else (),
        )

    @property
    def two_armed(self) -> NDArray[np.bool_]:
        """Which stages have a control to compare with."""
        return np.asarray(self.shares < 1)

    def events(self, kind: Kind) -> Floats:
        """Return the requests of the variant that count towards a boundary, one count a stage."""
        if kind == "error boundary":
            return self.failed_variant
        return self.slow_variant if kind == "slow boundary" else self.fallbacks

    def sums(self, kind: Kind) -> tuple[RatioSums, ...]:
        """Return the sums over users that a boundary is judged by; empty where requests are units."""
        if kind == "error boundary":
            return self.failures
        return self.slowness if kind == "slow boundary" else ()


def log_harm(plan: EvidencePlan, counts: CountArrays) -> dict[Kind, Floats]:
    """Return the log e-values against "the variant does no harm", by kind of evidence.

    Args:
        plan: What is guarded.
        counts: Counts so far.
    """
    found: dict[Kind, Floats] = {}
    for kind in plan.weights:
        if kind == "errors over control":
            pair = counts.failed_variant, counts.failed_control
            found[kind] = _over_control(plan, counts, *pair, plan.error_ratio, ERRORS)
        elif kind == "slow over control":
            pair = counts.tail_variant, counts.tail_control
            found[kind] = _over_control(plan, counts, *pair, plan.slow_ratio, SLOW)
        elif sums := counts.sums(kind):
            each = [_of_users(one, plan.boundaries[kind], above=True) for one in sums]
            found[kind] = log_weighted_mean(np.array(each), _stage_weights(len(each)))
        else:
            found[kind] = log_e_share_above(
                counts.events(kind).sum(axis=-1),
                counts.requests.sum(axis=-1),
                plan.boundaries[kind],
            )
    return found


def combined_harm(plan: EvidencePlan, harm: dict[Kind, Floats]) -> Floats:
    """Return the log e-value of the union of guardrails; roll back at ``log(1 / alpha)``.

    What the weights leave of the level is an e-value of 1, which it always is.
    """
    weights = plan.weights
    logs = [harm[kind] for kind in weights]
    spent = list(weights.values())
    return log_weighted_mean([*logs, np.zeros_like(logs[0])], [*spent, 1.0 - sum(spent)])


def log_safety(plan: EvidencePlan, counts: CountArrays, stage: int) -> dict[Kind, Floats]:
    """Return the log e-values against "the boundary is reached", from one stage alone.

    Args:
        plan: What is guarded.
        counts: Counts so far.
        stage: The stage that is to be left.
    """
    found: dict[Kind, Floats] = {}
    for kind, boundary in plan.boundaries.items():
        if sums := counts.sums(kind):
            found[kind] = np.asarray(_of_users(sums[stage], boundary, above=False))
        else:
            found[kind] = log_e_share_below(
                counts.events(kind)[..., stage], counts.requests[..., stage], boundary
            )
    return found


def log_split(counts: CountArrays) -> Floats:
    """Return the log e-value against "units are split as configured"."""
    arms = counts.two_armed
    if not arms.any():
        return np.zeros(counts.n_variant.shape[:-1])
    return log_e_sample_ratio(
        counts.n_variant[..., arms], counts.n_control[..., arms], counts.shares[arms]
    )


def _over_control(
    plan: EvidencePlan,
    counts: CountArrays,
    variant: Floats,
    control: Floats,
    ratio: float,
    prior: RatioPrior,
) -> Floats:
    arms = counts.two_armed
    variant, control, shares = variant[..., arms], control[..., arms], counts.shares[arms]
    if not len(shares):
        return np.zeros(counts.n_variant.shape[:-1])
    if not plan.sticky:
        return log_e_ratio(variant, control, shares, ratio=ratio, prior=prior)
    each = np.stack(
        [
            log_e_ratio(
                variant[..., k : k + 1],
                control[..., k : k + 1],
                shares[k : k + 1],
                ratio=ratio,
                prior=prior,
            )
            for k in range(len(shares))
        ]
    )
    return log_weighted_mean(each, _stage_weights(len(shares)))


def _stage_weights(stages: int) -> Floats:
    first = np.array(STAGE_WEIGHTS[:stages])
    rest = np.full(max(stages - len(first), 0), 0.125 / max(stages - len(first), 1))
    weights = np.concatenate([first, rest])
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def _of_users(sums: RatioSums, boundary: float, *, above: bool) -> float:
    """Return the asymptotic log e-value that the share of requests lies beyond a boundary."""
    sign = 1.0 if above else -1.0
    return log_e_mean_above(sign * sums.ratio, sign * boundary, sums.variance, sums.n_obs)
