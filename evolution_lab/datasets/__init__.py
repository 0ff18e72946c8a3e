"""Seeded synthetic telemetry with planted, labelled anomalies, and the bundled files.

Takes a seed, and gives

- drawn recordings of a small shop as spans with labels (``shop_recording``, ``read_faults``), also
  written by ``python -m evolution_lab.datasets OUT``;
- the bundled sample (``sample_path``): the demo shop, a real service, recorded under load;
- frames in which nothing is wrong (``null_samples``, ``null_windows``) and faults planted into any
  frame of samples (``plant``), for counting false alarms, delay and power.
"""

from evolution_lab.datasets.bundled import notebooks_path, sample_path
from evolution_lab.datasets.faults import Fault, PlannedFault, default_plan, read_faults
from evolution_lab.datasets.null_traffic import (
    NULL_START,
    CallShape,
    LatencyShape,
    null_samples,
    null_windows,
)
from evolution_lab.datasets.planting import plant
from evolution_lab.datasets.recording import Recording, shop_recording

__all__ = [
    "NULL_START",
    "CallShape",
    "Fault",
    "LatencyShape",
    "PlannedFault",
    "Recording",
    "default_plan",
    "notebooks_path",
    "null_samples",
    "null_windows",
    "plant",
    "read_faults",
    "sample_path",
    "shop_recording",
]
