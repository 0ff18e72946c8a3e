"""Experiments as other flag systems read them, so that their SDKs assign the units that we assign.

An export is one stage of an experiment: whoever advances exports again. Where a system cannot assign
the same units, that is an error with the reason, never a document that assigns others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from evolution_lab.errors import UnknownNameError
from evolution_lab.experiments.definition import SpecExperiment
from evolution_lab.experiments.exports.flag_export import ExpressedStage, FlagExport, FlagFormat
from evolution_lab.experiments.exports.flagd import to_flagd
from evolution_lab.experiments.exports.growthbook import to_growthbook
from evolution_lab.experiments.exports.unleash import to_unleash

__all__ = [
    "FORMATS",
    "ExpressedStage",
    "FlagExport",
    "FlagFormat",
    "export_flag",
    "to_flagd",
    "to_growthbook",
    "to_unleash",
]

FORMATS: Final[Mapping[str, Callable[[SpecExperiment, int | None], FlagExport]]] = {
    "flagd": to_flagd,
    "growthbook": to_growthbook,
    "unleash": to_unleash,
}


def export_flag(experiment: SpecExperiment, stage: int | None, *, format: str) -> FlagExport:  # noqa: A002
    """Return an experiment at a stage as another flag system reads it.

    Args:
        experiment: The definition.
        stage: The stage, counted from 0; None gives everybody the control.
        format: ``growthbook``, ``flagd`` or ``unleash``.

    Raises:
        UnknownNameError: There is no such format.
        InvalidExperimentError: The system cannot assign the same units; says why.

    Examples:
        >>> from evolution_lab.experiments import Binding
        >>> arm = {"operation": "checkout"}
        >>> experiment = SpecExperiment(key="try", operation="checkout",
        ...     control=Binding(version="1", **arm), variant=Binding(version="2", **arm))
        >>> exported = export_flag(experiment, 1, format="growthbook")
        >>> exported.document["features"]["try"]["rules"][0]["ranges"]
        [[0.1, 1.0], [0.0, 0.1]]
    """
    if format not in FORMATS:
        raise UnknownNameError("format", format, FORMATS)
    return FORMATS[format](experiment, stage)
