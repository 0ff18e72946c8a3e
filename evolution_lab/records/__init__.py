"""The shared vocabulary: frozen dataclasses that cross folders, and their JSON form.

Field names are snake_case in Python and camelCase in JSON. Times are timezone-aware UTC datetimes,
durations integer nanoseconds (``*_ns``), rates fractions between 0 and 1.
"""

from evolution_lab.records.intent import (
    DetectionResult,
    EvidenceItem,
    Incident,
    InsufficientEvidence,
    IntentKind,
    IntentSignal,
    Severity,
    Workflow,
)
from evolution_lab.records.json_form import from_json, json_schema, to_json, to_python
from evolution_lab.records.operation import OperationRef
from evolution_lab.records.suggestion import (
    ChangeType,
    Decision,
    Priority,
    Proposal,
    SpecSuggestion,
    SuggestionStatus,
    Target,
    Verdict,
)
from evolution_lab.records.telemetry import TelemetrySample
from evolution_lab.records.traffic import RecordedError, TrafficSnapshot

__all__ = [
    "ChangeType",
    "Decision",
    "DetectionResult",
    "EvidenceItem",
    "Incident",
    "InsufficientEvidence",
    "IntentKind",
    "IntentSignal",
    "OperationRef",
    "Priority",
    "Proposal",
    "RecordedError",
    "Severity",
    "SpecSuggestion",
    "SuggestionStatus",
    "Target",
    "TelemetrySample",
    "TrafficSnapshot",
    "Verdict",
    "Workflow",
    "from_json",
    "json_schema",
    "to_json",
    "to_python",
]
