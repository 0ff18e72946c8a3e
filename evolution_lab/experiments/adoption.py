"""What a completed rollout really changed, with intervals: kept beside what was predicted."""

from __future__ import annotations

import math
from typing import Any

from evolution_lab.experiments.counters import ArmCounts, RolloutCounts
from evolution_lab.experiments.definition import SpecExperiment
from evolution_lab.experiments.statistics.asymptotic import asymptotic_half_width


def realised_effect(experiment: SpecExperiment, counts: RolloutCounts) -> dict[str, Any]:
    """Return the differences of the variant from the control that were measured, JSON-ready.

    Over the stages that had both arms. Each share has a 95 % confidence sequence, so that it holds
    whenever the rollout happened to end: by users where they kept their arm (delta method), else by
    requests.

    Args:
        experiment: The definition.
        counts: What was counted of it.

    Examples:
        >>> from evolution_lab.experiments import Binding, StageCounts
        >>> arm = {"operation": "checkout"}
        >>> experiment = SpecExperiment(
        ...     key="c", operation="checkout", unit="request",
        ...     control=Binding(version="1", **arm), variant=Binding(version="2", **arm))
        >>> half = StageCounts(0.5, control=ArmCounts(requests=9000, failed=450),
        ...                    variant=ArmCounts(requests=9000, failed=90))
        >>> realised_effect(experiment, RolloutCounts((half,)))["errorRate"]["difference"]
        -0.04
    """
    both = [stage for stage in counts.stages if stage.share < 1]
    control = sum((stage.control for stage in both), ArmCounts())
    variant = sum((stage.variant for stage in both), ArmCounts())
    return {
        "experiment": f"{experiment.key}@{experiment.version}",
        "requests": {"control": control.requests, "variant": variant.requests},
        "errorRate": _difference(control, variant, "failed", sticky=experiment.sticky),
        "slowShare": _difference(control, variant, "slow", sticky=experiment.sticky),
    }


def _difference(
    control: ArmCounts, variant: ArmCounts, name: str, *, sticky: bool
) -> dict[str, Any] | None:
    if not control.requests or not variant.requests:
        return None
    shares = [getattr(arm, name) / arm.requests for arm in (control, variant)]
    if sticky:
        sums = [
            arm.failures() if name == "failed" else arm.slowness() for arm in (control, variant)
        ]
        variance = sum(each.variance / each.n_obs for each in sums if each.n_obs)
        n_obs = sum(each.n_obs for each in sums)
    else:
        arms = zip(shares, (control, variant), strict=True)
        variance = sum(share * (1 - share) / arm.requests for share, arm in arms)
        n_obs = control.requests + variant.requests
    difference = shares[1] - shares[0]
    half = asymptotic_half_width(variance, n_obs)
    interval = None if math.isinf(half) else [difference - half, difference + half]
    return {
        "control": shares[0],
        "variant": shares[1],
        "difference": round(difference, 12),
        "interval": interval,
    }
