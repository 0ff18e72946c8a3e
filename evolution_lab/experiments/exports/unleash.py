"""For Unleash's SDKs: a feature with a gradual rollout; enabled means the variant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from evolution_lab.errors import InvalidExperimentError
from evolution_lab.experiments.definition import SpecExperiment, UnitKind
from evolution_lab.experiments.exports.flag_export import (
    FlagExport,
    check_hash,
    expressed,
    notes_on,
    refuse_gates,
)

STICKINESS: Final[Mapping[UnitKind, str]] = {
    "user": "userId",
    "organisation": "organisation",
    "anonymous": "sessionId",
}
_OPERATORS: Final = {"$eq": "IN", "$ne": "NOT_IN", "$in": "IN", "$nin": "NOT_IN"}


def to_unleash(experiment: SpecExperiment, stage: int | None) -> FlagExport:
    """Return what ``/api/client/features`` and an SDK's bootstrap give.

    The feature has the experiment's key; where it is enabled, the variant is served. Unleash has
    100 buckets: stages are whole percents.

    Args:
        experiment: The definition, with Unleash's hash.
        stage: The stage, counted from 0; None gives everybody the control.

    Raises:
        InvalidExperimentError: Unleash would assign other units, or cannot say the targeting.
    """
    check_hash(experiment, "unleash")
    refuse_gates(experiment, "Unleash")
    stages = expressed(experiment, 100)
    strategies = [] if stage is None else _strategies(experiment, experiment.share_at(stage))
    feature = {
        "name": experiment.key,
        "type": "experiment",
        "enabled": stage is not None,
        "strategies": strategies,
        "variants": [],
    }
    return FlagExport(
        format="unleash",
        document={"version": 1, "features": [feature]},
        stage=stage,
        stages=stages,
        notes=tuple(notes_on(experiment, stages)),
    )


def _strategies(experiment: SpecExperiment, share: float) -> list[dict[str, Any]]:
    field = STICKINESS[experiment.unit]
    kept_out = sorted(unit for unit, arm in experiment.forced.items() if arm == "control")
    given = sorted(unit for unit, arm in experiment.forced.items() if arm == "variant")
    constraints = _constraints(experiment.targeting)
    if kept_out:
        constraints.append(_constraint(field, "NOT_IN", kept_out))
    rollout = {
        "name": "flexibleRollout",
        "parameters": {
            "rollout": str(round(share * 100)),
            "stickiness": field,
            "groupId": experiment.salt,
        },
        "constraints": constraints,
    }
    if not given:
        return [rollout]
    forced = {"name": "default", "parameters": {}, "constraints": [_constraint(field, "IN", given)]}
    return [forced, rollout]


def _constraints(condition: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for name, wanted in condition.items():
        if name == "$and":
            for part in wanted:
                found += _constraints(part)
            continue
        asked = wanted if isinstance(wanted, Mapping) else {"$eq": wanted}
        for operator, value in asked.items():
            values = value if isinstance(value, list) else [value]
            texts = all(isinstance(each, str) for each in values)
            if name.startswith("$") or operator not in _OPERATORS or not texts:
                raise InvalidExperimentError(
                    f"the condition {operator!r} on {name!r} cannot be exported for Unleash; it can "
                    f"say {', '.join(sorted(_OPERATORS))} with texts, all of which must be met."
                )
            found.append(_constraint(name, _OPERATORS[operator], values))
    return found


def _constraint(field: str, operator: str, values: list[str]) -> dict[str, Any]:
    return {"contextName": field, "operator": operator, "values": values, "inverted": False}
