"""Production traffic in, a lake of samples out."""

from evolution_lab.telemetry.lake import Lake
from evolution_lab.telemetry.state import open_state

__all__ = ["Lake", "open_state"]
