"""Seeded synthetic telemetry with planted, labelled anomalies, and the bundled sample.

Takes a seed; gives recordings of a small shop (``shop_recording``) and their labels.
"""

from evolution_lab.datasets.faults import Fault, PlannedFault, default_plan, read_faults
from evolution_lab.datasets.recording import Recording, shop_recording

__all__ = [
    "Fault",
    "PlannedFault",
    "Recording",
    "default_plan",
    "read_faults",
    "shop_recording",
]
