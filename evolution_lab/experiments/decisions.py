"""What is decided at one look, from what is counted and what the clock says: a pure function."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final, Literal

from evolution_lab.config import format_timedelta
from evolution_lab.display import ResultMixin
from evolution_lab.experiments.analysis import ExperimentAnalysis
from evolution_lab.experiments.analyzer import SpecExperimentAnalyzer
from evolution_lab.experiments.counters import RolloutCounts
from evolution_lab.experiments.definition import SpecExperiment
from evolution_lab.records.json_form import CAMEL_CASE

Action = Literal["roll_back", "advance", "complete", "hold", "ask"]
Cause = Literal[
    "harm", "safe", "undecided", "split", "stale-data", "no-traffic", "dwell", "maximum-dwell"
]
ENDS: Final[frozenset[Action]] = frozenset({"roll_back", "complete"})


@dataclass(frozen=True, kw_only=True)
class CountedOutcomes:
    """The counts of a rollout as they were at one moment.

    Attributes:
        counts: Merged over all processes.
        newest: When an outcome was last counted, UTC; None before any.
    """

    __pydantic_config__ = CAMEL_CASE

    counts: RolloutCounts
    newest: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Look:
    """What the controller saw at one look; a replay decides from this alone.

    Attributes:
        number: Counts the looks of a rollout from 1.
        at: When, UTC.
        stage: The stage under way, counted from 0.
        entered_at: When that stage began.
        outcomes: What was counted until then.
    """

    __pydantic_config__ = CAMEL_CASE

    number: int
    at: datetime
    stage: int
    entered_at: datetime
    outcomes: CountedOutcomes


@dataclass(frozen=True, kw_only=True, repr=False)
class RolloutDecision(ResultMixin):
    """What a look leads to.

    Attributes:
        look: The look's number.
        at: When, UTC.
        stage: The stage under way.
        action: ``roll_back``, ``advance``, ``complete``, ``hold``, or ``ask`` (a person).
        cause: Why, in one word.
        reason: Why, in one sentence.
        analysis: The evidence.
    """

    __pydantic_config__ = CAMEL_CASE
    _title: ClassVar[str] = "rollout decision"

    look: int
    at: datetime
    stage: int
    action: Action
    cause: Cause
    reason: str
    analysis: ExperimentAnalysis

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one dict a guardrail, beside the decision."""
        told = {"look": self.look, "stage": self.stage + 1, "action": self.action}
        return [{**told, **row} for row in self.analysis.to_dicts()]


def decide(experiment: SpecExperiment, look: Look) -> RolloutDecision:
    """Return what a look leads to.

    Harm rolls back, whatever else is wrong: the control is always the safe answer. Units that are not
    split as configured, outcomes that stopped coming and a stage without traffic hold. Safety that
    is proven for every guardrail in this stage advances after ``minimum_dwell``. Where nothing is
    proven after ``maximum_dwell`` a person is asked.

    Args:
        experiment: The definition.
        look: What was seen. The same look gives the same decision, always.
    """
    analysis = SpecExperimentAnalyzer(experiment).analyse(look.outcomes.counts, stage=look.stage)
    action, cause, reason = _judge(experiment, look, analysis)
    return RolloutDecision(
        look=look.number,
        at=look.at,
        stage=look.stage,
        action=action,
        cause=cause,
        reason=reason,
        analysis=analysis,
    )


def replay(experiment: SpecExperiment, looks: Iterable[Look]) -> tuple[RolloutDecision, ...]:
    """Return the decisions that stored looks lead to, the ones that were taken, bit for bit."""
    return tuple(decide(experiment, look) for look in looks)


def _judge(
    experiment: SpecExperiment, look: Look, analysis: ExperimentAnalysis
) -> tuple[Action, Cause, str]:
    stage = experiment.stages[look.stage]
    newest, dwelt = look.outcomes.newest, look.at - look.entered_at
    here = look.outcomes.counts.stages[look.stage].variant.requests
    if analysis.harm:
        return "roll_back", "harm", analysis.reason
    overdue = dwelt >= stage.maximum_dwell
    waited = f"{_told(dwelt)} in stage {look.stage + 1}, at most {_told(stage.maximum_dwell)}"
    if analysis.split_broken:
        held: tuple[Cause, str] | None = ("split", analysis.reason)
    elif newest is None or not here:
        held = ("no-traffic", f"No request of the variant was counted in stage {look.stage + 1}.")
    elif look.at - newest > experiment.serving_stale_after:
        most = _told(experiment.serving_stale_after)
        age = _told(look.at - newest)
        held = ("stale-data", f"The newest outcome is {age} old, must be at most {most}.")
    else:
        held = None
    if held is not None:
        return ("ask" if overdue else "hold"), held[0], held[1]
    if analysis.safe and dwelt >= stage.minimum_dwell:
        last = look.stage == len(experiment.stages) - 1
        return ("complete" if last else "advance"), "safe", analysis.reason
    if overdue:
        return "ask", "maximum-dwell", f"Nothing is proven after {waited}: a person decides."
    if analysis.safe:
        least = _told(stage.minimum_dwell)
        return "hold", "dwell", f"Safe; stage {look.stage + 1} lasts at least {least}."
    return "hold", "undecided", analysis.reason


def _told(span: timedelta) -> str:
    return format_timedelta(timedelta(seconds=round(span.total_seconds())))
