"""For flagd and OpenFeature's in-process providers: a flag with fractional targeting."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
from evolution_lab.experiments.units import ANONYMOUS_ID

SCHEMA: Final = "https://flagd.dev/schema/v0/flags.json"
WEIGHTS: Final = 10_000
_UNITS: Final[Mapping[UnitKind, str]] = {
    "user": "targetingKey",
    "organisation": "organisation",
    "anonymous": ANONYMOUS_ID,
}


def to_flagd(experiment: SpecExperiment, stage: int | None) -> FlagExport:
    """Return what flagd reads: the flag has the experiment's key, its variants are the arms.

    Args:
        experiment: The definition, with flagd's hash.
        stage: The stage, counted from 0; None gives everybody the control.

    Raises:
        InvalidExperimentError: flagd would assign other units, or cannot say the targeting.
    """
    check_hash(experiment, "flagd")
    refuse_gates(experiment, "flagd")
    stages = expressed(experiment, None)
    flag: dict[str, Any] = {
        "state": "ENABLED",
        "variants": {"control": "control", "variant": "variant"},
        "defaultVariant": "control",
    }
    if stage is not None:
        flag["targeting"] = _targeting(experiment, experiment.share_at(stage))
    notes = notes_on(experiment, stages)
    notes.append(
        f"Its fractional operator must be of version {experiment.hash_version} to assign the same."
    )
    notes.append(
        "Ids must be ASCII where its JavaScript core (seen in 4.0.1) evaluates: it hashes others "
        "otherwise than flagd's vectors do."
    )
    if experiment.targeting:
        notes.append("Conditions on attributes that are lists are met by nobody there.")
    return FlagExport(
        format="flagd",
        document={"$schema": SCHEMA, "flags": {experiment.key: flag}},
        stage=stage,
        stages=stages,
        notes=tuple(notes),
    )


def _targeting(experiment: SpecExperiment, share: float) -> dict[str, Any]:
    unit = {"var": _UNITS[experiment.unit]}
    weight = round(share * WEIGHTS)
    by_hash: Any = {
        "fractional": [
            {"cat": [experiment.salt, unit]},
            ["variant", weight],
            ["control", WEIGHTS - weight],
        ]
    }
    steps: list[Any] = []
    for arm in ("control", "variant"):
        forced = sorted(id_ for id_, given in experiment.forced.items() if given == arm)
        if forced:
            steps += [{"in": [unit, forced]}, arm]
    met: Any = {"!!": [unit]}  # Without a unit there is nothing to hash.
    if experiment.targeting:
        met = {"and": [met, json_logic(experiment.targeting)]}
    return {"if": [*steps, met, by_hash, "control"]}


def json_logic(condition: Mapping[str, Any]) -> dict[str, Any]:
    """Return a condition on attributes as JsonLogic, the language of flagd's targeting.

    Raises:
        InvalidExperimentError: It has an operator that JsonLogic says otherwise or not at all.

    Examples:
        >>> json_logic({"country": "NL", "age": {"$gte": 18}})
        {'and': [{'===': [{'var': 'country'}, 'NL']}, {'>=': [{'var': 'age'}, 18]}]}
    """
    parts: list[dict[str, Any]] = []
    for name, value in condition.items():
        if name in {"$and", "$or", "$nor"}:
            each = [json_logic(part) for part in value]
            joined = {"and" if name == "$and" else "or": each}
            parts.append({"!": [joined]} if name == "$nor" else joined)
        elif name == "$not":
            parts.append({"!": [json_logic(value)]})
        else:
            parts += _attribute(name, value)
    if not parts:
        return {"==": [1, 1]}
    return parts[0] if len(parts) == 1 else {"and": parts}


def _attribute(name: str, wanted: Any) -> list[dict[str, Any]]:
    subject = {"var": name}
    if not isinstance(wanted, Mapping):
        wanted = {"$eq": wanted}
    found = []
    for operator, value in wanted.items():
        say = _OPERATORS.get(operator)
        plain = isinstance(value, list) if operator in {"$in", "$nin"} else _is_plain(value)
        if say is None or not plain:
            raise InvalidExperimentError(
                f"the condition {operator!r} on {name!r} cannot be exported for flagd; it can say "
                f"{', '.join(sorted(_OPERATORS))} with plain values."
            )
        found.append(say(subject, value))
    return found


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, (str, int, float, bool))


def _said(operator: str) -> Callable[[Any, Any], dict[str, Any]]:
    return lambda subject, value: {operator: [subject, value]}


_OPERATORS: Final[Mapping[str, Callable[[Any, Any], dict[str, Any]]]] = {
    "$eq": _said("==="),
    "$ne": _said("!=="),
    "$gt": _said(">"),
    "$gte": _said(">="),
    "$lt": _said("<"),
    "$lte": _said("<="),
    "$in": _said("in"),
    "$nin": lambda subject, value: {"!": [{"in": [subject, value]}]},
}
