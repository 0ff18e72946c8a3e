"""What an analysis of a rollout says: objects with interval, e-value, verdict and a plain reason."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal

from pydantic import ConfigDict

from evolution_lab.display import ResultMixin
from evolution_lab.experiments.definition import GuardrailMetric
from evolution_lab.records.json_form import CAMEL_CASE

Verdict = Literal["harm", "safe", "inconclusive"]
_INFINITE: Final[ConfigDict] = {**CAMEL_CASE, "ser_json_inf_nan": "strings"}
"""An interval may be unbounded; JSON's null would not come back as infinity."""


@dataclass(frozen=True, kw_only=True)
class GuardrailResult:
    """What outcomes say of one guardrail.

    Attributes:
        metric: The guardrail's metric.
        boundary: Its boundary: a fraction, or milliseconds.
        n_variant: Requests of the variant, in all stages.
        n_control: Requests of the control, in all stages.
        rate_variant: Share of the variant's requests that count against it.
        rate_control: Likewise of the control's; None where it has none.
        interval: 95 % confidence sequence of ``rate_variant``, valid at all looks together.
        ratio_interval: 95 % confidence sequence of the variant's rate over the control's; None
            where nothing is compared.
        log_e_harm: Natural logarithm of the e-value of harm, with the weight it has in the union.
        log_e_safety: That of safety, in the stage under way.
        verdict: ``harm``, ``safe`` or ``inconclusive``; of one guardrail on its own.
        reason: One sentence for people.
    """

    __pydantic_config__ = _INFINITE

    metric: GuardrailMetric
    boundary: float
    n_variant: int
    n_control: int
    rate_variant: float | None
    rate_control: float | None
    interval: tuple[float, float]
    ratio_interval: tuple[float, float] | None
    log_e_harm: float
    log_e_safety: float
    verdict: Verdict
    reason: str


@dataclass(frozen=True, kw_only=True, repr=False)
class ExperimentAnalysis(ResultMixin):
    """What outcomes say of a rollout at one look; it shows itself as one row a guardrail.

    Attributes:
        key: The experiment.
        version: Of its definition.
        stage: The stage under way, counted from 0.
        share: Share of units with the variant.
        guardrails: In the order of the definition.
        log_e_harm: Natural logarithm of the e-value of the union of guardrails.
        log_threshold: Roll back from here on: ``log(1 / alpha)``.
        log_e_split: Natural logarithm of the e-value that units are not split as configured.
        harm: Whether the union of guardrails proves harm.
        safe: Whether every guardrail is proven to lie within its boundary in this stage.
        split_broken: Whether units are not split as configured, so that nothing else can be trusted.
        unit: What is counted: ``request``, or users that keep their arm.
        reason: One sentence for people.
    """

    __pydantic_config__ = _INFINITE
    _title: ClassVar[str] = "guardrails"

    key: str
    version: int
    stage: int
    share: float
    guardrails: tuple[GuardrailResult, ...]
    log_e_harm: float
    log_threshold: float
    log_e_split: float
    harm: bool
    safe: bool
    split_broken: bool
    unit: str
    reason: str

    @property
    def e_value(self) -> float:
        """Evidence of harm as betting odds: 20 against "it does no harm" rolls back at 0.05."""
        return math.exp(min(self.log_e_harm, 700.0))

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one dict a guardrail."""
        return [
            {
                "guardrail": each.metric,
                "boundary": each.boundary,
                "variant": each.rate_variant,
                "control": each.rate_control,
                "95 %": f"{each.interval[0]:.4f} to {each.interval[1]:.4f}",
                "e harm": _e(each.log_e_harm),
                "e safe": _e(each.log_e_safety),
                "verdict": each.verdict,
                "reason": each.reason,
            }
            for each in self.guardrails
        ]


def _e(logarithm: float) -> float:
    return float(f"{math.exp(max(min(logarithm, 700.0), -700.0)):.3g}")
