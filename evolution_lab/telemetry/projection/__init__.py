"""The narrow projection of landed samples: built while landing, read by windows.

A reader needs operation, minute, duration and outcome of each row, sorted; here they are, in a tenth of
the room. It is derived from the sample files and never the truth: ``states`` says what it covers.
"""

from evolution_lab.telemetry.projection.building import project

__all__ = ["project"]
