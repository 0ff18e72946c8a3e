"""Production traffic in, a lake of samples out."""

from evolution_lab.telemetry.state import open_state

__all__ = ["open_state"]
