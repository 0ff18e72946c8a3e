"""What is worth having in a suite: features of calls, with weights.

A feature is something a change of behaviour can depend on. A suite in which each feature has a case
notices the change; the weight says how bad it would be to have none.
"""

from __future__ import annotations

from typing import Final

OUTCOME: Final = 50.0
SHAPE: Final = 4.0
VALUE: Final = 1.0
PAIR: Final = 0.25
BOUNDARY: Final = 1.0
_LONGEST_VALUE: Final = 40
_MOST_LEAVES: Final = 400
