"""Detectors of other packages, and plain functions as detectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Final

import polars as pl

from evolution_lab.errors import FrameContractError, InputError
from evolution_lab.intents.evidence import Detector
from evolution_lab.intents.view import DetectionView
from evolution_lab.schemas import EVIDENCE, check

GROUP: Final = "evolution_lab.detectors"
"""The entry point group under which packages register theirs."""
DetectorFunction = Callable[[DetectionView], pl.DataFrame]


@dataclass(frozen=True)
class NamedDetector:
    """A function as a detector; a frame that breaks the contract is refused by its name.

    Attributes:
        name: What signals and messages call it.
        function: From a view to an ``EVIDENCE`` frame.
    """

    name: str
    function: DetectorFunction

    def __call__(self, view: DetectionView) -> pl.DataFrame:
        """Return the function's evidence, checked.

        Raises:
            FrameContractError: It is no ``EVIDENCE`` frame.
        """
        evidence = self.function(view)
        if not isinstance(evidence, pl.DataFrame):
            raise FrameContractError(
                f"detector {self.name!r} gave {type(evidence).__name__}, must give a polars DataFrame."
            )
        try:
            return check(evidence, EVIDENCE)
        except FrameContractError as error:
            raise FrameContractError(f"detector {self.name!r}: {error}") from None


def as_detector(given: Detector | DetectorFunction) -> Detector:
    """Return a detector for anything that can be called with a view.

    Raises:
        InputError: It cannot be called.
    """
    if not callable(given):
        raise InputError(f"{given!r} is no detector, must be a function of a DetectionView.")
    name = getattr(given, "name", None) or getattr(given, "__name__", type(given).__name__)
    return NamedDetector(str(name), given)


def registered_detectors() -> tuple[Detector, ...]:
    """Return the detectors that installed packages register, by name.

    Raises:
        InputError: One of them cannot be loaded; its entry point is named.
    """
    found = []
    for entry in sorted(entry_points(group=GROUP), key=lambda e: e.name):
        try:
            loaded = entry.load()
        except Exception as error:
            raise InputError(
                f"detector {entry.name!r} ({entry.value}) cannot be loaded: {error}"
            ) from error
        found.append(NamedDetector(entry.name, as_detector(loaded)))
    return tuple(found)


def with_registered(own: Sequence[Detector]) -> tuple[Detector, ...]:
    """Return the package's own detectors and the registered ones."""
    return (*own, *registered_detectors())
