"""What traffic says about specs: drift, failing inputs, slow calls, data flow, callers who left.

Each finding carries a test, corrected for all that was looked at, an effect with its interval, and
the recorded calls behind it; ``SpecGenerator`` makes suggestions of them.
"""

from evolution_lab.suggestions.traffic.findings import NeverSeen, TrafficFinding, TrafficReading
from evolution_lab.suggestions.traffic.reading import read_traffic

__all__ = ["NeverSeen", "TrafficFinding", "TrafficReading", "read_traffic"]
