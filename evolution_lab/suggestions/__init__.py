"""Suggestions: takes signals, windows and specs, gives ``SpecSuggestion``s with their evidence.

``SpecAnalyzer`` looks: usage, anomalies and hints per operation. ``SpecGenerator`` proposes: one
suggestion per thing asked, whose id is the hash of what is asked. Neither has thresholds of its
own; both read what detection said.
"""

from evolution_lab.suggestions.analyzer import Analysis, Anomaly, OptimizationHint, SpecAnalyzer
from evolution_lab.suggestions.generator import SpecGenerator
from evolution_lab.suggestions.identity import subject_of, suggestion_id
from evolution_lab.suggestions.specs import DeclaredSpecs, SpecSource
from evolution_lab.suggestions.traffic import TrafficFinding, TrafficReading, read_traffic
from evolution_lab.suggestions.usage import OperationUsage, usage_statistics
from evolution_lab.suggestions.validation import validate_suggestion
from evolution_lab.suggestions.variants import control_of, variant_of

__all__ = [
    "Analysis",
    "Anomaly",
    "DeclaredSpecs",
    "OperationUsage",
    "OptimizationHint",
    "SpecAnalyzer",
    "SpecGenerator",
    "SpecSource",
    "TrafficFinding",
    "TrafficReading",
    "control_of",
    "read_traffic",
    "subject_of",
    "suggestion_id",
    "usage_statistics",
    "validate_suggestion",
    "variant_of",
]
