"""From windows to what changed beyond chance.

Takes windows, call edges, sequences and a handle to samples. One file per detector returns evidence;
``decide`` alone spends the error budgets and makes episodes of it; ``incidents`` folds them. Gives
``DetectionResult``: signals, incidents, workflows and verdicts of thin traffic.

To add a detector, write a file like ``error_spike.py`` (a function from ``DetectionView`` to an
``EVIDENCE`` frame) and pass it in ``IntentDetector(detectors=…)``.
"""

from evolution_lab.intents.detector import IntentDetector, Surroundings
from evolution_lab.intents.error_spike import ErrorSpikeDetector
from evolution_lab.intents.evidence import Detector, evidence_frame
from evolution_lab.intents.latency_regression import LatencyRegressionDetector
from evolution_lab.intents.latency_values import LatencyValuesDetector
from evolution_lab.intents.snapshots import (
    read_snapshots,
    standing_snapshots,
    store_snapshots,
    withdraw_snapshots,
)
from evolution_lab.intents.throughput_drop import ThroughputDropDetector
from evolution_lab.intents.view import DetectionView, detection_view
from evolution_lab.intents.workflows import find_workflows

__all__ = [
    "DetectionView",
    "Detector",
    "ErrorSpikeDetector",
    "IntentDetector",
    "LatencyRegressionDetector",
    "LatencyValuesDetector",
    "Surroundings",
    "ThroughputDropDetector",
    "detection_view",
    "evidence_frame",
    "find_workflows",
    "read_snapshots",
    "standing_snapshots",
    "store_snapshots",
    "withdraw_snapshots",
]
