"""For GrowthBook's SDKs: a feature with one experiment rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from evolution_lab.experiments.assignment import HOLD_OUT_SEED
from evolution_lab.experiments.definition import SpecExperiment, UnitKind
from evolution_lab.experiments.exports.flag_export import (
    FlagExport,
    check_hash,
    expressed,
    notes_on,
)
from evolution_lab.experiments.units import ANONYMOUS_ID

ATTRIBUTES: Final[Mapping[UnitKind, str]] = {
    "user": "id",
    "organisation": "organisation",
    "anonymous": ANONYMOUS_ID,
}


def to_growthbook(experiment: SpecExperiment, stage: int | None) -> FlagExport:
    """Return what ``GrowthBook.setPayload`` and the SDK endpoint take.

    The feature has the experiment's key and the values ``control`` and ``variant``. Seed and hash
    version are ours, so are the filters of hold-out and namespace; the variant's range begins at 0,
    so that it grows from stage to stage and nobody who has it loses it.

    Args:
        experiment: The definition, with GrowthBook's hash.
        stage: The stage, counted from 0; None gives everybody the control.

    Raises:
        InvalidExperimentError: Its SDKs would assign other units.
    """
    check_hash(experiment, "growthbook")
    stages = expressed(experiment, 10_000 if experiment.hash_version == 2 else 1_000)
    notes = notes_on(experiment, stages)
    feature: dict[str, Any] = {"defaultValue": "control"}
    if stage is not None:
        rules = [*_forced(experiment), _rule(experiment, experiment.share_at(stage))]
        feature["rules"] = rules
    if "$inGroup" in str(experiment.targeting) or "$notInGroup" in str(experiment.targeting):
        notes.append("Saved groups that targeting names must be in the payload's savedGroups.")
    return FlagExport(
        format="growthbook",
        document={"features": {experiment.key: feature}},
        stage=stage,
        stages=stages,
        notes=tuple(notes),
    )


def _rule(experiment: SpecExperiment, share: float) -> dict[str, Any]:
    attribute = ATTRIBUTES[experiment.unit]
    filters: list[dict[str, Any]] = []
    if experiment.hold_out:
        ranges = [[experiment.hold_out, 1.0]]
        filters.append({"seed": HOLD_OUT_SEED, "hashVersion": 2, "ranges": ranges})
    namespace = experiment.namespace
    if namespace is not None:
        ranges = [[namespace.start, namespace.end]]
        filters.append({"seed": f"__{namespace.name}", "hashVersion": 1, "ranges": ranges})
    rule: dict[str, Any] = {
        "key": experiment.key,
        "seed": experiment.salt,
        "phase": str(experiment.version),
        "hashAttribute": attribute,
        "hashVersion": experiment.hash_version,
        "variations": ["control", "variant"],
        "meta": [{"key": "control"}, {"key": "variant"}],
        "ranges": [[share, 1.0], [0.0, share]],
    }
    if filters:
        rule["filters"] = [{**each, "attribute": attribute} for each in filters]
    if experiment.targeting:
        rule["condition"] = dict(experiment.targeting)
    return rule


def _forced(experiment: SpecExperiment) -> list[dict[str, Any]]:
    rules = []
    for arm in ("control", "variant"):
        units = sorted(unit for unit, given in experiment.forced.items() if given == arm)
        if units:
            condition = {ATTRIBUTES[experiment.unit]: {"$in": units}}
            rules.append({"condition": condition, "force": arm})
    return rules
