"""``SpecExperimentAnalyzer``: counts of both arms in, verdicts with their evidence out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from evolution_lab.experiments.analysis import ExperimentAnalysis, GuardrailResult, Verdict
from evolution_lab.experiments.counters import ArmCounts, RolloutCounts
from evolution_lab.experiments.definition import Guardrail, GuardrailMetric, SpecExperiment
from evolution_lab.experiments.evidence import (
    ALPHA_SAMPLE_RATIO,
    CountArrays,
    EvidencePlan,
    Floats,
    Kind,
    combined_harm,
    log_harm,
    log_safety,
    log_split,
)
from evolution_lab.experiments.statistics.combining import e_bh
from evolution_lab.experiments.statistics.ratios import ratio_interval
from evolution_lab.experiments.statistics.shares import share_interval

KINDS: Final[Mapping[GuardrailMetric, tuple[Kind, ...]]] = {
    "error_rate": ("errors over control", "error boundary"),
    "latency_p99": ("slow over control", "slow boundary"),
    "fallback_rate": ("fallback boundary",),
}
_COUNTED: Final[Mapping[GuardrailMetric, str]] = {
    "error_rate": "failed",
    "latency_p99": "slow",
    "fallback_rate": "fallbacks",
}
_WORDS: Final[Mapping[GuardrailMetric, str]] = {
    "error_rate": "failed",
    "latency_p99": "took longer than the boundary",
    "fallback_rate": "fell back to the control's handler",
}


@dataclass(frozen=True)
class SpecExperimentAnalyzer:
    """Says what counted outcomes prove about one experiment, at any number of looks.

    It keeps nothing: the same counts give the same analysis, bit for bit, whatever processes counted
    them and in whatever order they are merged. Requests are the unit where they are independent;
    where users keep their arm, users are (DESIGN §5.3): their failures are correlated.

    Attributes:
        experiment: The definition.

    Examples:
        >>> from evolution_lab.experiments.definition import Binding
        >>> arm = {"operation": "checkout"}
        >>> experiment = SpecExperiment(
        ...     key="checkout-2", operation="checkout", unit="request",
        ...     control=Binding(version="1", **arm), variant=Binding(version="2", **arm))
        >>> counts = RolloutCounts.empty(stage.share for stage in experiment.stages)
        >>> SpecExperimentAnalyzer(experiment).analyse(counts, stage=0).harm
        False
    """

    experiment: SpecExperiment

    def analyse(self, counts: RolloutCounts, *, stage: int) -> ExperimentAnalysis:
        """Return what the counts so far say, the stage under way being ``stage``.

        Args:
            counts: Counts of all stages, merged over all processes.
            stage: The stage under way, counted from 0.

        Raises:
            InvalidExperimentError: There is no such stage.
        """
        share = self.experiment.share_at(stage)
        plan = EvidencePlan.of(self.experiment)
        harm, safety, union, split = self.evidence(counts, stage=stage)
        threshold = math.log(1 / plan.alpha)
        results = tuple(
            self._guardrail(guardrail, plan, counts, harm, safety)
            for guardrail in self.experiment.guardrails
        )
        harmed = union >= threshold
        safe = all(result.log_e_safety >= math.log(1 / plan.alpha_advance) for result in results)
        broken = split >= math.log(1 / ALPHA_SAMPLE_RATIO)
        return ExperimentAnalysis(
            key=self.experiment.key,
            version=self.experiment.version,
            stage=stage,
            share=share,
            guardrails=results,
            log_e_harm=union,
            log_threshold=threshold,
            log_e_split=split,
            harm=harmed,
            safe=safe,
            split_broken=broken,
            unit=self.experiment.unit if plan.sticky else "request",
            reason=_reason(results, union, threshold, harmed=harmed, safe=safe, broken=broken),
        )

    def evidence(
        self, counts: RolloutCounts, *, stage: int
    ) -> tuple[Mapping[Kind, Floats], Mapping[Kind, Floats], float, float]:
        """Return what decides: log e-values of harm and safety by kind, of their union, of the split.

        Args:
            counts: Counts of all stages, merged over all processes.
            stage: The stage under way, counted from 0.
        """
        plan = EvidencePlan.of(self.experiment)
        arrays = CountArrays.of(counts, sticky=plan.sticky)
        harm = log_harm(plan, arrays)
        safety = log_safety(plan, arrays, stage)
        return harm, safety, float(combined_harm(plan, harm)), float(log_split(arrays))

    def _guardrail(
        self,
        guardrail: Guardrail,
        plan: EvidencePlan,
        counts: RolloutCounts,
        harm: Mapping[Kind, Floats],
        safety: Mapping[Kind, Floats],
    ) -> GuardrailResult:
        kinds = KINDS[guardrail.metric]
        name = _COUNTED[guardrail.metric]
        variant = sum((each.variant for each in counts.stages), ArmCounts())
        control = sum((each.control for each in counts.stages), ArmCounts())
        hits, n_variant = getattr(variant, name), variant.requests
        rate = hits / n_variant if n_variant else None
        of_control = getattr(control, name) / control.requests if control.requests else None
        strongest = max(float(harm[kind]) + math.log(plan.weights[kind]) for kind in kinds)
        within = min(float(safety[kind]) for kind in kinds if kind in safety)
        compared = guardrail.metric != "fallback_rate"
        verdict: Verdict = "inconclusive"
        if strongest >= math.log(1 / plan.alpha):
            verdict = "harm"
        elif within >= math.log(1 / plan.alpha_advance):
            verdict = "safe"
        return GuardrailResult(
            metric=guardrail.metric,
            boundary=guardrail.boundary,
            n_variant=n_variant,
            n_control=control.requests,
            rate_variant=rate,
            rate_control=of_control if compared else None,
            interval=share_interval(hits, n_variant),
            ratio_interval=self._ratio(guardrail.metric, counts, plan) if compared else None,
            log_e_harm=strongest,
            log_e_safety=within,
            verdict=verdict,
            reason=_sentence(guardrail, hits, n_variant, of_control, verdict),
        )

    def _ratio(
        self, metric: GuardrailMetric, counts: RolloutCounts, plan: EvidencePlan
    ) -> tuple[float, float]:
        arrays = CountArrays.of(counts, sticky=plan.sticky)
        arms = arrays.two_armed
        errors = metric == "error_rate"
        variant = arrays.failed_variant if errors else arrays.tail_variant
        control = arrays.failed_control if errors else arrays.tail_control
        if not np.any(arms):
            return (0.0, math.inf)
        # Stages of returning users repeat each other: the last with both arms says it alone.
        chosen = np.flatnonzero(arms)[-1:] if plan.sticky else np.flatnonzero(arms)
        return ratio_interval(variant[chosen], control[chosen], arrays.shares[chosen])


def harmful_among(
    analyses: Sequence[ExperimentAnalysis], *, alpha: float = 0.05
) -> tuple[str, ...]:
    """Return which of many experiments do harm, with a false discovery rate of at most ``alpha``.

    Each controller keeps its own error rate; who looks at fifty of them wants to know how many of
    those called harmful are so. By e-BH, whatever the dependence between them (Wang, Ramdas 2022).

    Args:
        analyses: One an experiment.
        alpha: Share of false ones among those returned, on average.

    Returns:
        ``key@version`` of each, in the order given.

    Examples:
        >>> harmful_among([])
        ()
    """
    found = e_bh([each.log_e_harm for each in analyses], alpha=alpha)
    return tuple(
        f"{each.key}@{each.version}" for each, harm in zip(analyses, found, strict=True) if harm
    )


def _sentence(
    guardrail: Guardrail, hits: int, n_variant: int, of_control: float | None, verdict: Verdict
) -> str:
    what = _WORDS[guardrail.metric]
    limit = (
        f"{guardrail.boundary:g} ms"
        if guardrail.metric == "latency_p99"
        else f"{guardrail.boundary:.2%}"
    )
    if not n_variant:
        return f"No request of the variant was counted; the boundary is {limit}."
    beside = "" if of_control is None else f", beside {of_control:.2%} of the control's"
    said = f"{hits} of {n_variant} requests of the variant {what}{beside}; boundary {limit}"
    end = {
        "harm": "that is harm",
        "safe": "in this stage it is within the boundary",
        "inconclusive": "neither harm nor safety is shown",
    }
    return f"{said}: {end[verdict]}."


def _reason(
    results: tuple[GuardrailResult, ...],
    union: float,
    threshold: float,
    *,
    harmed: bool,
    safe: bool,
    broken: bool,
) -> str:
    worst = max(results, key=lambda result: result.log_e_harm)
    odds = f"the evidence of harm is {math.exp(min(union, 50.0)):.3g} to 1, from "
    odds += f"{math.exp(threshold):.0f} on it rolls back"
    if harmed:
        return f"Harm: {worst.reason} Over all guardrails {odds}."
    if broken:
        return "Units are not split as configured; nothing else can be trusted until that is found."
    if safe:
        return "Every guardrail is shown to lie within its boundary in this stage."
    weakest = min(results, key=lambda result: result.log_e_safety)
    return f"Not decided: {weakest.reason} Over all guardrails {odds}."
