"""What a service tells the writer that it starts."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import orjson


@dataclass(frozen=True, kw_only=True)
class WriterOrders:
    """Where from, where to, and how often.

    Attributes:
        pipe: Descriptor to read lines from.
        ledger: Descriptor of the ledger.
        parent: The service's process id.
        data_dir: The lab directory; its settings are the writer's.
        flush_seconds: Longest time that a sample waits.
        flush_rows: How many samples are landed at once, at most.
        most_waiting: Samples held in memory; with more the pipe is left alone, so that it fills.

    Examples:
        >>> orders = WriterOrders(pipe=3, ledger=4, parent=1, data_dir="data")
        >>> WriterOrders.from_text(orders.to_text()) == orders
        True
    """

    pipe: int
    ledger: int
    parent: int
    data_dir: str
    flush_seconds: float = 15.0
    flush_rows: int = 10_000
    most_waiting: int = 100_000

    def to_text(self) -> str:
        """Return the orders as one argument of a command."""
        return orjson.dumps(asdict(self)).decode()

    @classmethod
    def from_text(cls, text: str) -> WriterOrders:
        """Read ``to_text``."""
        return cls(**orjson.loads(text))
