"""What an export is: the document, and what it can and cannot say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from evolution_lab.errors import InvalidExperimentError
from evolution_lab.experiments.definition import HashAlgorithm, SpecExperiment, UnitKind
from evolution_lab.records.json_form import CAMEL_CASE

FlagFormat = Literal["growthbook", "flagd", "unleash"]


@dataclass(frozen=True, kw_only=True)
class ExpressedStage:
    """A stage as another system expresses it.

    Attributes:
        stage: The stage, counted from 0.
        share: The share that the experiment asks for.
        served: The share that the system's buckets give; the same units as ours in either case.
        exact: Whether the two are the same.
    """

    __pydantic_config__ = CAMEL_CASE

    stage: int
    share: float
    served: float
    exact: bool


@dataclass(frozen=True, kw_only=True)
class FlagExport:
    """An experiment at one stage in another system's form.

    Attributes:
        format: Whose form.
        document: JSON-ready; what that system's SDKs read.
        stage: The stage it serves, counted from 0; None gives everybody the control.
        stages: How each of the experiment's stages would be served.
        notes: What the system does otherwise, for people.
    """

    __pydantic_config__ = CAMEL_CASE

    format: FlagFormat
    document: Mapping[str, Any]
    stage: int | None
    stages: tuple[ExpressedStage, ...]
    notes: tuple[str, ...] = ()


_FALLBACKS: Final[Mapping[UnitKind, str]] = {
    "user": "A call without a user gets the control there; here its organisation is the unit.",
    "organisation": "A call without an organisation gets the control there; here its anonymous id "
    "is the unit.",
}


def check_hash(experiment: SpecExperiment, wanted: HashAlgorithm) -> None:
    """Do nothing where a system's hash assigns what ours does.

    Raises:
        InvalidExperimentError: It would assign other units, or has no unit to assign by.
    """
    if experiment.hash != wanted:
        raise InvalidExperimentError(
            f"hash of {experiment.key!r} == {experiment.hash!r}, must be {wanted!r} to be exported "
            f"for it: its SDKs would give the variant to other units."
        )
    if experiment.unit == "request":
        raise InvalidExperimentError(
            f"unit of {experiment.key!r} == 'request', must be one that returns: flag systems "
            "assign by an attribute of the caller."
        )


def expressed(experiment: SpecExperiment, buckets: int | None) -> tuple[ExpressedStage, ...]:
    """Return how stages come out with a number of buckets, None for ever finer ones."""
    found = []
    for number, stage in enumerate(experiment.stages):
        if buckets is None:
            served = stage.share
        else:
            # A bucket has the variant where its lower edge lies below the share.
            served = sum(edge / buckets < stage.share for edge in range(buckets)) / buckets
        exact = abs(served - stage.share) < 1e-9
        found.append(ExpressedStage(stage=number, share=stage.share, served=served, exact=exact))
    return tuple(found)


def notes_on(experiment: SpecExperiment, stages: tuple[ExpressedStage, ...]) -> list[str]:
    """Return what any system does otherwise than we do."""
    notes = [
        f"Stage {each.stage} gives {each.served:.2%} of units the variant, not {each.share:.2%}: "
        "the hash has no finer buckets."
        for each in stages
        if not each.exact
    ]
    if experiment.unit in _FALLBACKS:
        notes.append(_FALLBACKS[experiment.unit])
    notes.append("It serves this stage until the next export: it knows of no guardrail and rolls "
                 "nothing back by itself.")  # fmt: skip
    return notes


def refuse_gates(experiment: SpecExperiment, system: str) -> None:
    """Do nothing where an experiment needs none of what only GrowthBook's hash can say.

    Raises:
        InvalidExperimentError: It has a hold-out or a namespace.
    """
    asked = {"hold_out": experiment.hold_out, "namespace": experiment.namespace}
    for name, value in asked.items():
        if value:
            raise InvalidExperimentError(
                f"{name} of {experiment.key!r} cannot be exported for {system}: it is decided by "
                "GrowthBook's hash, which its SDKs do not have."
            )
