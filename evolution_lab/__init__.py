"""evolution_lab turns an API's production telemetry into spec changes that can be trusted.

The names here are the ones most people need; every stage's own names are public in its folder:
``evolution_lab.telemetry``, ``.windows``, ``.intents``, ``.suggestions``, ``.approval``, ``.export``.
Names are resolved at first use, so that importing the package costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evolution_lab.config import EvolutionConfig
    from evolution_lab.errors import EvolutionLabError
    from evolution_lab.intents import IntentDetector
    from evolution_lab.lab import Lab
    from evolution_lab.records import (
        DetectionResult,
        IntentSignal,
        OperationRef,
        SpecSuggestion,
        TelemetrySample,
    )
    from evolution_lab.suggestions import SpecAnalyzer, SpecGenerator
    from evolution_lab.windows import IntentAggregator

__version__ = "0.1.0"

_HOMES = {
    "DetectionResult": "records",
    "EvolutionConfig": "config",
    "EvolutionLabError": "errors",
    "IntentAggregator": "windows",
    "IntentDetector": "intents",
    "IntentSignal": "records",
    "Lab": "lab",
    "OperationRef": "records",
    "SpecAnalyzer": "suggestions",
    "SpecGenerator": "suggestions",
    "SpecSuggestion": "records",
    "TelemetrySample": "records",
}

__all__ = [
    "DetectionResult",
    "EvolutionConfig",
    "EvolutionLabError",
    "IntentAggregator",
    "IntentDetector",
    "IntentSignal",
    "Lab",
    "OperationRef",
    "SpecAnalyzer",
    "SpecGenerator",
    "SpecSuggestion",
    "TelemetrySample",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'evolution_lab' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"evolution_lab.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
