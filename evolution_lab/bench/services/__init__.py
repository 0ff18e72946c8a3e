"""Five small services that golden tests are judged on: what makes answers change is all in them.

Clocks, UUIDs, counters, sets without an order, floats, URLs built from ids, page tokens. ``orders``,
``catalogue`` and ``sessions`` were looked at while the detection was built; ``bookings`` and ``ledger``
are kept for judging it. ``orders.mjs`` and ``bookings.mjs`` are two of them in JavaScript.
"""

from evolution_lab.bench.services.serving import served, served_by_node
from evolution_lab.bench.services.world import FrozenWorld, RealWorld, Request, Response, World

DEVELOPED_ON = ("orders", "catalogue", "sessions")
"""Services that may be looked at."""
KEPT_FOR_JUDGING = ("bookings", "ledger")
"""Services that only judge."""

__all__ = [
    "DEVELOPED_ON",
    "KEPT_FOR_JUDGING",
    "FrozenWorld",
    "RealWorld",
    "Request",
    "Response",
    "World",
    "served",
    "served_by_node",
]
