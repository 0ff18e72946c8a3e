"""The demo: the bundled recording walked down the whole line, and what was planted held against it.

Takes the sample, gives a lab directory, a report and a score. The service that is recorded, and its
recorder, will live here too; until then the sample is made by ``evolution_lab.datasets``.
"""

from evolution_lab.demo.scoring import FaultScore, Score, score_detection
from evolution_lab.demo.walkthrough import Walkthrough, walk_through

__all__ = ["FaultScore", "Score", "Walkthrough", "score_detection", "walk_through"]
